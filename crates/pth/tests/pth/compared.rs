//! Two files, compared.

use std::path::Path;

use mmcv_pth::{
    Checkpoint, CompareOptions, Comparison, ConversionReport, ConvertOptions, Dtype, OutputFormat, PthItem, TensorData,
    ValueDifference, compare, convert, write_pth,
};
use serde_json::json;

type Tensors<'a> = &'a [(&'a str, Dtype, &'a [u64], Vec<u8>)];

fn write(file: &Path, tensors: Tensors<'_>, entry: Option<&str>) {
    let items = tensors
        .iter()
        .map(|(key, dtype, shape, bytes)| (*key, PthItem::from(TensorData::new(*dtype, shape, bytes).unwrap())));
    let mapping = PthItem::mapping(items);
    let root = match entry {
        Some(entry) => PthItem::mapping([(entry, mapping)]),
        None => mapping,
    };
    write_pth(file, &root).unwrap();
}

fn compared(a: Tensors<'_>, b: Tensors<'_>, options: &CompareOptions<'_>) -> Comparison {
    let folder = tempfile::tempdir().unwrap();
    let files = ["a.pth", "b.pth"].map(|name| folder.path().join(name));
    write(&files[0], a, None);
    write(&files[1], b, None);
    compare(&Checkpoint::open(&files[0]).unwrap(), &Checkpoint::open(&files[1]).unwrap(), options).unwrap()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn halves(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn names_shapes_types_and_values_are_told_apart() {
    let a = [
        ("same", Dtype::Float32, &[2][..], floats(&[1.0, f32::NAN])),
        ("first", Dtype::Float32, &[1], floats(&[1.0])),
        ("shape", Dtype::Float32, &[2], floats(&[1.0, 2.0])),
        ("dtype", Dtype::Float32, &[2], floats(&[1.0, 2.0])),
        ("values", Dtype::Float32, &[3], floats(&[1.0, 2.0, 4.0])),
        ("zero", Dtype::Float32, &[1], floats(&[0.0])),
        ("nan", Dtype::Float32, &[1], floats(&[1.0])),
        ("large", Dtype::Int64, &[1], i64::MAX.to_le_bytes().to_vec()),
    ];
    let b = [
        ("second", Dtype::Float32, &[1][..], floats(&[1.0])),
        ("same", Dtype::Float32, &[2], floats(&[1.0, f32::NAN])),
        ("shape", Dtype::Float32, &[1, 2], floats(&[1.0, 2.0])),
        ("dtype", Dtype::Float16, &[2], halves(&[0x3c00, 0x4000])),
        ("values", Dtype::Float32, &[3], floats(&[1.0, 2.5, 3.0])),
        ("zero", Dtype::Float32, &[1], floats(&[-0.0])),
        ("nan", Dtype::Float32, &[1], floats(&[f32::NAN])),
        ("large", Dtype::Int64, &[1], (i64::MAX - 1).to_le_bytes().to_vec()),
    ];
    let found = compared(&a, &b, &CompareOptions::default());
    assert!(!found.is_same());
    assert_eq!(
        (found.same, &found.only_in_a[..], &found.only_in_b[..]),
        (1, &["first".into()][..], &["second".into()][..])
    );
    let values = |key: &str| found.different.iter().find(|one| one.key == key).unwrap().values;
    let of = |elements, total, max_abs, max_rel| Some(ValueDifference { elements, total, max_abs, max_rel });
    assert_eq!(found.different.len(), 6);
    assert_eq!(values("shape"), None);
    assert_eq!(values("dtype"), of(0, 2, 0.0, 0.0));
    assert_eq!(values("values"), of(2, 3, 1.0, 0.25));
    assert_eq!(values("zero"), of(1, 1, 0.0, 0.0));
    assert_eq!(values("nan"), of(1, 1, f64::INFINITY, f64::INFINITY));
    assert_eq!(values("large").map(|values| (values.elements, values.max_abs)), Some((1, 1.0)));

    let within = CompareOptions { atol: 0.5, rtol: 0.25, ..CompareOptions::default() };
    let left: Vec<_> = compared(&a, &b, &within).different.into_iter().map(|one| one.key).collect();
    assert_eq!(left, ["shape", "nan"]);
}

#[test]
fn formats_and_strides_make_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let bytes = floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let turned = TensorData::view(Dtype::Float32, &[3, 2], &[1, 3], 0, &bytes).unwrap();
    let inner = PthItem::mapping([("turned", PthItem::from(turned))]);
    write_pth(file("a.pth"), &PthItem::mapping([("state_dict", inner)])).unwrap();
    let a = Checkpoint::open(file("a.pth")).unwrap();
    convert(&a, file("b.safetensors"), OutputFormat::Safetensors, &ConvertOptions::default()).unwrap();
    let b = Checkpoint::open(file("b.safetensors")).unwrap();
    assert!(compare(&a, &b, &CompareOptions::default()).unwrap().is_same());

    let gathered = floats(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    write(&file("c.pth"), &[("turned", Dtype::Float32, &[3, 2], gathered)], None);
    let c = Checkpoint::open(file("c.pth")).unwrap();
    assert_eq!(compare(&a, &c, &CompareOptions::default()).unwrap().same, 0);
    let entry = CompareOptions { entry: Some("state_dict"), ..CompareOptions::default() };
    for nested in [&a, &b] {
        assert!(compare(nested, &c, &entry).unwrap().is_same());
    }
}

#[test]
fn reports_are_serialized() {
    let a = [("w", Dtype::Float32, &[2][..], floats(&[1.0, 2.0])), ("x", Dtype::Float32, &[1], floats(&[1.0]))];
    let b = [("w", Dtype::Float32, &[2][..], floats(&[1.0, f32::NAN])), ("y", Dtype::Int64, &[0], Vec::new())];
    let comparison = compared(&a, &b, &CompareOptions::default());
    let infinite = json!({"$float": "inf"});
    let side = json!({"dtype": "float32", "shape": [2]});
    let expected = json!({
        "equal": false,
        "same": 0,
        "only_in_a": ["x"],
        "only_in_b": ["y"],
        "different": {
            "w": {"a": side, "b": side, "values": {"elements": 1, "of": 2, "max_abs": infinite, "max_rel": infinite}},
        },
    });
    assert_eq!(serde_json::to_value(&comparison).unwrap(), expected);
    let left_out = vec![("config".to_owned(), "a frozenset".to_owned())];
    let report = ConversionReport { tensors: 3, cast: 1, unshared: 2, left_out };
    let expected = json!({"tensors": 3, "cast": 1, "unshared": 2, "left_out": {"config": "a frozenset"}});
    assert_eq!(serde_json::to_value(&report).unwrap(), expected);
}
