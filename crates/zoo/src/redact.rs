//! Text that is safe to show: secrets of URLs are hidden, control characters escaped.

use url::Url;

/// Makes any text that may be a URL or a model name safe to show. User, password and the values of a query, all of
/// which may be secrets, become `***`; the rest is escaped as by [`escape`].
pub fn redact(text: &str) -> String {
    let shown = match Url::parse(text) {
        Ok(url) if url.has_host() => redact_url(text, url),
        _ => redact_malformed(text),
    };
    escape(&shown)
}

/// Hides the secrets of a valid URL; `text`, its original spelling, is returned if there are none.
fn redact_url(text: &str, mut url: Url) -> String {
    let has_user = !url.username().is_empty();
    let has_password = url.password().is_some();
    let query = url.query().map(redact_query).unwrap_or_default();
    if !has_user && !has_password && query.is_empty() {
        return text.to_owned();
    }
    // The setters fail only for a URL without a host.
    if has_user {
        let _ = url.set_username("***");
    }
    if has_password {
        let _ = url.set_password(Some("***"));
    }
    if !query.is_empty() {
        url.set_query(Some(&query));
    }
    url.into()
}

/// A query with its keys but without their values.
fn redact_query(query: &str) -> String {
    if query.is_empty() {
        return String::new();
    }
    let mut shown = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some((key, _)) => shown.push(format!("{key}=***")),
            None => shown.push("***".to_owned()),
        }
    }
    shown.join("&")
}

/// In a malformed URL, `@` and `/` may be part of the password: it ends at the last `@` before a query.
fn redact_malformed(text: &str) -> String {
    // A scheme contains no `@`: text that has one before `://` begins with the user.
    let start = match text.find("://") {
        Some(at) if !text[..at].contains('@') => at + 3,
        _ => 0,
    };
    let end = text[start..].find(['?', '#']).map_or(text.len(), |at| start + at);
    let (head, query) = text.split_at(end);
    let at = head[start..].rfind('@').map(|at| start + at);
    let has_password = at.is_some_and(|at| head[start..at].contains(':'));
    // File names may contain both signs.
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

/// Escapes what could control a terminal, break a line or change the direction of text, as in JSON: `\u001b`.
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
    use crate::source_url::SourceUrl;

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
    fn control_characters_are_escaped() {
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
