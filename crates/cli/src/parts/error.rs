//! [`PartError`]: why a part cannot be written, continued or merged.

use std::io;

/// Why a part cannot be written, continued or merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// A file cannot be opened, read or written.
    #[error("cannot {action} {file}")]
    Io {
        /// What was to be done: open, read, write.
        action: &'static str,
        /// The file.
        file: String,
        /// The message of the system.
        source: io::Error,
    },
    /// All shards would be written to one file.
    #[error(
        "--output: {file} is the same for all shards: name a folder, or put the number into the name, as in \
         part-{{shard:05}}-of-{{shards:05}}.jsonl"
    )]
    SameName {
        /// The file.
        file: String,
    },
    /// A name has a placeholder that is not known.
    #[error(
        "--output: {{{found}}} is unknown: expected {{shard}} or {{shards}}, or with a number of digits {{shard:05}}"
    )]
    Placeholder {
        /// What is between the braces.
        found: String,
    },
    /// Another process writes the same part.
    #[error("{file}: another process is writing it: give each shard an output of its own")]
    Busy {
        /// The file.
        file: String,
    },
    /// A part of the same name is of another run.
    #[error(
        "--resume: {file} is of another run: {setting} is {found} there, and {expected} here; use another --output, or leave out \
         --resume to replace it"
    )]
    OtherRun {
        /// The part.
        file: String,
        /// The first setting that differs.
        setting: String,
        /// Its value in the part.
        found: String,
        /// Its value now.
        expected: String,
    },
    /// Two parts are of different runs.
    #[error("{other} and {file} are of different runs: {setting} is {there} and {here}; merge parts of one run")]
    Mixed {
        /// A part.
        file: String,
        /// Another part.
        other: String,
        /// The first setting that differs.
        setting: String,
        /// Its value in the part.
        here: String,
        /// Its value in the other part.
        there: String,
    },
    /// The file beside a part is missing or damaged.
    #[error(
        "{file}: {reason}; it comes with the part, which --output FILE writes: copy it too, or compute the part again"
    )]
    Sidecar {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A part is not complete.
    #[error("{file} is not complete; continue it: {command}")]
    Incomplete {
        /// The part.
        file: String,
        /// The command that completes it.
        command: String,
    },
    /// Parts are missing.
    #[error("{} missing; compute {}: {command}", shards(.first, *.missing, *.count), if *.missing == 1 { "it" } else { "each of them, as in" })]
    Missing {
        /// The numbers of the first few shards.
        first: Vec<u64>,
        /// How many are missing.
        missing: u64,
        /// The number of shards.
        count: u64,
        /// The command that computes the first of them.
        command: String,
    },
    /// Two parts are of the same shard.
    #[error("{other} and {file} are both of shard {shard}: name each part once")]
    Twice {
        /// A part.
        file: String,
        /// Another part.
        other: String,
        /// The shard, as `I/N`.
        shard: String,
    },
    /// A part is not as it was when it was complete.
    #[error("{file} was changed after it was complete: {reason}; compute it again: {command}")]
    Damaged {
        /// The part.
        file: String,
        /// What differs.
        reason: String,
        /// The command that computes the part.
        command: String,
    },
    /// The merged file would replace a part.
    #[error("--output: {file} is one of the parts: write to another file")]
    OutputIsPart {
        /// The file.
        file: String,
    },
}

/// At most this many numbers are listed.
pub(super) const LISTED: usize = 8;

fn shards(first: &[u64], missing: u64, count: u64) -> String {
    let mut numbers: Vec<_> = first.iter().map(ToString::to_string).collect();
    let more = missing - first.len() as u64;
    if more > 0 {
        numbers.push(format!("{more} more"));
    }
    let (noun, verb) = if missing == 1 { ("shard", "is") } else { ("shards", "are") };
    format!("{noun} {} of {count} {verb}", numbers.join(", "))
}

impl PartError {
    pub(super) fn io(action: &'static str, file: &std::path::Path, source: io::Error) -> Self {
        Self::Io { action, file: crate::output::display(file), source }
    }
}
