//! From a name or URL to a URL, or to a file of the user in the cache folder.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, ErrorKind};
use crate::redact::redact;
use crate::scheme::{self, NameTable, Scheme, Table};
use crate::source_url::SourceUrl;
use crate::zoo::{Zoo, split_scheme};

/// At most this many similar names are suggested.
const MAX_NEAREST: usize = 3;
/// Names are similar from this value of the normalized Damerau-Levenshtein measure.
const MIN_SIMILARITY: f64 = 0.6;

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// A download.
    Url(SourceUrl),
    /// A file that the user put into the cache folder. It may be missing.
    Path(PathBuf),
}

/// The names of one scheme.
struct Names<'a> {
    built_in: &'a Table,
    /// The user's names, which take precedence.
    user: Option<&'a Table>,
}

impl<'a> Names<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        if let Some(user) = self.user
            && let Some(value) = user.get(name)
        {
            return Some(value);
        }
        self.built_in.get(name)
    }

    fn merged(&self) -> BTreeMap<&'a String, &'a Value> {
        let mut merged: BTreeMap<_, _> = self.built_in.iter().collect();
        merged.extend(self.user.into_iter().flatten());
        merged
    }

    /// The most similar names with a value, best match first.
    fn nearest(&self, name: &str) -> Vec<String> {
        let lower = name.to_lowercase();
        let mut scored = Vec::new();
        for (key, value) in self.merged() {
            let score = strsim::normalized_damerau_levenshtein(&key.to_lowercase(), &lower);
            if score >= MIN_SIMILARITY && value.is_string() && key != name {
                scored.push((score, key));
            }
        }
        scored.sort_by(|left, right| right.0.total_cmp(&left.0));
        scored.into_iter().take(MAX_NEAREST).map(|(_, key)| key.clone()).collect()
    }
}

impl Zoo {
    /// The merged map of `open-mmlab://`: model name to URL or path. Other values are returned as they are; using their
    /// names is an error.
    ///
    /// # Errors
    /// Returns an error if the user's table cannot be read or is not a JSON object.
    pub fn list(&self) -> Result<BTreeMap<String, Value>, Error> {
        let mut list = BTreeMap::new();
        if let Some(scheme) = self.scheme("")
            && let Some(table) = scheme.names()
        {
            for (name, value) in self.names(scheme, table)?.merged() {
                list.insert(name.clone(), value.clone());
            }
        }
        Ok(list)
    }

    /// Looks up a name (`resnet50_v1c`, `open-mmlab://...`, `torchvision://...` and so on) or validates a URL. Makes no
    /// request.
    ///
    /// # Errors
    /// Returns an error if the scheme or the name is unknown, if the table has no URL for it or a path that leads out of
    /// the cache folder, or if the URL is unusable.
    pub fn resolve(&self, source: &str) -> Result<Resolved, Error> {
        let (alias, name) = split_scheme(source);
        let Some(scheme) = self.scheme(source) else {
            let kind = ErrorKind::UnknownScheme { scheme: redact(&alias), known: self.scheme_names() };
            return Err(Error::new(redact(source), kind));
        };
        if scheme.is_deprecated_alias(&alias) {
            log::warn!("the scheme `{alias}://` is deprecated, use `{}://{}`", scheme.name(), redact(name));
        }
        match scheme.names() {
            Some(table) => self.look_up(scheme, table, source, name),
            None => SourceUrl::parse(source).map(Resolved::Url),
        }
    }

    /// The absolute path where [`fetch`](Self::fetch) puts or finds the file. Makes no request.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`resolve`](Self::resolve).
    pub fn path(&self, source: &str) -> Result<PathBuf, Error> {
        match self.resolve(source)? {
            Resolved::Url(url) => Ok(self.entry(&url)?.path),
            Resolved::Path(path) => Ok(path),
        }
    }

