//! Other places for the same files: URL prefixes and what to put in their stead.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::error::Error;
use crate::lock::Lock;
use crate::settings::invalid_mirror;
use crate::source::{SourceUrl, escape, redact};

/// Pairs of a URL prefix and its replacement, in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mirrors(Vec<(String, String)>);

/// Another place for one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mirror {
    Url(SourceUrl),
    /// A file of this machine, such as one of a bundle.
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

impl Mirrors {
    /// Reads `PREFIX=MIRROR` pairs, separated by spaces or commas: the form of `MMCV_MIRRORS`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mut mirrors = Self::default();
        for pair in text.split([' ', ',', '\t', '\n']).filter(|pair| !pair.is_empty()) {
            let about = |error: Error| error.about("MMCV_MIRRORS");
            let (prefix, mirror) = pair.split_once('=').ok_or_else(|| about(invalid_mirror(redact(pair))))?;
            mirrors.add(prefix, mirror).map_err(about)?;
        }
        Ok(mirrors)
    }

    /// Adds a pair after the others.
    pub(crate) fn add(&mut self, prefix: &str, mirror: &str) -> Result<(), Error> {
        let is_web = |text: &str| text.starts_with("http://") || text.starts_with("https://");
        let is_file = Url::parse(mirror).is_ok_and(|url| url.scheme() == "file" && url.to_file_path().is_ok());
        if !is_web(prefix) || !(is_web(mirror) || is_file) {
            return Err(invalid_mirror(format!("{}={}", redact(prefix), redact(mirror))));
        }
        // The rest of a URL belongs behind a folder or a host, not to its name.
        let is_host = is_web(mirror) && !mirror.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
        let slash = prefix.ends_with('/') && !mirror.ends_with('/') && (is_file || is_host);
        self.0.push((prefix.to_owned(), format!("{mirror}{}", if slash { "/" } else { "" })));
        Ok(())
    }

    /// The mirrors of a URL: the rest after the prefix is put behind the mirror. A `file://` mirror that is a bundle
    /// has the file where its lock file says.
    pub(crate) fn of(&self, url: &SourceUrl) -> Result<Vec<Mirror>, Error> {
        let mut found = Vec::new();
        for (prefix, mirror) in &self.0 {
            let Some(rest) = url.as_str().strip_prefix(prefix.as_str()) else { continue };
            let Some(folder) = file_path(mirror) else {
                found.push(Mirror::Url(SourceUrl::parse(&format!("{mirror}{rest}"))?));
                continue;
            };
            let file = match Lock::read(&folder)? {
                Some(lock) => lock.by_url(&url.identity()).map(|locked| folder.join(&locked.path)),
                None => file_path(&format!("{mirror}{rest}")),
            };
            found.extend(file.map(Mirror::File));
        }
        Ok(found)
    }

    /// The pairs, without passwords.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().map(|(prefix, mirror)| (redact(prefix), redact(mirror)))
    }
}

/// The path of a `file://` URL.
fn file_path(text: &str) -> Option<PathBuf> {
    Url::parse(text).ok().filter(|url| url.scheme() == "file")?.to_file_path().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn mirrors_replace_the_beginning_in_order() {
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
    fn other_text_is_refused() {
        for text in ["https://h/", "h=g", "https://h/=ftp://u:secret@g/", "=https://h/", "https://h/=file://g/a"] {
            let error = Mirrors::parse(text).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::InvalidMirror { .. }), "{error}");
            assert!(error.to_string().starts_with("MMCV_MIRRORS: "), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
