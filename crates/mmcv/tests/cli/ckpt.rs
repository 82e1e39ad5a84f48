//! `mmcv ckpt convert`, `diff` and `verify`.

use std::fs;
use std::path::Path;

use mmcv_pth::{Dtype, Item, TensorData, write_pth};
use serde_json::{Value, json};

use crate::{Said, mmcv};

/// Runs the command in `folder`, with the file names as they are given.
fn ckpt<const N: usize>(folder: &Path, arguments: [&str; N]) -> Said {
    Said::by(mmcv(folder, ["ckpt"]).args(arguments).current_dir(folder))
}

/// `{"epoch": 3, "state_dict": {"weight": [first, 2, 3], "tied": the same}}`.
fn write(folder: &Path, name: &str, first: f32) {
    let bytes: Vec<u8> = [first, 2.0, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensor = TensorData::new(Dtype::Float32, &[3], &bytes).unwrap();
    let state = Item::mapping([("weight", Item::from(tensor.clone())), ("tied", tensor.into())]);
    let root = Item::mapping([("epoch", Item::from(json!(3))), ("state_dict", state)]);
    write_pth(folder.join(name), &root).unwrap();
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_converted_file_is_told_and_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.pth", 1.0);
    let told = ckpt(folder.path(), ["convert", "a.pth", "b.safetensors"]).done();
    assert!(told.starts_with("b.safetensors: 2 tensors, ") && told.contains("1 tensor shared memory"), "{told}");
    let told = parsed(&ckpt(folder.path(), ["convert", "b.safetensors", "c", "--to", "pth", "--json"]).done());
    assert_eq!((&told["format"], &told["tensors"], &told["left_out"]), (&json!("pth"), &json!(2), &json!({})));
    assert_eq!(told["bytes"], fs::metadata(folder.path().join("c")).unwrap().len());
    for other in ["b.safetensors", "c"] {
        assert_eq!(ckpt(folder.path(), ["diff", "a.pth", other]).done(), "2 the same\n");
    }
    ckpt(folder.path(), ["convert", "a.pth", "weights.pt", "--entry", "state_dict"]).done();
    let inspected = parsed(&ckpt(folder.path(), ["inspect", "weights.pt", "--json"]).done());
    assert_eq!(inspected["tensors"].as_object().unwrap().keys().collect::<Vec<_>>(), ["weight", "tied"]);
    assert_eq!(
        ckpt(folder.path(), ["diff", "b.safetensors", "weights.pt", "--entry", "state_dict"]).done(),
        "2 the same\n"
    );
}

#[test]
fn a_file_that_exists_is_replaced_only_by_force() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.pth", 1.0);
    let before = fs::read(folder.path().join("a.pth")).unwrap();
    fs::write(folder.path().join("b.safetensors"), "mine").unwrap();
    let error = ckpt(folder.path(), ["convert", "a.pth", "b.safetensors"]).failed();
    assert!(error.contains("b.safetensors") && error.contains("--force"), "{error}");
    assert_eq!(fs::read(folder.path().join("b.safetensors")).unwrap(), b"mine");
    ckpt(folder.path(), ["convert", "a.pth", "b.safetensors", "--force"]).done();
    // Also a file by itself.
    ckpt(folder.path(), ["convert", "a.pth", "a.pth", "--force"]).done();
    assert_eq!(fs::read(folder.path().join("a.pth")).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
}

#[test]
fn differences_are_grouped_and_end_with_1() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.pth", 1.0);
    write(folder.path(), "b.pth", 1.5);
    let said = ckpt(folder.path(), ["diff", "a.pth", "b.pth"]);
    assert_eq!((said.code, said.stderr.as_str()), (1, "error: a.pth and b.pth differ\n"), "{said:?}");
    let line = "2 of other values (\"state_dict.weight\": 1 of 3 elements differ, by at most 5.000e-1";
    assert!(said.stdout.starts_with(&format!("0 the same\n{line}")), "{said:?}");
    let said = ckpt(folder.path(), ["diff", "a.pth", "b.pth", "--json"]);
    let told = parsed(&said.stdout);
    assert_eq!((said.code, &told["equal"], &told["same"]), (1, &json!(false), &json!(0)), "{said:?}");
    let values = json!({"elements": 1, "of": 3, "max_abs": 0.5, "max_rel": 0.5 / 1.5});
    assert_eq!(told["different"]["state_dict.tied"]["values"], values);
    assert_eq!(ckpt(folder.path(), ["diff", "a.pth", "b.pth", "--atol", "0.5"]).done(), "2 the same\n");
    // What cannot be read is another failure.
    let error = ckpt(folder.path(), ["diff", "a.pth", "none.pth"]).failed();
    assert!(error.starts_with("error: none.pth: "), "{error}");
}

