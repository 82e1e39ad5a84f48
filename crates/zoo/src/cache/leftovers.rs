//! Partial files on disk: which ones there are, and which ones their process has abandoned.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::cache::entry::Entry;
use crate::digest;

/// A partial file that was not written for this long is abandoned: a download without a byte ends earlier.
pub(crate) const ABANDONED: Duration = Duration::from_secs(180);

/// The partial files of an entry that no process writes to: those that were not written for long, and, if the lock
/// `excludes` other processes, all of this machine.
pub(crate) fn abandoned(entry: &Entry, excludes: bool) -> io::Result<Vec<PathBuf>> {
    let partials = all(entry)?;
    if partials.is_empty() {
        return Ok(partials);
    }
    let of_machine = entry.state_file(&machine());
    // Earlier versions used one name for all.
    let unnamed = entry.state_file("part");
    let now = now(entry)?;
    let mut abandoned = Vec::new();
    for path in partials {
        let is_local = path == unnamed || path.to_string_lossy().starts_with(&*of_machine.to_string_lossy());
        if (excludes && is_local) || is_old(&path, now) {
            abandoned.push(path);
        }
    }
    Ok(abandoned)
}

/// All partial files of an entry.
pub(crate) fn all(entry: &Entry) -> io::Result<Vec<PathBuf>> {
    let lock = entry.state_file("lock");
    let (Some(folder), Some(key)) = (lock.parent(), lock.file_stem()) else { return Ok(Vec::new()) };
    let prefix = format!("{}.", key.to_string_lossy());
    let mut found = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name.starts_with(&prefix) && name.ends_with(".part") {
            found.push(file.path());
        }
    }
    Ok(found)
}

/// The lengths and times of an entry's partial files, which change while a process makes progress.
pub(crate) fn sizes(entry: &Entry) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut sizes = Vec::new();
    for path in all(entry).unwrap_or_default() {
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            sizes.push((path, metadata.len(), metadata.modified().ok()));
        }
    }
    sizes.sort();
    sizes
}

/// Identifies this machine since its last start: others may not see its locks.
pub(crate) fn machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    digest::of_text(boot.trim()).as_str()[..12].to_owned()
}

/// The time by the clock of the file system, which may be on another machine. The entry's folders must exist.
fn now(entry: &Entry) -> io::Result<SystemTime> {
    let mut file = fs::File::options().create(true).truncate(false).write(true).open(entry.state_file("lock"))?;
    file.write_all(b"\n")?;
    file.metadata()?.modified()
}

fn is_old(file: &Path, now: SystemTime) -> bool {
    let Ok(metadata) = fs::symlink_metadata(file) else { return false };
    let Ok(written) = metadata.modified() else { return false };
    now.duration_since(written).unwrap_or_default() > ABANDONED
}
