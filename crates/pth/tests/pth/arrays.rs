//! Plain pickles of numpy arrays.

use std::fs;
use std::path::{Path, PathBuf};

use mmcv_pth::{
    Checkpoint, CompareOptions, ConvertOptions, Dtype, Error, ErrorKind, FileCheckpoint, FileSignature, OpenOptions,
    OutputFormat, compare, convert, inspect,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::forge::{self, global, text};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/arrays")
}

fn files() -> Vec<(String, PathBuf)> {
    let mut files: Vec<_> = (2..=5).flat_map(|protocol| ["detectron2", "blobs"].map(|name| (name, protocol))).collect();
    files.push(("flat", 2));
    files
        .into_iter()
        .map(|(name, protocol)| (name.to_owned(), folder().join(format!("{name}.{protocol}.pkl"))))
        .collect()
}

#[test]
fn arrays_are_read_as_numpy_reads_them() {
    for (name, file) in files() {
        let expected: Value =
            serde_json::from_slice(&fs::read(folder().join(format!("{name}.json"))).unwrap()).unwrap();
        let checkpoint = Checkpoint::open(&file).unwrap();
        checkpoint.verify().unwrap();
        let expected = expected.as_object().unwrap();
        let keys: Vec<_> = checkpoint.tensors().map(|raw| raw.key().to_owned()).collect();
        assert_eq!(keys, expected.keys().cloned().collect::<Vec<_>>(), "{}", file.display());
        for raw in checkpoint.tensors() {
            let wanted = &expected[raw.key()];
            let digest: String =
                Sha256::digest(raw.bytes().unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
            let found = (raw.dtype().unwrap().name(), serde_json::json!(raw.shape()), digest);
            let wanted = (
                wanted["dtype"].as_str().unwrap(),
                wanted["shape"].clone(),
                wanted["sha256"].as_str().unwrap().to_owned(),
            );
            assert_eq!(found, wanted, "{}: {}", file.display(), raw.key());
        }
    }
}

#[test]
fn the_entry_and_what_is_no_array_are_found() {
    for (name, file) in files() {
        let checkpoint = Checkpoint::open(&file).unwrap();
        let entry = checkpoint.find(None).unwrap().entry;
        let meta = checkpoint.file().unwrap().meta();
        match name.as_str() {
            "detectron2" => {
                assert_eq!(entry, "model");
                assert_eq!((&meta["__author__"], &meta["matching_heuristics"]), (&"somebody".into(), &true.into()));
                assert_eq!(meta["notes"], "x".repeat(6000));
            }
            "blobs" => assert_eq!((entry.as_str(), &meta["cfg"]), ("blobs", &"MODEL:\n  TYPE: x\n".into())),
            _ => assert_eq!(entry, ""),
        }
    }
}

#[test]
fn inspecting_one_is_refused_and_the_way_is_named() {
    for (_, file) in files() {
        for error in [inspect(&file, &OpenOptions::new(), true).unwrap_err(), FileCheckpoint::open(&file).unwrap_err()]
        {
            let is_pickle = matches!(*error.kind, ErrorKind::UnknownFormat { found: FileSignature::Pickle });
            assert!(is_pickle && error.to_string().contains("`Checkpoint::open`"), "{error}");
        }
    }
}

#[test]
fn a_converted_one_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for (_, file) in files() {
        let pickle = Checkpoint::open(&file).unwrap();
        let lossy = ConvertOptions { lossy: true, ..ConvertOptions::default() };
        for (name, target) in [("a.pth", OutputFormat::Pth), ("a.safetensors", OutputFormat::Safetensors)] {
            let path = folder.path().join(name);
            convert(&pickle, &path, target, &lossy).unwrap();
            let comparison = compare(&pickle, &Checkpoint::open(&path).unwrap(), &CompareOptions::default()).unwrap();
            assert!(comparison.is_same() && comparison.same > 0, "{}: {comparison:?}", file.display());
        }
    }
}

fn read(bytes: &[u8]) -> Result<Checkpoint, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.pkl");
    fs::write(&path, bytes).unwrap();
    Checkpoint::open(&path)
}

