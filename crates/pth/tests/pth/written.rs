//! What this crate writes, it reads back.

use std::fs;

use mmcv_pth::{Dtype, FileCheckpoint, PthItem, TensorData, write_pth, write_safetensors};
use serde_json::json;

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn a_pth_file_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    let weight = floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let steps = 7_i64.to_le_bytes();
    let codes = [0_u8, 1, 0xff, 0x7f];
    let view = |shape: &[u64], strides: &[u64], offset| {
        PthItem::from(TensorData::view(Dtype::Float32, shape, strides, offset, &weight).unwrap())
    };
    let state = PthItem::Mapping {
        entries: vec![
            ("z.weight".to_owned(), view(&[2, 3], &[3, 1], 0)),
            ("a.transposed".to_owned(), view(&[3, 2], &[1, 3], 0)),
            ("a.last".to_owned(), view(&[], &[], 5)),
            ("a.steps".to_owned(), TensorData::new(Dtype::Int64, &[], &steps).unwrap().into()),
            ("a.codes".to_owned(), TensorData::new(Dtype::Uint16, &[2], &codes).unwrap().into()),
            ("a.empty".to_owned(), TensorData::new(Dtype::Bool, &[0, 3], &[]).unwrap().into()),
        ],
        metadata: Some(json!({"": {"version": 1}, "z": {"version": 2}})),
    };
    let meta =
        json!({"epoch": 3, "names": ["é", null, true, false, -1, 1_u64 << 40, u64::MAX, 0.25, []], "deep": {"": {}}});
    let root = PthItem::mapping([
        ("state_dict", state),
        ("meta", meta.clone().into()),
        ("more", PthItem::List(vec![json!(1).into()])),
    ]);
    fs::write(&path, b"old").unwrap();
    write_pth(&path, &root).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");

    let checkpoint = FileCheckpoint::open(&path).unwrap();
    let tensors = checkpoint.tensors_below(&["state_dict"]).unwrap();
    let keys: Vec<_> = tensors.iter().map(|tensor| tensor.key()).collect();
    assert_eq!(keys, ["z.weight", "a.transposed", "a.last", "a.steps", "a.codes", "a.empty"]);
    assert_eq!(tensors[0].bytes().unwrap(), weight);
    assert_eq!(tensors[1].bytes().unwrap(), floats(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]));
    assert_eq!(tensors[2].bytes().unwrap(), floats(&[6.0]));
    assert_eq!(tensors[4].bytes().unwrap(), codes.as_slice());
    assert_eq!(tensors[4].dtype(), Some(Dtype::Uint16));
    assert_eq!(tensors[5].shape(), [0, 3]);
    assert_eq!(tensors[0].storage(), tensors[2].storage());
    assert_ne!(tensors[0].storage(), tensors[3].storage());
    let mut expected = meta;
    expected["names"][6] = json!({"$int": u64::MAX.to_string()});
    assert_eq!(checkpoint.meta(), json!({"meta": expected, "more": [1]}));
    assert_eq!(checkpoint.metadata(&["state_dict"]).unwrap(), json!({"": {"version": 1}, "z": {"version": 2}}));
    // Data is aligned, so that it can be mapped.
    let file = fs::read(&path).unwrap();
    let place = file.windows(weight.len()).position(|window| window == weight).unwrap();
    assert_eq!(place % 64, 0);
}

#[test]
fn safetensors_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let weight = floats(&[1.0, 2.0, 3.0, 4.0]);
    let tensors = [
        ("flag".to_owned(), TensorData::new(Dtype::Bool, &[1], &[1]).unwrap()),
        ("weight".to_owned(), TensorData::view(Dtype::Float32, &[2, 2], &[1, 2], 0, &weight).unwrap()),
    ];
    write_safetensors(&path, &tensors, &[("format".to_owned(), "pt".to_owned())]).unwrap();
    let checkpoint = FileCheckpoint::open(&path).unwrap();
    let found: Vec<_> = checkpoint.tensors().map(|tensor| (tensor.key().to_owned(), tensor.bytes().unwrap())).collect();
    let expected = [("flag".to_owned(), vec![1]), ("weight".to_owned(), floats(&[1.0, 3.0, 2.0, 4.0]))];
    assert_eq!(found, expected);
    assert_eq!(checkpoint.meta(), json!({"__metadata__": {"format": "pt"}}));
}

#[test]
fn what_cannot_be_written_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    fs::write(&path, b"old").unwrap();
    let twice = PthItem::mapping([("a", json!(1).into()), ("a", json!(2).into())]);
    assert!(write_pth(&path, &twice).unwrap_err().to_string().contains("`a`"));
    let complex = [("c".to_owned(), TensorData::new(Dtype::Complex128, &[1], &[0; 16]).unwrap())];
    let error = write_safetensors(&path, &complex, &[]).unwrap_err();
    assert!(error.to_string().contains("complex128"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(write_pth(folder.path().join("missing/model.pth"), &PthItem::mapping::<String>([])).is_err());
}

#[test]
fn tensors_to_be_written_are_checked() {
    assert!(TensorData::new(Dtype::Float32, &[2], &[0; 7]).is_err());
    assert!(TensorData::new(Dtype::Float32, &[2], &[0; 9]).is_err());
    assert!(TensorData::view(Dtype::Float32, &[2], &[2], 0, &[0; 8]).is_err());
    assert!(TensorData::view(Dtype::Float32, &[u64::MAX], &[1], 0, &[0; 8]).is_err());
    assert!(TensorData::new(Dtype::Qint8, &[2], &[0; 2]).is_err());
}
