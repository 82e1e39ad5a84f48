//! The user and password of a URL as HTTP Basic authentication; `ureq` would leave them percent-encoded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::Url;

/// The `Authorization` header for the user and password in a URL; `None` if there are none.
pub(crate) fn of_url(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut credentials: Vec<u8> = percent_decode_str(url.username()).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(url.password().unwrap_or_default()));
    Some(format!("Basic {}", STANDARD.encode(credentials)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_decoded() {
        for (url, expected) in [
            ("http://h/", None),
            ("http://martin:secret@h/", Some("Basic bWFydGluOnNlY3JldA==")),
            ("http://martin@h/", Some("Basic bWFydGluOg==")),
            ("http://a%40b:%zz%4@h/", Some("Basic YUBiOiV6eiU0")),
        ] {
            assert_eq!(of_url(&Url::parse(url).unwrap()).as_deref(), expected, "{url}");
        }
    }
}
