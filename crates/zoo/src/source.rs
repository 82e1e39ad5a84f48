//! The URL that is asked for: checked, with a safe file name, and shown without secrets.

use std::fmt;

use url::Url;

use crate::error::{Error, ErrorKind};

/// Longest file name that every usual file system takes, in bytes.
const LONGEST_FILE_NAME: usize = 255;

/// An `http://` or `https://` URL whose last path segment is a usable file name.
///
/// [`Display`](fmt::Display) and [`Debug`] hide what may be a secret, as [`redact`]; [`SourceUrl::as_str`] has it.
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

/// Any text a user may have meant as a URL or name, fit for a terminal: user, password and the values of a query, which may
/// all be secrets, become `***`; the rest is as [`escape`] makes it.
pub fn redact(text: &str) -> String {
    let shown = match Url::parse(text) {
        Ok(url) if url.has_host() => redact_url(text, url),
        _ => redact_malformed(text),
    };
    escape(&shown)
}

/// The URL of `text`; the text as it is where nothing has to be hidden.
fn redact_url(text: &str, mut url: Url) -> String {
    let (user, password) = (!url.username().is_empty(), url.password().is_some());
    let query = url.query().filter(|query| !query.is_empty()).map(redact_query);
    if !user && !password && query.is_none() {
        return text.to_owned();
    }
    // These fail only for a URL without a host.
    if user {
        let _ = url.set_username("***");
    }
    if password {
        let _ = url.set_password(Some("***"));
    }
    if let Some(query) = query {
        url.set_query(Some(&query));
    }
    url.into()
}

/// A query with its keys, and without their values.
fn redact_query(query: &str) -> String {
    let mut shown = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some((key, _)) => shown.push(format!("{key}=***")),
            None => shown.push("***".to_owned()),
        }
    }
    shown.join("&")
}

/// In a text that is no URL, `@` and `/` may belong to the password: the last `@` before a query ends it.
fn redact_malformed(text: &str) -> String {
    // No scheme has an `@`: what has one before `://` begins with the user.
    let scheme = text.find("://").filter(|&at| !text[..at].contains('@'));
    let start = scheme.map_or(0, |at| at + 3);
    let end = text[start..].find(['?', '#']).map_or(text.len(), |at| start + at);
    let (head, query) = text.split_at(end);
    let at = head[start..].rfind('@').map(|at| start + at);
    let has_password = at.is_some_and(|at| head[start..at].contains(':'));
    // A path may have both signs in its names.
    if !text.contains("//") && !has_password {
        return text.to_owned();
    }
    let query = match query.strip_prefix('?') {
        Some(query) => format!("?{}", redact_query(query)),
        None => query.to_owned(),
    };
    let Some(at) = at else { return format!("{head}{query}") };
    let user = if has_password { "***:***" } else { "***" };
    format!("{}{user}{}{query}", &head[..start], &head[at..])
}

/// A text for a line on a terminal: characters that would steer the terminal, break the line or turn the direction of
/// writing are escaped as in JSON, such as `\u001b`.
pub fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c if c.is_control() => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown
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
    fn secrets_are_never_shown() {
        for (text, expected) in [
            ("https://user:secret@h/a.pth", "https://***:***@h/a.pth"),
            ("https://secret@h/a.pth", "https://***@h/a.pth"),
            ("https://secret:x-oauth-basic@h/a.pth", "https://***:***@h/a.pth"),
            ("https://:secret@h/a.pth", "https://:***@h/a.pth"),
            ("https://h/a.pth?token=secret&x=secret&secret#f", "https://h/a.pth?token=***&x=***&***#f"),
            ("https://user:sec@ret@h:port/a.pth", "https://***:***@h:port/a.pth"),
            ("https://user:se/secret@h/a.pth", "https://***:***@h/a.pth"),
            ("https://h:port/a.pth?token=secret", "https://h:port/a.pth?token=***"),
            ("//secret@h/a.pth", "***@h/a.pth"),
            ("ftp://:secret@h", "ftp://:***@h/"),
            ("user:secret@h/a.pth", "***:***@h/a.pth"),
            ("user:secret@https://h/a.pth", "***:***@https://h/a.pth"),
        ] {
            assert_eq!(redact(text), expected, "{text}");
        }
        for text in [
            "https://h/a@b:c.pth",
            "https://h:80/a@b.pth",
            "https://h/a?",
            "resnet50",
            "sub@2/a.pth?x",
            "/home/me@h/a.pth",
        ] {
            assert_eq!(redact(text), text);
        }
        let url = SourceUrl::parse("https://user:secret@h/a.pth?secret#f").unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://***:***@h/a.pth?***#f https://***:***@h/a.pth?***#f");
        assert_eq!(url.identity(), "https://h/a.pth?secret");
    }

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        for (text, expected) in [
            ("\u{1b}[31mred", "\\u001b[31mred"),
            ("a\u{9b}31m\u{7f}", "a\\u009b31m\\u007f"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("gpj.\u{202e}exe", "gpj.\\u202eexe"),
            ("Ägyptische Katze 猫", "Ägyptische Katze 猫"),
        ] {
            assert_eq!(escape(text), expected);
        }
    }
}
