//! From what a user writes, a name with or without a scheme or a URL, to a URL or a file of the cache folder.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, ErrorKind};
use crate::source::{SourceUrl, redact};
use crate::tables::{self, Table};

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// It is downloaded from here.
    Url(SourceUrl),
    /// It is this file of the cache folder, put there by the user. It may be missing.
    Path(PathBuf),
}

/// Looks a name up; reads the user's table in `home` where the name needs it, and makes no request.
pub(crate) fn resolve(home: &Path, name: &str) -> Result<Resolved, Error> {
    let Some((scheme, rest)) = name.split_once("://") else { return open_mmlab(home, name, name) };
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => SourceUrl::parse(name).map(Resolved::Url),
        "open-mmlab" | "openmmlab" => open_mmlab(home, name, rest),
        "torchvision" => torchvision(home, name, rest),
        "modelzoo" => {
            log::warn!("the scheme `modelzoo://` is deprecated, use `torchvision://{}`", redact(rest));
            torchvision(home, name, rest)
        }
        "mmcls" => lookup(home, name, &tables::mmcls()?, "mmcls", rest),
        _ => Err(Error::new(redact(name), ErrorKind::UnknownScheme { scheme: redact(scheme) })),
    }
}

fn open_mmlab(home: &Path, asked: &str, name: &str) -> Result<Resolved, Error> {
    let table = tables::merged(home)?;
    if !table.contains_key(name)
        && let Some(target) = tables::replacement(name)?
    {
        if !table.contains_key(&target) {
            let nearest = nearest(&table, &target);
            return Err(Error::new(redact(asked), ErrorKind::DeprecatedTarget { target, nearest }));
        }
        log::warn!("`{name}` is deprecated, use `open-mmlab://{target}`");
        return lookup(home, asked, &table, "open-mmlab", &target);
    }
    lookup(home, asked, &table, "open-mmlab", name)
}

/// Names are `resnet50`, `resnet50.imagenet1k_v1`, `resnet50.default` and `ResNet50_Weights.IMAGENET1K_V1`.
fn torchvision(home: &Path, asked: &str, name: &str) -> Result<Resolved, Error> {
    let table = tables::torchvision()?;
    let plain = name.replace("_Weights.", ".").to_ascii_lowercase();
    let name = if table.contains_key(name) { name } else { &plain };
    lookup(home, asked, &table, "torchvision", name)
}

fn lookup(home: &Path, asked: &str, table: &Table, label: &'static str, name: &str) -> Result<Resolved, Error> {
    let refuse = |kind| Error::new(redact(asked), kind);
    let found = match table.get(name) {
        None => {
            return Err(refuse(ErrorKind::UnknownName {
                table: label,
                nearest: nearest_anywhere(table, label, name)?,
            }));
        }
        Some(Value::String(text)) if text.is_empty() => "an empty text",
        Some(Value::String(text)) => return target(home, text).map_err(|error| error.about(&redact(asked))),
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a truth value",
        Some(Value::Number(_)) => "a number",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    };
    Err(refuse(ErrorKind::NoUrl { found, nearest: nearest(table, name) }))
}

/// What a table's text stands for.
fn target(home: &Path, text: &str) -> Result<Resolved, Error> {
    if text.contains("://") {
        return SourceUrl::parse(text).map(Resolved::Url);
    }
    let outside = || Error::new("", ErrorKind::OutsideCacheFolder { path: text.to_owned() });
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if text.chars().any(char::is_control) {
        return Err(Error::new("", ErrorKind::UnusablePath { path: redact(text) }));
    }
    if !Path::new(text).components().all(inside) {
        return Err(outside());
    }
    let path = home.join(text);
    // Links are followed where there is something to follow.
    if let (Ok(real), Ok(real_home)) = (path.canonicalize(), home.canonicalize())
        && !real.starts_with(real_home)
    {
        return Err(outside());
    }
    Ok(Resolved::Path(path))
}

/// Names of the table that are like `name`; for a plain name also those that another scheme has.
fn nearest_anywhere(table: &Table, label: &str, name: &str) -> Result<Vec<String>, Error> {
    let mut names = nearest(table, name);
    if label == "open-mmlab" {
        for (scheme, other) in [("torchvision", tables::torchvision()?), ("mmcls", tables::mmcls()?)] {
            if other.contains_key(name) {
                names.insert(0, format!("{scheme}://{name}"));
            }
        }
    }
    Ok(names)
}

/// At most three names of the table that have a value and differ little, best first.
fn nearest(table: &Table, name: &str) -> Vec<String> {
    let lower = name.to_lowercase();
    let mut scored: Vec<_> = table
        .iter()
        .filter(|(_, value)| value.is_string())
        .map(|(key, _)| (strsim::normalized_damerau_levenshtein(&key.to_lowercase(), &lower), key))
        .filter(|(score, key)| *score >= 0.6 && *key != name)
        .collect();
    scored.sort_by(|left, right| right.0.total_cmp(&left.0));
    scored.into_iter().take(3).map(|(_, key)| key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(name: &str) -> String {
        let home = tempfile::tempdir().unwrap();
        match resolve(home.path(), name).unwrap() {
            Resolved::Url(url) => url.as_str().to_owned(),
            Resolved::Path(path) => panic!("{}", path.display()),
        }
    }

    fn error(table: &str, name: &str) -> Error {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("open_mmlab.json"), table).unwrap();
        resolve(home.path(), name).unwrap_err()
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
    fn deprecated_names_lead_to_their_replacement_where_it_exists() {
        assert_eq!(url("open-mmlab://resnet50_caffe"), url("detectron/resnet50_caffe"));
        let missing = error("{}", "open-mmlab://resnet50_caffe_bgr");
        assert!(matches!(missing.kind(), ErrorKind::DeprecatedTarget { target, .. }
            if target == "detectron2/resnet50_caffe_bgr"));
    }

    #[test]
    fn names_without_a_url_say_so_and_name_the_nearest() {
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
        for (value, expected) in [("null", "null"), ("3", "a number"), ("\"\"", "an empty text"), ("[]", "a list")] {
            let error = error(&format!(r#"{{"mine": {value}}}"#), "mine");
            assert!(matches!(error.kind(), ErrorKind::NoUrl { found, .. } if *found == expected), "{error}");
        }
    }

    #[test]
    fn unknown_schemes_are_refused() {
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
        assert_eq!(resolve(home.path(), "mine").unwrap(), Resolved::Path(home.path().join("sub/a.pth")));
        for path in ["../a.pth", "/etc/passwd", "a/../../b.pth"] {
            let error = error(&format!(r#"{{"mine": "{path}"}}"#), "mine");
            assert!(matches!(error.kind(), ErrorKind::OutsideCacheFolder { .. }), "{error}");
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
        let error = resolve(home.path(), "mine").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::OutsideCacheFolder { .. }), "{error}");
    }
}
