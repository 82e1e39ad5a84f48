//! Bundles: a folder with verified files for machines without internet.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cache::Entry;
use crate::digest::{self, Digest};
use crate::error::Error;
use crate::fetch::{copy, subject};
use crate::json;
use crate::lock::{Lock, LockedFile};
use crate::options::FetchOptions;
use crate::resolve::Resolved;
use crate::source::redact;
use crate::tables;
use crate::zoo::Zoo;

/// The user's table of a bundle: names that the published one lacks.
const TABLE: &str = "open_mmlab.json";

impl Zoo {
    /// Fetches the files of these names and copies them into `folder`, with a lock file that has their whole digests.
    /// What an earlier call has put there stays.
    ///
    /// On another machine the folder serves as cache folder (`MMCV_HOME=FOLDER`, with `MMCV_OFFLINE=1` also on one that is
    /// read-only) or as mirror (`MMCV_MIRRORS=https://=file:///FOLDER/`).
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch), and the folder cannot be written or has a lock file that cannot be read.
    pub fn bundle(&self, folder: &Path, names: &[&str], options: &FetchOptions<'_>) -> Result<Vec<LockedFile>, Error> {
        let absolute = std::path::absolute(folder).map_err(|error| Error::io("find", folder, error))?;
        fs::create_dir_all(&absolute).map_err(|error| Error::io("create the folder", &absolute, error))?;
        let mut lock = Lock::read(&absolute)?.unwrap_or_default();
        let mut table = json::read(&absolute.join(TABLE))?.unwrap_or_default();
        let mut added = Vec::new();
        for name in names {
            let locked = self.put(&absolute, name, options)?;
            if let Some((name, value)) = self.own_entry(name)? {
                table.insert(name, value);
            }
            lock.add(locked.clone());
            added.push(locked);
        }
        if !table.is_empty() {
            let file = absolute.join(TABLE);
            fs::write(&file, format!("{:#}\n", Value::Object(table)))
                .map_err(|error| Error::io("write", &file, error))?;
        }
        lock.write(&absolute)?;
        Ok(added)
    }

    /// Fetches one file and copies it to the same place in the bundle.
    fn put(&self, folder: &Path, name: &str, options: &FetchOptions<'_>) -> Result<LockedFile, Error> {
        let resolved = self.resolve(name)?;
        let file = self.fetch(name, options)?;
        let inside: PathBuf = file.strip_prefix(&self.home).unwrap_or(&file).to_owned();
        let put = || {
            let full = digest::of_file(&file).map_err(|error| Error::io("read", &file, error))?;
            let expected = Digest::whole(&full);
            let entry = Entry::at(folder, folder.join(&inside), Some(expected.clone()));
            let guard = entry.lock(&self.network)?;
            if entry.check(Some(&expected))? != crate::cache::Cached::Good {
                entry.remove()?;
                copy(&entry, &guard, &file, Some(&expected), &FetchOptions::default())?;
            }
            let size = fs::metadata(&entry.path).map_err(|error| Error::io("read", &entry.path, error))?.len();
            let identity = match &resolved {
                Resolved::Url(url) => Some(url.identity()),
                Resolved::Path(_) => None,
            };
            let url = identity.as_deref().map(redact);
            let url_sha256 =
                identity.filter(|identity| Some(identity) != url.as_ref()).map(|url| digest::of_text(&url));
            Ok(LockedFile { name: redact(name), url, url_sha256, path: inside.clone(), sha256: expected, size })
        };
        put().map_err(|error: Error| error.about(&subject(name, &resolved)))
    }

    /// What the user's table has for a name, where the published one has it not or otherwise.
    fn own_entry(&self, name: &str) -> Result<Option<(String, Value)>, Error> {
        let plain = match name.split_once("://") {
            None => name,
            Some((scheme, rest)) if matches!(scheme.to_ascii_lowercase().as_str(), "open-mmlab" | "openmmlab") => rest,
            Some(_) => return Ok(None),
        };
        let (merged, published) = (tables::merged(&self.home)?, tables::open_mmlab()?);
        let own = merged.get(plain).filter(|value| published.get(plain) != Some(value));
        Ok(own.map(|value| (plain.to_owned(), value.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn names_that_lead_nowhere_leave_no_lock_file() {
        let (home, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let zoo = Zoo::new(home.path()).unwrap().with_offline(true);
        let error = zoo.bundle(folder.path(), &["torchvision://resnet50"], &FetchOptions::default()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Offline { .. }), "{error}");
        assert!(!folder.path().join(crate::lock::FILE).exists());
    }
}
