//! The cache folder: `$MMCV_HOME`, else `$XDG_CACHE_HOME/mmcv`, else `~/.cache/mmcv`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};

/// The cache folder by the given environment, absolute; an empty variable counts as unset, a leading `~` is expanded.
///
/// `variable` looks up one environment variable, `user_home` is what `~` stands for.
pub(crate) fn cache_folder(
    variable: impl Fn(&str) -> Option<OsString>,
    user_home: Option<PathBuf>,
) -> Result<PathBuf, Error> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user_home = user_home.filter(|home| !home.as_os_str().is_empty());
    let folder = if let Some(home) = set("MMCV_HOME") {
        expand(home, user_home.as_deref())?
    } else if let Some(cache) = set("XDG_CACHE_HOME") {
        expand(cache, user_home.as_deref())?.join("mmcv")
    } else {
        user_home.ok_or_else(|| unknown("there is no home directory"))?.join(".cache/mmcv")
    };
    std::path::absolute(&folder).map_err(|error| Error::io("make this path absolute", &folder, error))
}

fn expand(path: PathBuf, user_home: Option<&Path>) -> Result<PathBuf, Error> {
    let mut parts = path.components();
    let first = parts.next().map(|part| part.as_os_str().to_owned()).unwrap_or_default();
    if first == "~" {
        let home = user_home.ok_or_else(|| unknown("there is no home directory for `~`"))?;
        // Joined by parts, so that `~` alone gets no slash at its end.
        return Ok(home.components().chain(parts).collect());
    }
    if first.as_encoded_bytes().starts_with(b"~") {
        return Err(unknown("`~user` is not expanded, only `~`"));
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