    fn names(&self, scheme: &Scheme, table: &'static NameTable) -> Result<Names<'_>, Error> {
        let user = if scheme.has_user_names() { Some(self.user_names()?) } else { None };
        Ok(Names { built_in: table.get()?, user })
    }

    fn look_up(&self, scheme: &Scheme, table: &'static NameTable, source: &str, name: &str) -> Result<Resolved, Error> {
        let context = redact(source);
        let names = self.names(scheme, table)?;
        let mut name = Cow::Borrowed(name);
        if names.get(&name).is_none() {
            if let Some(replacement) = scheme.replacement(&name)? {
                if names.get(replacement).is_none() {
                    let nearest = names.nearest(replacement);
                    let kind = ErrorKind::DeprecatedTarget { target: replacement.to_owned(), nearest };
                    return Err(Error::new(context, kind));
                }
                log::warn!("`{name}` is deprecated, use `{}://{replacement}`", scheme.name());
                name = Cow::Borrowed(replacement);
            } else if let Some(normalized) = scheme.normalized(&name) {
                name = Cow::Owned(normalized);
            }
        }
        let found = match names.get(&name) {
            None => {
                let nearest = self.nearest_in_all(scheme, &names, &name)?;
                return Err(Error::new(context, ErrorKind::UnknownName { table: scheme.name(), nearest }));
            }
            Some(Value::String(text)) if text.is_empty() => "an empty string",
            Some(Value::String(text)) => return self.target(text).map_err(|error| error.about(&context)),
            Some(Value::Null) => "null",
            Some(Value::Bool(_)) => "a boolean",
            Some(Value::Number(_)) => "a number",
            Some(Value::Array(_)) => "a list",
            Some(Value::Object(_)) => "an object",
        };
        Err(Error::new(context, ErrorKind::NoUrl { found, nearest: names.nearest(&name) }))
    }

    /// The URL or path in a table.
    fn target(&self, text: &str) -> Result<Resolved, Error> {
        if text.contains("://") {
            return SourceUrl::parse(text).map(Resolved::Url);
        }
        if text.chars().any(char::is_control) {
            return Err(Error::new("", ErrorKind::UnusablePath { path: redact(text) }));
        }
        let path = self.home().join(text);
        if !is_relative_inside(Path::new(text)) || leads_outside(&path, self.home()) {
            return Err(Error::new("", ErrorKind::OutsideCacheFolder { path: text.to_owned() }));
        }
        Ok(Resolved::Path(path))
    }

    /// The nearest names of the scheme; for a name without a scheme, also those of other schemes.
    fn nearest_in_all(&self, scheme: &Scheme, names: &Names<'_>, name: &str) -> Result<Vec<String>, Error> {
        let mut nearest = names.nearest(name);
        if scheme.name() != scheme::DEFAULT {
            return Ok(nearest);
        }
        for other in self.schemes() {
            if other.name() != scheme.name()
                && let Some(table) = other.names()
                && table.get()?.contains_key(name)
            {
                nearest.insert(0, format!("{}://{name}", other.name()));
            }
        }
        Ok(nearest)
    }
}

fn is_relative_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Whether links lead from an existing path out of the folder.
fn leads_outside(path: &Path, folder: &Path) -> bool {
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => !path.starts_with(folder),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(name: &str) -> String {
        let home = tempfile::tempdir().unwrap();
        match Zoo::new(home.path()).unwrap().resolve(name).unwrap() {
            Resolved::Url(url) => url.as_str().to_owned(),
            Resolved::Path(path) => panic!("{}", path.display()),
        }
    }

    fn error(table: &str, name: &str) -> Error {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("open_mmlab.json"), table).unwrap();
        Zoo::new(home.path()).unwrap().resolve(name).unwrap_err()
    }

    #[test]
    fn schemes_lead_to_their_tables() {
        let v1 = "https://download.pytorch.org/models/resnet50-0676ba61.pth";
        let v2 = "https://download.pytorch.org/models/resnet50-11ad3fa6.pth";
        for (name, expected) in [
            ("torchvision://resnet50.imagenet1k_v1", v1),
            ("torchvision://ResNet50_Weights.IMAGENET1K_V1", v1),
            ("modelzoo://resnet50.imagenet1k_v1", v1),
            ("torchvision://resnet50.default", v2),
            ("torchvision://ResNet50_Weights.DEFAULT", v2),
            (
                "open-mmlab://vgg16_caffe",
                "https://download.openmmlab.com/pretrain/third_party/vgg16_caffe-292e1171.pth",
            ),
            ("openmmlab://vgg16_caffe", "https://download.openmmlab.com/pretrain/third_party/vgg16_caffe-292e1171.pth"),
            ("vgg16_caffe", "https://download.openmmlab.com/pretrain/third_party/vgg16_caffe-292e1171.pth"),
            ("https://h/a.pth", "https://h/a.pth"),
        ] {
            assert_eq!(url(name), expected, "{name}");
        }
        assert!(url("mmcls://repvgg_A0").contains("repvgg-A0_3rdparty"));
    }

