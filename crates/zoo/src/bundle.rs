//! Bundles: folders with verified files for machines without internet access.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cache::entry::{Cached, Entry};
use crate::digest;
use crate::error::Error;
use crate::fetch::{context, copy};
use crate::options::FetchOptions;
use crate::redact::redact;
use crate::resolve::Resolved;
use crate::scheme::Table;
use crate::tables::json;
use crate::tables::lockfile::{LockedFile, Lockfile};
use crate::zoo::{Zoo, split_scheme};

/// The bundle's table of the user's names.
const TABLE: &str = "open_mmlab.json";

impl Zoo {
    /// Fetches the files of these names and copies them into `folder`, with a lockfile of their whole digests. Files of
    /// earlier calls are kept.
    ///
    /// On another machine the folder serves as cache folder (`MMCV_HOME=FOLDER`; with `MMCV_OFFLINE=1` it may be
    /// read-only) or as mirror (`MMCV_MIRRORS=https://=file:///FOLDER/`).
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`fetch`](Self::fetch), if the folder cannot be written, or if its
    /// lockfile cannot be read.
    pub fn bundle(
        &self,
        folder: &Path,
        sources: &[&str],
        options: &FetchOptions<'_>,
    ) -> Result<Vec<LockedFile>, Error> {
        let absolute = std::path::absolute(folder).map_err(|error| Error::io("find", folder, error))?;
        fs::create_dir_all(&absolute).map_err(|error| Error::io("create the folder", &absolute, error))?;
        let mut lockfile = Lockfile::read(&absolute)?.unwrap_or_default();
        let table_file = absolute.join(TABLE);
        let mut table: Table = json::read(&table_file)?.unwrap_or_default();
        let mut added = Vec::new();
        for source in sources {
            let resolved = self.resolve(source)?;
            let file = self.fetch(source, options)?;
            let locked = self
                .add_to_bundle(&absolute, source, &resolved, &file)
                .map_err(|error| error.about(&context(source, &resolved)))?;
            if let Some((name, value)) = self.user_name(source)? {
                table.insert(name, value);
            }
            lockfile.add(locked.clone());
            added.push(locked);
        }
        if !table.is_empty() {
            let text = format!("{:#}\n", Value::Object(table.into_iter().collect()));
            fs::write(&table_file, text).map_err(|error| Error::io("write", &table_file, error))?;
        }
        lockfile.write(&absolute)?;
        Ok(added)
    }

    /// Copies a fetched file to the same place in the bundle.
    fn add_to_bundle(
        &self,
        folder: &Path,
        source: &str,
        resolved: &Resolved,
        file: &Path,
    ) -> Result<LockedFile, Error> {
        let relative: PathBuf = file.strip_prefix(self.home()).unwrap_or(file).to_owned();
        let sha256 = digest::of_file(file).map_err(|error| Error::io("read", file, error))?;
        let entry = Entry::at(folder, folder.join(&relative), Some(sha256.clone()));
        let guard = entry.lock(self.network())?;
        if entry.check(Some(&sha256))? != Cached::Good {
            entry.remove()?;
            copy(&entry, &guard, file, Some(&sha256), &FetchOptions::default())?;
        }
        let size = fs::metadata(&entry.path).map_err(|error| Error::io("read", &entry.path, error))?.len();
        let mut locked = LockedFile { name: redact(source), url: None, url_sha256: None, path: relative, sha256, size };
        if let Resolved::Url(url) = resolved {
            let identity = url.identity();
            let shown = redact(&identity);
            if shown != identity {
                locked.url_sha256 = Some(digest::of_text(&identity).into());
            }
            locked.url = Some(shown);
        }
        Ok(locked)
    }

    /// The user's entry for a name, if the built-in table does not have the same one.
    fn user_name(&self, source: &str) -> Result<Option<(String, Value)>, Error> {
        let Some(scheme) = self.scheme(source) else { return Ok(None) };
        if !scheme.has_user_names() {
            return Ok(None);
        }
        let (_, name) = split_scheme(source);
        let Some(value) = self.user_names()?.get(name) else { return Ok(None) };
        if let Some(table) = scheme.names()
            && table.get()?.get(name) == Some(value)
        {
            return Ok(None);
        }
        Ok(Some((name.to_owned(), value.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_failed_fetch_leaves_no_lockfile() {
        let (home, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let zoo = Zoo::new(home.path()).unwrap().with_offline(true);
        let error = zoo.bundle(folder.path(), &["torchvision://resnet50"], &FetchOptions::default()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Offline { .. }), "{error}");
        assert!(!folder.path().join(crate::tables::lockfile::FILE).exists());
    }
}
