//! The user's settings: `config.json` in the cache folder.
//!
//! ```json
//! {
//!     "mirrors": {"https://download.openmmlab.com/": ["https://mirror.example/", "file:///mnt/bundle/"]},
//!     "digests": {"https://example.org/model.pth": "<64 hex digits>"}
//! }
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::digest::Digest;
use crate::error::Error;
use crate::redact::redact;
use crate::source_url::SourceUrl;
use crate::tables::json::{self, invalid};
use crate::tables::mirrors::Mirrors;

const FILE: &str = "config.json";

/// The content of `config.json`; empty if there is no such file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) mirrors: Mirrors,
    /// Digests by [`SourceUrl::identity`], as long as the user wrote them.
    pub(crate) digests: BTreeMap<String, Digest>,
}

/// The file as written. Entries are decoded one by one, so that errors name their keys.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    mirrors: Option<Value>,
    digests: Option<Value>,
}

/// The mirrors of one URL prefix.
#[derive(Deserialize)]
#[serde(untagged)]
enum Targets {
    One(String),
    Many(Vec<String>),
}

impl Settings {
    pub(crate) fn read(home: &Path) -> Result<Self, Error> {
        let file = home.join(FILE);
        let document: Document = json::read(&file)?.unwrap_or_default();
        let context = file.display().to_string();
        let mut settings = Self::default();
        for (prefix, targets) in entries(&file, "mirrors", document.mirrors, "a string or a list of strings")? {
            let targets = match targets {
                Targets::One(target) => vec![target],
                Targets::Many(targets) => targets,
            };
            for target in targets {
                settings.mirrors.add(&prefix, &target).map_err(|error| error.about(&context))?;
            }
        }
        for (url, digest) in entries(&file, "digests", document.digests, "6 to 64 hex digits")? {
            let url = SourceUrl::parse(&url).map_err(|error| error.about(&context))?;
            settings.digests.insert(url.identity(), digest);
        }
        Ok(settings)
    }
}

/// The entries of the object under `key`, whose values must be `expected`.
fn entries<T: DeserializeOwned>(
    file: &Path,
    key: &str,
    object: Option<Value>,
    expected: &str,
) -> Result<Vec<(String, T)>, Error> {
    let object = match object {
        None => return Ok(Vec::new()),
        Some(Value::Object(object)) => object,
        Some(_) => return Err(invalid(file, key, "expected an object")),
    };
    let mut entries = Vec::new();
    for (name, value) in object {
        match serde_json::from_value(value) {
            Ok(value) => entries.push((name, value)),
            Err(_) => return Err(invalid(file, key, format!("`{}`: expected {expected}", redact(&name)))),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, Error> {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(FILE), text).unwrap();
        Settings::read(home.path())
    }

    #[test]
    fn mirrors_and_digests_are_read() {
        let settings = read(
            r#"{"mirrors": {"https://h/": ["https://a/", "file:///b/"], "https://g/": "http://c/"},
                "digests": {"https://u:p@h/x.pth#f": "ABCDEF01"}}"#,
        )
        .unwrap();
        let mirrors = settings.mirrors.of(&SourceUrl::parse("https://h/x.pth").unwrap()).unwrap();
        assert_eq!(mirrors.len(), 2);
        assert_eq!(settings.digests["https://h/x.pth"].as_str(), "abcdef01");
        assert!(Settings::read(Path::new("/no/such/folder")).unwrap().digests.is_empty());
    }

    #[test]
    fn mistakes_are_reported_with_file_and_key() {
        for (text, words) in [
            (r#"{"mirror": {}}"#, "`mirror`"),
            (r#"{"mirrors": []}"#, "`mirrors`"),
            (r#"{"mirrors": {"https://h/": 3}}"#, "https://h/"),
            (r#"{"mirrors": {"https://h/": "ftp://u:secret@g/"}}"#, "no mirror"),
            (r#"{"digests": {"https://h/x.pth": "xyz"}}"#, "hex digits"),
            (r#"{"digests": {"h/x.pth": "abcdef"}}"#, "h/x.pth"),
            ("{\n1}", "line 2, column 1"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("config.json") && error.contains(words), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