    #[test]
    fn deprecated_names_lead_to_their_replacement_if_it_exists() {
        assert_eq!(url("open-mmlab://resnet50_caffe"), url("detectron/resnet50_caffe"));
        let missing = error("{}", "open-mmlab://resnet50_caffe_bgr");
        assert!(matches!(missing.kind(), ErrorKind::DeprecatedTarget { target, .. }
            if target == "detectron2/resnet50_caffe_bgr"));
    }

    #[test]
    fn names_without_a_url_are_errors_with_the_nearest_names() {
        let unknown = error("{}", "resnet50_v1d");
        assert!(
            matches!(unknown.kind(), ErrorKind::UnknownName { nearest, .. }
            if nearest.contains(&"resnet50_v1c".to_owned())),
            "{unknown}"
        );
        let elsewhere = error("{}", "mobilenet_v2");
        assert!(elsewhere.to_string().contains("`torchvision://mobilenet_v2`"), "{elsewhere}");
        let null = error("{}", "torchvision://shufflenetv2_x1.5");
        assert!(matches!(null.kind(), ErrorKind::NoUrl { found: "null", .. }), "{null}");
        for (value, expected) in [("null", "null"), ("3", "a number"), ("\"\"", "an empty string"), ("[]", "a list")] {
            let error = error(&format!(r#"{{"mine": {value}}}"#), "mine");
            assert!(matches!(error.kind(), ErrorKind::NoUrl { found, .. } if *found == expected), "{error}");
        }
    }

    #[test]
    fn unknown_schemes_are_rejected() {
        for (table, name) in [("{}", "s3://bucket/a.pth"), (r#"{"mine": "ftp://h/a.pth"}"#, "mine")] {
            let error = error(table, name);
            assert!(matches!(error.kind(), ErrorKind::UnknownScheme { .. }), "{error}");
            assert!(error.to_string().starts_with(name), "{error}");
        }
    }

    #[test]
    fn paths_stay_in_the_cache_folder() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("open_mmlab.json"), r#"{"mine": "sub/a.pth"}"#).unwrap();
        assert_eq!(
            Zoo::new(home.path()).unwrap().resolve("mine").unwrap(),
            Resolved::Path(home.path().join("sub/a.pth"))
        );
        for path in ["../a.pth", "/etc/passwd", "a/../../b.pth"] {
            let error = error(&format!(r#"{{"mine": "{path}"}}"#), "mine");
            assert!(matches!(error.kind(), ErrorKind::OutsideCacheFolder { .. }), "{error}");
        }
    }

    #[test]
    fn the_merged_list_has_the_users_names() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Zoo::new(home.path()).unwrap().list().unwrap().len(), 48);
        std::fs::write(home.path().join("open_mmlab.json"), r#"{"darknet53": "a.pth", "odd": 1}"#).unwrap();
        let list = Zoo::new(home.path()).unwrap().list().unwrap();
        assert_eq!((list.len(), &list["darknet53"], &list["odd"]), (49, &"a.pth".into(), &1.into()));
    }

    #[test]
    fn canonical_names_have_the_main_name_of_the_scheme() {
        let zoo = Zoo::new("/home").unwrap();
        for (source, expected) in [
            ("resnet50_v1c", "open-mmlab://resnet50_v1c"),
            ("OpenMMLab://a", "open-mmlab://a"),
            ("torchvision://A", "torchvision://A"),
            ("modelzoo://a", "modelzoo://a"),
            ("S3://a", "s3://a"),
        ] {
            assert_eq!(zoo.canonical_name(source), expected);
        }
    }

    #[test]
    fn paths_fit_on_one_line() {
        let error = error(r#"{"mine": "a\nb\u0000.pth"}"#, "mine");
        assert!(matches!(error.kind(), ErrorKind::UnusablePath { .. }), "{error}");
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_do_not_lead_out_of_the_cache_folder() {
        let (home, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("a.pth"), "x").unwrap();
        std::os::unix::fs::symlink(outside.path(), home.path().join("sub")).unwrap();
        std::fs::write(home.path().join("open_mmlab.json"), r#"{"mine": "sub/a.pth"}"#).unwrap();
        let error = Zoo::new(home.path()).unwrap().resolve("mine").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::OutsideCacheFolder { .. }), "{error}");
    }
}
