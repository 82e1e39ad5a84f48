//! Hashing cached files again.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cache::entry::{BY_URL, Entry, FOLDER, not_a_file};
use crate::cache::stamp;
use crate::digest::{self, Digest};
use crate::error::Error;
use crate::fs_util::{is_absent, serialize_path};
use crate::resolve::Resolved;
use crate::source_url::SourceUrl;
use crate::zoo::Zoo;

/// A cached file, and whether its content is right. Serialized as one flat object: `path`, `status` and digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The file. Serialized as `path`.
    #[serde(rename = "path", serialize_with = "serialize_path")]
    pub file: PathBuf,
    /// The result.
    #[serde(flatten)]
    pub status: Status,
}

/// Whether the content of a file is right. The digest of the content is serialized as `sha256`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// The content has the known digest.
    Good {
        /// The whole digest.
        sha256: Digest,
    },
    /// The content has another digest.
    Wrong {
        /// The known digest or prefix.
        expected: Digest,
        /// The whole digest of the content.
        #[serde(rename = "sha256")]
        found: Digest,
    },
    /// No digest is known.
    Unknown {
        /// The whole digest of the content.
        sha256: Digest,
    },
    /// There is no such file.
    Missing,
}

impl Zoo {
    /// Hashes the files of these names again, or all cached files if there are no names, whatever their stamps say.
    /// Nothing is changed: the next [`fetch`](Self::fetch) replaces a wrong file.
    ///
    /// # Errors
    /// Returns an error if a name cannot be resolved or a file cannot be read. A wrong file is no error.
    pub fn verify(&self, sources: &[&str]) -> Result<Vec<Verified>, Error> {
        let mut verified = Vec::new();
        if sources.is_empty() {
            for file in self.cached()? {
                verified.push(verify(self.known_entry(&file)?)?);
            }
        }
        for source in sources {
            let entry = match self.resolve(source)? {
                Resolved::Url(url) => self.entry(&url)?,
                Resolved::Path(path) => self.user_entry(&path),
            };
            verified.push(verify(entry)?);
        }
        Ok(verified)
    }

    /// All files in the cache, sorted.
    ///
    /// # Errors
    /// Returns an error if a folder cannot be read.
    pub fn cached(&self) -> Result<Vec<PathBuf>, Error> {
        let root = self.home().join(FOLDER);
        let mut found = files_in(&root)?;
        for folder in paths_in(&root.join(BY_URL))? {
            found.extend(files_in(&folder)?);
        }
        found.sort();
        Ok(found)
    }

    /// A cached file whose URL is unknown, with the digest that is known by its path.
    fn known_entry(&self, file: &Path) -> Result<Entry, Error> {
        let relative = file.strip_prefix(self.home()).unwrap_or(file);
        if let Some(locked) = self.lockfile()?.by_path(relative) {
            return Ok(Entry::at(self.home(), file.to_owned(), Some(locked.sha256.clone())));
        }
        for url in self.settings()?.digests.keys() {
            if let Ok(url) = SourceUrl::parse(url)
                && let Ok(entry) = self.entry(&url)
                && entry.path == file
            {
                return Ok(entry);
            }
        }
        let mut entry = self.user_entry(file);
        if file.parent() != Some(&self.home().join(FOLDER)) {
            entry.digest = stamp::read(&entry.state_file("stamp")).map(|(_, digest)| digest);
        }
        Ok(entry)
    }
}

fn verify(entry: Entry) -> Result<Verified, Error> {
    let stamp = entry.state_file("stamp");
    let file = entry.path;
    let metadata = match fs::metadata(&file) {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => return Ok(Verified { file, status: Status::Missing }),
        Err(error) => return Err(Error::io("read", &file, error)),
    };
    if !metadata.is_file() {
        return Err(not_a_file(&file));
    }
    let found = digest::of_file(&file).map_err(|error| Error::io("read", &file, error))?;
    let status = match entry.digest {
        None => Status::Unknown { sha256: found },
        Some(expected) if expected.is_prefix_of(&found) => {
            stamp::write(&stamp, &metadata, &found);
            Status::Good { sha256: found }
        }
        Some(expected) => Status::Wrong { expected, found },
    };
    Ok(Verified { file, status })
}

/// The paths in a folder; none if there is no such folder.
fn paths_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read the folder", folder, error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|error| Error::io("read the folder", folder, error))?.path());
    }
    Ok(paths)
}

/// The regular files in a folder.
pub(crate) fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = paths_in(folder)?;
    files.retain(|path| path.is_file());
    Ok(files)
}
