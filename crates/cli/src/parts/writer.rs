//! [`Part`]: a part that is being written, under another name until it is complete.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::name::with_suffix;
use super::resume::leftover;
use super::{PartError, Sidecar, Totals};
use crate::list::{Earlier, ListEnd};
use crate::output::{create_parent, display};

/// A part of a list, as it was found.
#[derive(Debug)]
pub enum Opened {
    /// It is complete already.
    Complete(Totals),
    /// It can be written; records of the earlier run are in it.
    Open(Box<Part>, Earlier),
}

/// A part that is being written.
#[derive(Debug)]
pub struct Part {
    names: Names,
    file: BufWriter<File>,
    sidecar: Sidecar,
    records: u64,
    errors: u64,
    bytes: u64,
}

/// The names of the files of a part.
#[derive(Debug)]
struct Names {
    target: PathBuf,
    sidecar: PathBuf,
    partial: PathBuf,
    partial_sidecar: PathBuf,
}

impl Part {
    /// Begins the part `target`, or continues it if `resume`.
    pub fn open(target: &Path, sidecar: Sidecar, resume: bool) -> Result<Opened, PartError> {
        create_parent(target).map_err(|error| PartError::io("write", target, io::Error::other(error)))?;
        // Pipes and devices are not replaced, and links stay.
        let place = mmcv_pth::resolve_destination(target);
        let place = place.map_err(|error| PartError::io("write", target, io::Error::other(error)))?;
        let names = Names::new(&place);
        if resume && !names.partial.exists() && names.target.exists() {
            return names.check_complete(&sidecar).map(Opened::Complete);
        }
        let mut file = names.lock()?;
        let mut found = super::resume::Leftover::default();
        if resume && file.metadata().map_err(|error| PartError::io("read", &names.partial, error))?.len() > 0 {
            names.check_same(&sidecar)?;
            found = leftover(&mut file, sidecar.part_of(), sidecar.block)
                .map_err(|error| PartError::io("read", &names.partial, error))?;
        }
        let earlier = cut(&mut file, &names.partial, found.bytes, found.records)
            .map_err(|error| PartError::io("write", &names.partial, error))?;
        sidecar.write(&names.partial_sidecar)?;
        let file = BufWriter::with_capacity(1 << 16, file);
        let part = Self { names, file, sidecar, records: found.records, errors: found.errors, bytes: found.bytes };
        Ok(Opened::Open(Box::new(part), earlier))
    }

    /// The records that are in the part.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Those of them that have an error.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// Appends a record: a line with its end.
    pub fn write(&mut self, line: &str, is_error: bool) -> Result<(), PartError> {
        self.file.write_all(line.as_bytes()).map_err(|error| PartError::io("write", &self.names.partial, error))?;
        self.records += 1;
        self.errors += u64::from(is_error);
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Hands all records to the system, so that they are there if this process is killed.
    pub fn flush(&mut self) -> Result<(), PartError> {
        self.file.flush().map_err(|error| PartError::io("write", &self.names.partial, error))
    }

    /// Gives the part its name, once it is safe on disk.
    pub fn finish(mut self, list: &ListEnd) -> Result<Totals, PartError> {
        self.flush()?;
        let names = &self.names;
        self.file.get_ref().sync_all().map_err(|error| PartError::io("write", &names.partial, error))?;
        let totals = Totals {
            entries: list.entries,
            list_sha256: list.sha256.clone(),
            records: self.records,
            errors: self.errors,
            bytes: self.bytes,
        };
        self.sidecar.complete = Some(totals.clone());
        self.sidecar.write(&names.sidecar)?;
        fs::rename(&names.partial, &names.target).map_err(|error| PartError::io("rename", &names.partial, error))?;
        // Of no more use; if it stays, it does no harm.
        let _ = fs::remove_file(&names.partial_sidecar);
        // Makes the new name durable, if the system syncs folders.
        if let Some(folder) = names.target.parent()
            && let Ok(folder) = File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        {
            let _ = folder.sync_all();
        }
        Ok(totals)
    }
}

impl Names {
    fn new(target: &Path) -> Self {
        Self {
            target: target.to_owned(),
            sidecar: with_suffix(target, ".run"),
            partial: with_suffix(target, ".partial"),
            partial_sidecar: with_suffix(target, ".partial.run"),
        }
    }

    /// Opens the partial file, which no other process may have open.
    fn lock(&self) -> Result<File, PartError> {
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let file = options.open(&self.partial).map_err(|error| PartError::io("open", &self.partial, error))?;
            match file.try_lock() {
                // Some network drives have no locks.
                Ok(()) | Err(TryLockError::Error(_)) => {}
                Err(TryLockError::WouldBlock) => return Err(PartError::Busy { file: display(&self.partial) }),
            }
            // Another process may have completed the part, and so renamed the file, between the two calls.
            if is_same_file(&file, &self.partial) {
                return Ok(file);
            }
        }
    }

    /// Checks that the partial file is of the same run.
    fn check_same(&self, expected: &Sidecar) -> Result<(), PartError> {
        let Some(found) = Sidecar::read(&self.partial_sidecar)? else { return Err(missing(&self.partial_sidecar)) };
        same_run(&self.partial, &found, expected)
    }

    /// Checks that the complete file is of the same run.
    fn check_complete(&self, expected: &Sidecar) -> Result<Totals, PartError> {
        let Some(found) = Sidecar::read(&self.sidecar)? else { return Err(missing(&self.sidecar)) };
        same_run(&self.target, &found, expected)?;
        found.check_bytes(&self.target)
    }
}

impl Sidecar {
    /// Checks that a part has the size that it had when it was complete.
    pub(super) fn check_bytes(&self, part: &Path) -> Result<Totals, PartError> {
        let command = self.command_for(self.part_of());
        let Some(totals) = &self.complete else { return Err(PartError::Incomplete { file: display(part), command }) };
        let found = fs::metadata(part).map_err(|error| PartError::io("read", part, error))?.len();
        if found != totals.bytes {
            let reason = format!("it has {found} bytes, and had {}", totals.bytes);
            return Err(PartError::Damaged { file: display(part), reason, command });
        }
        Ok(totals.clone())
    }
}

fn missing(sidecar: &Path) -> PartError {
    PartError::Sidecar { file: display(sidecar), reason: "there is no such file".to_owned() }
}

fn same_run(part: &Path, found: &Sidecar, expected: &Sidecar) -> Result<(), PartError> {
    let file = display(part);
    if found.shard != expected.shard {
        let [found, expected] = [found, expected].map(|sidecar| sidecar.part_of().to_string());
        return Err(PartError::OtherRun { file, setting: "the shard".to_owned(), found, expected });
    }
    match found.difference(expected) {
        Some(super::sidecar::Difference { setting, values: [found, expected] }) => {
            Err(PartError::OtherRun { file, setting, found, expected })
        }
        None => Ok(()),
    }
}

/// Keeps the first bytes of a file, behind which writing goes on.
fn cut(file: &mut File, path: &Path, bytes: u64, records: u64) -> io::Result<Earlier> {
    file.set_len(bytes)?;
    file.seek(SeekFrom::Start(bytes))?;
    if records == 0 {
        return Ok(Earlier::default());
    }
    // A handle with a position of its own.
    Earlier::new(File::open(path)?, display(path), records)
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same_file(_: &File, _: &Path) -> bool {
    true
}
