//! The lockfile of a bundle: its files and their whole digests.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::{self, Digest};
use crate::error::Error;
use crate::fs_util::{random_suffix, serialize_path};
use crate::tables::json::{self, invalid};

/// The name of the lockfile in its folder.
pub(crate) const FILE: &str = "zoo.lock.json";
/// The version of its format.
const VERSION: u64 = 1;

/// The files of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lockfile {
    version: u64,
    pub(crate) files: Vec<LockedFile>,
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedFile {
    /// The requested name or URL, without a password.
    #[serde(default)]
    pub name: String,
    /// The URL of the name, without secrets; `None` for a file of the user.
    #[serde(default)]
    pub url: Option<String>,
    /// The SHA-256 of the whole URL, if its query may contain a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_sha256: Option<String>,
    /// The file, relative to the folder of the bundle.
    #[serde(serialize_with = "serialize_path")]
    pub path: PathBuf,
    /// Its whole SHA-256.
    pub sha256: Digest,
    /// Its size in bytes.
    #[serde(default)]
    pub size: u64,
}

impl Default for Lockfile {
    fn default() -> Self {
        Self { version: VERSION, files: Vec::new() }
    }
}

impl Lockfile {
    /// The lockfile of a folder; `None` if there is none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(FILE);
        let Some(lockfile) = json::read::<Self>(&path)? else { return Ok(None) };
        if lockfile.version != VERSION {
            return Err(invalid(&path, "version", format!("only version {VERSION} is supported")));
        }
        for file in &lockfile.files {
            let shown = file.path.display();
            if !file.path.components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(invalid(&path, "files", format!("the path `{shown}` leaves the folder")));
            }
            if !file.sha256.is_whole() {
                return Err(invalid(&path, "files", format!("`{shown}` has no `sha256` of 64 hex digits")));
            }
        }
        Ok(Some(lockfile))
    }

    /// Writes the lockfile; it gets its name only when it is complete.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(FILE);
        let partial = folder.join(format!("{FILE}.{}.part", random_suffix()));
        if let Err(error) = self.write_to(&partial, &path) {
            let _ = fs::remove_file(&partial);
            return Err(Error::io("write", &path, error));
        }
        Ok(())
    }

    fn write_to(&self, partial: &Path, path: &Path) -> io::Result<()> {
        let mut output = File::create_new(partial)?;
        serde_json::to_writer_pretty(&mut output, self)?;
        output.write_all(b"\n")?;
        output.sync_all()?;
        fs::rename(partial, path)
    }

    /// The file of a URL.
    pub(crate) fn by_url(&self, identity: &str) -> Option<&LockedFile> {
        let hashed = digest::of_text(identity);
        self.files.iter().find(|file| match &file.url_sha256 {
            Some(digest) => digest == hashed.as_str(),
            None => file.url.as_deref() == Some(identity),
        })
    }

    /// The file at a path relative to the folder.
    pub(crate) fn by_path(&self, path: &Path) -> Option<&LockedFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Adds a file, replacing one with the same path and name.
    pub(crate) fn add(&mut self, file: LockedFile) {
        self.files.retain(|known| known.path != file.path || known.name != file.name);
        self.files.push(file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lockfiles_are_read_as_written() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Lockfile::read(folder.path()).unwrap().is_none());
        let file = LockedFile {
            name: "torchvision://x".to_owned(),
            url: Some("https://h/x.pth".to_owned()),
            url_sha256: None,
            path: "checkpoints/x.pth".into(),
            sha256: "ab".repeat(32).parse().unwrap(),
            size: 3,
        };
        let mut lockfile = Lockfile::default();
        lockfile.add(file.clone());
        lockfile.add(file.clone());
        lockfile.write(folder.path()).unwrap();
        let read = Lockfile::read(folder.path()).unwrap().unwrap();
        assert_eq!(read.files, std::slice::from_ref(&file));
        assert_eq!(read.by_url("https://h/x.pth"), Some(&file));
        assert_eq!(read.by_path(Path::new("checkpoints/y.pth")), None);
    }

    #[test]
    fn other_files_are_rejected() {
        let sha256 = "ab".repeat(32);
        let file = |path: &str, sha256: &str| {
            format!(r#"{{"version": 1, "files": [{{"path": "{path}", "sha256": "{sha256}"}}]}}"#)
        };
        for (text, words) in [
            ("[]".to_owned(), "line 1"),
            (r#"{"version": 2, "files": []}"#.to_owned(), "version"),
            (r#"{"version": 1}"#.to_owned(), "files"),
            (file("../a", &sha256), "leaves the folder"),
            (file("/a", &sha256), "leaves the folder"),
            (file("a", "abcdef"), "64 hex digits"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(FILE), &text).unwrap();
            let error = Lockfile::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(FILE) && error.contains(words), "{text}: {error}");
        }
    }
}
