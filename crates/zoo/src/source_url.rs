//! The URL of a file: validated, with a safe file name, and shown without secrets.

use std::fmt;

use url::Url;

use crate::error::{Error, ErrorKind};
use crate::redact::redact;

/// The longest file name that common file systems accept, in bytes.
const MAX_FILE_NAME: usize = 255;

/// An `http://` or `https://` URL whose last path segment is a usable file name.
///
/// [`Display`](fmt::Display) and [`Debug`] hide secrets as [`redact`] does; [`SourceUrl::as_str`] contains them.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl {
    url: Url,
    file_name: String,
}

impl SourceUrl {
    /// Parses and validates a URL.
    ///
    /// # Errors
    /// Returns an error if the scheme is neither `http` nor `https`, if there is no host, if the text contains control
    /// characters, or if the path does not end in a usable file name.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.chars().any(char::is_control) {
            return Err(invalid(text, "it contains a control character"));
        }
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return Err(invalid(text, error.to_string())),
        };
        if !is_http(&url) {
            let known = vec!["http".to_owned(), "https".to_owned()];
            let kind = ErrorKind::UnknownScheme { scheme: url.scheme().to_owned(), known };
            return Err(Error::new(redact(text), kind));
        }
        let file_name = url.path().rsplit('/').next().unwrap_or_default().to_owned();
        if file_name.is_empty() {
            return Err(invalid(text, "its path does not end in a file name"));
        }
        if file_name.len() > MAX_FILE_NAME {
            let length = file_name.len();
            return Err(invalid(
                text,
                format!("its file name has {length} bytes; at most {MAX_FILE_NAME} are allowed"),
            ));
        }
        Ok(Self { url, file_name })
    }

    /// The whole URL, including a password.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The last segment of the path, still percent-encoded. It is never empty and contains no `/`.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The part of the URL that identifies the file: all but user, password and fragment.
    pub(crate) fn identity(&self) -> String {
        let mut url = without_credentials(&self.url);
        url.set_fragment(None);
        url.into()
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(self.url.as_str()))
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(crate) fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

pub(crate) fn without_credentials(url: &Url) -> Url {
    let mut url = url.clone();
    // Both fail only for a URL without a host, and an HTTP URL has one.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

fn invalid(text: &str, reason: impl Into<String>) -> Error {
    Error::new(redact(text), ErrorKind::InvalidUrl { reason: reason.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_name_is_the_last_segment() {
        for (url, name) in [
            ("https://h/a/b-012345.pth", "b-012345.pth"),
            ("https://h/a/b.pth?x=y/z-0676ba61.pth#f/g", "b.pth"),
            ("http://u:p@h:81/b%2Fc%00.pth", "b%2Fc%00.pth"),
            ("http://h/a/../b.pth", "b.pth"),
            ("http://h/a\\..\\b.pth", "b.pth"),
            ("HTTP://h/ü.pth", "%C3%BC.pth"),
        ] {
            assert_eq!(SourceUrl::parse(url).unwrap().file_name(), name, "{url}");
        }
    }

    #[test]
    fn urls_without_a_usable_file_name_are_rejected() {
        let long = format!("http://h/{}", "a".repeat(256));
        for url in ["http://h", "http://h/", "http://h/a/", "http://h/a/..", "http://h/%2e%2e", "http://h/a\nb", &long]
        {
            let error = SourceUrl::parse(url).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::InvalidUrl { .. }), "{url}: {error}");
        }
        assert!(matches!(SourceUrl::parse("ftp://h/a.pth").unwrap_err().kind(), ErrorKind::UnknownScheme { .. }));
    }
}
