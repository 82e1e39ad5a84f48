//! User and password of a URL as HTTP's `Basic` scheme wants them; `ureq` itself would leave them percent-encoded.

use url::Url;

/// The `Authorization` for the user and password that stand in a URL, percent-decoded.
pub(crate) fn of_url(url: &Url) -> Option<String> {
    let password = url.password().unwrap_or_default();
    let given = !url.username().is_empty() || url.password().is_some();
    given.then(|| format!("Basic {}", base64(&percent_decode(&format!("{}:{password}", url.username())))))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(group.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = ALPHABET[bits >> (18 - 6 * at) & 63];
            text.push(if at <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn percent_decode(text: &str) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (bytes, mut decoded, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        match (bytes[at], hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4 | low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }

    #[test]
    fn user_and_password_are_decoded() {
        let of = |url: &str| of_url(&Url::parse(url).unwrap());
        assert_eq!(of("http://h/"), None);
        assert_eq!(of("http://martin:secret@h/").unwrap(), "Basic bWFydGluOnNlY3JldA==");
        assert_eq!(of("http://martin@h/").unwrap(), "Basic bWFydGluOg==");
        assert_eq!(percent_decode("a%40b%zz%4"), b"a@b%zz%4");
    }
}
