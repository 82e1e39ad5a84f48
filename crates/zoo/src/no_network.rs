//! Stands in for `http` if the crate is built without the feature `network`.

use crate::download::Download;
use crate::error::{Error, ErrorKind};

impl Download<'_> {
    /// Fails: the file has to be in the cache.
    pub(crate) fn run(&self) -> Result<(), Error> {
        Err(Error::new("", ErrorKind::NoNetwork { file: self.entry.path.clone() }))
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
