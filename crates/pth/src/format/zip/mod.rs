//! Zip archives, parsed strictly: anything that two readers could interpret differently is refused. General-purpose zip
//! crates are more lenient about duplicate names, overlapping entries and several end records.

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
    /// The start of the central directory. All data lies before it.
    directory_start: u64,
}

impl Archive {
    /// Reads the central directory. Returns an error if names are not unique, ignoring case.
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

    /// The index of the entry `name` in `folder`, which ends with a slash.
    pub(crate) fn find(&self, folder: &[u8], name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.name.strip_prefix(folder) == Some(name.as_bytes()))
    }

    /// The folder of the only `FOLDER/data.pkl`, including the slash, and the index of that entry.
    pub(crate) fn data_pickle(&self) -> Result<(&[u8], usize), ZipProblem> {
        let mut found = None;
        let mut count = 0;
        for (index, entry) in self.entries.iter().enumerate() {
            let Some((folder, name)) = split_folder(&entry.name) else { continue };
            if name.eq_ignore_ascii_case(b"data.pkl") {
                count += 1;
                if name == b"data.pkl" {
                    found = Some((folder, index));
                }
            }
        }
        match found {
            Some(found) if count == 1 => Ok(found),
            _ => Err(ZipProblem::DataPickles(count)),
        }
    }
}

/// Splits a name after its first slash, unless that is the first character.
fn split_folder(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = name.iter().position(|&byte| byte == b'/')?;
    if slash == 0 {
        return None;
    }
    name.split_at_checked(slash + 1)
}

/// The name in lowercase.
fn lowercase(name: &[u8]) -> Box<[u8]> {
    match std::str::from_utf8(name) {
        Ok(text) => text.to_lowercase().into_bytes().into(),
        Err(_) => name.to_ascii_lowercase().into(),
    }
}
