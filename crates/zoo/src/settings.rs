//! The user's settings: `config.json` of the cache folder.
//!
//! ```json
//! {
//!     "mirrors": {"https://download.openmmlab.com/": ["https://mirror.example/", "file:///mnt/bundle/"]},
//!     "digests": {"https://example.org/model.pth": "<64 hex digits>"}
//! }
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::json::{self, Object, invalid};
use crate::mirrors::Mirrors;
use crate::source::SourceUrl;

/// Name of the file.
const FILE: &str = "config.json";

/// What `config.json` says; empty where there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) mirrors: Mirrors,
    /// True digests, by [`SourceUrl::identity`]; shorter than a whole one where the user gave less.
    pub(crate) digests: BTreeMap<String, Digest>,
}

impl Settings {
    pub(crate) fn read(home: &Path) -> Result<Self, Error> {
        let file = home.join(FILE);
        let mut settings = Self::default();
        for (key, value) in json::read(&file)?.unwrap_or_default() {
            let object = |value: &Value| -> Result<Object, Error> {
                value.as_object().cloned().ok_or_else(|| invalid(&file, &key, "it has to be an object"))
            };
            match key.as_str() {
                "mirrors" => settings.mirrors = mirrors(&file, object(&value)?)?,
                "digests" => settings.digests = digests(&file, object(&value)?)?,
                _ => return Err(invalid(&file, &key, "there is no such setting; known are `mirrors` and `digests`")),
            }
        }
        Ok(settings)
    }
}

fn mirrors(file: &Path, object: Object) -> Result<Mirrors, Error> {
    let mut mirrors = Mirrors::default();
    for (prefix, value) in object {
        let wrong = || invalid(file, "mirrors", format!("`{prefix}` has to lead to a text or a list of texts"));
        let targets = match &value {
            Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<Vec<_>>>().ok_or_else(wrong)?,
            other => vec![other.as_str().ok_or_else(wrong)?],
        };
        for target in targets {
            mirrors.add(&prefix, target).map_err(|error| error.about(&file.display().to_string()))?;
        }
    }
    Ok(mirrors)
}

fn digests(file: &Path, object: Object) -> Result<BTreeMap<String, Digest>, Error> {
    let entry = |(url, value): (String, Value)| {
        let digest = value.as_str().and_then(|text| text.parse().ok());
        let digest: Digest = digest.ok_or_else(|| {
            invalid(file, "digests", format!("`{}` has to lead to 6 to 64 hex digits", crate::source::redact(&url)))
        })?;
        Ok((SourceUrl::parse(&url).map_err(|error| error.about(&file.display().to_string()))?.identity(), digest))
    };
    object.into_iter().map(entry).collect()
}

/// A text in `config.json` or the environment that is no mirror.
pub(crate) fn invalid_mirror(pair: String) -> Error {
    Error::new("", ErrorKind::InvalidMirror { pair })
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
    fn mistakes_are_named_with_file_and_key() {
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
