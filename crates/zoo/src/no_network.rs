//! Stands in for `http` if the crate is built without the feature `network`.

pub(crate) mod download {
    use crate::cache::entry::Entry;
    use crate::cache::file_lock::Guard;
    use crate::digest::Digest;
    use crate::error::{Error, ErrorKind};
    use crate::options::{Network, Progress};
    use crate::source_url::SourceUrl;

    /// A download, which fails.
    pub(crate) struct Download<'a> {
        pub(crate) network: &'a Network,
        pub(crate) url: &'a SourceUrl,
        pub(crate) entry: &'a Entry,
        pub(crate) guard: &'a Guard,
        pub(crate) expected: Option<&'a Digest>,
        pub(crate) progress: Option<&'a dyn Fn(Progress)>,
    }

    impl Download<'_> {
        pub(crate) fn run(&self) -> Result<(), Error> {
            Err(Error::new("", ErrorKind::NoNetwork { file: self.entry.path.clone() }))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::{FetchOptions, Zoo};

    #[test]
    fn a_file_that_is_not_cached_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let zoo = Zoo::new(folder.path()).unwrap();
        let error = zoo.fetch("https://example.org/weights-0123abcd.pth", &FetchOptions::default()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoNetwork { .. }), "{error}");
        assert!(error.to_string().contains("`network` of mmcv-zoo"), "{error}");
    }
}
