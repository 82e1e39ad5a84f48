//! Reading safetensors: a JSON header with the place of each tensor, then the tensors, without holes, overlaps or tail.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::dtype::Dtype;
use crate::error::ErrorKind;
use crate::file::File;
use crate::limits::{MAX_HEADER_BYTES, MAX_HEADER_RANK, MAX_TEXT_BYTES, MAX_VALUES};
use crate::object::Object;
use crate::pickle::{Graph, Mapping, Node, Value};
use crate::storage::{Place, StorageTable};
use crate::tensor::{StorageSlice, Strided, Tensor, element_count, row_major_strides};

/// The key of the texts that are no tensors.
pub(crate) const METADATA: &str = "__metadata__";
const LENGTH_BYTES: u64 = 8;

/// The length of the header, if a file of `file_bytes` that begins with `head` looks like safetensors: the length fits, and
/// a `{` follows.
pub(crate) fn header_length(head: &[u8], file_bytes: u64) -> Option<u64> {
    let length = u64::from_le_bytes(*head.first_chunk()?);
    let fits = length <= file_bytes.checked_sub(LENGTH_BYTES)?;
    (fits && head.get(LENGTH_BYTES as usize) == Some(&b'{')).then_some(length)
}

/// The tensors and texts of `file`, whose header is `length` bytes long.
pub(crate) fn read(file: &File, length: u64) -> Result<(Graph, StorageTable), ErrorKind> {
    ErrorKind::check_limit("bytes of the safetensors header", length, MAX_HEADER_BYTES)?;
    let header = file.bytes(LENGTH_BYTES, length)?.unwrap_or_default();
    let header: Header = serde_json::from_slice(&header).map_err(|error| problem(format!("header: {error}")))?;
    let data = LENGTH_BYTES + length;
    check_layout(&header, file.length() - data)?;
    let mut graph = Graph::new();
    let mut storages = StorageTable::default();
    let mut root = Mapping::default();
    if let Some(metadata) = header.metadata {
        let mut texts = Mapping::default();
        for (key, text) in metadata {
            let item = (add(&mut graph, Node::Text(key.into())), add(&mut graph, Node::Text(text.into())));
            texts.items.push(item);
        }
        let item = (add(&mut graph, Node::Text(METADATA.into())), add(&mut graph, Node::Mapping(Box::new(texts))));
        root.items.push(item);
    }
    for (key, info) in header.tensors {
        let [start, end] = info.data_offsets;
        let place = Place::File(data + start);
        let tensor = match info.dtype.kind {
            Kind::Plain(dtype) => {
                // Nothing can be wrong with it any more that its name would be needed for.
                let storage = storages.push(Box::default(), None, end - start, place);
                let slice = StorageSlice { storage, start: 0, length: end - start };
                let strides = row_major_strides(&info.shape.0);
                let tensor = Strided::new(dtype, info.shape.0, strides, 0, Some(slice));
                Tensor::Strided(Box::new(tensor.ok_or_else(|| wrong_size(&key))?))
            }
            Kind::SubByte => Tensor::Unsupported("sub_byte"),
        };
        let item = (add(&mut graph, Node::Text(key.into())), add(&mut graph, Node::Tensor(tensor)));
        root.items.push(item);
    }
    graph.root = add(&mut graph, Node::Mapping(Box::new(root)));
    Ok((graph, storages))
}

fn add(graph: &mut Graph, node: Node) -> Value {
    // The number of entries is limited far below 2^32.
    let value = Value::Node(graph.nodes.len() as u32);
    graph.nodes.push(node);
    value
}

fn problem(text: String) -> ErrorKind {
    ErrorKind::Safetensors(text)
}

fn wrong_size(key: &str) -> ErrorKind {
    problem(format!("tensor `{key}`: its offsets do not match its shape and type"))
}

