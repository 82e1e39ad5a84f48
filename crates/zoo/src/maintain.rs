//! Looking after the cache: verifying what is there, and removing what is left over.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::cache::{
    BY_URL, Entry, FOLDER, is_absent, is_named, make_way, read_stamp, state_folder, state_key, write_stamp,
};
use crate::digest::{self, Digest};
use crate::error::{Error, ErrorKind};
use crate::guard::Guard;
use crate::lock::Lock;
use crate::partial;
use crate::resolve::Resolved;
use crate::settings::Settings;
use crate::source::SourceUrl;
use crate::tables;
use crate::zoo::Zoo;

/// A cached file, and whether its content is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The file.
    pub file: PathBuf,
    /// What was found.
    pub status: Status,
}

/// Whether the content of a file is right.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It is the one that is known.
    Good {
        /// The whole digest.
        sha256: Digest,
    },
    /// It is another one.
    Wrong {
        /// The digest that is known, or its beginning.
        expected: Digest,
        /// The whole digest of the content.
        found: Digest,
    },
    /// Nothing is known about it.
    Unknown {
        /// The whole digest of the content.
        sha256: Digest,
    },
    /// There is no such file.
    Missing,
}

/// What `prune` removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneOptions {
    /// Also all cached files. Default: only what interrupted downloads and removed files have left.
    pub all: bool,
    /// Removes nothing, and tells what would be. Default: false.
    pub dry_run: bool,
}

/// A file that was removed, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

impl Zoo {
    /// Hashes the files of these names, or all cached files where there are none, whatever their stamps say. Nothing is
    /// changed: the next [`fetch`](Self::fetch) replaces a wrong file.
    ///
    /// # Errors
    /// A name cannot be resolved, or a file cannot be read. A wrong file is no error here.
    pub fn verify(&self, names: &[&str]) -> Result<Vec<Verified>, Error> {
        if names.is_empty() {
            let digests = KnownDigests::read(&self.home)?;
            return self.cached()?.into_iter().map(|file| verify(&self.home, &file, digests.of(&file))).collect();
        }
        let verify = |name: &&str| match self.resolve(name)? {
            Resolved::Url(url) => {
                let Entry { path, digest, .. } = Entry::new(&self.home, &url)?;
                verify(&self.home, &path, digest)
            }
            Resolved::Path(path) => verify(&self.home, &path, of_name(&path)),
        };
        names.iter().map(verify).collect()
    }

    /// All files in the cache, sorted.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn cached(&self) -> Result<Vec<PathBuf>, Error> {
        let root = self.home.join(FOLDER);
        let mut found = files(&root)?;
        for folder in entries(&root.join(BY_URL))? {
            found.extend(files(&folder)?);
        }
        found.sort();
        Ok(found)
    }

    /// Removes what is left of interrupted downloads and of files that are gone; with `all`, every cached file, too.
    /// What another process works on is left alone, and so are the user's own files.
    ///
    /// # Errors
    /// A folder cannot be read, or a file cannot be removed.
    pub fn prune(&self, options: PruneOptions) -> Result<Vec<Pruned>, Error> {
        let mut pruned = Vec::new();
        let remove = |file: &Path, pruned: &mut Vec<Pruned>| -> Result<(), Error> {
            let size = fs::metadata(file).map(|metadata| metadata.len()).unwrap_or_default();
            let removed = if options.dry_run { Ok(()) } else { fs::remove_file(file) };
            match removed {
                Ok(()) => pruned.push(Pruned { file: file.to_owned(), size }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("remove", file, error)),
            }
            Ok(())
        };
        let mut live = HashSet::new();
        for file in self.cached()? {
            let key = state_key(&self.home, &file);
            if options.all
                && let Some(_lock) = try_lock(&state_folder(&self.home).join(&key))?
            {
                remove(&file, &mut pruned)?;
                continue;
            }
            live.insert(key);
        }
        live.extend(self.own_files()?.iter().map(|file| state_key(&self.home, file)));
        for key in self.state_keys()? {
            let state = state_folder(&self.home).join(&key);
            let Some(guard) = try_lock(&state)? else { continue };
            for file in self.leftovers(&key, &guard, live.contains(&key))? {
                remove(&file, &mut pruned)?;
            }
        }
        Ok(pruned)
    }

    /// What is left of a file of the cache: partial files that nobody writes to, and where the file is gone its lock and stamp.
    fn leftovers(&self, key: &str, guard: &Guard, is_live: bool) -> Result<Vec<PathBuf>, Error> {
        let folder = state_folder(&self.home);
        let entry = Entry::of_state(folder.join(key));
        let fail = |error| Error::io("read the folder", &folder, error);
        let dead = partial::left_behind(&entry, guard).map_err(fail)?;
        let (mut found, mut rest, mut in_use) = (Vec::new(), Vec::new(), false);
        for file in files(&folder)? {
            if key_of(&file).as_deref() != Some(key) {
                continue;
            }
            let partial = file.with_extension("part");
            match file.extension().and_then(OsStr::to_str) {
                Some("part" | "origin") if dead.contains(&partial) || !partial.exists() => found.push(file),
                Some("part" | "origin") => in_use = true,
                _ => rest.push(file),
            }
        }
        if !is_live && !in_use {
            found.append(&mut rest);
        }
        Ok(found)
    }

    /// The files in the cache folder to which the user's table leads.
    fn own_files(&self) -> Result<Vec<PathBuf>, Error> {
        let names = tables::merged(&self.home)?;
        let found = names.keys().filter_map(|name| match self.resolve(name) {
            Ok(Resolved::Path(path)) => Some(path),
            _ => None,
        });
        Ok(found.collect())
    }

    fn state_keys(&self) -> Result<HashSet<String>, Error> {
        let files = files(&state_folder(&self.home))?;
        Ok(files.iter().filter_map(|file| key_of(file)).collect())
    }
}

