//! Small files that would unfold to large ones.

use crate::forge::{
    self, Entry, global, int, legacy, root, safetensors, storage, tensor, text, unpickle, unpickle_error, zip,
};

fn nested(levels: usize) -> Vec<u8> {
    [b"]".repeat(levels), b"a".repeat(levels - 1), b".".to_vec()].concat()
}

#[test]
fn nesting_is_limited_to_500_levels() {
    assert!(unpickle(&nested(100)).is_ok());
    assert!(unpickle(&nested(500)).is_ok());
    assert!(unpickle_error(&nested(501)).contains("500 levels"));
    assert!(unpickle_error(&nested(1_000_000)).contains("500 levels"));
    let tuples = [b")".to_vec(), b"\x85".repeat(1_000_000), b".".to_vec()].concat();
    assert!(unpickle_error(&tuples).contains("500 levels"));
    // Deep as a key, and deep where it is thrown away.
    let key = [b"})".to_vec(), b"\x85".repeat(1_000_000), b"Ns.".to_vec()].concat();
    unpickle_error(&key);
    let dropped = [b")".to_vec(), b"\x85".repeat(1_000_000), b"0N.".to_vec()].concat();
    assert!(unpickle(&dropped).is_ok());
}

#[test]
fn doubling_through_the_memo_is_counted() {
    let mut lists = b"]q\0".to_vec();
    for level in 0..40_u8 {
        lists.extend([b']', b'q', level + 1, b'(', b'h', level, b'h', level, b'e']);
    }
    lists.push(b'.');
    assert!(unpickle_error(&lists).contains("number of values"));
    let mut tensors = [tensor(&storage("FloatStorage", "0", 4), 0, &[4], &[1]), b"q\0".to_vec()].concat();
    for level in 0..40_u8 {
        tensors.extend([b']', b'q', level + 1, b'(', b'h', level, b'h', level, b'e']);
    }
    tensors.push(b'.');
    assert!(unpickle_error(&tensors).contains("number of values"));
    // As a key of a mapping, a tuple of tuples.
    let mut key = b")q\0".to_vec();
    for level in 0..40_u8 {
        key.extend([b'h', level, b'h', level, 0x86, b'q', level + 1]);
    }
    let key = [b"}".to_vec(), key, b"Ns.".to_vec()].concat();
    unpickle_error(&key);
}

#[test]
fn values_and_texts_are_limited() {
    let many = |count: usize| [b"](".to_vec(), b"N".repeat(count), b"e.".to_vec()].concat();
    assert!(unpickle(&many(900_000)).is_ok());
    assert!(unpickle_error(&many(1_100_000)).contains("number of values"));
    let long = text(&"x".repeat(1 << 20));
    let repeated =
        |count: usize| [b"](".to_vec(), long.clone(), b"q\0".to_vec(), b"h\0".repeat(count), b"e.".to_vec()].concat();
    assert!(unpickle(&repeated(40)).is_ok());
    assert!(unpickle_error(&repeated(70)).contains("bytes of keys and strings"));
}

#[test]
fn memory_of_the_machine_is_limited() {
    let encode =
        [global("_codecs", "encode"), b"q\0(".to_vec(), text(&"x".repeat(1 << 20)), text("latin1"), b"tq\x01".to_vec()]
            .concat();
    let calls = [encode, b"R0h\0h\x01".repeat(1000), b"R.".to_vec()].concat();
    assert!(unpickle_error(&calls).contains("memory"));
    let stack = [b"N".repeat(5_000_000), b".".to_vec()].concat();
    assert!(unpickle_error(&stack).contains("stack"));
    let marks = [b"(".repeat(5_000_000), b"N.".to_vec()].concat();
    assert!(unpickle_error(&marks).contains("stack"));
}

#[test]
fn expanded_tensors_are_limited() {
    let expanded = |count: i64| root(&tensor(&storage("FloatStorage", "0", 4), 0, &[count], &[0]));
    assert!(unpickle(&expanded(1 << 20)).is_ok());
    assert!(unpickle_error(&expanded((1 << 24) + 1)).contains("bytes of all tensors"));
    let one = [tensor(&storage("FloatStorage", "0", 4), 0, &[1 << 20], &[0]), b"q\0".to_vec()].concat();
    let sum = [b"](".to_vec(), one, b"h\0".repeat(20), b"e.".to_vec()].concat();
    assert!(unpickle_error(&sum).contains("bytes of all tensors"));
}

#[test]
fn deflate_bombs_are_refused() {
    let pickle = root(&tensor(&storage("ByteStorage", "0", 80 << 20), 0, &[1], &[1]));
    let bomb = Entry::deflated("a/data/0", &vec![0; 80 << 20]);
    let file = zip(&[Entry::new("a/data.pkl", &pickle), bomb.clone()]);
    assert!(forge::error(&file).contains("inflates to"));
    // Declared small.
    let pickle = root(&tensor(&storage("ByteStorage", "0", 16), 0, &[1], &[1]));
    let lying = Entry { size: 16, ..bomb };
    assert!(forge::error(&zip(&[Entry::new("a/data.pkl", &pickle), lying])).contains("compressed data"));
    let several: Vec<_> = (0..3).map(|index| Entry::deflated(&format!("a/data/{index}"), &vec![0; 40 << 20])).collect();
    let tensors: Vec<_> =
        (0..3).flat_map(|index| tensor(&storage("ByteStorage", &index.to_string(), 40 << 20), 0, &[1], &[1])).collect();
    let pickle = [b"](".to_vec(), tensors, b"e.".to_vec()].concat();
    let file = zip(&[vec![Entry::new("a/data.pkl", &pickle)], several].concat());
    assert!(forge::error(&file).contains("inflate to"));
}

