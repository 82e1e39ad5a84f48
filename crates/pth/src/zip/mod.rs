//! Zip archives, parsed strictly: whatever two readers could understand differently is refused.

mod directory;
mod entry;

use std::collections::HashSet;

pub(crate) use directory::Entry;

use crate::error::{ErrorKind, ZipProblem};
use crate::file::File;

pub(crate) const LOCAL_SIGNATURE: [u8; 4] = *b"PK\x03\x04";

/// The entries of an archive.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) entries: Vec<Entry>,
    /// Where the central directory starts: all data lies before it.
    directory_start: u64,
}

impl Archive {
    /// Reads the central directory. Names are unique even when case is ignored.
    pub(crate) fn parse(file: &File) -> Result<Self, ErrorKind> {
        let archive = directory::parse(file)?;
        let mut names = HashSet::with_capacity(archive.entries.len());
        for entry in &archive.entries {
            if !names.insert(lowercase(&entry.name)) {
                return Err(ZipProblem::Duplicate(entry.name_text()).into());
            }
        }
        Ok(archive)
    }

    /// The entry `name` in `folder`, which ends with a slash.
    pub(crate) fn find(&self, folder: &[u8], name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.name.strip_prefix(folder) == Some(name.as_bytes()))
    }

    /// The folder of the one `FOLDER/data.pkl`, with the slash, and the index of that entry.
    pub(crate) fn data_pickle(&self) -> Result<(&[u8], usize), ZipProblem> {
        let folder = |entry: &Entry| {
            let slash = entry.name.iter().position(|&byte| byte == b'/').filter(|&slash| slash > 0)?;
            let file = entry.name.get(slash + 1..)?;
            file.eq_ignore_ascii_case(b"data.pkl").then_some(slash + 1)
        };
        let mut found = self.entries.iter().enumerate().filter_map(|(index, entry)| Some((index, folder(entry)?)));
        let (index, length) = found.next().ok_or(ZipProblem::DataPickles(0))?;
        let others = found.count();
        let name = self.entries.get(index).map(|entry| &*entry.name).unwrap_or_default();
        match name.split_at_checked(length) {
            Some((folder, b"data.pkl")) if others == 0 => Ok((folder, index)),
            _ => Err(ZipProblem::DataPickles(others + 1)),
        }
    }
}

/// The name without the difference of upper and lower case.
fn lowercase(name: &[u8]) -> Box<[u8]> {
    match std::str::from_utf8(name) {
        Ok(text) => text.to_lowercase().into_bytes().into(),
        Err(_) => name.to_ascii_lowercase().into(),
    }
}
