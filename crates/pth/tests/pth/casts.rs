//! Floating-point numbers of another type.

use std::path::Path;

use mmcv_pth::{
    Checkpoint, CompareOptions, ConvertOptions, Dtype, FileCheckpoint, OutputFormat, PthItem, TensorData, compare,
    convert, write_pth,
};

const TYPES: [Dtype; 4] = [Dtype::Float16, Dtype::Bfloat16, Dtype::Float32, Dtype::Float64];

#[test]
fn numbers_are_cast_as_torch_casts_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/casts/casts.safetensors");
    let source = Checkpoint::open(&file).unwrap();
    let expected = FileCheckpoint::open(&file).unwrap();
    for dtype in TYPES {
        for (name, target) in [("a.pth", OutputFormat::Pth), ("a.safetensors", OutputFormat::Safetensors)] {
            let path = folder.path().join(name);
            let options = ConvertOptions { dtype: Some(dtype), ..ConvertOptions::default() };
            let converted = convert(&source, &path, target, &options).unwrap();
            assert_eq!((converted.tensors, converted.cast), (16, 12));
            let written = FileCheckpoint::open(&path).unwrap();
            let find = |checkpoint: &FileCheckpoint, key: &str| {
                checkpoint
                    .tensors()
                    .find(|raw| raw.key() == key)
                    .map(|raw| (raw.dtype().unwrap(), raw.bytes().unwrap()))
            };
            for from in TYPES {
                let wanted = if from == dtype { from.to_string() } else { format!("{from}.{dtype}") };
                let (found, wanted) = (find(&written, from.name()).unwrap(), find(&expected, &wanted).unwrap());
                assert_eq!(found.0, dtype);
                assert!(found.1 == wanted.1, "{from} to {dtype} in {name}");
            }
        }
    }
}

#[test]
fn only_floating_point_tensors_are_cast_and_sharing_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.pth"), folder.path().join("b.pth"));
    let floats: Vec<u8> = [1.0_f32, 2.5, -3.0, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let (steps, flags) = (7_i64.to_le_bytes(), [1, 0]);
    let view = |shape: &[u64], strides: &[u64], offset| {
        PthItem::from(TensorData::view(Dtype::Float32, shape, strides, offset, &floats).unwrap())
    };
    let state = PthItem::mapping([
        ("weight", view(&[2, 2], &[2, 1], 0)),
        ("turned", view(&[2, 2], &[1, 2], 0)),
        ("last", view(&[1], &[1], 3)),
        ("steps", TensorData::new(Dtype::Int64, &[], &steps).unwrap().into()),
        ("flags", TensorData::new(Dtype::Bool, &[2], &flags).unwrap().into()),
    ]);
    write_pth(&from, &PthItem::mapping([("state_dict", state)])).unwrap();
    let source = Checkpoint::open(&from).unwrap();
    let options = ConvertOptions { dtype: Some(Dtype::Float16), ..ConvertOptions::default() };
    assert_eq!(convert(&source, &to, OutputFormat::Pth, &options).unwrap().cast, 3);
    let written = FileCheckpoint::open(&to).unwrap();
    let tensors: Vec<_> = written.tensors().collect();
    let types: Vec<_> = tensors.iter().map(|raw| raw.dtype().unwrap()).collect();
    assert_eq!(types, [Dtype::Float16, Dtype::Float16, Dtype::Float16, Dtype::Int64, Dtype::Bool]);
    assert_eq!(tensors[0].storage(), tensors[2].storage());
    assert_eq!((tensors[1].strides(), tensors[2].storage_offset()), (&[1, 2][..], 6));
    assert_eq!(tensors[1].bytes().unwrap(), [0, 0x3c, 0, 0xc2, 0, 0x41, 0, 0x44]);
    let same = CompareOptions { rtol: 1e-9, ..CompareOptions::default() };
    assert!(compare(&source, &Checkpoint::open(&to).unwrap(), &same).unwrap().is_same());
    // Only these four types.
    let options = ConvertOptions { dtype: Some(Dtype::Int8), ..ConvertOptions::default() };
    assert!(convert(&source, &to, OutputFormat::Pth, &options).unwrap_err().to_string().contains("int8"));
}
