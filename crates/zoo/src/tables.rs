//! The tables from names to URLs: those inside the binary, and the user's own, merged over the first.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::error::Error;
use crate::json;

/// A table: model name to URL or path; other values are kept and refused when they are used.
pub(crate) type Table = BTreeMap<String, Value>;

const OPEN_MMLAB: &str = include_str!("../model_zoo/open_mmlab.json");
const TORCHVISION: &str = include_str!("../model_zoo/torchvision.json");
const MMCLS: &str = include_str!("../model_zoo/mmcls.json");
const DEPRECATED: &str = include_str!("../model_zoo/deprecated.json");
const DIGESTS: &str = include_str!("../model_zoo/digests.json");

/// The user's tables in the cache folder; the later one wins.
const USER_TABLES: [&str; 2] = ["open-mmlab.json", "open_mmlab.json"];

/// The table of `open-mmlab://` with the user's names, which win, merged over the published ones.
pub(crate) fn merged(home: &Path) -> Result<Table, Error> {
    let mut table = open_mmlab()?;
    for name in USER_TABLES {
        table.extend(json::read(&home.join(name))?.unwrap_or_default());
    }
    Ok(table)
}

/// The table of `torchvision://`.
pub(crate) fn torchvision() -> Result<Table, Error> {
    built_in("torchvision.json", TORCHVISION)
}

/// The table of `mmcls://`.
pub(crate) fn mmcls() -> Result<Table, Error> {
    built_in("mmcls.json", MMCLS)
}

/// The name that replaces a deprecated one.
pub(crate) fn replacement(name: &str) -> Result<Option<String>, Error> {
    let table = built_in("deprecated.json", DEPRECATED)?;
    Ok(table.get(name).and_then(Value::as_str).map(str::to_owned))
}

/// True digests of files whose published names are wrong; null where only that is known. Reported in
/// github.com/open-mmlab/mmcv/issues/600.
pub(crate) fn digests() -> Result<Table, Error> {
    built_in("digests.json", DIGESTS)
}

/// The published table of `open-mmlab://`, without the user's.
pub(crate) fn open_mmlab() -> Result<Table, Error> {
    built_in("open_mmlab.json", OPEN_MMLAB)
}

fn built_in(file: &str, text: &str) -> Result<Table, Error> {
    Ok(json::parse(file, text.as_bytes())?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_built_in_tables_are_whole() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(merged(home.path()).unwrap().len(), 48);
        assert_eq!(torchvision().unwrap().values().filter(|value| value.is_null()).count(), 2);
        assert!(mmcls().unwrap().values().all(|value| value.as_str().is_some_and(|url| url.starts_with("https://"))));
        assert_eq!(replacement("resnet50_caffe").unwrap().as_deref(), Some("detectron/resnet50_caffe"));
        assert_eq!(replacement("resnet50").unwrap(), None);
    }

    #[test]
    fn the_users_names_win() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("open-mmlab.json"), r#"{"darknet53": "a.pth", "mine": "b.pth"}"#).unwrap();
        fs::write(home.path().join("open_mmlab.json"), r#"{"mine": "c.pth", "odd": 1}"#).unwrap();
        let table = merged(home.path()).unwrap();
        assert_eq!((&table["darknet53"], &table["mine"], &table["odd"]), (&"a.pth".into(), &"c.pth".into(), &1.into()));
        assert_eq!(table.len(), 50);
    }

    #[test]
    fn malformed_tables_are_named_with_line_and_column() {
        for (text, line, column) in
            [("{\n  \"a\": \"b\",\n}", 3, 1), ("[1]", 1, 0), ("", 1, 0), ("{\"a\": \"b\"", 1, 9), ("\u{feff}{}", 1, 1)]
        {
            let home = tempfile::tempdir().unwrap();
            fs::write(home.path().join("open_mmlab.json"), text).unwrap();
            let error = merged(home.path()).unwrap_err();
            assert!(error.to_string().contains("open_mmlab.json: line"), "{error}");
            let ErrorKind::MalformedTable { line: found_line, column: found_column, .. } = error.kind() else {
                panic!("{error}")
            };
            assert_eq!((*found_line, *found_column), (line, column), "{text}");
        }
    }
}
