//! NumPy arrays as tensors: their types, and the functions with which they are pickled.

use crate::error::PickleProblem;
use crate::tensor::{Place, StorageSlice, Strided, TensorDesc, element_count, row_major_strides};
use crate::unpickler::Unpickler;
use crate::unpickler::array_type::{ArrayType, ArrayTypeKind};
use crate::unpickler::fault::Fault;
use crate::unpickler::persistent_id::non_negative;
use crate::unpickler::value::{Node, Value};

impl Unpickler<'_> {
    /// `dtype("f4", align, copy)`. The byte order is part of the name or set by BUILD.
    pub(super) fn array_type(&mut self, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let (&[name] | &[name, _] | &[name, _, _]) = arguments else { return Ok(None) };
        let Some(name) = self.graph.text(name) else { return Ok(None) };
        let array_type = ArrayType::from_name(name);
        self.node(Node::ArrayType(array_type), 0).map(Some)
    }

    /// `_reconstruct(ndarray, (0,), b"b")`: an array to be filled by BUILD.
    pub(super) fn reconstruct_array(&mut self, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let &[class, shape, _] = arguments else { return Ok(None) };
        let is_array = match self.graph.node(class) {
            Some(&Node::Global(class)) => self.graph.name(class) == "numpy.ndarray",
            _ => false,
        };
        if !is_array || self.graph.tuple(shape) != Some(&[Value::Int(0)]) {
            return Ok(None);
        }
        self.node(Node::Array, 0).map(Some)
    }

    /// `_frombuffer(bytes, dtype, shape, order)` of protocol 5.
    pub(super) fn array_from_buffer(&mut self, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let &[buffer, array_type, shape, order] = arguments else { return Ok(None) };
        let column_major = match self.graph.text(order) {
            Some("C") => false,
            Some("F") => true,
            _ => return Ok(None),
        };
        let Some(&Node::ArrayType(array_type)) = self.graph.node(array_type) else { return Ok(None) };
        match self.array(array_type, shape, column_major, buffer)? {
            Some(array) => self.node(array, 0).map(Some),
            None => Ok(None),
        }
    }

    /// BUILD of a type, `(version, byte order, ...)`, or an array, `(version, shape, dtype, column major, bytes)`.
    pub(super) fn build_array(&mut self, target: Value, state: Value) -> Result<(), Fault> {
        let filled = match (self.graph.node(target), self.graph.tuple(state)) {
            (Some(&Node::ArrayType(array_type)), Some(&[_, order, ..])) => match self.graph.text(order) {
                Some(">") => Some(Node::ArrayType(ArrayType { big_endian: true, ..array_type })),
                Some("<" | "|" | "=") => Some(Node::ArrayType(ArrayType { big_endian: false, ..array_type })),
                _ => None,
            },
            (Some(Node::Array), Some(&[_, shape, array_type, Value::Bool(column_major), data])) => {
                match self.graph.node(array_type) {
                    Some(&Node::ArrayType(array_type)) => self.array(array_type, shape, column_major, data)?,
                    _ => None,
                }
            }
            _ => None,
        };
        let Some(filled) = filled else { return Err(self.wrong_type("BUILD of an array", state)) };
        if let Some(node) = self.graph.node_mut(target) {
            *node = filled;
        }
        Ok(())
    }

    /// An array with these elements: a tensor, if torch has its type. `None` if an argument has the wrong type.
    fn array(
        &mut self,
        array_type: ArrayType,
        shape: Value,
        column_major: bool,
        data: Value,
    ) -> Result<Option<Node>, Fault> {
        let dtype = match array_type.kind {
            ArrayTypeKind::Plain(dtype) => dtype,
            ArrayTypeKind::Object => return Err(PickleProblem::ObjectArray.into()),
            ArrayTypeKind::Other => return Ok(Some(Node::Array)),
        };
        let Some(sizes) = self.graph.tuple(shape) else { return Ok(None) };
        let mut shape = Vec::with_capacity(sizes.len());
        for &size in sizes {
            let Some(size) = non_negative(size) else { return Ok(None) };
            shape.push(size);
        }
        self.charge(128 + 16 * shape.len() as u64)?;
        let Some((place, length)) = self.elements(data)? else { return Ok(None) };
        let expected = match element_count(&shape) {
            Some(count) => count.checked_mul(dtype.size() as u64),
            None => None,
        };
        if expected != Some(length) {
            shape.truncate(8);
            return Err(PickleProblem::ArraySize { shape, found: length }.into());
        }
        let strides = if column_major { column_major_strides(&shape) } else { row_major_strides(&shape) };
        let storage = self.storages.push(Box::default(), None, length, place);
        let slice = StorageSlice { storage, start: 0, length };
        let Some(tensor) = Strided::new(dtype, shape, strides, 0, Some(slice)) else { return Ok(None) };
        let tensor = Strided { big_endian: array_type.big_endian && dtype.word() > 1, ..tensor };
        Ok(Some(Node::Tensor(TensorDesc::Strided(Box::new(tensor)))))
    }

    /// The location of the bytes of an array, and their number.
    fn elements(&mut self, data: Value) -> Result<Option<(Place, u64)>, Fault> {
        let bytes: Box<[u8]> = match self.graph.node(data) {
            Some(&Node::FileBytes { start, length }) => return Ok(Some((Place::File(start), length))),
            Some(Node::Bytes(bytes) | Node::ByteArray(bytes)) => bytes.clone(),
            // A string of Python 2 that happens to be text.
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