#[test]
fn what_many_calls_share_is_counted_each_time() {
    // A list of sizes of 2^16 entries, and a call that reads it and makes little of it.
    let many = [b"(".to_vec(), b"K\x01".repeat(1 << 16), b"tq\x01".to_vec()].concat();
    let quantized = storage("QInt8Storage", "0", 16);
    let calls = [
        [
            global("torch._utils", "_rebuild_meta_tensor_no_storage"),
            b"q\0(".to_vec(),
            global("torch", "float32"),
            b"h\x01h\x01\x89tq\x02".to_vec(),
        ],
        [
            global("torch._utils", "_rebuild_tensor_v2"),
            b"q\0(".to_vec(),
            quantized,
            b"K\0h\x01h\x01\x89Ntq\x02".to_vec(),
        ],
    ];
    for call in calls {
        let pickle = [many.clone(), call.concat(), b"h\0h\x02R0".repeat(1 << 16), b"N.".to_vec()].concat();
        assert!(unpickle_error(&pickle).contains("memory"));
    }
    let bits = [b"}(".to_vec(), [text("conj"), b"\x89".to_vec()].concat().repeat(1 << 14), b"uq\x01".to_vec()].concat();
    let call = [
        global("torch._utils", "_rebuild_tensor_v2"),
        b"q\0(".to_vec(),
        storage("FloatStorage", "0", 4),
        b"K\0K\x04\x85K\x01\x85\x89Nh\x01tq\x02".to_vec(),
    ];
    let pickle = [bits, call.concat(), b"h\0h\x02R0".repeat(1 << 16), b"N.".to_vec()].concat();
    assert!(unpickle_error(&pickle).contains("memory"));
}

#[test]
fn results_just_below_the_limits_are_read() {
    // Keys of 60 bytes: close to both limits.
    let items = (0..990_000).flat_map(|index| [text(&format!("{index:060}")), b"N".to_vec()].concat());
    let pickle = [b"}(".to_vec(), items.collect(), b"u.".to_vec()].concat();
    assert_eq!(unpickle(&pickle).unwrap()["meta"].as_object().unwrap().len(), 990_000);
}

#[test]
fn names_of_entries_are_bytes() {
    // Two names that are no UTF-8, which would be the same with the usual mark for that.
    let pickle = Entry::new("a/data.pkl", b"N.");
    let mut file = zip(&[pickle, Entry::new("a/1", b""), Entry::new("a/2", b"")]);
    let start = file.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    for byte in &mut file[start..] {
        match byte {
            b'1' => *byte = 0xe9,
            b'2' => *byte = 0xe8,
            _ => {}
        }
    }
    assert!(forge::read(&file).is_ok());
}

/// Kilobytes of mapped files that are in memory.
#[cfg(target_os = "linux")]
fn mapped_in_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// An open file of these bytes, and how many kilobytes of it are in memory then.
#[cfg(target_os = "linux")]
fn opened(bytes: &[u8]) -> (mmcv_pth::FileCheckpoint, u64) {
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&path, bytes).unwrap();
    let before = mapped_in_memory();
    let checkpoint = mmcv_pth::FileCheckpoint::open(&path).unwrap();
    (checkpoint, mapped_in_memory() - before)
}

#[cfg(target_os = "linux")]
#[test]
fn opening_a_file_touches_its_index_only() {
    let bytes = 64 << 20;
    let record = [(bytes as u64).to_le_bytes().to_vec(), vec![1; bytes]].concat();
    let view = |key: &str, persistence: &[u8]| {
        let id = [text("storage"), global("torch", "ByteStorage"), text(key), text("cpu"), int(bytes as i64)].concat();
        let storage = [b"(".to_vec(), id, persistence.to_vec(), b"tQ".to_vec()].concat();
        root(&tensor(&storage, 0, &[bytes as i64], &[1]))
    };
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
    let zipped = [Entry::new("a/data.pkl", &view("0", b"")), Entry::new("a/data/0", &record[8..])];
    for file in [zip(&zipped), legacy(&view("k", b"N"), &["k"], &record), safetensors(&header, &record[8..])] {
        let (checkpoint, touched) = opened(&file);
        // The system may map 2 MB around each place that is touched.
        assert!(touched < 8 << 10, "{}: {touched} kB", checkpoint.format());
        let tensor = checkpoint.tensors().next().unwrap();
        assert_eq!(tensor.byte_count(), bytes as u64);
        let before = mapped_in_memory();
        assert!(tensor.mapped().unwrap().unwrap().iter().all(|&byte| byte == 1));
        let read = mapped_in_memory() - before;
        assert!(read > 32 << 10, "{}: what was read is not counted: {read} kB", checkpoint.format());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_long_pickle_does_not_stay_in_memory() {
    let pickle = [b"N0".repeat(32 << 20), b"N.".to_vec()].concat();
    for file in [zip(&[Entry::new("a/data.pkl", &pickle)]), legacy(&pickle, &[], &[])] {
        let (checkpoint, kept) = opened(&file);
        assert!(kept < 32 << 10, "{}: {kept} kB", checkpoint.format());
    }
}
