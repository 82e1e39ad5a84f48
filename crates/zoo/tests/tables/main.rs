//! The seeds of the fuzz target `tables`, and what fuzzing found, replayed without a fuzzer: see `fuzz/README.md`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::fs;
use std::path::Path;

#[path = "../../../../fuzz/src/tables.rs"]
#[allow(unreachable_pub, reason = "public in the crate of the fuzz targets")]
mod tables;

/// Files that are called `good_*` are read, and all others refused.
#[test]
fn the_corpus_of_tables() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/tables");
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{}", folder.display());
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let result = tables::read(&fs::read(&file).unwrap());
        assert_eq!(result.is_ok(), name.starts_with("good_"), "{name}: {result:?}");
    }
}