#[test]
fn verify_reads_all_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.pth", 1.0);
    let told = parsed(&ckpt(folder.path(), ["verify", "a.pth", "--json"]).done());
    assert_eq!((&told["format"], &told["tensors"], &told["expected"]), (&json!("pth-zip"), &json!(2), &Value::Null));
    let sha256 = told["sha256"].as_str().unwrap();
    let [right, wrong] = [format!("a-{}.pth", &sha256[..8]), "a-01234567.pth".to_owned()];
    for name in [&right, &wrong] {
        fs::copy(folder.path().join("a.pth"), folder.path().join(name)).unwrap();
    }
    assert!(ckpt(folder.path(), ["verify", &right]).done().contains("as its name tells"));
    let error = ckpt(folder.path(), ["verify", &wrong]).failed();
    assert!(error.contains("expected 01234567") && error.contains(sha256), "{error}");
    ckpt(folder.path(), ["verify", &wrong, "--sha256", sha256]).done();
    assert!(ckpt(folder.path(), ["verify", &right, "--sha256", "012345"]).failed().contains("--sha256"));

    // A byte of an element.
    let mut bytes = fs::read(folder.path().join("a.pth")).unwrap();
    let at = bytes.windows(4).position(|window| window == 2f32.to_le_bytes()).unwrap();
    bytes[at] ^= 1;
    fs::write(folder.path().join("a.pth"), bytes).unwrap();
    for arguments in [&["verify", "a.pth"][..], &["convert", "a.pth", "b.safetensors"], &["diff", "a.pth", &right]] {
        let error = Said::by(mmcv(folder.path(), ["ckpt"]).args(arguments).current_dir(folder.path())).failed();
        assert!(error.starts_with("error: a.pth: ") && error.contains("checksum"), "{error}");
    }
    assert!(!folder.path().join("b.safetensors").exists());
}

#[test]
fn files_with_an_index_are_one_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "1.pth", 1.0);
    ckpt(folder, ["convert", "1.pth", "1.bin", "--entry", "state_dict"]).done();
    ckpt(folder, ["convert", "1.bin", "2.safetensors"]).done();
    let index = json!({"weight_map": {"weight": "1.bin", "tied": "2.safetensors"}}).to_string();
    fs::write(folder.join("model.index.json"), index).unwrap();
    // Each file has one more than the index names in it.
    let error = ckpt(folder, ["convert", "model.index.json", "one.pth"]).failed();
    assert!(error.starts_with("error: model.index.json: ") && error.contains("`tied`"), "{error}");
    for name in ["one.pth", "one.safetensors"] {
        let told = parsed(&ckpt(folder, ["convert", "model.index.json", name, "--lossy", "--json"]).done());
        assert_eq!((&told["tensors"], &told["unshared"]), (&json!(2), &json!(0)), "{told}");
        assert_eq!(ckpt(folder, ["diff", "model.index.json", name]).done(), "2 the same\n");
        assert_eq!(ckpt(folder, ["diff", name, "model.index.json"]).done(), "2 the same\n");
    }
    let told = parsed(&ckpt(folder, ["verify", "model.index.json", "--json"]).done());
    assert_eq!((&told["format"], &told["tensors"]), (&json!("index"), &json!(2)));
    let part = parsed(&ckpt(folder, ["verify", "2.safetensors", "--json"]).done());
    assert_eq!((&told["files"][1]["sha256"], &told["files"][1]["bytes"]), (&part["sha256"], &part["bytes"]));
    assert_eq!(ckpt(folder, ["verify", "model.index.json"]).done().lines().count(), 4);
    let error = ckpt(folder, ["inspect", "model.index.json"]).failed();
    assert!(error.contains("index of a sharded checkpoint"), "{error}");

    fs::write(folder.join("2.safetensors"), "cut").unwrap();
    for arguments in [["verify", "model.index.json"].as_slice(), &["diff", "model.index.json", "one.pth"]] {
        let error = Said::by(mmcv(folder, ["ckpt"]).args(arguments).current_dir(folder)).failed();
        assert!(error.starts_with("error: 2.safetensors: "), "{error}");
    }
}
