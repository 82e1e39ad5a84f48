//! The user's files in the cache folder, each read at most once.

use std::path::Path;
use std::sync::OnceLock;

use crate::error::Error;
use crate::scheme::Table;
use crate::tables::json;
use crate::tables::lockfile::Lockfile;
use crate::tables::settings::Settings;

/// The user's tables of names; the later one takes precedence.
const NAME_TABLES: [&str; 2] = ["open-mmlab.json", "open_mmlab.json"];

/// What the files of one cache folder contain.
#[derive(Debug, Default)]
pub(crate) struct UserFiles {
    names: OnceLock<Table>,
    settings: OnceLock<Settings>,
    lockfile: OnceLock<Lockfile>,
}

impl UserFiles {
    /// The names that the user adds to `open-mmlab://`.
    pub(crate) fn names(&self, home: &Path) -> Result<&Table, Error> {
        json::read_once(&self.names, || read_names(home))
    }

    /// The content of `config.json`.
    pub(crate) fn settings(&self, home: &Path) -> Result<&Settings, Error> {
        json::read_once(&self.settings, || Settings::read(home))
    }

    /// The lockfile of a cache folder that is a bundle; empty for others.
    pub(crate) fn lockfile(&self, home: &Path) -> Result<&Lockfile, Error> {
        json::read_once(&self.lockfile, || Ok(Lockfile::read(home)?.unwrap_or_default()))
    }
}

fn read_names(home: &Path) -> Result<Table, Error> {
    let mut names = Table::new();
    for file in NAME_TABLES {
        if let Some(table) = json::read::<Table>(&home.join(file))? {
            names.extend(table);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_later_table_takes_precedence() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("open-mmlab.json"), r#"{"darknet53": "a.pth", "mine": "b.pth"}"#).unwrap();
        fs::write(home.path().join("open_mmlab.json"), r#"{"mine": "c.pth", "odd": 1}"#).unwrap();
        let table = read_names(home.path()).unwrap();
        assert_eq!((&table["darknet53"], &table["mine"], &table["odd"]), (&"a.pth".into(), &"c.pth".into(), &1.into()));
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn malformed_tables_are_reported_with_line_and_column() {
        for (text, line, column) in
            [("{\n  \"a\": \"b\",\n}", 3, 1), ("[1]", 1, 0), ("", 1, 0), ("{\"a\": \"b\"", 1, 9), ("\u{feff}{}", 1, 1)]
        {
            let home = tempfile::tempdir().unwrap();
            fs::write(home.path().join("open_mmlab.json"), text).unwrap();
            let error = UserFiles::default().names(home.path()).unwrap_err();
            assert!(error.to_string().contains("open_mmlab.json: line"), "{error}");
            let ErrorKind::MalformedTable { line: found_line, column: found_column, .. } = error.kind() else {
                panic!("{error}")
            };
            assert_eq!((*found_line, *found_column), (line, column), "{text}");
        }
    }

    #[test]
    fn files_are_read_once() {
        let home = tempfile::tempdir().unwrap();
        let files = UserFiles::default();
        assert!(files.names(home.path()).unwrap().is_empty());
        fs::write(home.path().join("open_mmlab.json"), "malformed").unwrap();
        assert!(files.names(home.path()).unwrap().is_empty());
    }
}
