//! [`Sidecar`]: the file beside a part that says how the part came to be.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::PartError;
use crate::output::{display, write_text};
use crate::shard::Shard;

/// The format of the file.
const VERSION: u32 = 1;
/// The most bytes of the file.
const MAX_BYTES: u64 = 1 << 20;

/// How a part came to be. Parts of one run differ in `shard` and `complete` only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidecar {
    version: u32,
    /// The number of the shard, from 0.
    pub shard: u64,
    /// The number of shards.
    pub shards: u64,
    /// How many consecutive entries of the list are computed together.
    pub block: u64,
    /// What the records depend on besides the list, such as the digest of the weights.
    pub settings: BTreeMap<String, String>,
    /// The arguments of the command.
    pub command: Vec<String>,
    /// What is known once the part is complete.
    pub complete: Option<Totals>,
}

/// Numbers of a part that is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The entries of the list, those of other shards included.
    pub entries: u64,
    /// The SHA-256 of the list.
    pub list_sha256: String,
    /// The records of the part.
    pub records: u64,
    /// Those of them with an error.
    pub errors: u64,
    /// The size of the part.
    pub bytes: u64,
}

/// A setting that differs: its name, and its values in two files.
pub(super) struct Difference {
    pub(super) setting: String,
    pub(super) values: [String; 2],
}

impl Sidecar {
    /// The file of a part that is not complete.
    #[must_use]
    pub fn new(shard: Shard, block: u64, settings: BTreeMap<String, String>, command: Vec<String>) -> Self {
        Self { version: VERSION, shard: shard.index, shards: shard.count, block, settings, command, complete: None }
    }

    /// The shard of the part.
    #[must_use]
    pub fn part_of(&self) -> Shard {
        Shard { index: self.shard, count: self.shards }
    }

    /// Reads a file; `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, PartError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(PartError::io("open", path, error)),
        };
        let mut text = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut text).map_err(|error| PartError::io("read", path, error))?;
        let sidecar: Self = serde_json::from_slice(&text).map_err(|error| damaged(path, error))?;
        if sidecar.version != VERSION {
            return Err(damaged(path, format!("it has version {}, and {VERSION} was expected", sidecar.version)));
        }
        if sidecar.block == 0 || sidecar.shard >= sidecar.shards {
            return Err(damaged(path, format!("it is of shard {} in blocks of {}", sidecar.part_of(), sidecar.block)));
        }
        Ok(Some(sidecar))
    }

    /// Writes the file, replacing it as a whole.
    pub(super) fn write(&self, path: &Path) -> Result<(), PartError> {
        let text = serde_json::to_string_pretty(self).map_err(|error| PartError::io("write", path, error.into()))?;
        let written = write_text(path, &(text + "\n"));
        written.map_err(|error| PartError::io("write", path, std::io::Error::other(error)))
    }

    /// The first setting in which the runs of two parts differ.
    pub(super) fn difference(&self, other: &Self) -> Option<Difference> {
        let numbers =
            [("the number of shards", self.shards, other.shards), ("the batch size", self.block, other.block)];
        for (setting, here, there) in numbers {
            if here != there {
                return Some(Difference { setting: setting.to_owned(), values: [here.to_string(), there.to_string()] });
            }
        }
        for name in self.settings.keys().chain(other.settings.keys()) {
            let values = [self, other].map(|sidecar| sidecar.settings.get(name));
            if values[0] != values[1] {
                let values = values.map(|value| value.cloned().unwrap_or_else(|| "not set".to_owned()));
                return Some(Difference { setting: name.clone(), values });
            }
        }
        None
    }

    /// The command that computes a shard of the same run.
    pub(super) fn command_for(&self, shard: Shard) -> String {
        let mut words = vec!["mmcv".to_owned()];
        let mut arguments = self.command.iter();
        while let Some(argument) = arguments.next() {
            if argument == "--shard" {
                arguments.next();
            } else if argument != "--resume" && !argument.starts_with("--shard=") {
                words.push(quoted(argument));
            }
        }
        words.extend(["--shard".to_owned(), shard.to_string(), "--resume".to_owned()]);
        words.join(" ")
    }
}

fn damaged(path: &Path, reason: impl ToString) -> PartError {
    PartError::Sidecar { file: display(path), reason: reason.to_string() }
}

/// An argument for a shell.
fn quoted(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}
