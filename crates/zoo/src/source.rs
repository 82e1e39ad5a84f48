//! The URL that is asked for: checked, with a safe file name, and shown without its password.

use std::fmt;

use url::Url;

use crate::error::{Error, ErrorKind};

/// Longest file name that every usual file system takes, in bytes.
const LONGEST_FILE_NAME: usize = 255;

/// An `http://` or `https://` URL whose last path segment is a usable file name.
///
/// [`Display`](fmt::Display) and [`Debug`] hide a password; [`SourceUrl::as_str`] has it.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl {
    url: Url,
    file_name: String,
}

impl SourceUrl {
    /// Checks a URL.
    ///
    /// # Errors
    /// Another scheme, no host, control characters, or a path that ends in no usable file name.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |kind| Error::new(redact(text), kind);
        let invalid = |reason: String| refuse(ErrorKind::InvalidUrl { reason });
        if text.chars().any(char::is_control) {
            return Err(invalid("it holds a control character".to_owned()));
        }
        let url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
        if !is_http(&url) {
            return Err(refuse(ErrorKind::UnknownScheme { scheme: url.scheme().to_owned() }));
        }
        let file_name = url.path().rsplit('/').next().unwrap_or_default().to_owned();
        if file_name.is_empty() {
            return Err(invalid("its path ends in no file name".to_owned()));
        }
        if file_name.len() > LONGEST_FILE_NAME {
            return Err(invalid(format!(
                "its file name has {} bytes, at most {LONGEST_FILE_NAME} are allowed",
                file_name.len()
            )));
        }
        Ok(Self { url, file_name })
    }

    /// The whole URL, with a password that stands in it.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The last segment of the path, still percent-encoded: never empty, and without `/`.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The URL without what does not say which file it is: user, password and fragment.
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
    // Both fail only for a URL without a host, which no http URL is.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// Any text a user may have meant as a URL or name, fit for a terminal: a password becomes `***`, control characters
/// are escaped.
pub fn redact(text: &str) -> String {
    let shown = match Url::parse(text) {
        Ok(url) if url.has_host() && url.password().is_none() => text.to_owned(),
        Ok(mut url) if url.has_host() => {
            // Fails only for a URL without a host.
            let _ = url.set_password(Some("***"));
            url.into()
        }
        _ => redact_malformed(text),
    };
    let escape = |c: char| if c.is_control() { c.escape_default().collect() } else { vec![c] };
    shown.chars().flat_map(escape).collect()
}

/// In a text that is no URL, `@` and `/` may belong to the password: the last `@` before a query ends it.
fn redact_malformed(text: &str) -> String {
    // No scheme has an `@`: what has one before `://` begins with the user.
    let scheme = text.find("://").filter(|&at| !text[..at].contains('@'));
    let start = scheme.map_or(0, |at| at + 3);
    let end = text[start..].find(['?', '#']).map_or(text.len(), |at| start + at);
    let Some(at) = text[start..end].rfind('@').map(|at| start + at) else { return text.to_owned() };
    match text[start..at].find(':') {
        Some(colon) => format!("{}:***{}", &text[..start + colon], &text[at..]),
        None => text.to_owned(),
    }
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
    fn urls_without_a_usable_file_name_are_refused() {
        let long = format!("http://h/{}", "a".repeat(256));
        for url in ["http://h", "http://h/", "http://h/a/", "http://h/a/..", "http://h/%2e%2e", "http://h/a\nb", &long]
        {
            let error = SourceUrl::parse(url).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::InvalidUrl { .. }), "{url}: {error}");
        }
        assert!(matches!(SourceUrl::parse("ftp://h/a.pth").unwrap_err().kind(), ErrorKind::UnknownScheme { .. }));
    }

    #[test]
    fn passwords_are_never_shown() {
        for text in [
            "https://user:secret@h/a.pth",
            "https://user:sec@ret@h:port/a.pth",
            "https://user:se/secret@h/a.pth",
            "ftp://:secret@h",
            "user:secret@h/a.pth",
            "user:secret@https://h/a.pth",
        ] {
            assert!(!redact(text).contains("ret"), "{}", redact(text));
            assert!(redact(text).contains(":***@"), "{}", redact(text));
        }
        for text in
            ["https://h/a@b:c.pth", "https://h:80/a@b.pth", "https://h/a?b=c:d@e", "resnet50", "https://user@h/a"]
        {
            assert_eq!(redact(text), text);
        }
        let url = SourceUrl::parse("https://user:secret@h/a.pth#f").unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://user:***@h/a.pth#f https://user:***@h/a.pth#f");
        assert_eq!(url.identity(), "https://h/a.pth");
    }
}
