//! The bytes of a file. Tensors are written one after the other, so that the weights need not be in memory twice.

use std::io::{self, Write};

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::proto::{DataLocation, GraphProto, ModelProto, StringStringEntryProto, TensorProto};

/// The field of a model that has its graph, and that of a graph that has its initializers.
const GRAPH: u32 = 7;
const INITIALIZER: u32 = 5;

/// Tensors of fewer bytes stay in the ONNX file: runtimes need shapes and axes to load it.
const LEAST_EXTERNAL: usize = 1024;
/// Where tensors start, in bytes: a page, so that runtimes can map them.
const ALIGNMENT: u64 = 4096;

/// The bytes of the whole file.
pub(crate) fn encoded_len(header: &ModelProto, graph: &GraphProto, initializers: &[TensorProto]) -> usize {
    header.encoded_len() + field_len(GRAPH, graph_len(graph, initializers))
}

fn graph_len(graph: &GraphProto, initializers: &[TensorProto]) -> usize {
    let tensors: usize = initializers.iter().map(|tensor| field_len(INITIALIZER, tensor.encoded_len())).sum();
    graph.encoded_len() + tensors
}

fn field_len(field: u32, content: usize) -> usize {
    key_len(field) + encoded_len_varint(content as u64) + content
}

/// Writes the file.
pub(crate) fn write(
    header: &ModelProto,
    graph: &GraphProto,
    initializers: &[TensorProto],
    output: &mut impl Write,
) -> io::Result<()> {
    output.write_all(&header.encode_to_vec())?;
    write_field(GRAPH, graph_len(graph, initializers), output)?;
    output.write_all(&graph.encode_to_vec())?;
    for tensor in initializers {
        write_field(INITIALIZER, tensor.encoded_len(), output)?;
        output.write_all(&tensor.encode_to_vec())?;
    }
    Ok(())
}

/// Writes the start of a field with a message of so many bytes.
fn write_field(field: u32, content: usize, output: &mut impl Write) -> io::Result<()> {
    let mut start = Vec::new();
    encode_key(field, WireType::LengthDelimited, &mut start);
    encode_varint(content as u64, &mut start);
    output.write_all(&start)
}

/// Writes the elements of all tensors that are not small. Returns the tensors with the places of their elements instead.
pub(crate) fn write_data(
    initializers: &[TensorProto],
    location: &str,
    data: &mut impl Write,
) -> io::Result<Vec<TensorProto>> {
    let mut small = Vec::with_capacity(initializers.len());
    let mut position = 0;
    for tensor in initializers {
        let bytes = match &tensor.raw_data {
            Some(bytes) if bytes.len() >= LEAST_EXTERNAL => bytes,
            _ => {
                small.push(tensor.clone());
                continue;
            }
        };
        let start = u64::next_multiple_of(position, ALIGNMENT);
        io::copy(&mut io::Read::take(io::repeat(0), start - position), data)?;
        data.write_all(bytes)?;
        position = start + bytes.len() as u64;
        small.push(TensorProto {
            dims: tensor.dims.clone(),
            data_type: tensor.data_type,
            name: tensor.name.clone(),
            raw_data: None,
            external_data: vec![
                entry("location", location.to_owned()),
                entry("offset", start.to_string()),
                entry("length", bytes.len().to_string()),
            ],
            data_location: Some(DataLocation::External.into()),
        });
    }
    Ok(small)
}

fn entry(key: &str, value: String) -> StringStringEntryProto {
    StringStringEntryProto { key: Some(key.to_owned()), value: Some(value) }
}
