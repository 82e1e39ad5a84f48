//! What an independent check of the contract found.

use std::fs;

use mmcv_pth::{OpenOptions, inspect};

use crate::forge::{self, Entry, global, int, root, sizes, storage, tensor, text, unpickle, unpickle_error, zip};

fn weight() -> Vec<u8> {
    tensor(&storage("FloatStorage", "0", 4), 0, &[4], &[1])
}

fn call(module: &str, name: &str, arguments: &[u8]) -> Vec<u8> {
    [global(module, name), b"(".to_vec(), arguments.to_vec(), b"tR".to_vec()].concat()
}

#[test]
fn work_that_a_few_bytes_repeat_is_limited() {
    // Finding equal keys, storages and names costs time for each byte of them.
    let long = text(&"x".repeat(1 << 20));
    let keys = [b"}q\0".to_vec(), long.clone(), b"q\x010".to_vec(), b"h\x01Ns".repeat(1000), b"0N.".to_vec()].concat();
    assert!(unpickle_error(&keys).contains("mapping key"));
    let id = [b"(".to_vec(), text("storage"), global("torch", "FloatStorage"), long.clone(), text("cpu"), int(4)];
    let ids = [id.concat(), b"tq\x01".to_vec(), b"h\x01Q0".repeat(1000), b"N.".to_vec()].concat();
    assert!(unpickle_error(&ids).contains("memory"));
    let name = [long, text("y"), b"\x93.".to_vec()].concat();
    assert!(unpickle_error(&name).contains("too long"));
    // One tensor behind many values, reached many times.
    let empty = tensor(&storage("FloatStorage", "0", 4), 0, &[0], &[1]);
    let inner = [b"](".to_vec(), b"N".repeat(1_000_000), empty, b"eq\x01".to_vec()].concat();
    let paths = [inner, b"](".to_vec(), b"h\x01".repeat(1000), b"e.".to_vec()].concat();
    assert!(unpickle_error(&paths).contains("steps"));
}

#[test]
fn memory_for_finding_equal_keys_is_counted() {
    let batch = |batch: i32| {
        let items =
            (0..500_000).flat_map(|key: i32| [b"J".as_slice(), &(batch * 500_000 + key).to_le_bytes()].concat());
        [b"(".to_vec(), items.collect(), b"\x90".to_vec()].concat()
    };
    let set = [b"\x8f".to_vec(), (0..4).flat_map(batch).collect(), b"0N.".to_vec()].concat();
    assert!(unpickle_error(&set).contains("memory"));
}

#[test]
fn damaged_storages_are_found_without_digests() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let refused = |entries: &[Entry]| {
        fs::write(&path, zip(entries)).unwrap();
        inspect(&path, &OpenOptions::new(), false).expect_err("the storage is damaged").to_string()
    };
    let pickle = Entry::new("a/data.pkl", &root(&weight()));
    let wrong = Entry { crc: 1, ..Entry::new("a/data/0", &[7; 16]) };
    assert!(refused(&[pickle.clone(), wrong]).contains("checksum"));
    let shorter = Entry { size: 16, ..Entry::deflated("a/data/0", &[7; 8]) };
    assert!(refused(&[pickle, shorter]).contains("compressed data"));
    // A storage without a tensor of its own, too.
    let sparse = [call("torch.serialization", "_get_layout", &text("torch.sparse_coo")), sparse_data()].concat();
    let sparse = [call("torch._utils", "_rebuild_sparse_tensor", &sparse), b".".to_vec()].concat();
    let wrong = Entry { crc: 1, ..Entry::new("a/data/0", &[7; 16]) };
    assert!(refused(&[Entry::new("a/data.pkl", &sparse), wrong]).contains("checksum"));
    // What is not read may be damaged.
    let unread = Entry { crc: 1, ..Entry::new("a/version", b"3") };
    let good = [Entry::new("a/data.pkl", &root(&weight())), Entry::new("a/data/0", &[7; 16]), unread];
    assert!(forge::read(&zip(&good)).is_ok());
}

fn sparse_data() -> Vec<u8> {
    [b"(".to_vec(), weight(), weight(), sizes(&[4]), b"t".to_vec()].concat()
}

#[test]
fn arguments_of_sparse_tensors_and_devices_are_checked() {
    let layout = call("torch.serialization", "_get_layout", &text("torch.sparse_coo"));
    let sparse = |data: &[u8]| {
        let arguments = [layout.clone(), b"(".to_vec(), data.to_vec(), b"t".to_vec()].concat();
        [call("torch._utils", "_rebuild_sparse_tensor", &arguments), b".".to_vec()].concat()
    };
    assert!(unpickle(&sparse(&[weight(), weight(), sizes(&[4])].concat())).is_ok());
    for data in [
        [int(1), int(2), int(3)].concat(),
        [weight(), weight(), int(4)].concat(),
        [weight(), weight(), sizes(&[-1])].concat(),
        [weight(), weight(), weight(), sizes(&[4])].concat(),
    ] {
        assert!(unpickle_error(&sparse(&data)).contains("_rebuild_sparse_tensor"));
    }
    for device in ["", "cuda:", "cuda:x", ":0", "a b"] {
        let pickle = [call("torch", "device", &text(device)), b".".to_vec()].concat();
        assert!(unpickle_error(&pickle).contains("torch.device"), "{device}");
    }
}

#[test]
fn inst_and_obj_call_functions_too() {
    let arguments = [text("a"), text("latin1")].concat();
    let inst = [b"(".to_vec(), arguments.clone(), b"i_codecs\nencode\n.".to_vec()].concat();
    let obj = [b"(".to_vec(), global("_codecs", "encode"), arguments, b"o.".to_vec()].concat();
    for pickle in [inst, obj] {
        assert_eq!(unpickle(&pickle).unwrap()["meta"], serde_json::json!({"": {"$bytes": "61"}}));
    }
}

#[test]
fn a_long_name_of_a_file_leaves_room_for_the_reason() {
    let path = std::path::Path::new("/").join(["x".repeat(100).as_str(); 30].join("/"));
    let line = format!("error: {}", inspect(&path, &OpenOptions::new(), false).expect_err("there is no such file"));
    assert!(line.chars().count() <= 1000 && line.contains("No such file"), "{line}");
}

#[test]
fn the_text_form_shows_the_start_of_long_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let pickle = [b"}".to_vec(), text("k"), text(&"é".repeat(100_000)), b"s.".to_vec()].concat();
    fs::write(&path, forge::pth(&pickle)).unwrap();
    let shown = inspect(&path, &OpenOptions::new(), false).unwrap().to_string();
    assert!(shown.contains("k: \"éééé") && shown.len() < 1000, "{shown}");
}
