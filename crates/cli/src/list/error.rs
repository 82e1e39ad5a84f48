//! [`ListError`]: why a list cannot be read on.

use std::io;

/// Why a list cannot be read on. A line that names no image is no such error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// It cannot be opened or read.
    #[error("--list: cannot read {list}")]
    Io {
        /// The name of the list.
        list: String,
        /// The message of the system.
        source: io::Error,
    },
    /// A line is so long that this is no list.
    #[error(
        "--list: line {line} of {list} is longer than {limit} bytes: expected one path or JSON object in each line"
    )]
    LongLine {
        /// The name of the list.
        list: String,
        /// The number of the line, from 1.
        line: u64,
        /// The most bytes of a line.
        limit: usize,
    },
    /// An earlier run of this shard, which is to be continued, had another list.
    #[error(
        "--resume: {partial} was written for another list: its record {index} is of {found}, and the list has {expected} there; remove \
         that file, or leave out --resume to begin again"
    )]
    Changed {
        /// The file of the earlier run.
        partial: String,
        /// The index in the list.
        index: u64,
        /// The path in the record.
        found: String,
        /// The path in the list.
        expected: String,
    },
    /// An earlier run of this shard, which is to be continued, had a longer list.
    #[error(
        "--resume: {partial} was written for another list: it has a record {index}, and the list has only {entries} entries; remove \
         that file, or leave out --resume to begin again"
    )]
    Shorter {
        /// The file of the earlier run.
        partial: String,
        /// The index of a record.
        index: u64,
        /// The entries of the list.
        entries: u64,
    },
    /// The thread that reads the list has ended.
    #[error("the thread that reads the list has ended")]
    Ended,
}
