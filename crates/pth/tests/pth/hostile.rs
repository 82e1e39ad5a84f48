//! Files that were made to do harm, and files that are damaged: an error each time, never a panic.

use std::fs;
use std::io::{Seek, SeekFrom, Write};

use crate::forge::{
    self, global, int, legacy, root, safetensors, sizes, storage, tensor, text, unpickle, unpickle_error,
};
use crate::good::files;

#[test]
fn a_file_cut_anywhere_is_refused() {
    // Protocols 1, 3 and 5 differ little from 2 and 4.
    let odd = |name: &str| [".1.", ".3.", ".5."].iter().any(|protocol| name.contains(protocol));
    for file in files().iter().filter(|file| !odd(&file.to_string_lossy())) {
        let bytes = fs::read(file).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut");
        fs::write(&path, &bytes).unwrap();
        let cut = fs::File::options().write(true).open(&path).unwrap();
        for length in (0..bytes.len()).rev() {
            cut.set_len(length as u64).unwrap();
            let result = mmcv_pth::inspect(&path, &mmcv_pth::OpenOptions::new(), true);
            assert!(result.is_err(), "{} cut to {length} bytes", file.display());
        }
    }
}

#[test]
fn a_changed_byte_never_panics() {
    // One file of each kind; every byte once.
    for name in ["root.pth-zip.2.pth", "views.pth-legacy.2.pth", "checkpoint.pth-legacy.4.pth", "plain.safetensors"] {
        let bytes = fs::read(forge::data_folder().join(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("changed");
        fs::write(&path, &bytes).unwrap();
        let mut file = fs::File::options().write(true).open(&path).unwrap();
        let mut put = |index: usize, byte: u8| {
            file.seek(SeekFrom::Start(index as u64)).unwrap();
            file.write_all(&[byte]).unwrap();
        };
        for (index, &byte) in bytes.iter().enumerate() {
            put(index, [byte ^ 1, byte ^ 0x80, 0xff, b'R', b'.'][index % 5]);
            if let Err(error) = mmcv_pth::inspect(&path, &mmcv_pth::OpenOptions::new(), true) {
                assert!(!error.to_string().contains('\n'));
            }
            put(index, byte);
        }
    }
}

#[test]
fn a_flipped_bit_of_a_stored_tensor_is_found() {
    let mut file = forge::pth(&root(&tensor(&storage("FloatStorage", "0", 4), 0, &[4], &[1])));
    assert!(forge::read(&file).is_ok());
    let place = file.windows(16).position(|window| window == [7; 16]).unwrap();
    file[place] ^= 1;
    assert!(forge::error(&file).contains("checksum"));
}

#[test]
fn globals_on_no_list_are_refused_by_name() {
    let names = [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("__builtin__", "exec"),
        ("subprocess", "Popen"),
        ("runpy", "_run_code"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("numpy", "load"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("collections", "OrderedDict.fromkeys"),
        ("pip", "main"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.jit._pickle", "restore_type_tag"),
        ("__torch__", "Net"),
        ("builtins", "getattr.__call__"),
        ("torch", "FloatTensor"),
        ("torch.nn.modules.linear", "Linear"),
        ("", ""),
    ];
    for (module, name) in names {
        let by_stack = [text(module), text(name), b"\x93".to_vec()].concat();
        let pickles = [
            // Called, popped, only named, in the memo, and as the class of an object.
            [global(module, name), b"(".to_vec(), text("id"), b"tR.".to_vec()].concat(),
            [global(module, name), b"0N.".to_vec()].concat(),
            [global(module, name), b".".to_vec()].concat(),
            [by_stack.clone(), b".".to_vec()].concat(),
            [by_stack, b"\x940N.".to_vec()].concat(),
            format!("(i{module}\n{name}\n.").into_bytes(),
            [b"(".to_vec(), global(module, name), b"o.".to_vec()].concat(),
            [global(module, name), b")\x81.".to_vec()].concat(),
        ];
        for pickle in pickles {
            let line = unpickle_error(&pickle);
            assert!(line.contains(&format!("`{module}.{name}`")), "{line}");
        }
    }
    // Other pickles of the file, too.
    let mut file = legacy(b"}.", &[], &[]);
    let place = file.windows(2).position(|window| window == b"}.").unwrap();
    file.splice(place..place + 1, global("os", "system"));
    assert!(forge::error(&file).contains("`os.system`"));
}

#[test]
fn only_listed_globals_are_called() {
    let inert = [global("argparse", "Namespace"), b")\x81".to_vec()].concat();
    let attribute = |class: &[u8], name: &[u8]| {
        [global("builtins", "getattr"), b"(".to_vec(), class.to_vec(), name.to_vec(), b"tR".to_vec()].concat()
    };
    let deque = global("collections", "deque");
    assert!(unpickle(&[attribute(&deque, &text("append")), b".".to_vec()].concat()).is_ok());
    let refused = [
        // The result of a call, a string, an object, an attribute.
        [inert.clone(), b")R.".to_vec()].concat(),
        [text("os.system"), b")R.".to_vec()].concat(),
        [attribute(&deque, &text("append")), b")R.".to_vec()].concat(),
        [attribute(&inert, &text("x")), b".".to_vec()].concat(),
        [attribute(&global("torch", "Tensor"), &text("x")), b".".to_vec()].concat(),
        [attribute(&global("numpy.core.multiarray", "scalar"), &text("x")), b".".to_vec()].concat(),
        [attribute(&deque, &int(1)), b".".to_vec()].concat(),
        // A function is no class, and arguments are a tuple.
        [global("torch._utils", "_rebuild_tensor_v2"), b")\x81.".to_vec()].concat(),
        [global("collections", "OrderedDict"), b"]R.".to_vec()].concat(),
        [global("torch", "float32"), b")R.".to_vec()].concat(),
        [global("torch", "FloatStorage"), b")R.".to_vec()].concat(),
        [global("collections", "OrderedDict"), b")}".to_vec(), text("a"), b"Ns\x92.".to_vec()].concat(),
    ];
    for pickle in refused {
        unpickle_error(&pickle);
    }
}

#[test]
fn arguments_are_checked() {
    let call = |module: &str, name: &str, arguments: &[u8]| {
        [global(module, name), b"(".to_vec(), arguments.to_vec(), b"tR.".to_vec()].concat()
    };
    for pickle in [
        call("_codecs", "encode", &[text("x"), text("utf-8")].concat()),
        call("_codecs", "encode", &text("x")),
        call("_codecs", "encode", &[text("€"), text("latin1")].concat()),
        call("builtins", "bytearray", &int(1 << 40)),
        call("builtins", "bytes", &int(1 << 40)),
        call("builtins", "int", &text("1")),
        call("builtins", "list", &text("abc")),
        call("builtins", "complex", &text("1")),
        call("builtins", "getattr", &[]),
        call("torch", "Size", &[b"(".to_vec(), text("a"), b"t".to_vec()].concat()),
        call("torch", "device", &int(0)),
        call("torch", "Tensor", &int(5)),
        call("torch.nn.parameter", "Parameter", &int(5)),
        call("torch._utils", "_rebuild_parameter", b"NN\x89"),
        call("torch.serialization", "_get_layout", &text("sparse_coo")),
        call("collections", "OrderedDict", &int(1)),
        call("collections", "OrderedDict", &[b"](".to_vec(), int(1), b"e".to_vec()].concat()),
        call("collections", "Counter", &text("aab")),
        call(
            "torch._tensor",
            "_rebuild_from_type_v2",
            &[global("torch._tensor", "_rebuild_from_type_v2"), b"N)N".to_vec()].concat(),
        ),
    ] {
        unpickle_error(&pickle);
    }
}

#[test]
fn opcodes_that_leave_the_file_are_refused() {
    for pickle in [
        b"Pid\n.".as_slice(),
        b"\x82\x01.",
        b"\x83\x01\0.",
        b"\x84\x01\0\0\0.",
        b"\x97.",
        b"N\x98.",
        b"NQ.",
        b")Q.",
        b"\x80\x06N.",
        b"\xff.",
        b"\x80\0N.",
    ] {
        unpickle_error(pickle);
    }
    let module = [b"(".to_vec(), text("module"), b"NNNNtQ.".to_vec()].concat();
    assert!(unpickle_error(&module).contains("no storage"));
}

#[test]
fn opcodes_on_the_wrong_value_are_refused() {
    for pickle in [
        b".".as_slice(),
        b"N",
        b"0.",
        b"1.",
        b"2.",
        b"(.",
        b"t.",
        b"h\0.",
        b"q\0.",
        b"N(s.",
        b"](NNu.",
        b"}(Nu.",
        b"}Na.",
        b"]N]b.",
        b"}}b.",
        b"N}b.",
        b"(N]e.",
        b"NNs.",
        b"](\x90.",
        b"NN\x93.",
        b"I1x\n.",
        b"Fx\n.",
        b"S'a\n.",
        b"Vx",
        b"X\xff\xff\xff\x7f.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"\x8b\xff\xff\xff\xff.",
        b"\x95\xff\0\0\0\0\0\0\0N.",
        b"X\x01\0\0\0\xff.",
        b"gx\n.",
        b"(]Nd.",
        b"(N}o.",
        b"}]Ns.",
        b"\x8f(]\x90.",
    ] {
        unpickle_error(pickle);
    }
    let defaultdict = [global("collections", "defaultdict"), b")R}b.".to_vec()].concat();
    unpickle_error(&defaultdict);
}

#[test]
fn bytes_behind_the_pickle_are_refused() {
    assert!(unpickle_error(b"N.N.").contains("follow the end"));
}

#[test]
fn views_lie_inside_their_storage() {
    let float = storage("FloatStorage", "0", 4);
    assert!(unpickle(&root(&tensor(&float, 0, &[2, 2], &[2, 1]))).is_ok());
    assert!(unpickle(&root(&tensor(&float, 3, &[], &[]))).is_ok());
    assert!(unpickle(&root(&tensor(&float, 99, &[0, 3], &[3, 1]))).is_ok());
    for (offset, shape, strides) in [
        (1, &[2, 2][..], &[2, 1][..]),
        (0, &[5], &[1]),
        (4, &[], &[]),
        (0, &[2], &[4]),
        (-1, &[1], &[1]),
        (0, &[-1], &[1]),
        (0, &[2], &[-1]),
        (0, &[2], &[1, 1]),
        (0, &[1 << 32, 1 << 32], &[0, 0]),
        (0, &[2], &[i64::MAX]),
        (i64::MAX, &[2], &[1]),
        (0, &[1 << 62], &[4]),
        (i64::MAX, &[3, 3], &[i64::MAX, i64::MAX]),
        (0, &[i64::MAX], &[0]),
    ] {
        unpickle_error(&root(&tensor(&float, offset, shape, strides)));
    }
    unpickle_error(&root(&tensor(&storage("QInt8Storage", "0", 16), 0, &[17], &[1])));
    // Two and four elements in a byte.
    for (class, most) in [("QUInt4x2Storage", 32), ("QUInt2x4Storage", 64)] {
        assert!(unpickle(&root(&tensor(&storage(class, "0", 16), 0, &[most], &[1]))).is_ok());
        unpickle_error(&root(&tensor(&storage(class, "0", 16), 0, &[most + 1], &[1])));
    }
    let wrong = [text("a"), b"\x88".to_vec(), b"G\0\0\0\0\0\0\0\0".to_vec(), b"N".to_vec()];
    for size in wrong {
        let call = [
            global("torch._utils", "_rebuild_tensor"),
            b"(".to_vec(),
            float.clone(),
            int(0),
            b"(".to_vec(),
            size.clone(),
            b"t".to_vec(),
        ];
        unpickle_error(&root(&[call.concat(), sizes(&[1]), b"tR".to_vec()].concat()));
    }
}

#[test]
fn storages_are_what_they_say() {
    let two = |first: Vec<u8>, second: Vec<u8>| [b"](".to_vec(), first, second, b"e.".to_vec()].concat();
    let float = || storage("FloatStorage", "0", 4);
    assert!(unpickle(&two(float(), float())).is_ok());
    assert!(unpickle_error(&two(float(), storage("IntStorage", "0", 4))).contains("storage `0`"));
    assert!(unpickle_error(&two(float(), storage("FloatStorage", "0", 3))).contains("storage `0`"));
    for wrong in [
        storage("FloatStorage", "0", 3),
        storage("FloatStorage", "0", -1),
        storage("FloatStorage", "1", 4),
        storage("FloatStorage", "0", i64::MAX),
        storage("FloatStorage", "../0", 4),
        storage("float32", "0", 4),
    ] {
        unpickle_error(&root(&wrong));
    }
}

#[test]
fn keys_are_never_overwritten() {
    let one = tensor(&storage("FloatStorage", "0", 4), 0, &[4], &[1]);
    let nested = [text("a"), b"}".to_vec(), text("b"), one.clone(), b"s".to_vec(), text("a.b"), one.clone()].concat();
    assert!(unpickle_error(&[b"}(".to_vec(), nested, b"u.".to_vec()].concat()).contains("`a.b`"));
    let mixed = [int(1), one.clone(), text("1"), one.clone()].concat();
    assert!(unpickle_error(&[b"}(".to_vec(), mixed, b"u.".to_vec()].concat()).contains("`1`"));
    let meta = [int(1), int(2), text("1"), int(3)].concat();
    assert!(unpickle_error(&[b"}(".to_vec(), meta, b"u.".to_vec()].concat()).contains("`1`"));
    // The same key twice is Python's own overwriting.
    let again = [text("a"), int(2), text("b"), int(4), text("a"), int(3)].concat();
    let found = unpickle(&[b"}(".to_vec(), again, b"u.".to_vec()].concat()).unwrap();
    assert_eq!(found["meta"].to_string(), r#"{"a":3,"b":4}"#);
    // An empty key is a part of the path like any other.
    let empty = [text(""), b"}".to_vec(), text("a"), one, b"s".to_vec()].concat();
    let found = unpickle(&[b"}(".to_vec(), empty, b"u.".to_vec()].concat()).unwrap();
    assert!(found["tensors"][".a"].is_object());
}

#[test]
fn sharing_is_kept_and_cycles_are_refused() {
    let shared =
        [b"}(".to_vec(), text("a"), b"]q\0".to_vec(), text("b"), b"h\0uh\0".to_vec(), int(5), b"a0.".to_vec()].concat();
    assert_eq!(unpickle(&shared).unwrap()["meta"].to_string(), r#"{"a":[5],"b":[5]}"#);
    for cycle in [b"]q\0h\0a.".as_slice(), b"}q\0X\x01\0\0\0ah\0s.", b"]q\0]h\0aa.", b"]q\0(h\0ta."] {
        assert!(unpickle_error(cycle).contains("holds itself"));
    }
}

#[test]
fn legacy_files_are_consistent() {
    let pid = |view: &[u8]| {
        let head =
            [b"(".to_vec(), text("storage"), global("torch", "FloatStorage"), text("k"), text("cpu"), int(4)].concat();
        [head, view.to_vec(), b"tQ".to_vec()].concat()
    };
    let view = |offset, count| [b"(".to_vec(), text("v"), int(offset), int(count), b"t".to_vec()].concat();
    let record = |count: u64, bytes: usize| [count.to_le_bytes().to_vec(), vec![1; bytes]].concat();
    let object = root(&tensor(&pid(b"N"), 0, &[4], &[1]));
    assert!(forge::read(&legacy(&object, &["k"], &record(4, 16))).is_ok());
    assert!(forge::read(&legacy(&root(&tensor(&pid(&view(1, 2)), 0, &[2], &[1])), &["k"], &record(4, 16))).is_ok());
    for file in [
        legacy(&object, &[], &[]),
        legacy(&object, &["k", "k"], &[record(4, 16), record(4, 16)].concat()),
        legacy(&object, &["k", "x"], &[record(4, 16), record(4, 16)].concat()),
        legacy(&object, &["k"], &record(3, 12)),
        legacy(&object, &["k"], &record(5, 20)),
        legacy(&object, &["k"], &record(4, 15)),
        legacy(&object, &["k"], &record(u64::MAX, 16)),
        legacy(&root(&tensor(&pid(&view(1, 4)), 0, &[1], &[1])), &["k"], &record(4, 16)),
        legacy(&root(&tensor(&pid(&view(1, 2)), 1, &[2], &[1])), &["k"], &record(4, 16)),
        legacy(&root(&tensor(&pid(&view(i64::MAX, 2)), 0, &[1], &[1])), &["k"], &record(4, 16)),
        legacy(&root(&tensor(&storage("FloatStorage", "k", 4), 0, &[4], &[1])), &["k"], &record(4, 16)),
    ] {
        forge::error(&file);
    }
}

#[test]
fn safetensors_are_strict() {
    let good =
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}"#;
    assert!(forge::read(&safetensors(good, &[0; 9])).is_ok());
    assert!(forge::error(&safetensors(good, &[0; 10])).contains("cover"));
    assert!(forge::error(&safetensors(good, &[0; 8])).contains("cover"));
    for header in [
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}"#,
        r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,9]}}"#,
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
        r#"{"a":{"dtype":"F99","shape":[9],"data_offsets":[0,9]}}"#,
        r#"{"a":{"dtype":"U8","shape":[-9],"data_offsets":[0,9]}}"#,
        r#"{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9],"x":1}}"#,
        r#"{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},"a":{"dtype":"U8","shape":[0],"data_offsets":[9,9]}}"#,
        r#"{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},"b":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}"#,
        r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}}"#,
        r#"{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},"__metadata__":{"a":1}}"#,
        r#"{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},"__metadata__":{"a":"1","a":"2"}}"#,
        r#"{"a":{"dtype":"F64","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,9]}}"#,
        r#"{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}} x"#,
        r#"{"a":["U8",[9],[0,9]]}"#,
        "{",
    ] {
        forge::error(&safetensors(header, &[0; 9]));
    }
    let nested = format!("{{\"a\":{}", "[".repeat(100_000));
    forge::error(&safetensors(&nested, &[]));
}

