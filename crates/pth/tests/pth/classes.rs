//! Objects of classes: those that are read, those that are refused, and those that are kept as opaque records.

use std::fs;
use std::path::{Path, PathBuf};

use mmcv_pth::{
    Checkpoint, ConvertOptions, ErrorKind, FileCheckpoint, OpenOptions, OutputFormat, UnknownClasses, convert, inspect,
};
use serde_json::{Value, json};

use crate::forge::{self, global, int, read_with, root, storage, tensor, text};

fn opaque() -> OpenOptions {
    OpenOptions::new().unknown_classes(UnknownClasses::Opaque)
}

/// The files of `classes/make.py` whose names begin so.
fn files(prefix: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/classes");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let wanted = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy();
        name.starts_with(prefix) && name.ends_with(".pth")
    };
    let mut files: Vec<_> = files.filter(wanted).collect();
    files.sort();
    assert!(files.len() > 1, "{prefix}");
    files
}

fn check(file: &Path, options: &OpenOptions) {
    let expected: Value = serde_json::from_slice(&fs::read(format!("{}.json", file.display())).unwrap()).unwrap();
    let found = inspect(file, options, true).unwrap();
    let found: Value = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
    assert_eq!(found, expected, "{}", file.display());
    let keys = |value: &Value| value["tensors"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&found), keys(&expected), "{}", file.display());
}

#[test]
fn harmless_classes_are_read_in_every_protocol() {
    for file in files("plain.") {
        check(&file, &OpenOptions::new());
        check(&file, &opaque());
    }
}

