//! Making files by hand, right ones and wrong ones.

use std::io::Write;
use std::path::{Path, PathBuf};

use mmcv_pth::{Error, OpenOptions, inspect};
use serde_json::Value;

/// The folder of the files that `make.py` made.
pub(crate) fn data_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// The JSON of a file of these bytes, with digests.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, Error> {
    read_with(bytes, &OpenOptions::new())
}

pub(crate) fn read_with(bytes: &[u8], options: &OpenOptions) -> Result<Value, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    inspect(&path, options, true).map(|inspection| serde_json::to_value(&inspection).unwrap())
}

/// The error that a file of these bytes gives; checks that it is one short line.
pub(crate) fn error(bytes: &[u8]) -> String {
    let error = read(bytes).expect_err("the file has to be refused");
    let line = format!("error: {error}");
    assert!(line.chars().count() <= 1000 && !line.chars().any(char::is_control), "{line}");
    line
}

/// A `.pth` file with this pickle and one storage, `0`, of 16 bytes.
pub(crate) fn pth(pickle: &[u8]) -> Vec<u8> {
    zip(&[Entry::new("a/data.pkl", pickle), Entry::new("a/data/0", &[7; 16])])
}

/// The JSON of a pickle within a `.pth` file.
pub(crate) fn unpickle(pickle: &[u8]) -> Result<Value, Error> {
    read(&pth(pickle))
}

pub(crate) fn unpickle_error(pickle: &[u8]) -> String {
    error(&pth(pickle))
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

pub(crate) fn int(value: i64) -> Vec<u8> {
    [b"\x8a\x08".as_slice(), &value.to_le_bytes()].concat()
}

pub(crate) fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

/// The storage `key`, as a persistent id of five items.
pub(crate) fn storage(class: &str, key: &str, count: i64) -> Vec<u8> {
    [b"(".to_vec(), text("storage"), global("torch", class), text(key), text("cpu"), int(count), b"tQ".to_vec()]
        .concat()
}

pub(crate) fn sizes(values: &[i64]) -> Vec<u8> {
    [b"(".to_vec(), values.iter().flat_map(|&value| int(value)).collect(), b"t".to_vec()].concat()
}

/// A call of `_rebuild_tensor_v2`.
pub(crate) fn tensor(storage: &[u8], offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let head = [global("torch._utils", "_rebuild_tensor_v2"), b"(".to_vec(), storage.to_vec(), int(offset)].concat();
    let hooks = [global("collections", "OrderedDict"), b")R".to_vec()].concat();
    [head, sizes(shape), sizes(strides), b"\x89".to_vec(), hooks, b"tR".to_vec()].concat()
}

/// `{"w": value}` and the end.
pub(crate) fn root(value: &[u8]) -> Vec<u8> {
    [b"}".to_vec(), text("w"), value.to_vec(), b"s.".to_vec()].concat()
}

/// A legacy file with this object and these keys, followed by `records`.
pub(crate) fn legacy(object: &[u8], keys: &[&str], records: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    let keys: Vec<u8> = keys.iter().flat_map(|key| text(key)).collect();
    let keys = [b"](".to_vec(), keys, b"e.".to_vec()].concat();
    [magic, b"\x80\x02M\xe9\x03.".to_vec(), b"}.".to_vec(), object.to_vec(), keys, records.to_vec()].concat()
}

/// A safetensors file with this header.
pub(crate) fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// An entry of a zip archive; what is `None` is as it should be.
#[derive(Clone, Default)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) data: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    pub(crate) size: u64,
    pub(crate) crc: u32,
    pub(crate) local_name: Option<String>,
    pub(crate) local_method: Option<u16>,
    pub(crate) local_size: Option<u32>,
    pub(crate) header: Option<u32>,
}

impl Entry {
    pub(crate) fn new(name: &str, data: &[u8]) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(data);
        let (name, size) = (name.to_owned(), data.len() as u64);
        Self { name, data: data.to_vec(), size, crc: crc.sum(), ..Self::default() }
    }

    pub(crate) fn deflated(name: &str, data: &[u8]) -> Self {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(data).unwrap();
        Self { data: encoder.finish().unwrap(), method: 8, ..Self::new(name, data) }
    }
}

/// A zip archive of these entries.
pub(crate) fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let header = entry.header.unwrap_or(file.len() as u32);
        let local_name = entry.local_name.as_ref().unwrap_or(&entry.name);
        let fields = |method: u16, size: u32, name: &str| {
            let head = [20, entry.flags, method, 0, 0].map(u16::to_le_bytes).concat();
            let sizes = [entry.crc, entry.data.len() as u32, size].map(u32::to_le_bytes).concat();
            [head, sizes, (name.len() as u16).to_le_bytes().to_vec(), vec![0; 2]].concat()
        };
        file.extend(b"PK\x03\x04");
        let size = entry.size as u32;
        file.extend(fields(entry.local_method.unwrap_or(entry.method), entry.local_size.unwrap_or(size), local_name));
        file.extend(local_name.bytes());
        file.extend(&entry.data);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(fields(entry.method, size, &entry.name));
        directory.extend([0; 10]);
        directory.extend(header.to_le_bytes());
        directory.extend(entry.name.bytes());
    }
    let start = file.len() as u32;
    let count = entries.len() as u16;
    let end = [[0, 0, count, count].map(u16::to_le_bytes).concat()].concat();
    file.extend(&directory);
    file.extend(b"PK\x05\x06");
    file.extend(end);
    file.extend([directory.len() as u32, start].map(u32::to_le_bytes).concat());
    file.extend([0; 2]);
    file
}