/// Checks that each tensor has the bytes that its shape needs, and that together they cover the data exactly.
fn check_layout(header: &Header, available: u64) -> Result<(), ErrorKind> {
    let mut ranges = Vec::with_capacity(header.tensors.len());
    for (key, info) in &header.tensors {
        let [start, end] = info.data_offsets;
        let bits = info.shape.0.iter().try_fold(info.dtype.bits, |count, &size| count.checked_mul(size));
        // A size of 0 makes the product 0, wherever it stands.
        let bits = if element_count(&info.shape.0) == Some(0) { Some(0) } else { bits };
        if bits.filter(|bits| bits % 8 == 0).map(|bits| bits / 8) != end.checked_sub(start) {
            return Err(wrong_size(key));
        }
        ranges.push((start, end));
    }
    ranges.sort_unstable();
    let mut covered = 0;
    for (start, end) in ranges {
        if start != covered {
            return Err(problem(format!("a hole or an overlap at byte {covered} of the data")));
        }
        covered = end;
    }
    if covered != available {
        return Err(problem(format!("the tensors cover {covered} bytes, the data has {available}")));
    }
    Ok(())
}

#[derive(Debug)]
struct Header {
    metadata: Option<Vec<(String, String)>>,
    tensors: Vec<(String, Info)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Info {
    dtype: HeaderDtype,
    shape: Shape,
    data_offsets: [u64; 2],
}

#[derive(Debug)]
struct HeaderDtype {
    kind: Kind,
    bits: u64,
}

#[derive(Debug)]
enum Kind {
    Plain(Dtype),
    SubByte,
}

#[derive(Debug)]
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for HeaderDtype {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match name.as_str() {
            "F4" => return Ok(Self { kind: Kind::SubByte, bits: 4 }),
            "F6_E2M3" | "F6_E3M2" => return Ok(Self { kind: Kind::SubByte, bits: 6 }),
            _ => {}
        }
        let dtype =
            Dtype::from_safetensors(&name).ok_or_else(|| D::Error::custom(format!("unknown dtype `{name}`")))?;
        Ok(Self { kind: Kind::Plain(dtype), bits: 8 * dtype.size() as u64 })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShapeVisitor;
        impl<'de> Visitor<'de> for ShapeVisitor {
            type Value = Shape;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "at most {MAX_HEADER_RANK} sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while let Some(size) = sequence.next_element()? {
                    if shape.len() == MAX_HEADER_RANK {
                        return Err(A::Error::invalid_length(shape.len() + 1, &self));
                    }
                    shape.push(size);
                }
                Ok(Shape(shape))
            }
        }
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

/// Texts by key, each key once.
#[derive(Debug)]
struct Texts(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                let mut counter = Counter::default();
                while let Some((key, text)) = map.next_entry::<String, String>()? {
                    counter.add::<A::Error>(&key, 1)?;
                    texts.push((key, text));
                }
                Ok(Texts(texts))
            }
        }
        let texts = deserializer.deserialize_map(TextsVisitor)?;
        check_unique(&texts.0)?;
        Ok(texts)
    }
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
                let mut counter = Counter::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == METADATA {
                        if header.metadata.replace(map.next_value::<Texts>()?.0).is_some() {
                            return Err(A::Error::custom("two objects `__metadata__`"));
                        }
                        continue;
                    }
                    let Object(info): Object<Info> = map.next_value()?;
                    counter.add::<A::Error>(&key, 1 + info.shape.0.len())?;
                    header.tensors.push((key, info));
                }
                Ok(header)
            }
        }
        let header = deserializer.deserialize_map(HeaderVisitor)?;
        check_unique(&header.tensors)?;
        Ok(header)
    }
}

/// Counts against the limits while the header is read, before memory is taken.
#[derive(Debug, Default)]
struct Counter {
    values: u64,
    text: u64,
}

impl Counter {
    fn add<E: serde::de::Error>(&mut self, text: &str, values: usize) -> Result<(), E> {
        self.values += values as u64;
        self.text += text.len() as u64;
        if self.values > MAX_VALUES || self.text > MAX_TEXT_BYTES {
            return Err(E::custom(format!("over {MAX_VALUES} values or {MAX_TEXT_BYTES} bytes of text")));
        }
        Ok(())
    }
}

fn check_unique<T, E: serde::de::Error>(entries: &[(String, T)]) -> Result<(), E> {
    let mut keys = HashSet::with_capacity(entries.len());
    match entries.iter().find(|(key, _)| !keys.insert(key.as_str())) {
        Some((key, _)) => Err(E::custom(format!("two entries are named `{key}`"))),
        None => Ok(()),
    }
}
