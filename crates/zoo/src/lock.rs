//! The lock file of a bundle: which files a folder has, with their whole digests.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use crate::digest::{self, Digest};
use crate::error::Error;
use crate::json::{self, Object, invalid};
use crate::partial;

/// Name of the lock file in its folder.
pub(crate) const FILE: &str = "zoo.lock.json";
/// The version of its form.
const VERSION: u64 = 1;

/// The files of a bundle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lock {
    pub(crate) files: Vec<LockedFile>,
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedFile {
    /// What was asked for: a name or a URL, without a password.
    pub name: String,
    /// The URL that the name stands for, without secrets; `None` for a file of the user.
    pub url: Option<String>,
    /// The SHA-256 of the whole URL, where its query may hold a secret.
    pub url_sha256: Option<String>,
    /// The file, relative to the bundle's folder.
    pub path: PathBuf,
    /// Its whole SHA-256.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl Lock {
    /// The lock file of a folder; `None` where it has none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let file = folder.join(FILE);
        let Some(object) = json::read(&file)? else { return Ok(None) };
        let version = object.get("version").and_then(Value::as_u64);
        if version != Some(VERSION) {
            return Err(invalid(&file, "version", format!("only {VERSION} can be read")));
        }
        let files = object.get("files").and_then(Value::as_array);
        let files = files.ok_or_else(|| invalid(&file, "files", "it has to be a list"))?;
        let files = files.iter().map(|value| LockedFile::read(value).map_err(|reason| invalid(&file, "files", reason)));
        Ok(Some(Self { files: files.collect::<Result<_, _>>()? }))
    }

    /// Writes the lock file; it appears under its name only when it is complete.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Error> {
        let (file, partial) = (folder.join(FILE), folder.join(format!("{FILE}.{}.part", partial::random())));
        let files: Vec<Value> = self.files.iter().map(LockedFile::to_json).collect();
        let text = format!("{:#}\n", json!({ "version": VERSION, "files": files }));
        let write = || {
            let mut output = File::create_new(&partial)?;
            output.write_all(text.as_bytes())?;
            output.sync_all()?;
            fs::rename(&partial, &file)
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&partial);
            Error::io("write", &file, error)
        })
    }

    /// The file of a URL.
    pub(crate) fn by_url(&self, identity: &str) -> Option<&LockedFile> {
        let hashed = digest::of_text(identity);
        self.files.iter().find(|file| match &file.url_sha256 {
            Some(digest) => *digest == hashed,
            None => file.url.as_deref() == Some(identity),
        })
    }

    /// The file at a path, relative to the folder.
    pub(crate) fn by_path(&self, path: &Path) -> Option<&LockedFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Adds a file, in place of one with the same path.
    pub(crate) fn add(&mut self, file: LockedFile) {
        self.files.retain(|known| known.path != file.path || known.name != file.name);
        self.files.push(file);
    }
}

impl LockedFile {
    fn read(value: &Value) -> Result<Self, String> {
        let object: &Object = value.as_object().ok_or("each file has to be an object")?;
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let path = PathBuf::from(text("path").ok_or("a file has no `path`")?);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(format!("the path `{}` leaves the folder", path.display()));
        }
        let sha256: Option<Digest> = text("sha256").filter(|text| text.len() == 64).and_then(|text| text.parse().ok());
        Ok(Self {
            name: text("name").unwrap_or_default().to_owned(),
            url: text("url").map(str::to_owned),
            url_sha256: text("url_sha256").map(str::to_owned),
            sha256: sha256.ok_or_else(|| format!("`{}` has no `sha256` of 64 hex digits", path.display()))?,
            size: object.get("size").and_then(Value::as_u64).unwrap_or_default(),
            path,
        })
    }

    fn to_json(&self) -> Value {
        let mut object = json!({
            "name": self.name,
            "url": self.url,
            "path": self.path.to_string_lossy(),
            "sha256": self.sha256.as_str(),
            "size": self.size,
        });
        if let (Some(hashed), Some(object)) = (&self.url_sha256, object.as_object_mut()) {
            object.insert("url_sha256".to_owned(), hashed.as_str().into());
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Lock::read(folder.path()).unwrap().is_none());
        let file = LockedFile {
            name: "torchvision://x".to_owned(),
            url: Some("https://h/x.pth".to_owned()),
            url_sha256: None,
            path: "checkpoints/x.pth".into(),
            sha256: "ab".repeat(32).parse().unwrap(),
            size: 3,
        };
        let mut lock = Lock::default();
        lock.add(file.clone());
        lock.add(file.clone());
        lock.write(folder.path()).unwrap();
        let read = Lock::read(folder.path()).unwrap().unwrap();
        assert_eq!(read.files, std::slice::from_ref(&file));
        assert_eq!(read.by_url("https://h/x.pth"), Some(&file));
        assert_eq!(read.by_path(Path::new("checkpoints/y.pth")), None);
    }

    #[test]
    fn other_files_are_refused() {
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
            let error = Lock::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(FILE) && error.contains(words), "{text}: {error}");
        }
    }
}
