//! [`Shard`]: which entries of a list this process computes, of several that share the list and do not talk to each other.

mod combine;
mod environment;
mod error;
mod launchers;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use combine::detect;
pub use error::ShardError;
pub use launchers::local_index;

/// The most shards, so that numbers of entries do not overflow.
const MAX_COUNT: u64 = 1 << 32;

/// One of several shares of a list. The list is cut into blocks, which are dealt to the shards like cards, so that an entry is
/// computed together with the same others whatever the number of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// The number of this shard, from 0.
    pub index: u64,
    /// The number of shards.
    pub count: u64,
}

/// The value of `--shard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardChoice {
    /// `I/N`.
    Fixed(Shard),
    /// `auto` or `auto/N`: the number of the process is in the environment.
    Auto(Option<u64>),
}

impl Shard {
    /// The only shard.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Whether the entry at `index` of the list belongs to this shard.
    #[must_use]
    pub fn has(&self, index: u64, block: u64) -> bool {
        index / block.max(1) % self.count == self.index
    }

    /// The index in the list of the entry at `position` of this shard.
    #[must_use]
    pub fn index_of(&self, position: u64, block: u64) -> u64 {
        let block = block.max(1);
        (position / block * self.count + self.index) * block + position % block
    }
}

impl ShardChoice {
    /// The shard, from the environment if it is not fixed.
    pub fn resolve(self) -> Result<Shard, ShardError> {
        match self {
            Self::Fixed(shard) => Ok(shard),
            Self::Auto(count) => {
                detect(count, &|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
            }
        }
    }
}

impl FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected I/N with I from 0 to N-1, auto, or auto/N";
        if text == "auto" {
            return Ok(Self::Auto(None));
        }
        let Some((index, count)) = text.split_once('/') else { return Err(EXPECTED.to_owned()) };
        let Ok(count @ 1..=MAX_COUNT) = count.parse::<u64>() else { return Err(EXPECTED.to_owned()) };
        if index == "auto" {
            return Ok(Self::Auto(Some(count)));
        }
        let Ok(index) = index.parse::<u64>() else { return Err(EXPECTED.to_owned()) };
        if index >= count {
            return Err(format!("shards are counted from 0, so the last of {count} is {}/{count}", count - 1));
        }
        Ok(Self::Fixed(Shard { index, count }))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}
