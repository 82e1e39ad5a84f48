//! Files that torch made are read as torch reads them.

use std::fs;

use mmcv_pth::{Checkpoint, Dtype, Format, Options};
use serde_json::{Value, json};

use crate::forge;

/// The files of `make.py` by name, without the expected values.
pub(crate) fn files() -> Vec<std::path::PathBuf> {
    let folder = fs::read_dir(forge::data_folder()).unwrap();
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| !matches!(file.extension().and_then(|extension| extension.to_str()), Some("json" | "py")));
    files.sort();
    assert!(files.len() > 20);
    files
}

#[test]
fn files_of_torch_are_read_as_torch_reads_them() {
    for file in files() {
        let expected = fs::read(format!("{}.json", file.display())).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let found = mmcv_pth::inspect(&file, &Options::new(), true).unwrap();
        let text = serde_json::to_string(&found).unwrap();
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found, expected, "{}", file.display());
        // The order of tensors is that of the file; the safetensors library sorts.
        if found["format"] != "safetensors" {
            let keys = |value: &Value| value["tensors"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(&found), keys(&expected), "{}", file.display());
        }
    }
}

#[test]
fn digests_are_there_only_when_asked_for() {
    let file = forge::data_folder().join("views.pth-zip.2.pth");
    let found = mmcv_pth::inspect(&file, &Options::new(), false).unwrap();
    let found = serde_json::to_value(&found).unwrap();
    assert_eq!(found["tensors"]["transposed"], json!({"dtype": "float32", "shape": [4, 3]}));
}

#[test]
fn text_for_people_names_format_tensors_and_meta() {
    let file = forge::data_folder().join("checkpoint.pth-legacy.2.pth");
    let text = mmcv_pth::inspect(&file, &Options::new(), false).unwrap().to_string();
    assert!(text.starts_with("format: pth-legacy\ntensors: 8 ("), "{text}");
    assert!(text.contains("  state_dict.0.weight"), "{text}");
    assert!(text.contains("float32   [2, 1, 3, 3]\n"), "{text}");
    assert!(text.contains("  epoch: 12\n"), "{text}");
}

#[test]
fn a_checkpoint_is_reached_by_path() {
    let checkpoint = Checkpoint::open(forge::data_folder().join("checkpoint.pth-zip.2.pth")).unwrap();
    assert_eq!(checkpoint.format(), Format::PthZip);
    let below = checkpoint.tensors_below(&["state_dict"]).unwrap();
    let keys: Vec<_> = below.iter().map(|tensor| tensor.key()).collect();
    let expected =
        ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"];
    assert_eq!(keys, expected);
    let parameter = checkpoint.tensors_below(&["optimizer", "groups", "0", "params"]).unwrap();
    assert_eq!(parameter[0].key(), "0");
    assert_eq!(parameter[0].shape(), [3, 4]);
    assert!(checkpoint.tensors_below(&["model"]).is_none());
    assert!(checkpoint.tensors_below(&["epoch"]).unwrap().is_empty());
    assert_eq!(checkpoint.tensors_below(&[]).unwrap().len(), checkpoint.tensors().len());
    let metadata = checkpoint.metadata(&["state_dict"]).unwrap();
    assert_eq!(metadata["1"], json!({"version": 2}));
    assert!(checkpoint.metadata(&["meta"]).is_none());
    assert_eq!(checkpoint.meta()["epoch"], 12);
}

#[test]
fn storages_tell_who_shares_and_bytes_are_row_major() {
    for file in ["views.pth-zip.2.pth", "views.pth-legacy.2.pth"] {
        let checkpoint = Checkpoint::open(forge::data_folder().join(file)).unwrap();
        let find = |key: &str| checkpoint.tensors().find(|tensor| tensor.key() == key).unwrap();
        let (weight, row, transposed) = (find("weight"), find("row"), find("transposed"));
        assert_eq!(weight.dtype(), Some(Dtype::Float32));
        assert_eq!(weight.storage(), row.storage());
        assert_ne!(weight.storage(), find("conjugate").storage());
        assert_eq!(row.storage_offset(), 16);
        assert_eq!(transposed.strides(), [1, 4]);
        let bytes = weight.bytes().unwrap();
        assert!(matches!(bytes, std::borrow::Cow::Borrowed(_)));
        assert_eq!(row.bytes().unwrap(), &bytes[16..32]);
        let element = |bytes: &[u8], index: usize| bytes[4 * index..4 * index + 4].to_vec();
        let turned = transposed.bytes().unwrap();
        assert_eq!(element(&turned, 1), element(&bytes, 4));
        weight.release();
        assert_eq!(weight.bytes().unwrap(), bytes);
    }
}
