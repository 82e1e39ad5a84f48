//! True digests, where a published file name has none or a wrong one.

use std::path::Path;

use serde_json::Value;

use crate::digest::Digest;
use crate::error::Error;
use crate::lock::Lock;
use crate::settings::Settings;
use crate::source::SourceUrl;
use crate::tables;

/// What is known about the content behind a URL, from its name and from the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The digest or its beginning.
    pub(crate) digest: Option<Digest>,
    /// Whether the file name may be kept: it carries no digest, or the right one.
    pub(crate) name_is_right: bool,
}

impl Known {
    /// Looks a URL up: in the user's settings, in the lock file where the cache folder is a bundle, in the built-in table
    /// of wrong names, and at last in its own name.
    pub(crate) fn of(home: &Path, url: &SourceUrl) -> Result<Self, Error> {
        let named = Digest::of_file_name(url.file_name());
        let identity = url.identity();
        let own = Settings::read(home)?.digests.get(&identity).cloned();
        let locked = || Ok(Lock::read(home)?.and_then(|lock| Some(lock.by_url(&identity)?.sha256.clone())));
        let given = match own {
            Some(digest) => Some(digest),
            None => locked()?,
        };
        let table = tables::digests()?;
        Ok(match (given, table.get(&identity)) {
            (Some(digest), _) => Self::compare(digest, named),
            (None, Some(Value::String(text))) => match text.parse() {
                Ok(digest) => Self::compare(digest, named),
                Err(_) => Self { digest: None, name_is_right: false },
            },
            // It is known that the name is wrong, and not what would be right.
            (None, Some(_)) => Self { digest: None, name_is_right: false },
            (None, None) => Self { digest: named, name_is_right: true },
        })
    }

    /// The longer of the two where they agree, else the one that was looked up.
    fn compare(given: Digest, named: Option<Digest>) -> Self {
        match named {
            Some(named) if given.is_prefix_of(named.as_str()) => Self { digest: Some(named), name_is_right: true },
            Some(named) if !named.is_prefix_of(given.as_str()) => Self { digest: Some(given), name_is_right: false },
            _ => Self { digest: Some(given), name_is_right: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(home: &Path, url: &str) -> (Option<String>, bool) {
        let known = Known::of(home, &SourceUrl::parse(url).unwrap()).unwrap();
        (known.digest.map(|digest| digest.to_string()), known.name_is_right)
    }

    #[test]
    fn tables_win_over_names() {
        let home = tempfile::tempdir().unwrap();
        let third_party = "https://download.openmmlab.com/pretrain/third_party";
        let (digest, right) = known(home.path(), &format!("{third_party}/resnext50_32x4d_gn-c7e8b754.pth"));
        assert!(digest.unwrap().starts_with("f29c35b8") && !right);
        let unknown = known(home.path(), &format!("{third_party}/resnext101_32x4d_gn-ac3bb84e.pth"));
        assert_eq!(unknown, (None, false));
        assert_eq!(known(home.path(), "https://h/x-abcdef.pth"), (Some("abcdef".to_owned()), true));
        assert_eq!(known(home.path(), "https://h/x.pth"), (None, true));

        let digests = r#"{"digests": {"https://h/x.pth": "012345", "https://h/x-abcdef.pth": "abcdef01",
                          "https://h/y-abcdef01.pth": "abcdef", "https://h/z-abcdef.pth": "012345"}}"#;
        std::fs::write(home.path().join("config.json"), digests).unwrap();
        assert_eq!(known(home.path(), "https://h/x.pth"), (Some("012345".to_owned()), true));
        assert_eq!(known(home.path(), "https://h/x-abcdef.pth"), (Some("abcdef01".to_owned()), true));
        assert_eq!(known(home.path(), "https://h/y-abcdef01.pth"), (Some("abcdef01".to_owned()), true));
        assert_eq!(known(home.path(), "https://h/z-abcdef.pth"), (Some("012345".to_owned()), false));
    }
}
