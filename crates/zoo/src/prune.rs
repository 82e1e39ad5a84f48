//! Removing what interrupted downloads and deleted files have left.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cache::entry::{Entry, state_folder, state_key};
use crate::cache::file_lock::Guard;
use crate::cache::leftovers;
use crate::error::Error;
use crate::fs_util::serialize_path;
use crate::resolve::Resolved;
use crate::verify::files_in;
use crate::zoo::Zoo;

/// What to remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneOptions {
    /// Also remove all cached files. Default: only what interrupted downloads and deleted files have left.
    pub all: bool,
    /// Only return what would be removed. Default: false.
    pub dry_run: bool,
}

/// A file that was removed, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The file. Serialized as `path`.
    #[serde(rename = "path", serialize_with = "serialize_path")]
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

impl Zoo {
    /// Removes what interrupted downloads and deleted files have left; with `all`, also every cached file. Files that
    /// another process works on are kept, and so are the user's own.
    ///
    /// # Errors
    /// Returns an error if a folder cannot be read or a file cannot be removed.
    pub fn prune(&self, options: PruneOptions) -> Result<Vec<Pruned>, Error> {
        let mut pruned = Vec::new();
        let mut live = HashSet::new();
        for file in self.cached()? {
            let entry = Entry::at(self.home(), file, None);
            if options.all
                && let Some(_guard) = entry.try_lock()?
            {
                remove(&entry.path, options, &mut pruned)?;
            } else {
                live.insert(state_key(self.home(), &entry.path));
            }
        }
        for file in self.user_files()? {
            live.insert(state_key(self.home(), &file));
        }
        let folder = state_folder(self.home());
        for key in state_keys(&folder)? {
            let entry = Entry::of_state(folder.join(&key));
            let Some(guard) = entry.try_lock()? else { continue };
            for file in leftover_files(&folder, &key, &entry, &guard, live.contains(&key))? {
                remove(&file, options, &mut pruned)?;
            }
        }
        Ok(pruned)
    }

    /// The files in the cache folder that the user's table names.
    fn user_files(&self) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        for name in self.user_names()?.keys() {
            if let Ok(Resolved::Path(path)) = self.resolve(name) {
                files.push(path);
            }
        }
        Ok(files)
    }
}

fn remove(file: &Path, options: PruneOptions, pruned: &mut Vec<Pruned>) -> Result<(), Error> {
    let size = fs::metadata(file).map_or(0, |metadata| metadata.len());
    if !options.dry_run {
        match fs::remove_file(file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("remove", file, error)),
        }
    }
    pruned.push(Pruned { file: file.to_owned(), size });
    Ok(())
}

/// The removable state files of one cached file: abandoned partial files, and, if the file is gone and nobody fetches it,
/// its lock and stamp.
fn leftover_files(
    folder: &Path,
    key: &str,
    entry: &Entry,
    guard: &Guard,
    is_live: bool,
) -> Result<Vec<PathBuf>, Error> {
    let abandoned =
        leftovers::abandoned(entry, guard.excludes).map_err(|error| Error::io("read the folder", folder, error))?;
    let mut found = Vec::new();
    let mut lock_and_stamp = Vec::new();
    let mut is_in_use = false;
    for file in files_in(folder)? {
        if key_of(&file) != Some(key) {
            continue;
        }
        match file.extension().and_then(OsStr::to_str) {
            Some("part" | "origin") => {
                let partial = file.with_extension("part");
                if abandoned.contains(&partial) || !partial.exists() {
                    found.push(file);
                } else {
                    is_in_use = true;
                }
            }
            _ => lock_and_stamp.push(file),
        }
    }
    if !is_live && !is_in_use {
        found.append(&mut lock_and_stamp);
    }
    Ok(found)
}

fn state_keys(folder: &Path) -> Result<HashSet<String>, Error> {
    let files = files_in(folder)?;
    Ok(files.iter().filter_map(|file| key_of(file)).map(str::to_owned).collect())
}

/// The key at the start of a state file's name.
fn key_of(file: &Path) -> Option<&str> {
    let (key, _) = file.file_name()?.to_str()?.split_once('.')?;
    Some(key)
}
