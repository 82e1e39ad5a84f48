//! State dicts in several files.

use std::fs;
use std::path::Path;

use mmcv_pth::{Dtype, Item, Sharded, TensorData, write_pth, write_safetensors};
use tempfile::TempDir;

const BYTES: [u8; 8] = [0, 0, 128, 63, 0, 0, 0, 64];

fn tensor() -> TensorData<'static> {
    TensorData::new(Dtype::Float32, &[2], &BYTES).unwrap()
}

/// A folder with two files and an index.
fn folder(index: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let item = |name: &str| (name.to_owned(), Item::Tensor(tensor()));
    let root = Item::Mapping { entries: vec![item("a.weight"), item("b.weight")], metadata: None };
    write_pth(folder.path().join("model-1.bin"), &root).unwrap();
    write_safetensors(folder.path().join("model-2.safetensors"), &[("c.weight".to_owned(), tensor())], &[]).unwrap();
    fs::write(folder.path().join("model.index.json"), index).unwrap();
    folder
}

fn open(folder: &Path) -> Result<Sharded, mmcv_pth::Error> {
    Sharded::open(folder.join("model.index.json"))
}

#[test]
fn tensors_come_in_the_order_of_the_index() {
    let folder = folder(
        r#"{"metadata": {"total_size": 24}, "weight_map": {
            "c.weight": "model-2.safetensors", "b.weight": "model-1.bin", "a.weight": "model-1.bin"}}"#,
    );
    let sharded = open(folder.path()).unwrap();
    let keys: Vec<_> = sharded.tensors().map(|raw| raw.key().to_owned()).collect();
    assert_eq!(keys, ["c.weight", "b.weight", "a.weight"]);
    assert_eq!(sharded.shards().len(), 2);
    for raw in sharded.tensors() {
        assert_eq!(&*raw.bytes().unwrap(), BYTES);
    }
    assert!(Sharded::is_index(sharded.path()) && !Sharded::is_index(Path::new("model.json")));
}

#[test]
fn what_is_wrong_with_an_index_is_named() {
    for (index, words) in [
        (r#"{"weight_map": {"a.weight": "../model-1.bin"}}"#, &["../model-1.bin", "folder"][..]),
        (r#"{"weight_map": {"a.weight": "/etc/passwd"}}"#, &["/etc/passwd", "folder"]),
        (r#"{"weight_map": {"a.weight": "model-9.bin"}}"#, &["model-9.bin"]),
        (r#"{"weight_map": {"z.weight": "model-1.bin"}}"#, &["z.weight", "model-1.bin", "lacks"]),
        (r#"{"weight_map": {"a.weight": "model-1.bin", "a.weight": "model-1.bin"}}"#, &["a.weight", "twice"]),
        ("{\n  \"weight_map\": {\"a\": 3}}", &["line 2", "column"]),
        ("{}", &["weight_map"]),
        ("[", &["line 1"]),
    ] {
        let error = open(folder(index).path()).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{index}: {error}");
    }
}
