//! Files that torch made are read as torch reads them.

use std::fs;

use mmcv_pth::{Dtype, FileCheckpoint, Format, OpenOptions, TensorData};
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
        let found = mmcv_pth::inspect(&file, &OpenOptions::new(), true).unwrap();
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
fn tensors_are_copied_into_memory_as_they_are_lent() {
    for file in files() {
        let checkpoint = FileCheckpoint::open(&file).unwrap();
        let tensors: Vec<_> = checkpoint.tensors().filter(|raw| raw.unsupported().is_none()).collect();
        let mut memory: Vec<_> = tensors.iter().map(|raw| vec![0xaa; raw.byte_count() as usize]).collect();
        let targets = memory.iter_mut().map(Vec::as_mut_slice);
        mmcv_pth::read_all(tensors.iter().cloned().zip(targets).collect()).unwrap();
        for (raw, memory) in tensors.iter().zip(memory) {
            assert_eq!(*raw.bytes().unwrap(), memory, "{}: {}", file.display(), raw.key());
        }
    }
}

#[test]
fn large_tensors_are_copied_by_several_threads_and_damage_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let data: Vec<u8> = (0..12_u32 << 20).map(|index| (index / 7) as u8).collect();
    let item = |part: &'static str, range: std::ops::Range<usize>| {
        let bytes = &data[range];
        (part.to_owned(), TensorData::new(Dtype::Uint8, &[bytes.len() as u64], bytes).unwrap())
    };
    let file = folder.path().join("large.pth");
    let parts = [0..5 << 20, 5 << 20..11 << 20, 11 << 20..12 << 20];
    let items = ["a", "b", "c"].into_iter().zip(parts.clone()).map(|(name, range)| item(name, range));
    mmcv_pth::write_pth(&file, &mmcv_pth::PthItem::mapping(items.map(|(name, data)| (name, data.into())))).unwrap();
    let read = |file: &std::path::Path| {
        let checkpoint = FileCheckpoint::open(file).unwrap();
        let mut memory: Vec<_> = checkpoint.tensors().map(|raw| vec![0; raw.byte_count() as usize]).collect();
        let targets = memory.iter_mut().map(Vec::as_mut_slice);
        mmcv_pth::read_all(checkpoint.tensors().zip(targets).collect()).map(|()| memory)
    };
    let memory = read(&file).unwrap();
    assert!(memory.iter().zip(parts).all(|(memory, part)| *memory == data[part]));

    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = read(&file).unwrap_err().to_string();
    assert!(error.contains("its checksum is wrong"), "{error}");
}

#[test]
fn memory_of_another_size_is_refused() {
    let checkpoint = FileCheckpoint::open(forge::data_folder().join("views.pth-zip.2.pth")).unwrap();
    let raw = checkpoint.tensors().find(|raw| raw.key() == "transposed").unwrap();
    let error = raw.read_into(&mut [0; 40]).unwrap_err().to_string();
    assert!(error.ends_with("tensor \"transposed\" has 48 bytes, but the buffer has 40"), "{error}");
}

#[test]
fn digests_are_there_only_when_asked_for() {
    let file = forge::data_folder().join("views.pth-zip.2.pth");
    let found = mmcv_pth::inspect(&file, &OpenOptions::new(), false).unwrap();
    let found = serde_json::to_value(&found).unwrap();
    assert_eq!(found["tensors"]["transposed"], json!({"dtype": "float32", "shape": [4, 3]}));
}

#[test]
fn text_for_people_names_format_tensors_and_meta() {
    let file = forge::data_folder().join("checkpoint.pth-legacy.2.pth");
    let text = mmcv_pth::inspect(&file, &OpenOptions::new(), false).unwrap().to_string();
    assert!(text.starts_with("format: pth-legacy\ntensors: 8 ("), "{text}");
    assert!(text.contains("  state_dict.0.weight"), "{text}");
    assert!(text.contains("float32   [2, 1, 3, 3]\n"), "{text}");
    assert!(text.contains("  epoch: 12\n"), "{text}");
}

#[test]
fn a_checkpoint_is_reached_by_path() {
    let checkpoint = FileCheckpoint::open(forge::data_folder().join("checkpoint.pth-zip.2.pth")).unwrap();
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
        let checkpoint = FileCheckpoint::open(forge::data_folder().join(file)).unwrap();
        let find = |key: &str| checkpoint.tensors().find(|tensor| tensor.key() == key).unwrap();
        let (weight, row, transposed) = (find("weight"), find("row"), find("transposed"));
        assert_eq!(weight.dtype(), Some(Dtype::Float32));
        assert_eq!(weight.storage(), row.storage());
        assert_ne!(weight.storage(), find("conjugate").storage());
        assert_eq!(row.storage_offset(), 16);
        assert_eq!(transposed.strides(), [1, 4]);
        let bytes = weight.bytes().unwrap();
        assert_eq!(weight.mapped().unwrap(), Some(&*bytes));
        assert_eq!(transposed.mapped().unwrap(), None);
        assert_eq!(row.bytes().unwrap(), &bytes[16..32]);
        let element = |bytes: &[u8], index: usize| bytes[4 * index..4 * index + 4].to_vec();
        let turned = transposed.bytes().unwrap();
        assert_eq!(element(&turned, 1), element(&bytes, 4));
        assert_eq!(weight.bytes().unwrap(), bytes);
    }
}