#[test]
fn unknown_classes_are_refused_with_the_two_ways_on() {
    for file in files("opaque.") {
        let error = inspect(&file, &OpenOptions::new(), true).unwrap_err();
        assert!(matches!(*error.kind, ErrorKind::ForbiddenGlobal { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("torch.save(model.state_dict()") && text.contains("UnknownClasses::Opaque"), "{text}");
    }
}

#[test]
fn unknown_classes_are_opaque_records_on_request() {
    for file in files("opaque.") {
        check(&file, &opaque());
    }
}

#[test]
fn a_pickled_module_becomes_its_state_dict() {
    let folder = tempfile::tempdir().unwrap();
    for file in files("opaque.module.") {
        let module = Checkpoint::open_with(&file, &opaque()).unwrap();
        let keys: Vec<_> = module.tensors().map(|raw| raw.key().to_owned()).collect();
        assert!(keys.contains(&"layer1.0.conv1.weight".to_owned()) && !keys.contains(&"grid".to_owned()), "{keys:?}");
        for (name, target) in [("a.pth", OutputFormat::Pth), ("a.safetensors", OutputFormat::Safetensors)] {
            let path = folder.path().join(name);
            let converted = convert(&module, &path, target, &ConvertOptions::default()).unwrap();
            assert_eq!((converted.tensors, converted.left_out.len()), (keys.len(), 0));
            let written = FileCheckpoint::open(&path).unwrap();
            let found: Vec<_> = written.tensors().map(|raw| raw.key().to_owned()).collect();
            assert_eq!(found, keys);
        }
    }
    // Of any other object it is told that it is lost.
    for file in files("opaque.holders.") {
        let holders = Checkpoint::open_with(&file, &opaque()).unwrap();
        for target in [OutputFormat::Pth, OutputFormat::Safetensors] {
            let path = folder.path().join("b");
            let error = convert(&holders, &path, target, &ConvertOptions::default()).unwrap_err().to_string();
            assert!(error.contains("`config` (`shop.Config`"), "{error}");
            let lossy = ConvertOptions { lossy: true, ..ConvertOptions::default() };
            convert(&holders, &path, target, &lossy).unwrap();
            let keys = |open: &Checkpoint| open.tensors().map(|raw| raw.key().to_owned()).collect::<Vec<_>>();
            assert_eq!(keys(&Checkpoint::open(&path).unwrap()), keys(&holders));
        }
    }
}

/// The JSON of a pickle that is read with unknown classes as opaque records.
fn unpickle(pickle: &[u8]) -> Result<Value, mmcv_pth::Error> {
    read_with(&forge::pth(pickle), &opaque())
}

fn call(callee: &[u8], arguments: &[u8]) -> Vec<u8> {
    [callee, b"(", arguments, b"tR"].concat()
}

#[test]
fn nothing_is_called_whatever_it_is() {
    let system = call(&global("os", "system"), &text("touch /tmp/never"));
    for (value, name) in [
        (system.clone(), "os.system"),
        (global("builtins", "eval"), "builtins.eval"),
        (call(&system, &int(1)), "os.system"),
        (call(&global("builtins", "getattr"), &[global("os", "path"), text("join")].concat()), "os.path"),
        (call(&call(&global("builtins", "getattr"), &[global("os", "path"), text("join")].concat()), b""), "os.path"),
        (b"(ios\nsystem\n".to_vec(), "os.system"),
        ([b"(".to_vec(), global("os", "system"), int(1), b"o".to_vec()].concat(), "os.system"),
        ([global("shop", "A"), b")}\x92".to_vec()].concat(), "shop.A"),
        ([text("shop"), text("A.B"), b"\x93)\x81".to_vec()].concat(), "shop.A.B"),
        (
            call(
                &global("copy_reg", "_reconstructor"),
                &[global("shop", "A"), global("builtins", "dict"), b"}".to_vec()].concat(),
            ),
            "shop.A",
        ),
        (call(&global("copy_reg", "__newobj__"), &global("shop", "A")), "shop.A"),
        (call(&global("copyreg", "__newobj_ex__"), &[global("shop", "A"), b")}".to_vec()].concat()), "shop.A"),
    ] {
        let found = unpickle(&root(&value)).unwrap();
        assert_eq!(found["meta"]["w"], json!({"$opaque": name}));
    }
    // What leaves the file stays forbidden, and what is no function is not called.
    for pickle in [b"Pid\n.".as_slice(), b"\x82\x01.", b"\x97.", b"NQ.", b"N)R.", b"X\x01\0\0\0a)R.", b"]}b."] {
        unpickle(pickle).expect_err("refused");
    }
}

#[test]
fn opaque_objects_may_hold_themselves_and_containers_may_not() {
    let weight = tensor(&storage("FloatStorage", "0", 4), 0, &[4], &[1]);
    let class = global("shop", "A");
    // {"w": a} where a.weight is a tensor, and a.self and a.list[0] are a.
    let attributes =
        [text("weight"), weight.clone(), text("self"), b"h\x01".to_vec(), text("list"), b"]h\x01a".to_vec()].concat();
    let object = [class.clone(), b")\x81q\x01}(".to_vec(), attributes, b"ub".to_vec()].concat();
    let found = unpickle(&root(&object)).unwrap();
    assert_eq!(found["tensors"].as_object().unwrap().keys().collect::<Vec<_>>(), ["w.weight"]);
    let list = [class.clone(), b")\x81}".to_vec(), text("x"), b"]q\x01h\x01asb".to_vec()].concat();
    assert!(unpickle(&root(&list)).unwrap_err().to_string().contains("holds itself"));
    // Two objects of a class as keys.
    let keys = [b"}(".to_vec(), call(&class, &int(1)), b"N".to_vec(), call(&class, &int(2)), b"Nu".to_vec()].concat();
    assert_eq!(unpickle(&root(&keys)).unwrap()["meta"]["w"].as_object().unwrap().len(), 2);
    // A class of one's own as the type of a tensor.
    let rebuild = [global("torch._utils", "_rebuild_tensor_v2"), class, b"(".to_vec()].concat();
    let hooks = [global("collections", "OrderedDict"), b")R".to_vec()].concat();
    let arguments = [storage("FloatStorage", "0", 4), int(0), forge::sizes(&[4]), forge::sizes(&[1])].concat();
    let arguments = [rebuild, arguments, b"\x89".to_vec(), hooks, b"t}".to_vec()].concat();
    let typed = call(&global("torch._tensor", "_rebuild_from_type_v2"), &arguments);
    assert_eq!(unpickle(&root(&typed)).unwrap()["tensors"]["w"]["shape"], json!([4]));
}

#[test]
fn limits_hold_for_opaque_objects() {
    let class = global("shop", "A");
    let deep = |count: usize| {
        let object = [&class[..], b")\x81}X\x01\0\0\0a"].concat();
        [
            object.repeat(count),
            tensor(&storage("FloatStorage", "0", 4), 0, &[4], &[1]),
            b"sb".repeat(count),
            b".".to_vec(),
        ]
        .concat()
    };
    assert!(unpickle(&deep(400)).is_ok());
    assert!(unpickle(&deep(600)).unwrap_err().to_string().contains("nested"));
    // Twice as many paths with each level.
    let level = [&class[..], b")\x81}(X\x01\0\0\0ah\x01X\x01\0\0\0bh\x01ubq\x01"].concat();
    let weight = tensor(&storage("FloatStorage", "0", 4), 0, &[4], &[1]);
    let many = [weight, b"q\x01".to_vec(), level.repeat(40), b".".to_vec()].concat();
    assert!(unpickle(&many).unwrap_err().to_string().contains("limit"));
}

#[test]
fn copyreg_makes_objects_of_listed_classes_only() {
    let call = |name: &str, arguments: &[u8]| root(&call(&global("copy_reg", name), arguments));
    let namespace = global("argparse", "Namespace");
    let object = global("__builtin__", "object");
    let good = call("_reconstructor", &[namespace.clone(), object.clone(), b"N".to_vec()].concat());
    assert_eq!(forge::unpickle(&good).unwrap()["meta"]["w"], json!({"$opaque": "argparse.Namespace"}));
    for arguments in [
        text("id"),
        [namespace.clone(), object.clone()].concat(),
        [text("argparse.Namespace"), object.clone(), b"N".to_vec()].concat(),
        [global("collections", "OrderedDict"), object.clone(), b"N".to_vec()].concat(),
        [global("torch._utils", "_rebuild_tensor_v2"), object.clone(), b"N".to_vec()].concat(),
        [global("numpy.core.multiarray", "scalar"), object, b"N".to_vec()].concat(),
        [namespace, text("object"), b"N".to_vec()].concat(),
    ] {
        let error = forge::unpickle_error(&call("_reconstructor", &arguments));
        assert!(error.contains("`copyreg._reconstructor`"), "{error}");
    }
    assert!(forge::unpickle_error(&call("__newobj__", &global("os", "system"))).contains("`os.system`"));
    assert!(forge::unpickle_error(&call("__newobj__", &global("_codecs", "encode"))).contains("_codecs.encode"));
    assert!(forge::unpickle_error(&call("__newobj__", b"")).contains("copyreg.__newobj__"));
}
