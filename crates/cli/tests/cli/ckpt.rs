//! `mmcv ckpt convert`, `diff` and `verify`.

use std::fs;
use std::path::Path;

use mmcv_pth::{Dtype, PthItem, TensorData, write_pth};
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
    let state = PthItem::mapping([("weight", PthItem::from(tensor.clone())), ("tied", tensor.into())]);
    let root = PthItem::mapping([("epoch", PthItem::from(json!(3))), ("state_dict", state)]);
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
    assert!(ckpt(folder.path(), ["verify", &right]).done().contains("matches its name"));
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

/// Files of mmcv-pth's tests.
fn data(name: &str) -> String {
    format!("{}/../pth/tests/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn unknown_classes_are_refused_or_opaque() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let module = data("classes/opaque.linear.pth-zip.2.pth");
    for arguments in [
        ["inspect", &module].as_slice(),
        &["verify", &module],
        &["diff", &module, &module],
        &["convert", &module, "a.pth"],
    ] {
        let error = Said::by(mmcv(folder, ["ckpt"]).args(arguments).current_dir(folder)).failed();
        assert!(error.lines().count() == 1 && error.contains("`torch.nn.modules.linear.Linear`"), "{error}");
        assert!(
            error.contains("torch.save(model.state_dict()") && error.contains("--unknown-classes opaque"),
            "{error}"
        );
    }
    let opaque = ["--unknown-classes", "opaque"];
    let inspected = Said::by(mmcv(folder, ["ckpt", "inspect", "--json", &module]).args(opaque)).done();
    assert_eq!(parsed(&inspected)["tensors"].as_object().unwrap().keys().collect::<Vec<_>>(), ["weight", "bias"]);
    let converted =
        Said::by(mmcv(folder, ["ckpt", "convert", &module, "a.pth"]).args(opaque).current_dir(folder)).done();
    assert!(converted.starts_with("a.pth: 2 tensors, "), "{converted}");
    let same = Said::by(mmcv(folder, ["ckpt", "diff", &module, "a.pth"]).args(opaque).current_dir(folder)).done();
    assert_eq!(same, "2 the same\n");
    assert!(Said::by(mmcv(folder, ["ckpt", "verify", &module]).args(opaque)).done().starts_with("good: "));
}

#[test]
fn pickles_of_arrays_are_converted_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pickle = data("arrays/detectron2.3.pkl");
    let error = ckpt(folder, ["inspect", &pickle]).failed();
    assert!(error.contains("a bare pickle") && error.contains("mmcv ckpt convert"), "{error}");
    let told = ckpt(folder, ["convert", &pickle, "a.safetensors", "--entry", "model"]).done();
    assert!(told.starts_with("a.safetensors: 14 tensors, "), "{told}");
    assert_eq!(ckpt(folder, ["diff", &pickle, "a.safetensors", "--entry", "model"]).done(), "14 the same\n");
    assert_eq!(parsed(&ckpt(folder, ["verify", &pickle, "--json"]).done())["format"], "pickle");
}

#[test]
fn entries_are_dotted_and_numbers_are_cast() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "a.pth", 1.0);
    let told = ckpt(folder, ["convert", "a.pth", "half.pth", "--dtype", "float16", "--json"]).done();
    assert_eq!(parsed(&told)["cast"], 2);
    let inspected = parsed(&ckpt(folder, ["inspect", "half.pth", "--json"]).done());
    assert_eq!(inspected["tensors"]["state_dict.tied"]["dtype"], "float16");
    let text = ckpt(folder, ["convert", "a.pth", "b.safetensors", "--dtype", "bfloat16"]).done();
    assert!(text.contains("2 tensors cast to bfloat16"), "{text}");
    assert_eq!(ckpt(folder, ["diff", "a.pth", "half.pth", "--rtol", "1e-9"]).done(), "2 the same\n");
    for command in
        [["convert", "a.pth", "c.pth", "--entry", "net.x"], ["diff", "a.pth", "half.pth", "--entry", "net.x"]]
    {
        let error = ckpt(folder, command).failed();
        assert!(error.contains("`state_dict` (2 tensors)"), "{error}");
    }
}

#[test]
fn what_only_looks_like_a_digest_is_said_and_passed_by() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, kind) in [
        ("checkpoint-123456.pth", "a date or a counter"),
        ("run-20240102.pth", "a date or a counter"),
        ("my-decade.pth", "a word"),
        ("big_facade.pth", "a word"),
    ] {
        write(folder, name, 1.0);
        let error = ckpt(folder, ["verify", name]).failed();
        assert!(error.contains(kind) && error.contains("--no-name-digest"), "{error}");
        let told = ckpt(folder, ["verify", name, "--no-name-digest"]).done();
        assert!(told.contains("no digest to compare it with"), "{told}");
    }
    write(folder, "a-0123abcd.pth", 1.0);
    assert!(!ckpt(folder, ["verify", "a-0123abcd.pth"]).failed().contains("--no-name-digest"));
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_not_replaced_and_links_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "a.pth", 1.0);
    assert!(std::process::Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());
    for destination in ["pipe", "/dev/null", "/dev/stdout", "."] {
        for force in [&["--force"][..], &[]] {
            let arguments = ["convert", "a.pth", destination, "--to", "pth"];
            let error = Said::by(mmcv(folder, ["ckpt"]).args(arguments).args(force).current_dir(folder)).failed();
            assert!(error.contains("only regular files"), "{destination}: {error}");
        }
    }
    fs::create_dir(folder.join("other")).unwrap();
    fs::write(folder.join("other/b.pth"), "old").unwrap();
    std::os::unix::fs::symlink("other/b.pth", folder.join("b.pth")).unwrap();
    assert!(ckpt(folder, ["convert", "a.pth", "b.pth"]).failed().contains("--force"));
    ckpt(folder, ["convert", "a.pth", "b.pth", "--force"]).done();
    assert!(folder.join("b.pth").symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read(folder.join("other/b.pth")).unwrap(), fs::read(folder.join("a.pth")).unwrap());
    assert_eq!(fs::read_dir(folder.join("other")).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn names_cannot_change_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let name = "a\u{1b}[31m\u{202e}b.pth";
    let tensor = TensorData::new(Dtype::Float32, &[1], &[0; 4]).unwrap();
    let root =
        PthItem::mapping([("key\u{1b}]0;x\u{7}\n", PthItem::from(tensor)), ("meta\u{9b}1m", json!("\u{1b}c").into())]);
    write_pth(folder.join(name), &root).unwrap();
    write(folder, "other.pth", 1.0);
    let outputs = [
        ckpt(folder, ["inspect", name]),
        ckpt(folder, ["verify", name]),
        ckpt(folder, ["diff", name, "other.pth"]),
        ckpt(folder, ["diff", name, "other.pth", "--all"]),
        ckpt(folder, ["convert", name, "b\u{1b}[0m.pth"]),
        ckpt(folder, ["convert", name, "b\u{1b}[0m.pth"]),
        ckpt(folder, ["convert", name, "c.pth", "--entry", "x\u{1b}[0m"]),
        ckpt(folder, ["verify", "none\u{1b}[0m.pth"]),
        ckpt(folder, ["verify", name, "--sha256", "abcdef"]),
    ];
    for said in outputs {
        for text in [&said.stdout, &said.stderr] {
            let odd = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
            assert!(!text.contains(odd), "{said:?}");
        }
    }
}
