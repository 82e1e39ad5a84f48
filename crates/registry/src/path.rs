//! [`KeyPath`]: the location of a value in a config.

use std::fmt;

use crate::Config;
use crate::error::cut;

/// The path from the root of a config to one of its values, such as `backbone.blocks[1].conv_cfg.padding`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyPath(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Segment {
    Key(String),
    Index(usize),
}

impl KeyPath {
    /// The root of a config, which is displayed as the empty string.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The path of the value under `key` in the dict at this path.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.with(Segment::Key(key.into()))
    }

    /// The path of item `index` in the list at this path.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// The path as the keys of an override: `model.stages.0.depth`.
    #[must_use]
    pub fn dotted(&self) -> String {
        let mut keys = Vec::new();
        for segment in &self.0 {
            keys.push(match segment {
                Segment::Key(key) => key.clone(),
                Segment::Index(index) => index.to_string(),
            });
        }
        keys.join(".")
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The first key; `None` for the root and for an item of a list.
    #[must_use]
    pub fn first_key(&self) -> Option<&str> {
        match self.0.first() {
            Some(Segment::Key(key)) => Some(key),
            _ => None,
        }
    }

    /// The value at this path in `config`, or `None` if there is none.
    #[must_use]
    pub fn find<'a>(&self, config: &'a Config) -> Option<&'a Config> {
        let mut value = config;
        for segment in &self.0 {
            value = match (segment, value) {
                (Segment::Key(key), Config::Dict(dict)) => dict.get(key)?,
                (Segment::Index(index), Config::List(items) | Config::Tuple(items)) => items.get(*index)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// This path with `outer` in front.
    #[must_use]
    pub fn below(&self, outer: &KeyPath) -> Self {
        Self(outer.0.iter().chain(&self.0).cloned().collect())
    }

    /// The path as `serde_yaml` writes it in front of its messages.
    pub(crate) fn in_yaml_errors(&self) -> String {
        let mut text = String::new();
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if position == 0 => text.push_str(key),
                Segment::Key(key) => text.push_str(&format!(".{key}")),
                Segment::Index(index) if position == 0 => text.push_str(&format!(".[{index}]")),
                Segment::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    /// The number of keys and indices in the path.
    pub(crate) fn depth(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn push_key(&mut self, key: String) {
        self.0.push(Segment::Key(key));
    }

    pub(crate) fn push_index(&mut self, index: usize) {
        self.0.push(Segment::Index(index));
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

/// Shortens a path of many keys in the middle.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 24;
        const LAST: usize = 4;
        let left_out = if self.0.len() > MOST { MOST - LAST..self.0.len() - LAST } else { 0..0 };
        for (position, segment) in self.0.iter().enumerate() {
            if left_out.contains(&position) {
                if position == left_out.start {
                    write!(f, "...")?;
                }
                continue;
            }
            match segment {
                Segment::Key(key) if position == 0 => write!(f, "{}", cut(key))?,
                Segment::Key(key) => write!(f, ".{}", cut(key))?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_keys_and_indices() {
        let path = KeyPath::root().key("backbone").key("blocks").index(1).key("conv_cfg");
        assert_eq!(path.to_string(), "backbone.blocks[1].conv_cfg");
        assert_eq!(KeyPath::root().index(2).key("a").to_string(), "[2].a");
        assert_eq!(KeyPath::root().to_string(), "");
    }

    #[test]
    fn below_puts_the_outer_path_first() {
        let inner = KeyPath::root().key("eps");
        assert_eq!(inner.below(&KeyPath::root().key("norm_cfg")).to_string(), "norm_cfg.eps");
    }
}
