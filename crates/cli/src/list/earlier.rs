//! [`Earlier`]: the records of an earlier run, compared with the list while that is read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};

use super::{Entry, ListError, RecordHead};
use crate::output::lossy;

/// The records of an earlier run of a shard, which are not computed again.
#[derive(Debug, Default)]
pub struct Earlier {
    records: Option<BufReader<File>>,
    /// The name of their file.
    name: String,
    /// The number of records that are left.
    left: u64,
    /// The first of them.
    next: Option<RecordHead>,
}

impl Earlier {
    /// The first `count` records of a file, which have been checked to be the first of the shard.
    pub fn new(mut file: File, name: String, count: u64) -> io::Result<Self> {
        file.rewind()?;
        let mut earlier = Self { records: Some(BufReader::new(file)), name, left: count, next: None };
        earlier.advance()?;
        Ok(earlier)
    }

    /// Whether there is a record of an entry of the shard. Entries are asked for in order.
    pub(super) fn has(&mut self, entry: &Entry) -> Result<bool, ListError> {
        let Some(head) = &self.next else { return Ok(false) };
        if head.index != entry.index || !head.is_of(entry) {
            let described = |path: Option<String>| path.unwrap_or_else(|| "a line without a path".to_owned());
            return Err(ListError::Changed {
                partial: self.name.clone(),
                index: head.index,
                found: described(head.path.clone()),
                expected: described(entry.item.as_ref().ok().map(|item| lossy(&item.path))),
            });
        }
        self.advance().map_err(|source| ListError::Io { list: self.name.clone(), source })?;
        Ok(true)
    }

    /// The index of the next record that no entry was compared with.
    pub(super) fn next_index(&self) -> Option<u64> {
        self.next.as_ref().map(|head| head.index)
    }

    /// The name of the file.
    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    fn advance(&mut self) -> io::Result<()> {
        self.next = None;
        let Some(records) = &mut self.records else { return Ok(()) };
        if self.left == 0 {
            self.records = None;
            return Ok(());
        }
        let mut line = Vec::new();
        records.read_until(b'\n', &mut line)?;
        self.next = Some(serde_json::from_slice(&line)?);
        self.left -= 1;
        Ok(())
    }
}
