//! Arrays of numpy as tensors: their types, and the functions by which they are pickled.

use crate::dtype::Dtype;
use crate::error::PickleProblem;
use crate::pickle::Fault;
use crate::pickle::machine::Machine;
use crate::pickle::storage::non_negative;
use crate::pickle::value::{Node, Value};
use crate::storage::Place;
use crate::tensor::{StorageSlice, Strided, Tensor, element_count, row_major_strides};

/// A type of numpy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ArrayType {
    kind: Kind,
    big_endian: bool,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain(Dtype),
    /// References to objects of Python.
    Object,
    /// Strings, dates, records, and other types that torch does not have.
    Other,
}

impl Kind {
    /// The type by its name without byte order, such as `f4`.
    fn of(name: &str) -> Self {
        use Dtype as D;
        Self::Plain(match name {
            "b1" | "?" => D::Bool,
            "i1" => D::Int8,
            "i2" => D::Int16,
            "i4" => D::Int32,
            "i8" => D::Int64,
            "u1" => D::Uint8,
            "u2" => D::Uint16,
            "u4" => D::Uint32,
            "u8" => D::Uint64,
            "f2" => D::Float16,
            "f4" => D::Float32,
            "f8" => D::Float64,
            "c8" => D::Complex64,
            "c16" => D::Complex128,
            _ if name.starts_with('O') => return Self::Object,
            _ => return Self::Other,
        })
    }
}

impl Machine<'_> {
    /// `dtype("f4", align, copy)`; the byte order may stand before it, or comes by BUILD.
    pub(super) fn array_type(&mut self, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let name = match arguments {
            &[name] | &[name, _] | &[name, _, _] => self.graph.text(name),
            _ => None,
        };
        let Some(name) = name else { return Ok(None) };
        let plain = name.trim_start_matches(['<', '>', '|', '=']);
        let array_type = ArrayType { kind: Kind::of(plain), big_endian: name.starts_with('>') };
        self.node(Node::ArrayType(array_type), 0).map(Some)
    }

    /// `_reconstruct(ndarray, (0,), b"b")`: an array that BUILD fills.
    pub(super) fn reconstruct_array(&mut self, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let &[class, shape, _] = arguments else { return Ok(None) };
        let array = match self.graph.node(class) {
            Some(&Node::Global(class)) => self.graph.name(class) == "numpy.ndarray",
            _ => false,
        };
        let empty = self.graph.tuple(shape).is_some_and(|shape| shape == [Value::Int(0)]);
        if array && empty { self.node(Node::Array, 0).map(Some) } else { Ok(None) }
    }

    /// `_frombuffer(bytes, dtype, shape, order)`, of protocol 5.
    pub(super) fn array_from_buffer(&mut self, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let &[buffer, array_type, shape, order] = arguments else { return Ok(None) };
        let columns_first = match self.graph.text(order) {
            Some("C") => false,
            Some("F") => true,
            _ => return Ok(None),
        };
        let Some(&Node::ArrayType(array_type)) = self.graph.node(array_type) else { return Ok(None) };
        let array = self.array(array_type, shape, columns_first, buffer)?;
        array.map(|array| self.node(array, 0)).transpose()
    }

    /// BUILD: of a type `(version, byte order, ...)`, of an array `(version, shape, dtype, columns first, bytes)`.
    pub(super) fn build_array(&mut self, target: Value, state: Value) -> Result<(), Fault> {
        let wrong = self.wrong_type("BUILD of an array", state);
        let filled = match (self.graph.node(target), self.graph.tuple(state)) {
            (Some(&Node::ArrayType(array_type)), Some(&[_, order, ..])) => {
                let big_endian = match self.graph.text(order) {
                    Some(">") => true,
                    Some("<" | "|" | "=") => false,
                    _ => return Err(wrong),
                };
                Node::ArrayType(ArrayType { big_endian, ..array_type })
            }
            (Some(Node::Array), Some(&[_, shape, array_type, Value::Bool(columns_first), data])) => {
                let Some(&Node::ArrayType(array_type)) = self.graph.node(array_type) else { return Err(wrong) };
                self.array(array_type, shape, columns_first, data)?.ok_or(wrong)?
            }
            _ => return Err(wrong),
        };
        if let Some(node) = self.graph.node_mut(target) {
            *node = filled;
        }
        Ok(())
    }

    /// An array with these elements: a tensor, where torch has its type. `None` where its parts are of the wrong kind.
    fn array(
        &mut self,
        array_type: ArrayType,
        shape: Value,
        columns_first: bool,
        data: Value,
    ) -> Result<Option<Node>, Fault> {
        let dtype = match array_type.kind {
            Kind::Plain(dtype) => dtype,
            Kind::Object => return Err(PickleProblem::ObjectArray.into()),
            Kind::Other => return Ok(Some(Node::Array)),
        };
        let Some(shape) = self.graph.tuple(shape) else { return Ok(None) };
        let Some(shape) = shape.iter().map(|&size| non_negative(size)).collect::<Option<Vec<u64>>>() else {
            return Ok(None);
        };
        self.charge(128 + 16 * shape.len() as u64)?;
        let Some((place, length)) = self.elements(data)? else { return Ok(None) };
        let wanted = element_count(&shape).and_then(|count| count.checked_mul(dtype.size() as u64));
        if wanted != Some(length) {
            let shape = shape.iter().take(8).copied().collect();
            return Err(PickleProblem::ArraySize { shape, found: length }.into());
        }
        let strides = if columns_first { column_major_strides(&shape) } else { row_major_strides(&shape) };
        let storage = self.storages.push(Box::default(), None, length, place);
        let slice = StorageSlice { storage, start: 0, length };
        let Some(tensor) = Strided::new(dtype, shape, strides, 0, Some(slice)) else { return Ok(None) };
        let tensor = Strided { big_endian: array_type.big_endian && dtype.word() > 1, ..tensor };
        Ok(Some(Node::Tensor(Tensor::Strided(Box::new(tensor)))))
    }

    /// Where the bytes of an array are, and how many.
    fn elements(&mut self, data: Value) -> Result<Option<(Place, u64)>, Fault> {
        let bytes: Box<[u8]> = match self.graph.node(data) {
            Some(&Node::FileBytes { start, length }) => return Ok(Some((Place::File(start), length))),
            Some(Node::Bytes(bytes) | Node::ByteArray(bytes)) => bytes.clone(),
            // A string of Python 2 that could be text.
            Some(Node::Text(text)) => text.as_bytes().into(),
            _ => return Ok(None),
        };
        let length = bytes.len() as u64;
        self.charge(length)?;
        Ok(Some((self.storages.keep(bytes), length)))
    }
}

fn column_major_strides(shape: &[u64]) -> Vec<u64> {
    let reversed: Vec<u64> = shape.iter().rev().copied().collect();
    let mut strides = row_major_strides(&reversed);
    strides.reverse();
    strides
}
