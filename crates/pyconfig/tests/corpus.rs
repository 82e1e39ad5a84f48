//! The configs that fuzzing found, in `fuzz/corpus`: each is read, or refused with a reason.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::fs;
use std::path::Path;

use mmcv_pyconfig::{LoadOptions, load};

/// Reads each file of a corpus under the names; returns how many are read and refused.
fn replay(corpus: &str, names: &[&str]) -> (usize, usize) {
    let corpus = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus")).join(corpus);
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("base.py"),
        "model = dict(type='ResNet', depth=50, stages=[dict(depth=3)])\nx = [1]\n",
    )
    .unwrap();
    let (mut read, mut refused) = (0, 0);
    for entry in fs::read_dir(corpus).unwrap() {
        let entry = entry.unwrap().path();
        for name in names {
            let file = folder.path().join(name);
            fs::write(&file, fs::read(&entry).unwrap()).unwrap();
            match load(&file, &LoadOptions::default()) {
                Ok(config) => {
                    read += 1;
                    // What is no data, such as a set in JSON, is an error.
                    let _ = (config.to_json(), config.to_typed_json(), config.to_yaml(), config.to_python());
                }
                Err(error) => {
                    refused += 1;
                    assert_ne!(error.message, "reading the config failed", "{}", entry.display());
                }
            }
        }
    }
    (read, refused)
}

#[test]
fn the_fuzz_corpus_is_read_or_refused() {
    let (read, refused) = replay("config", &["config.py"]);
    assert!(read > 50 && refused > 100, "{read} read, {refused} refused");
    let (read, refused) = replay("config_yaml", &["config.yaml", "config.json"]);
    assert!(read > 50 && refused > 100, "{read} read, {refused} refused");
}
