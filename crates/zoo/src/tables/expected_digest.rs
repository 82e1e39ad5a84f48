//! Digests by URL, for files whose published name has none or a wrong one.

use serde_json::Value;

use crate::digest::Digest;
use crate::error::Error;
use crate::scheme::NameTable;
use crate::source_url::SourceUrl;
use crate::tables::lockfile::Lockfile;
use crate::tables::settings::Settings;

/// Digests of files whose published names are wrong; null if the right one is unknown. Reported in
/// github.com/open-mmlab/mmcv/issues/600.
static CORRECTIONS: NameTable = NameTable::new("digests.json", include_str!("../../model_zoo/digests.json"));

/// What is known about the content behind a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedDigest {
    /// The digest or a prefix of it.
    pub(crate) digest: Option<Digest>,
    /// Whether the file name can be kept: it contains no digest, or the right one.
    pub(crate) name_is_right: bool,
}

impl ExpectedDigest {
    /// Looks a URL up in the settings, in the lockfile, in the built-in corrections, and last in its own file name.
    pub(crate) fn of(url: &SourceUrl, settings: &Settings, lockfile: &Lockfile) -> Result<Self, Error> {
        let in_name = Digest::of_file_name(url.file_name());
        let identity = url.identity();
        if let Some(digest) = settings.digests.get(&identity) {
            return Ok(Self::reconcile(digest, in_name));
        }
        if let Some(file) = lockfile.by_url(&identity) {
            return Ok(Self::reconcile(&file.sha256, in_name));
        }
        let Some(correction) = CORRECTIONS.get()?.get(&identity) else {
            return Ok(Self { digest: in_name, name_is_right: true });
        };
        if let Value::String(text) = correction
            && let Ok(digest) = text.parse()
        {
            return Ok(Self::reconcile(&digest, in_name));
        }
        Ok(Self { digest: None, name_is_right: false })
    }

    /// The longer of two digests that agree, and otherwise the one that was looked up.
    fn reconcile(looked_up: &Digest, in_name: Option<Digest>) -> Self {
        match in_name {
            Some(in_name) if looked_up.is_prefix_of(&in_name) => Self { digest: Some(in_name), name_is_right: true },
            Some(in_name) => Self { digest: Some(looked_up.clone()), name_is_right: in_name.is_prefix_of(looked_up) },
            None => Self { digest: Some(looked_up.clone()), name_is_right: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn expected(home: &Path, url: &str) -> (Option<String>, bool) {
        let settings = Settings::read(home).unwrap();
        let found = ExpectedDigest::of(&SourceUrl::parse(url).unwrap(), &settings, &Lockfile::default()).unwrap();
        (found.digest.map(|digest| digest.to_string()), found.name_is_right)
    }

    #[test]
    fn tables_take_precedence_over_names() {
        let home = tempfile::tempdir().unwrap();
        let third_party = "https://download.openmmlab.com/pretrain/third_party";
        let (digest, right) = expected(home.path(), &format!("{third_party}/resnext50_32x4d_gn-c7e8b754.pth"));
        assert!(digest.unwrap().starts_with("f29c35b8") && !right);
        let unknown = expected(home.path(), &format!("{third_party}/resnext101_32x4d_gn-ac3bb84e.pth"));
        assert_eq!(unknown, (None, false));
        assert_eq!(expected(home.path(), "https://h/x-abcdef.pth"), (Some("abcdef".to_owned()), true));
        assert_eq!(expected(home.path(), "https://h/x.pth"), (None, true));

        let digests = r#"{"digests": {"https://h/x.pth": "012345", "https://h/x-abcdef.pth": "abcdef01",
                          "https://h/y-abcdef01.pth": "abcdef", "https://h/z-abcdef.pth": "012345"}}"#;
        std::fs::write(home.path().join("config.json"), digests).unwrap();
        assert_eq!(expected(home.path(), "https://h/x.pth"), (Some("012345".to_owned()), true));
        assert_eq!(expected(home.path(), "https://h/x-abcdef.pth"), (Some("abcdef01".to_owned()), true));
        assert_eq!(expected(home.path(), "https://h/y-abcdef01.pth"), (Some("abcdef01".to_owned()), true));
        assert_eq!(expected(home.path(), "https://h/z-abcdef.pth"), (Some("012345".to_owned()), false));
    }
}