/// Digests of files without a URL: by their place in the cache.
struct KnownDigests {
    home: PathBuf,
    settings: Settings,
    lock: Lock,
}

impl KnownDigests {
    fn read(home: &Path) -> Result<Self, Error> {
        let lock = Lock::read(home)?.unwrap_or_default();
        Ok(Self { home: home.to_owned(), settings: Settings::read(home)?, lock })
    }

    fn of(&self, file: &Path) -> Option<Digest> {
        let inside = file.strip_prefix(&self.home).unwrap_or(file);
        if let Some(locked) = self.lock.by_path(inside) {
            return Some(locked.sha256.clone());
        }
        let mut urls = self.settings.digests.keys().filter_map(|url| SourceUrl::parse(url).ok());
        let own = urls.find_map(|url| Entry::new(&self.home, &url).ok().filter(|entry| entry.path == file));
        if let Some(entry) = own {
            return entry.digest;
        }
        if file.parent() == Some(&self.home.join(FOLDER)) {
            return of_name(file);
        }
        let stamp = state_folder(&self.home).join(state_key(&self.home, file)).with_extension("stamp");
        read_stamp(&stamp).and_then(|(_, full)| full.parse().ok())
    }
}

fn of_name(file: &Path) -> Option<Digest> {
    file.file_name().and_then(OsStr::to_str).and_then(Digest::of_file_name)
}

fn verify(home: &Path, file: &Path, expected: Option<Digest>) -> Result<Verified, Error> {
    let done = |status| Ok(Verified { file: file.to_owned(), status });
    let metadata = match fs::metadata(file) {
        Err(error) if is_absent(&error) => return done(Status::Missing),
        metadata => metadata.map_err(|error| Error::io("read", file, error))?,
    };
    if !metadata.is_file() {
        let reason = "something else has its name";
        return Err(Error::new("", ErrorKind::NotAFile { file: file.to_owned(), reason }));
    }
    let full = digest::of_file(file).map_err(|error| Error::io("read", file, error))?;
    let found = Digest::whole(&full);
    let Some(expected) = expected else { return done(Status::Unknown { sha256: found }) };
    if !expected.is_prefix_of(&full) {
        return done(Status::Wrong { expected, found });
    }
    write_stamp(&state_folder(home).join(state_key(home, file)).with_extension("stamp"), &metadata, &full);
    done(Status::Good { sha256: found })
}

/// The key that the name of a file of the state folder begins with.
fn key_of(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    Some(name.split_once('.')?.0.to_owned())
}

/// Takes the lock of a cached file, where it has one; `None` where another process has it.
fn try_lock(state: &Path) -> Result<Option<Guard>, Error> {
    let path = state.with_extension("lock");
    let fail = |error| Error::io("open the lock", &path, error);
    make_way(&path).map_err(fail)?;
    let file = match File::options().write(true).open(&path) {
        // Whoever works on the file has made it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Guard::unneeded())),
        open => open.map_err(fail)?,
    };
    match file.try_lock() {
        Ok(()) => Ok(is_named(&file, &path).map_err(fail)?.then(|| Guard::held(file, &path))),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(_)) => Ok(Some(Guard::none())),
    }
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = match fs::read_dir(folder) {
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        read => read.map_err(|error| Error::io("read the folder", folder, error))?,
    };
    let paths = read.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<Result<_, _>>().map_err(|error| Error::io("read the folder", folder, error))
}

/// The regular files in a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(entries(folder)?.into_iter().filter(|path| path.is_file()).collect())
}
