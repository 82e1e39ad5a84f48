//! What an earlier run of a shard has left.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

use crate::list::RecordHead;
use crate::shard::Shard;

/// The most bytes of a record.
pub(super) const MAX_RECORD: u64 = 1 << 28;

/// The complete records at the beginning of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Leftover {
    pub(super) records: u64,
    pub(super) errors: u64,
    pub(super) bytes: u64,
}

/// The records of a shard at the beginning of a file, up to the last complete block: the images of a block are computed together. A
/// line that was torn when the process or its machine ended is not among them.
pub(super) fn leftover(file: &mut File, shard: Shard, block: u64) -> io::Result<Leftover> {
    file.rewind()?;
    let mut lines = BufReader::with_capacity(1 << 16, file);
    let (mut found, mut complete) = (Leftover::default(), Leftover::default());
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = lines.by_ref().take(MAX_RECORD).read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Ok(complete);
        }
        let Ok(head) = serde_json::from_slice::<RecordHead>(&line) else { return Ok(complete) };
        if head.index != shard.index_of(found.records, block) {
            return Ok(complete);
        }
        found.records += 1;
        found.bytes += count as u64;
        found.errors += u64::from(head.error.is_some());
        if found.records.is_multiple_of(block) {
            complete = found;
        }
    }
}
