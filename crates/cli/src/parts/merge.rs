//! Merging parts into one file in the order of the list.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::LISTED;
use super::name::with_suffix;
use super::resume::MAX_RECORD;
use super::sidecar::Difference;
use super::{PartError, Sidecar, Totals};
use crate::list::RecordHead;
use crate::output::display;
use crate::shard::Shard;

/// Bytes that are read from a part at a time.
const BUFFER: usize = 1 << 16;

/// All parts of a run.
#[derive(Debug)]
pub struct Parts {
    /// In the order of the shards.
    paths: Vec<PathBuf>,
    /// The file beside the first part.
    first: Sidecar,
    totals: Totals,
    /// The records of all parts that have an error.
    errors: u64,
}

impl Parts {
    /// Checks that the files are all parts of one run, and complete.
    pub fn open(paths: &[PathBuf]) -> Result<Self, PartError> {
        let mut found: BTreeMap<u64, (&PathBuf, Totals)> = BTreeMap::new();
        let mut first: Option<(&PathBuf, Sidecar)> = None;
        for path in paths {
            let sidecar = sidecar_of(path)?;
            let totals = sidecar.check_bytes(path)?;
            if let Some((other, other_sidecar)) = &first {
                check_same(other, other_sidecar, path, &sidecar)?;
            }
            let shard = sidecar.part_of();
            if let Some((other, _)) = found.insert(shard.index, (path, totals)) {
                let (file, other) = (display(path), display(other));
                return Err(PartError::Twice { file, other, shard: shard.to_string() });
            }
            first.get_or_insert((path, sidecar));
        }
        let Some((_, sidecar)) = first else {
            return Err(PartError::io("read", Path::new("the parts"), io::ErrorKind::NotFound.into()));
        };
        let missing = sidecar.shards - found.len() as u64;
        if missing > 0 {
            let first: Vec<u64> = (0..sidecar.shards).filter(|shard| !found.contains_key(shard)).take(LISTED).collect();
            let shard = Shard { index: first.first().copied().unwrap_or_default(), count: sidecar.shards };
            let command = sidecar.command_for(shard);
            return Err(PartError::Missing { first, missing, count: sidecar.shards, command });
        }
        let errors = found.values().map(|(_, totals)| totals.errors).sum();
        let paths = found.into_values().map(|(path, _)| path.clone()).collect();
        let Some(totals) = sidecar.complete.clone() else { return Err(incomplete(Path::new(""), &sidecar)) };
        Ok(Self { paths, first: sidecar, totals, errors })
    }

    /// The entries of the list.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.totals.entries
    }

    /// The records that have an error.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// Whether a file is one of the parts.
    #[must_use]
    pub fn contain(&self, file: &Path) -> bool {
        let Ok(file) = file.canonicalize() else { return false };
        self.paths.iter().any(|path| path.canonicalize().is_ok_and(|path| path == file))
    }
}

/// Writes the records of all parts in the order of the list. Memory does not grow with the list, and one part is open at a time.
pub fn merge(parts: &Parts, output: &mut impl Write, output_name: &Path) -> Result<(), PartError> {
    let mut readers: Vec<_> =
        parts.paths.iter().map(|path| BufReader::with_capacity(BUFFER, Reopened { path, position: 0 })).collect();
    let Sidecar { shards, block, .. } = parts.first;
    let mut line = Vec::new();
    for index in 0..parts.totals.entries {
        let shard = index / block % shards;
        let reader = usize::try_from(shard).ok().and_then(|shard| readers.get_mut(shard));
        let Some(reader) = reader else { break };
        let path = reader.get_ref().path;
        line.clear();
        reader
            .by_ref()
            .take(MAX_RECORD)
            .read_until(b'\n', &mut line)
            .map_err(|error| PartError::io("read", path, error))?;
        let found = serde_json::from_slice::<RecordHead>(&line).ok().map(|head| head.index);
        if found != Some(index) || !line.ends_with(b"\n") {
            return Err(parts.damaged(path, shard, index, found));
        }
        output.write_all(&line).map_err(|error| PartError::io("write", output_name, error))?;
    }
    for (shard, mut reader) in (0..).zip(readers) {
        let path = reader.get_ref().path;
        if !reader.fill_buf().map_err(|error| PartError::io("read", path, error))?.is_empty() {
            return Err(parts.damaged(path, shard, parts.totals.entries, None));
        }
    }
    Ok(())
}

impl Parts {
    fn damaged(&self, path: &Path, shard: u64, index: u64, found: Option<u64>) -> PartError {
        let reason = match found {
            Some(found) => format!("record {found} is in the place of record {index}"),
            None if index == self.totals.entries => format!("the list has {index} entries, and there are more records"),
            None => format!("record {index} is missing or damaged"),
        };
        let command = self.first.command_for(Shard { index: shard, count: self.first.shards });
        // A complete part is left alone by --resume.
        PartError::Damaged { file: display(path), reason, command: command.replace(" --resume", "") }
    }
}

fn sidecar_of(path: &Path) -> Result<Sidecar, PartError> {
    if let Some(sidecar) = Sidecar::read(&with_suffix(path, ".run"))? {
        return if path.extension().is_some_and(|extension| extension == "partial") {
            Err(incomplete(path, &sidecar))
        } else {
            Ok(sidecar)
        };
    }
    if let Some(sidecar) = Sidecar::read(&with_suffix(path, ".partial.run"))? {
        return Err(incomplete(path, &sidecar));
    }
    let reason = "there is no such file".to_owned();
    Err(PartError::Sidecar { file: display(&with_suffix(path, ".run")), reason })
}

fn incomplete(path: &Path, sidecar: &Sidecar) -> PartError {
    PartError::Incomplete { file: display(path), command: sidecar.command_for(sidecar.part_of()) }
}

fn check_same(other: &Path, other_sidecar: &Sidecar, path: &Path, sidecar: &Sidecar) -> Result<(), PartError> {
    let mut difference = sidecar.difference(other_sidecar);
    let lists = [sidecar, other_sidecar].map(|sidecar| sidecar.complete.as_ref());
    if let ([Some(here), Some(there)], None) = (lists, &difference)
        && (&here.list_sha256, here.entries) != (&there.list_sha256, there.entries)
    {
        let values = [here, there]
            .map(|totals| format!("one of {} entries with SHA-256 {}", totals.entries, totals.list_sha256));
        difference = Some(Difference { setting: "the list".to_owned(), values });
    }
    let Some(Difference { setting, values: [here, there] }) = difference else { return Ok(()) };
    Err(PartError::Mixed { file: display(path), other: display(other), setting, here, there })
}

/// A file that is open only while it is read, since there may be more parts than a process may have open files.
struct Reopened<'a> {
    path: &'a Path,
    position: u64,
}

impl Read for Reopened<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = File::open(self.path)?;
        file.seek(SeekFrom::Start(self.position))?;
        let count = file.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}