/// A string as Python 2 writes it.
fn string(bytes: &[u8]) -> Vec<u8> {
    [b"T".as_slice(), &(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

/// `{"w": array}` as Python 2 writes it.
fn array(dtype: &str, order: &str, shape: &[u8], columns_first: bool, data: &[u8]) -> Vec<u8> {
    let empty = [global("numpy", "ndarray"), b"K\0\x85".to_vec(), string(b"b"), b"\x87R".to_vec()].concat();
    let class =
        [global("numpy", "dtype"), b"(".to_vec(), string(dtype.as_bytes()), b"K\0K\x01tR(K\x03".to_vec()].concat();
    let class = [class, string(order.as_bytes()), b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb".to_vec()].concat();
    let shape: Vec<u8> = shape.iter().flat_map(|&size| [b'K', size]).collect();
    let shape = [b"(".to_vec(), shape, b"t".to_vec()].concat();
    let columns = if columns_first { b"\x88" } else { b"\x89" };
    let state = [b"(K\x01".to_vec(), shape, class, columns.to_vec(), data.to_vec(), b"tb".to_vec()].concat();
    let value = [global("numpy.core.multiarray", "_reconstruct"), empty, state].concat();
    [b"\x80\x02".to_vec(), forge::root(&value)].concat()
}

#[test]
fn arrays_of_python_2_are_read_whatever_their_bytes_look_like() {
    let elements = |dtype: &str, order: &str, columns_first: bool, data: &[u8]| {
        let checkpoint = read(&array(dtype, order, &[2, 3], columns_first, &string(data))).unwrap();
        let raw = checkpoint.tensors().next().unwrap();
        (raw.dtype().unwrap(), raw.shape().to_vec(), raw.bytes().unwrap())
    };
    // Bytes that are text, and bytes that are none.
    assert_eq!(elements("i1", "|", false, b"abcdef"), (Dtype::Int8, vec![2, 3], b"abcdef".to_vec()));
    assert_eq!(elements("u1", "|", false, b"\xff\xfe\x80abc").2, b"\xff\xfe\x80abc");
    assert_eq!(
        elements("i2", ">", false, b"\0\x01\0\x02\0\x03\0\x04\0\x05\0\x06").2,
        b"\x01\0\x02\0\x03\0\x04\0\x05\0\x06\0"
    );
    assert_eq!(elements("u1", "|", true, &[1, 4, 2, 5, 3, 6]).2, [1, 2, 3, 4, 5, 6]);
    assert_eq!(elements("b1", "|", false, &[0, 1, 1, 0, 1, 0]).0, Dtype::Bool);
}

#[test]
fn wrong_arrays_are_refused() {
    let error = |bytes: &[u8]| read(bytes).expect_err("refused").to_string();
    for data in [&b"abcde"[..], b"abcdefg", b""] {
        assert!(error(&array("i1", "|", &[2, 3], false, &string(data))).contains("[2, 3]"));
    }
    assert!(error(&array("O8", "|", &[1], false, b"]Na")).contains("Python objects"));
    assert!(error(&array("O", "|", &[1], false, b"]Na")).contains("Python objects"));
    for bytes in [
        array("i1", "x", &[1], false, &string(b"a")),
        array("i1", "|", &[1], false, b"N"),
        array("i1", "|", &[1], false, b"K\x01"),
        [array("i1", "|", &[1], false, &string(b"a")), b"tail".to_vec()].concat(),
        b"\x80\x02]}b.".to_vec(),
        [b"\x80\x02".to_vec(), global("os", "system"), b".".to_vec()].concat(),
        b"\x80\x02(X\x07\0\0\0storageNNNNtQ.".to_vec(),
        b"\x80\x04B\xff\xff\xff\x7f.".to_vec(),
        b"\x80\x05\x97.".to_vec(),
    ] {
        error(&bytes);
    }
    // Types that torch does not have are no tensors, and no errors.
    for dtype in ["S6", "U1", "M8[ns]", "V6"] {
        let checkpoint = read(&array(dtype, "|", &[1], false, &string(b"abcdef"))).unwrap();
        assert_eq!(checkpoint.file().unwrap().meta()["w"]["$opaque"], "numpy.ndarray");
        assert_eq!(checkpoint.tensors().count(), 0);
        assert!(checkpoint.find(None).unwrap_err().to_string().contains("no tensors"));
    }
    // Many values with the same elements.
    let huge = [text("k"), b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec()].concat();
    assert!(error(&[b"\x80\x04}".to_vec(), huge, b"s.".to_vec()].concat()).contains("ends within"));
}

#[test]
fn a_cut_pickle_is_refused() {
    for name in ["detectron2.2.pkl", "detectron2.4.pkl", "blobs.5.pkl"] {
        let bytes = fs::read(folder().join(name)).unwrap();
        for length in (2..bytes.len()).step_by(97) {
            read(&bytes[..length]).expect_err("cut");
        }
    }
}
