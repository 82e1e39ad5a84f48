//! Other places for the same files: URL prefixes and what to put in their stead.

use crate::error::{Error, ErrorKind};
use crate::source::{SourceUrl, redact};

/// Pairs of a URL prefix and its replacement, in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mirrors(Vec<(String, String)>);

impl Mirrors {
    /// Reads `PREFIX=MIRROR` pairs, separated by spaces or commas: the form of `MMCV_MIRRORS`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let pairs = text.split([' ', ',', '\t', '\n']).filter(|pair| !pair.is_empty());
        pairs.map(parse_pair).collect::<Result<_, _>>().map(Self)
    }

    /// The mirrors of a URL.
    pub(crate) fn of(&self, url: &SourceUrl) -> Result<Vec<SourceUrl>, Error> {
        let moved = |(prefix, mirror): &(String, String)| {
            url.as_str().strip_prefix(prefix.as_str()).map(|rest| SourceUrl::parse(&format!("{mirror}{rest}")))
        };
        self.0.iter().filter_map(moved).collect()
    }
}

fn parse_pair(pair: &str) -> Result<(String, String), Error> {
    let is_url = |text: &&str| text.starts_with("http://") || text.starts_with("https://");
    match pair.split_once('=').filter(|(prefix, mirror)| is_url(prefix) && is_url(mirror)) {
        Some((prefix, mirror)) => Ok((prefix.to_owned(), mirror.to_owned())),
        None => {
            let pair = pair.split('=').map(redact).collect::<Vec<_>>().join("=");
            Err(Error::new("MMCV_MIRRORS", ErrorKind::InvalidMirror { pair }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_replace_the_beginning_in_order() {
        let mirrors = Mirrors::parse("https://h/=http://a/x/, https://h/b/=https://b/\thttps://g/=https://c/").unwrap();
        let sources = |url: &str| -> Vec<String> {
            let sources = mirrors.of(&SourceUrl::parse(url).unwrap()).unwrap();
            sources.iter().map(|source| source.as_str().to_owned()).collect()
        };
        assert_eq!(sources("https://h/b/c.pth"), ["http://a/x/b/c.pth", "https://b/c.pth"]);
        assert_eq!(sources("https://i/c.pth"), [""; 0]);
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["https://h/", "h=g", "https://h/=ftp://u:secret@g/", "=https://h/"] {
            let error = Mirrors::parse(text).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::InvalidMirror { .. }), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
