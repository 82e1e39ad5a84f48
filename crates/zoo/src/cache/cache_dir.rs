//! The cache folder: `$MMCV_HOME`, else `$XDG_CACHE_HOME/mmcv`, else `~/.cache/mmcv`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};

/// The absolute path of the cache folder. An empty variable counts as unset, and a leading `~` is expanded.
///
/// `variable` looks up an environment variable; `user_home` is the home directory.
pub(crate) fn cache_folder(
    variable: impl Fn(&str) -> Option<OsString>,
    user_home: Option<PathBuf>,
) -> Result<PathBuf, Error> {
    let user_home = user_home.filter(|home| !home.as_os_str().is_empty());
    let folder = if let Some(home) = non_empty(variable("MMCV_HOME")) {
        expand_home(home, user_home.as_deref())?
    } else if let Some(cache) = non_empty(variable("XDG_CACHE_HOME")) {
        expand_home(cache, user_home.as_deref())?.join("mmcv")
    } else if let Some(home) = user_home {
        home.join(".cache/mmcv")
    } else {
        return Err(unknown("there is no home directory"));
    };
    std::path::absolute(&folder).map_err(|error| Error::io("make this path absolute", &folder, error))
}

fn non_empty(value: Option<OsString>) -> Option<PathBuf> {
    value.filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn expand_home(path: PathBuf, user_home: Option<&Path>) -> Result<PathBuf, Error> {
    let mut parts = path.components();
    let Some(first) = parts.next() else { return Ok(path) };
    if first.as_os_str() == "~" {
        let Some(home) = user_home else { return Err(unknown("there is no home directory for `~`")) };
        // Joined by components, so that `~` alone gets no trailing slash.
        return Ok(home.components().chain(parts).collect());
    }
    if first.as_os_str().as_encoded_bytes().starts_with(b"~") {
        return Err(unknown("only `~` is expanded, not `~user`"));
    }
    Ok(path)
}

fn unknown(reason: &'static str) -> Error {
    Error::new("", ErrorKind::NoCacheFolder { reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(variables: &[(&str, &str)], home: Option<&str>) -> Result<PathBuf, Error> {
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        cache_folder(lookup, home.map(PathBuf::from))
    }

    #[test]
    fn the_first_variable_that_is_set_wins() {
        let home = Some("/home/u");
        let both = [("MMCV_HOME", "/m"), ("XDG_CACHE_HOME", "/x")];
        assert_eq!(folder(&both, home).unwrap(), Path::new("/m"));
        assert_eq!(folder(&both[1..], home).unwrap(), Path::new("/x/mmcv"));
        assert_eq!(folder(&[], home).unwrap(), Path::new("/home/u/.cache/mmcv"));
        let empty = [("MMCV_HOME", ""), ("XDG_CACHE_HOME", "")];
        assert_eq!(folder(&empty, home).unwrap(), Path::new("/home/u/.cache/mmcv"));
    }

    #[test]
    fn a_leading_tilde_is_expanded() {
        let home = Some("/home/u");
        assert_eq!(folder(&[("MMCV_HOME", "~/zoo")], home).unwrap(), Path::new("/home/u/zoo"));
        assert_eq!(folder(&[("MMCV_HOME", "~")], home).unwrap(), Path::new("/home/u"));
        assert_eq!(folder(&[("XDG_CACHE_HOME", "~/c")], home).unwrap(), Path::new("/home/u/c/mmcv"));
        assert_eq!(folder(&[("MMCV_HOME", "/a/~")], home).unwrap(), Path::new("/a/~"));
        assert_eq!(folder(&[("MMCV_HOME", "~")], home).unwrap().as_os_str(), "/home/u");
    }

    #[test]
    fn relative_folders_become_absolute() {
        assert!(folder(&[("MMCV_HOME", "zoo")], None).unwrap().is_absolute());
    }

    #[test]
    fn a_missing_home_directory_is_an_error() {
        for (variables, home) in [
            (vec![], None),
            (vec![], Some("")),
            (vec![("MMCV_HOME", "~/a")], None),
            (vec![("MMCV_HOME", "~u/a")], None),
        ] {
            let error = folder(&variables, home).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::NoCacheFolder { .. }), "{variables:?}: {error}");
        }
    }
}
