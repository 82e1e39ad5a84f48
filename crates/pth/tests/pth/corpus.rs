//! The seeds of the fuzz targets, and what fuzzing found, replayed without a fuzzer: see `fuzz/README.md`.

use std::fs;
use std::path::Path;

#[path = "../../../../fuzz/src/checkpoints.rs"]
#[allow(unreachable_pub, reason = "public in the crate of the fuzz targets")]
mod checkpoints;

/// Files that are called `good_*` are read, and all others refused.
fn replay(target: &str, read: fn(&[u8]) -> Result<(), mmcv_pth::Error>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{}", folder.display());
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let result = read(&fs::read(&file).unwrap());
        assert_eq!(result.is_ok(), name.starts_with("good_"), "{target}/{name}: {result:?}");
    }
}

#[test]
fn pickles() {
    replay("pickle", checkpoints::read_pickle);
}

#[test]
fn opaque_objects() {
    replay("opaque", checkpoints::read_opaque_pickle);
}

#[test]
fn arrays() {
    replay("arrays", checkpoints::read_arrays);
}

#[test]
fn zips() {
    replay("zip", checkpoints::read);
}

#[test]
fn legacy_files() {
    replay("legacy", checkpoints::read);
}

#[test]
fn safetensors() {
    replay("safetensors", checkpoints::read);
}
