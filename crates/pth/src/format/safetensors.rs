//! Reading safetensors: a JSON header with the location of each tensor, then the tensors, without holes, overlaps or tail.
//!
//! Types and layout are those of the `safetensors` crate, whose `Metadata` checks offsets, shapes and sizes. Its own reader
//! needs the whole file in memory, and it loses the order of the entries and accepts duplicate keys, unknown fields and
//! shapes of any length, so the header is deserialized here.

use std::fmt;

use ::safetensors::Dtype as HeaderDtype;
use ::safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use crate::error::ErrorKind;
use crate::file::File;
use crate::format::json_object::{JsonObject, StringEntries, UniqueKeys};
use crate::format::{Contents, Format};
use crate::limits::{MAX_HEADER_BYTES, MAX_HEADER_RANK};
use crate::tensor::{Dtype, Place, StorageSlice, StorageTable, Strided, TensorDesc, row_major_strides};
use crate::unpickler::{Graph, Mapping, Node, Value};

/// The key of the texts that are not tensors.
pub(crate) const METADATA: &str = "__metadata__";
const LENGTH_BYTES: u64 = 8;

/// The length of the header if a file of `file_bytes` that starts with `head` looks like safetensors: the length fits, and
/// a `{` follows.
pub(super) fn header_length(head: &[u8], file_bytes: u64) -> Option<u64> {
    let length = u64::from_le_bytes(*head.first_chunk()?);
    let fits = length <= file_bytes.checked_sub(LENGTH_BYTES)?;
    if fits && head.get(LENGTH_BYTES as usize) == Some(&b'{') { Some(length) } else { None }
}

/// Reads the tensors and texts of `file`, whose header is `length` bytes long.
pub(super) fn read(file: &File, length: u64) -> Result<Contents, ErrorKind> {
    let header = read_header(file, length)?;
    let data_start = LENGTH_BYTES + length;
    let mut graph = Graph::new();
    let mut storages = StorageTable::default();
    let mut root = Mapping::default();
    if let Some(metadata) = header.metadata {
        let mut texts = Mapping::default();
        for (key, text) in metadata {
            let key = add_node(&mut graph, Node::Text(key.into()));
            texts.items.push((key, add_node(&mut graph, Node::Text(text.into()))));
        }
        let key = add_node(&mut graph, Node::Text(METADATA.into()));
        root.items.push((key, add_node(&mut graph, Node::Mapping(Box::new(texts)))));
    }
    let keys: Vec<String> = header.tensors.iter().map(|(key, _)| key.clone()).collect();
    let tensors = check_layout(header.tensors, file.length() - data_start)?;
    for key in keys {
        let tensor = tensors.info(&key).and_then(|info| describe(info, data_start, &mut storages));
        let Some(tensor) = tensor else {
            return Err(ErrorKind::Safetensors(format!("tensor `{key}`: its offsets do not match its shape and type")));
        };
        let key = add_node(&mut graph, Node::Text(key.into()));
        root.items.push((key, add_node(&mut graph, Node::Tensor(tensor))));
    }
    graph.root = add_node(&mut graph, Node::Mapping(Box::new(root)));
    Ok(Contents::new(Format::Safetensors, graph, storages))
}

fn read_header(file: &File, length: u64) -> Result<Header, ErrorKind> {
    ErrorKind::check_limit("bytes of the safetensors header", length, MAX_HEADER_BYTES)?;
    let bytes = file.bytes(LENGTH_BYTES, length)?.unwrap_or_default();
    serde_json::from_slice(&bytes).map_err(|error| ErrorKind::Safetensors(format!("header: {error}")))
}

fn add_node(graph: &mut Graph, node: Node) -> Value {
    // The number of entries is limited to far less than 2^32.
    let value = Value::Node(graph.nodes.len() as u32);
    graph.nodes.push(node);
    value
}

/// A tensor of the header, which becomes a storage of its own.
fn describe(info: &TensorInfo, data_start: u64, storages: &mut StorageTable) -> Option<TensorDesc> {
    let Some(dtype) = Dtype::from_safetensors(info.dtype) else { return Some(TensorDesc::Unsupported("sub_byte")) };
    let (start, end) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
    let length = end.checked_sub(start)?;
    // The bounds were checked already, so no error will need a key.
    let storage = storages.push(Box::default(), None, length, Place::File(data_start + start));
    let slice = StorageSlice { storage, start: 0, length };
    let shape: Vec<u64> = info.shape.iter().map(|&size| size as u64).collect();
    let strides = row_major_strides(&shape);
    let tensor = Strided::new(dtype, shape, strides, 0, Some(slice))?;
    Some(TensorDesc::Strided(Box::new(tensor)))
}

/// Checks that each tensor has the bytes that its shape and type need, and that together the tensors cover the data exactly.
fn check_layout(mut tensors: Vec<(String, TensorInfo)>, available: u64) -> Result<Metadata, ErrorKind> {
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let metadata = Metadata::new(None, tensors).map_err(|error| ErrorKind::Safetensors(format!("header: {error}")))?;
    let covered = metadata.data_len() as u64;
    if covered != available {
        let text = format!("the tensors cover {covered} bytes, the data has {available}");
        return Err(ErrorKind::Safetensors(text));
    }
    Ok(metadata)
}

#[derive(Debug)]
struct Header {
    metadata: Option<Vec<(String, String)>>,
    tensors: Vec<(String, TensorInfo)>,
}

/// A [`TensorInfo`] without unknown fields and with a limited number of dimensions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictInfo {
    #[serde(deserialize_with = "deserialize_dtype")]
    dtype: HeaderDtype,
    #[serde(deserialize_with = "deserialize_shape")]
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// A type by its name; serde's derived code would also accept `{"F32": null}`.
fn deserialize_dtype<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderDtype, D::Error> {
    let name = String::deserialize(deserializer)?;
    HeaderDtype::deserialize(name.into_deserializer())
}

fn deserialize_shape<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    struct ShapeVisitor;

    impl<'de> Visitor<'de> for ShapeVisitor {
        type Value = Vec<usize>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "at most {MAX_HEADER_RANK} sizes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<usize>, A::Error> {
            let mut shape = Vec::new();
            while let Some(size) = sequence.next_element()? {
                if shape.len() == MAX_HEADER_RANK {
                    return Err(A::Error::invalid_length(shape.len() + 1, &self));
                }
                shape.push(size);
            }
            Ok(shape)
        }
    }

    deserializer.deserialize_seq(ShapeVisitor)
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header { metadata: None, tensors: Vec::new() };
                let mut keys = UniqueKeys::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == METADATA {
                        if header.metadata.replace(map.next_value::<StringEntries>()?.0).is_some() {
                            return Err(A::Error::custom("two objects `__metadata__`"));
                        }
                        continue;
                    }
                    let JsonObject(StrictInfo { dtype, shape, data_offsets }) = map.next_value()?;
                    keys.add::<A::Error>(&key, 1 + shape.len())?;
                    header.tensors.push((key, TensorInfo { dtype, shape, data_offsets }));
                }
                Ok(header)
            }
        }

        deserializer.deserialize_map(HeaderVisitor)
    }
}
