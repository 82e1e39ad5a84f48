//! Files of `torch.save` since torch 1.6, and TorchScript archives: a pickle and its storages in a zip archive.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::{ErrorKind, PickleProblem, StorageProblem, ZipProblem};
use crate::file::File;
use crate::limits::{MAX_PICKLE_BYTES, max_unfolded_bytes};
use crate::pickle::{AllowList, Graph, Input, Machine, Persistence};
use crate::storage::{Place, StorageTable};
use crate::zip::{Archive, Entry};

/// What was found in a zip archive.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) graph: Graph,
    pub(crate) storages: StorageTable,
    pub(crate) archive: Archive,
    pub(crate) torchscript: bool,
    pub(crate) big_endian: bool,
}

/// Reads the pickle, and finds the entry of each storage; the storages themselves are not touched.
pub(crate) fn read(file: &File, allowed: AllowList<'_>) -> Result<Contents, ErrorKind> {
    let archive = Archive::parse(file)?;
    let (folder, pickle) = archive.data_pickle()?;
    let mut reader = Reader { file, archive: &archive, used: Vec::new(), inflated: 0 };
    let torchscript = archive.find(folder, "constants.pkl").is_some();
    let big_endian = match archive.find(folder, "byteorder") {
        None => false,
        Some(index) => is_big_endian(&reader.content(index)?)?,
    };
    let (start, entry) = reader.checked(pickle)?;
    ErrorKind::check_limit("bytes of data.pkl", entry.size, MAX_PICKLE_BYTES as u64)?;
    let mut storages = StorageTable::default();
    let allowed = AllowList { torchscript, ..allowed };
    let (graph, length) = if entry.is_stored() {
        let input = Input::of_file(file, start, entry.size);
        Machine::new(input, allowed, Persistence::Zip, &mut storages).run()?
    } else {
        let pickle = entry.inflate(file, start)?;
        Machine::new(Input::of_memory(&pickle), allowed, Persistence::Zip, &mut storages).counted().run()?
    };
    if length != entry.size {
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let problem = PickleProblem::Trailing(number(entry.size.saturating_sub(length)));
        return Err(ErrorKind::Pickle { offset: number(length), problem });
    }
    reader.place_storages(folder, &mut storages)?;
    reader.check_overlaps()?;
    Ok(Contents { graph, storages, torchscript, big_endian, archive })
}

fn is_big_endian(content: &[u8]) -> Result<bool, ZipProblem> {
    match content {
        b"little" => Ok(false),
        b"big" => Ok(true),
        _ => {
            let start = content.get(..16).unwrap_or(content);
            Err(ZipProblem::ByteOrder(String::from_utf8_lossy(start).into_owned()))
        }
    }
}

struct Reader<'a> {
    file: &'a File,
    archive: &'a Archive,
    /// Where the data of the entries in use is.
    used: Vec<Range<u64>>,
    /// Bytes that the entries in use inflate to, all together.
    inflated: u64,
}

impl<'a> Reader<'a> {
    fn entry(&self, index: usize) -> Result<&'a Entry, ErrorKind> {
        self.archive.entries.get(index).ok_or_else(|| ZipProblem::Broken("entry").into())
    }

    /// Checks that an entry can be read, and that all those in use do not inflate too much.
    fn locate(&mut self, entry: &Entry) -> Result<Range<u64>, ErrorKind> {
        let range = self.archive.locate(self.file, entry)?;
        self.used.push(range.clone());
        if !entry.is_stored() {
            self.inflated = self.inflated.saturating_add(entry.size);
            let limit = max_unfolded_bytes(self.file.length());
            ErrorKind::check_limit("bytes that the zip entries inflate to", self.inflated, limit)?;
        }
        Ok(range)
    }

    /// The whole content of an entry.
    fn content(&mut self, index: usize) -> Result<Vec<u8>, ErrorKind> {
        let (start, entry) = self.checked(index)?;
        if !entry.is_stored() {
            return entry.inflate(self.file, start);
        }
        Ok(self.file.bytes(start, entry.size)?.unwrap_or_default())
    }

    /// Where the data of an entry starts, whose checksum is right where it is stored.
    fn checked(&mut self, index: usize) -> Result<(u64, &'a Entry), ErrorKind> {
        let entry = self.entry(index)?;
        ErrorKind::check_limit("bytes of a zip entry", entry.size, MAX_PICKLE_BYTES as u64)?;
        let start = self.locate(entry)?.start;
        if entry.is_stored() {
            entry.check_crc_of_file(self.file, start)?;
        }
        Ok((start, entry))
    }

    fn place_storages(&mut self, folder: &[u8], storages: &mut StorageTable) -> Result<(), ErrorKind> {
        let folder = [folder, b"data/"].concat();
        let keys = |(index, entry): (usize, &'a Entry)| Some((entry.name.strip_prefix(&*folder)?, index));
        let by_key: HashMap<_, _> = self.archive.entries.iter().enumerate().filter_map(keys).collect();
        for storage in storages.iter_mut() {
            let missing = || ZipProblem::Missing(format!("{}{}", String::from_utf8_lossy(&folder), storage.key));
            let index = *by_key.get(storage.key.as_bytes()).ok_or_else(missing)?;
            let entry = self.entry(index)?;
            if entry.size != storage.bytes() {
                let problem = StorageProblem::Size { found: entry.size, declared: storage.bytes() };
                return Err(storage.error(problem));
            }
            let start = self.locate(entry)?.start;
            storage.place = Place::Entry { index, start };
        }
        Ok(())
    }

    /// No two entries share bytes: that would be a small file that unfolds to a large one.
    fn check_overlaps(mut self) -> Result<(), ErrorKind> {
        self.used.sort_unstable_by_key(|range| (range.start, range.end));
        let mut covered = 0;
        for range in self.used {
            if range.start < covered {
                return Err(ZipProblem::Contradiction("places of entries (they overlap)").into());
            }
            covered = range.end;
        }
        Ok(())
    }
}
