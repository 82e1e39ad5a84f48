//! State dicts in several files.

use std::fs;
use std::path::Path;

use mmcv_pth::{
    Checkpoint, CompareOptions, ConversionReport, ConvertOptions, Dtype, ErrorKind, FileCheckpoint, OutputFormat,
    PthItem, ShardedCheckpoint, TensorData, compare, convert, write_pth, write_safetensors,
};
use serde_json::json;
use tempfile::TempDir;

const BYTES: [u8; 8] = [0, 0, 128, 63, 0, 0, 0, 64];

fn tensor() -> TensorData<'static> {
    TensorData::new(Dtype::Float32, &[2], &BYTES).unwrap()
}

/// A folder with two files and an index.
fn folder(index: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let item = |name: &str| (name.to_owned(), PthItem::Tensor(tensor()));
    let root = PthItem::Mapping { entries: vec![item("a.weight"), item("b.weight")], metadata: None };
    write_pth(folder.path().join("model-1.bin"), &root).unwrap();
    write_safetensors(folder.path().join("model-2.safetensors"), &[("c.weight".to_owned(), tensor())], &[]).unwrap();
    fs::write(folder.path().join("model.index.json"), index).unwrap();
    folder
}

fn open(folder: &Path) -> Result<ShardedCheckpoint, mmcv_pth::Error> {
    ShardedCheckpoint::open(folder.join("model.index.json"))
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
    assert!(ShardedCheckpoint::is_index(sharded.path()) && !ShardedCheckpoint::is_index(Path::new("model.json")));
}

#[test]
fn what_is_wrong_with_an_index_is_named() {
    for (index, words) in [
        (r#"{"weight_map": {"a.weight": "../model-1.bin"}}"#, &["../model-1.bin", "directory"][..]),
        (r#"{"weight_map": {"a.weight": "/etc/passwd"}}"#, &["/etc/passwd", "directory"]),
        (r#"{"weight_map": {"a.weight": "model-9.bin"}}"#, &["model-9.bin"]),
        (r#"{"weight_map": {"z.weight": "model-1.bin"}}"#, &["z.weight", "model-1.bin", "lacks"]),
        (r#"{"weight_map": {"a.weight": "model-1.bin", "a.weight": "model-1.bin"}}"#, &["a.weight", "twice"]),
        ("{\n  \"weight_map\": {\"a\": 3}}", &["line 2", "column"]),
        ("{}", &["weight_map"]),
        ("[", &["line 1"]),
        (r#"[{"a.weight": "model-1.bin"}]"#, &["an object"]),
    ] {
        let error = open(folder(index).path()).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{index}: {error}");
    }
}

/// Files with what shards may have beside their tensors: versions, texts, a tensor that the index does not name.
fn full(folder: &Path) -> Checkpoint {
    let item = |name: &str| (name.to_owned(), PthItem::Tensor(tensor()));
    let versions = |version: u32| Some(json!({"": {"version": version}}));
    let shard = |names: &[&str], version| PthItem::Mapping {
        entries: names.iter().map(|name| item(name)).collect(),
        metadata: versions(version),
    };
    write_pth(folder.join("1.bin"), &shard(&["m.a", "m.b"], 1)).unwrap();
    write_pth(folder.join("2.bin"), &shard(&["m.c", "m.extra"], 2)).unwrap();
    let texts = [("format", "pt"), ("by", "hand")].map(|(key, text)| (key.to_owned(), text.to_owned()));
    write_safetensors(folder.join("3.safetensors"), &[("m.d".to_owned(), tensor())], &texts).unwrap();
    let index = json!({"weight_map": {"m.a": "1.bin", "m.c": "2.bin", "m.d": "3.safetensors", "m.b": "1.bin"}});
    fs::write(folder.join("full.index.json"), index.to_string()).unwrap();
    Checkpoint::open(folder.join("full.index.json")).unwrap()
}

#[test]
fn files_with_an_index_become_one_and_are_compared_with_it() {
    let folder = folder(
        r#"{"weight_map": {"c.weight": "model-2.safetensors", "b.weight": "model-1.bin", "a.weight": "model-1.bin"}}"#,
    );
    let sharded = Checkpoint::open(folder.path().join("model.index.json")).unwrap();
    assert_eq!((sharded.files().len(), sharded.entries()), (2, ["c", "b", "a"].map(str::to_owned).to_vec()));
    sharded.verify().unwrap();
    // Two tensors share memory; the third only has the same number of a storage, in another file.
    for (name, target, unshared) in
        [("one.pth", OutputFormat::Pth, 0), ("one.safetensors", OutputFormat::Safetensors, 1)]
    {
        let file = folder.path().join(name);
        let converted = convert(&sharded, &file, target, &ConvertOptions::default()).unwrap();
        assert_eq!(converted, ConversionReport { tensors: 3, unshared, ..ConversionReport::default() });
        let one = Checkpoint::open(&file).unwrap();
        let keys: Vec<_> = one.tensors().map(|raw| raw.key().to_owned()).collect();
        assert_eq!(keys, ["c.weight", "b.weight", "a.weight"]);
        for (a, b) in [(&one, &sharded), (&sharded, &one)] {
            let found = compare(a, b, &CompareOptions::default()).unwrap();
            assert!(found.is_same() && found.same == 3, "{found:?}");
        }
    }
}

#[test]
fn what_is_beside_the_tensors_of_shards_is_kept_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let (sharded, file) = (full(folder.path()), folder.path().join("one"));
    let lost = ["m.extra", "_metadata"];
    for target in [OutputFormat::Pth, OutputFormat::Safetensors] {
        let error = convert(&sharded, &file, target, &ConvertOptions::default()).unwrap_err();
        let ErrorKind::Unwritable(losses) = *error.kind else { panic!("{error}") };
        assert_eq!(losses.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), lost);
        assert!(losses.iter().all(|(_, what)| what.contains("2.bin")), "{losses:?}");
        let lossy = ConvertOptions { lossy: true, entry: Some("m"), ..ConvertOptions::default() };
        assert_eq!(convert(&sharded, &file, target, &lossy).unwrap().tensors, 4);
        let one = FileCheckpoint::open(&file).unwrap();
        assert_eq!(one.tensors().map(|raw| raw.key().to_owned()).collect::<Vec<_>>(), ["a", "c", "d", "b"]);
        match target {
            OutputFormat::Pth => assert_eq!(one.metadata(&[]), Some(json!({"": {"version": 1}}))),
            _ => {
                let texts = json!({"format": "pt", "_metadata": r#"{"":{"version":1}}"#, "by": "hand"});
                assert_eq!(one.meta(), json!({"__metadata__": texts}));
            }
        }
    }
}
