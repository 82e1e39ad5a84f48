//! Mirrors: other places for the files under a URL prefix.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::error::{Error, ErrorKind};
use crate::redact::{escape, redact};
use crate::source_url::SourceUrl;
use crate::tables::lockfile::Lockfile;

/// URL prefixes and their replacements, in the order in which they are tried.
#[derive(Clone, Default)]
pub(crate) struct Mirrors(Vec<(String, String)>);

/// Another place for one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mirror {
    Url(SourceUrl),
    /// A local file, such as one of a bundle.
    File(PathBuf),
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::File(file) => f.write_str(&escape(&file.to_string_lossy())),
        }
    }
}

impl fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.redacted()).finish()
    }
}

impl Mirrors {
    /// Parses `PREFIX=MIRROR` pairs, separated by spaces or commas: the form of `MMCV_MIRRORS`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mut mirrors = Self::default();
        for pair in text.split([' ', ',', '\t', '\n']) {
            if pair.is_empty() {
                continue;
            }
            let added = match pair.split_once('=') {
                Some((prefix, mirror)) => mirrors.add(prefix, mirror),
                None => Err(invalid(redact(pair))),
            };
            added.map_err(|error| error.about("MMCV_MIRRORS"))?;
        }
        Ok(mirrors)
    }

    /// Adds a pair after the others.
    pub(crate) fn add(&mut self, prefix: &str, mirror: &str) -> Result<(), Error> {
        let is_file = file_path(mirror).is_some();
        if !is_web(prefix) || !(is_web(mirror) || is_file) {
            return Err(invalid(format!("{}={}", redact(prefix), redact(mirror))));
        }
        // The rest of a URL is appended to a folder or host, not to its name.
        let is_host = match mirror.split_once("://") {
            Some((_, rest)) => is_web(mirror) && !rest.contains('/'),
            None => false,
        };
        let mut mirror = mirror.to_owned();
        if prefix.ends_with('/') && !mirror.ends_with('/') && (is_file || is_host) {
            mirror.push('/');
        }
        self.0.push((prefix.to_owned(), mirror));
        Ok(())
    }

    /// The mirrors of a URL. A `file://` mirror that is a bundle has the file where its lockfile says.
    pub(crate) fn of(&self, url: &SourceUrl) -> Result<Vec<Mirror>, Error> {
        let mut found = Vec::new();
        for (prefix, mirror) in &self.0 {
            let Some(rest) = url.as_str().strip_prefix(prefix.as_str()) else { continue };
            let Some(folder) = file_path(mirror) else {
                found.push(Mirror::Url(SourceUrl::parse(&format!("{mirror}{rest}"))?));
                continue;
            };
            let file = match Lockfile::read(&folder)? {
                Some(lockfile) => lockfile.by_url(&url.identity()).map(|locked| folder.join(&locked.path)),
                None => file_path(&format!("{mirror}{rest}")),
            };
            if let Some(file) = file {
                found.push(Mirror::File(file));
            }
        }
        Ok(found)
    }

    /// The pairs, without secrets.
    pub(crate) fn redacted(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().map(|(prefix, mirror)| (redact(prefix), redact(mirror)))
    }
}

fn is_web(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// The path of a `file://` URL.
fn file_path(text: &str) -> Option<PathBuf> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "file")?;
    url.to_file_path().ok()
}

fn invalid(pair: String) -> Error {
    Error::new("", ErrorKind::InvalidMirror { pair })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_replace_the_prefix_in_order() {
        let mirrors = Mirrors::parse(
            "https://h/=http://a/x/, https://h/b/=https://b/\thttps://g/=https://c/ https://h/=file:///d/",
        )
        .unwrap();
        let sources = |url: &str| -> Vec<String> {
            let sources = mirrors.of(&SourceUrl::parse(url).unwrap()).unwrap();
            sources.iter().map(ToString::to_string).collect()
        };
        assert_eq!(sources("https://h/b/c.pth"), ["http://a/x/b/c.pth", "https://b/c.pth", "/d/b/c.pth"]);
        assert_eq!(sources("https://i/c.pth"), [""; 0]);
        for (pair, expected) in [
            ("https://h/=https://g", "https://g/b.pth"),
            ("https://h/=file:///d", "/d/b.pth"),
            ("https://h/=https://g/x?", "https://g/x?***"),
            ("https://h=https://g", "https://g/b.pth"),
        ] {
            let found = Mirrors::parse(pair).unwrap().of(&SourceUrl::parse("https://h/b.pth").unwrap()).unwrap();
            assert_eq!(found[0].to_string(), expected, "{pair}");
        }
    }

    #[test]
    fn other_text_is_rejected() {
        for text in ["https://h/", "h=g", "https://h/=ftp://u:secret@g/", "=https://h/", "https://h/=file://g/a"] {
            let error = Mirrors::parse(text).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::InvalidMirror { .. }), "{error}");
            assert!(error.to_string().starts_with("MMCV_MIRRORS: "), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
