//! Files of `torch.save` since torch 1.6, and TorchScript archives: a pickle and its storages in a zip archive.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::{ErrorKind, PickleProblem, StorageProblem, ZipProblem};
use crate::file::File;
use crate::format::zip::{Archive, Entry};
use crate::format::{Contents, Format};
use crate::limits::{MAX_PICKLE_BYTES, max_unfolded_bytes};
use crate::tensor::{Place, StorageTable};
use crate::unpickler::{AllowList, Graph, Input, Persistence, Unpickler};

/// Reads the pickle and locates the entry of each storage. The storages themselves are not read.
pub(super) fn read(file: &File, allowed: AllowList<'_>) -> Result<Contents, ErrorKind> {
    let archive = Archive::parse(file)?;
    let (folder, pickle) = archive.data_pickle()?;
    let mut reader = Reader { file, archive: &archive, used: Vec::new(), inflated: 0 };
    let torchscript = archive.find(folder, "constants.pkl").is_some();
    let big_endian = match archive.find(folder, "byteorder") {
        None => false,
        Some(index) => is_big_endian(&reader.content(index)?)?,
    };
    let mut storages = StorageTable::default();
    let graph = reader.unpickle(pickle, AllowList { torchscript, ..allowed }, &mut storages)?;
    reader.place_storages(folder, &mut storages)?;
    reader.check_overlaps()?;
    let format = if torchscript { Format::TorchScript } else { Format::PthZip };
    Ok(Contents { format, graph, storages, archive: Some(archive), big_endian })
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

/// Reads entries and tracks which bytes of the file they use.
struct Reader<'a> {
    file: &'a File,
    archive: &'a Archive,
    /// The locations of the data of all entries in use.
    used: Vec<Range<u64>>,
    /// The total number of bytes that the entries in use inflate to.
    inflated: u64,
}

impl<'a> Reader<'a> {
    fn entry(&self, index: usize) -> Result<&'a Entry, ErrorKind> {
        self.archive.entries.get(index).ok_or_else(|| ZipProblem::Broken("entry").into())
    }

    /// Checks that an entry is readable and that all entries in use together do not inflate too much. Returns the location
    /// of its data.
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

    /// The start of an entry's data. The checksum of a stored entry is verified.
    fn checked(&mut self, index: usize) -> Result<(u64, &'a Entry), ErrorKind> {
        let entry = self.entry(index)?;
        ErrorKind::check_limit("bytes of a zip entry", entry.size, MAX_PICKLE_BYTES as u64)?;
        let start = self.locate(entry)?.start;
        if entry.is_stored() {
            entry.check_crc_of_file(self.file, start)?;
        }
        Ok((start, entry))
    }

    fn unpickle(
        &mut self,
        index: usize,
        allowed: AllowList<'_>,
        storages: &mut StorageTable,
    ) -> Result<Graph, ErrorKind> {
        let (start, entry) = self.checked(index)?;
        ErrorKind::check_limit("bytes of data.pkl", entry.size, MAX_PICKLE_BYTES as u64)?;
        let (graph, length) = if entry.is_stored() {
            let input = Input::from_file(self.file, start, entry.size);
            Unpickler::new(input, allowed, Persistence::Zip, storages).run()?
        } else {
            let pickle = entry.inflate(self.file, start)?;
            Unpickler::new(Input::from_memory(&pickle), allowed, Persistence::Zip, storages).counting_input().run()?
        };
        if length != entry.size {
            return Err(PickleProblem::trailing(length, entry.size));
        }
        Ok(graph)
    }

    fn place_storages(&mut self, folder: &[u8], storages: &mut StorageTable) -> Result<(), ErrorKind> {
        let folder = [folder, b"data/"].concat();
        let mut by_key = HashMap::new();
        for (index, entry) in self.archive.entries.iter().enumerate() {
            if let Some(key) = entry.name.strip_prefix(&*folder) {
                by_key.insert(key, index);
            }
        }
        for storage in storages.iter_mut() {
            let Some(&index) = by_key.get(storage.key.as_bytes()) else {
                let name = format!("{}{}", String::from_utf8_lossy(&folder), storage.key);
                return Err(ZipProblem::Missing(name).into());
            };
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

    /// Checks that no two entries share bytes; with shared bytes, a small file could unfold to a large one.
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