#[test]
fn other_formats_are_refused_in_words() {
    for (bytes, word) in [
        (b"".as_slice(), "empty"),
        (b"\x80\x02}q\0.", "bare pickle"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (br#"{"weight_map": {}}"#, "index of a sharded checkpoint"),
        (b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "zip"),
        (b"hello, world", "none of"),
    ] {
        assert!(forge::error(bytes).contains(word));
    }
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = mmcv_pth::FileCheckpoint::open(folder.path()).unwrap_err();
    assert!(matches!(*error.kind, mmcv_pth::ErrorKind::NotRegularFile));
    let error = mmcv_pth::FileCheckpoint::open(folder.path().join("missing\n")).unwrap_err();
    assert!(error.to_string().contains("missing\\n: "), "{error}");
    #[cfg(unix)]
    assert!(mmcv_pth::FileCheckpoint::open("/dev/zero").is_err());
}

#[test]
fn a_program_can_add_inert_classes() {
    let file = forge::pth(&root(&[global("mine", "Thing"), b")\x81}b".to_vec()].concat()));
    assert!(forge::error(&file).contains("`mine.Thing`"));
    let options = mmcv_pth::OpenOptions::new().allow_inert("mine", "Thing");
    let found = forge::read_with(&file, &options).unwrap();
    assert_eq!(found["meta"].to_string(), r#"{"w":{"$opaque":"mine.Thing"}}"#);
}
