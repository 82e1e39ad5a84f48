//! The functions by which torch writes tensors, and the attributes that tensors are given.

use crate::dtype::Dtype;
use crate::error::PickleProblem;
use crate::pickle::Fault;
use crate::pickle::globals::{Function, Global, GlobalKind};
use crate::pickle::machine::Machine;
use crate::pickle::storage::non_negative;
use crate::pickle::value::{Node, Value};
use crate::tensor::{StorageSlice, Strided, Tensor};

/// Bytes of a tensor behind its node, without its sizes.
const TENSOR_BYTES: usize = 112;

impl Machine<'_> {
    /// Calls one of the functions that make a tensor.
    pub(super) fn rebuild(&mut self, function: Function, global: Global, arguments: &[Value]) -> Result<Value, Fault> {
        use Function as F;
        let made = match (function, arguments) {
            (F::RebuildTensor, &[storage, offset, size, stride]) => self.view(storage, offset, size, stride, None)?,
            (F::RebuildTensorV2, &[storage, offset, size, stride, gradient, hooks, ref metadata @ ..])
                if metadata.len() <= 1 =>
            {
                self.check_gradient(gradient, hooks, global)?;
                let tensor = self.view(storage, offset, size, stride, None)?;
                tensor.map(|tensor| self.with_metadata(tensor, metadata, global)).transpose()?
            }
            (F::RebuildTensorV3, &[storage, offset, size, stride, gradient, hooks, dtype, ref metadata @ ..])
                if metadata.len() <= 1 =>
            {
                self.check_gradient(gradient, hooks, global)?;
                let dtype = self.dtype(dtype).ok_or_else(|| self.wrong_arguments(global))?;
                let tensor = self.view(storage, offset, size, stride, Some(dtype))?;
                tensor.map(|tensor| self.with_metadata(tensor, metadata, global)).transpose()?
            }
            (F::RebuildQuantized, &[storage, offset, size, stride, parameters, gradient, hooks]) => {
                self.check_gradient(gradient, hooks, global)?;
                let known = self.is_quantizer(parameters);
                let view = self.view(storage, offset, size, stride, None)?;
                view.filter(|_| known).map(|_| Tensor::Unsupported("quantized"))
            }
            (F::RebuildSparse, &[layout, data]) => self.sparse(layout, data)?,
            (F::RebuildNested, &[buffer, sizes, strides, offsets]) => {
                let tensors = [buffer, sizes, strides, offsets].iter().all(|&value| self.is_tensor(value));
                tensors.then_some(Tensor::Unsupported("nested"))
            }
            (F::RebuildMeta, &[dtype, size, stride, Value::Bool(_)]) => {
                let (size, stride) = (self.sizes(size)?, self.sizes(stride)?);
                let same = size.zip(stride).is_some_and(|(size, stride)| size.len() == stride.len());
                self.dtype(dtype).filter(|_| same).map(|_| Tensor::Unsupported("meta"))
            }
            _ => None,
        };
        match made {
            Some(tensor) => self.tensor(tensor),
            None => Err(self.wrong_arguments(global)),
        }
    }

    /// `_rebuild_parameter*(data, requires_grad, hooks[, state])`: the tensor itself.
    pub(super) fn rebuild_parameter(&mut self, global: Global, arguments: &[Value]) -> Result<Value, Fault> {
        match (global.kind, arguments) {
            (GlobalKind::Function(Function::RebuildParameter), &[data, gradient, hooks])
            | (GlobalKind::Function(Function::RebuildParameterWithState), &[data, gradient, hooks, _])
                if self.is_tensor(data) =>
            {
                self.check_gradient(gradient, hooks, global)?;
                Ok(data)
            }
            _ => Err(self.wrong_arguments(global)),
        }
    }

    /// `_rebuild_from_type_v2(function, type, arguments, state)`: what the function makes, as one of torch's types.
    pub(super) fn rebuild_from_type(&mut self, global: Global, arguments: &[Value]) -> Result<Value, Fault> {
        let &[function, class, arguments, _state] = arguments else { return Err(self.wrong_arguments(global)) };
        let class = match self.graph.node(class) {
            Some(Node::Global(class)) => class.kind,
            _ => return Err(self.wrong_arguments(global)),
        };
        let of_torch = matches!(class, GlobalKind::Function(Function::TensorClass | Function::Parameter));
        if !of_torch && class != GlobalKind::Opaque {
            return Err(self.wrong_arguments(global));
        }
        let (Some(&Node::Global(inner)), Some(arguments)) = (self.graph.node(function), self.graph.tuple(arguments))
        else {
            return Err(self.wrong_arguments(global));
        };
        let arguments = arguments.to_vec();
        match inner.kind {
            GlobalKind::Function(Function::RebuildParameter | Function::RebuildParameterWithState) => {
                self.rebuild_parameter(inner, &arguments)
            }
            GlobalKind::Opaque => self.call(inner, &arguments),
            // Any other function than those that rebuild tensors is refused there.
            GlobalKind::Function(function) => self.rebuild(function, inner, &arguments),
            _ => Err(self.wrong_arguments(global)),
        }
    }

    /// `Tensor()`, `Parameter([data[, requires_grad]])`: without data, a tensor to be filled by BUILD.
    pub(super) fn tensor_class(
        &mut self,
        function: Function,
        global: Global,
        arguments: &[Value],
    ) -> Result<Value, Fault> {
        match (function, arguments) {
            (_, []) => {
                let empty = Strided::new(Dtype::Float32, vec![0], vec![1], 0, None);
                let empty = empty.ok_or_else(|| self.wrong_arguments(global))?;
                self.tensor(Tensor::Strided(Box::new(empty)))
            }
            (Function::Parameter, &[data] | &[data, Value::Bool(_)]) if self.is_tensor(data) => Ok(data),
            _ => Err(self.wrong_arguments(global)),
        }
    }

    /// BUILD on a tensor: its attributes, or in the oldest files what it is a view of.
    pub(super) fn build_tensor(&mut self, target: Value, state: Value) -> Result<(), Fault> {
        let filled = match self.graph.tuple(state) {
            Some(&[storage, offset, size, stride]) => self.view(storage, offset, size, stride, None)?,
            Some(&[data, _, _, _, _]) => match self.graph.node(data) {
                Some(Node::Tensor(tensor)) => Some(tensor.clone()),
                _ => None,
            },
            // Attributes as a dict or (dict, slots), or (requires_grad, _, hooks).
            Some([_, _] | [_, _, _]) => return Ok(()),
            None if self.graph.mapping(state).is_some() || state == Value::None => return Ok(()),
            _ => None,
        };
        let filled = filled.ok_or_else(|| self.wrong_type("BUILD of a tensor", state))?;
        self.charge(tensor_bytes(&filled) as u64)?;
        if let Some(Node::Tensor(tensor)) = self.graph.node_mut(target) {
            *tensor = filled;
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: Tensor) -> Result<Value, Fault> {
        let bytes = tensor_bytes(&tensor);
        self.node(Node::Tensor(tensor), bytes)
    }

    fn is_tensor(&self, value: Value) -> bool {
        matches!(self.graph.node(value), Some(Node::Tensor(_)))
    }

    /// `(scheme, scale, zero point)`, or `(scheme, scales, zero points, axis)`.
    fn is_quantizer(&self, parameters: Value) -> bool {
        let list = |value| self.is_tensor(value) || matches!(self.graph.node(value), Some(Node::List(_)));
        let scheme = match self.graph.tuple(parameters) {
            Some(&[scheme, Value::Float(_) | Value::Int(_), Value::Int(_)]) => scheme,
            Some(&[scheme, scales, points, Value::Int(_)]) if list(scales) && list(points) => scheme,
            _ => return false,
        };
        let scheme = self.graph.node(scheme);
        matches!(scheme, Some(Node::Global(Global { kind: GlobalKind::QuantizationScheme, .. })))
    }

    /// `(indices, values, size[, is_coalesced])`, or for compressed layouts `(compressed, plain, values, size)`.
    fn sparse(&mut self, layout: Value, data: Value) -> Result<Option<Tensor>, Fault> {
        let Some(&Node::Layout(layout)) = self.graph.node(layout) else { return Ok(None) };
        let (tensors, &size) = match (layout, self.graph.tuple(data).unwrap_or_default()) {
            ("sparse_coo", [tensors @ .., size] | [tensors @ .., size, Value::Bool(_) | Value::None])
                if tensors.len() == 2 =>
            {
                (tensors, size)
            }
            ("sparse_csr" | "sparse_csc" | "sparse_bsr" | "sparse_bsc", [tensors @ .., size]) if tensors.len() == 3 => {
                (tensors, size)
            }
            _ => return Ok(None),
        };
        let right = tensors.iter().all(|&tensor| self.is_tensor(tensor)) && self.sizes(size)?.is_some();
        Ok(right.then_some(Tensor::Unsupported(layout)))
    }

    fn dtype(&self, value: Value) -> Option<Dtype> {
        match self.graph.node(value) {
            Some(&Node::Dtype(dtype)) => Some(dtype),
            _ => None,
        }
    }

    /// `requires_grad` is a bool, and the hooks are an empty mapping or None.
    fn check_gradient(&self, gradient: Value, hooks: Value, global: Global) -> Result<(), Fault> {
        let hooks = hooks == Value::None || self.graph.mapping(hooks).is_some();
        if matches!(gradient, Value::Bool(_)) && hooks { Ok(()) } else { Err(self.wrong_arguments(global)) }
    }

    fn sizes(&mut self, value: Value) -> Result<Option<Vec<u64>>, Fault> {
        let count = self.graph.sequence(value).map_or(0, <[Value]>::len);
        // Many tensors may share one list, which takes time each time, whatever is made of it.
        self.charge(8 * count as u64)?;
        let sizes = self.graph.sequence(value).map(|items| items.iter().map(|&size| non_negative(size)).collect());
        Ok(sizes.flatten())
    }

    /// A view of a storage; `None` when the values are not of the right types.
    fn view(
        &mut self,
        storage: Value,
        offset: Value,
        size: Value,
        stride: Value,
        dtype: Option<Dtype>,
    ) -> Result<Option<Tensor>, Fault> {
        let Some(&Node::Storage(slice, global)) = self.graph.node(storage) else { return Ok(None) };
        let (Some(offset), Some(size), Some(stride)) = (non_negative(offset), self.sizes(size)?, self.sizes(stride)?)
        else {
            return Ok(None);
        };
        let of_storage = match global.kind {
            GlobalKind::Storage(Some(dtype)) => dtype,
            _ => Dtype::Uint8,
        };
        self.view_of(dtype.unwrap_or(of_storage), size, stride, offset, slice).map(Some)
    }

    fn view_of(
        &self,
        dtype: Dtype,
        shape: Vec<u64>,
        strides: Vec<u64>,
        offset: u64,
        slice: StorageSlice,
    ) -> Result<Tensor, Fault> {
        let error = PickleProblem::OutOfBounds {
            shape: shape.iter().take(8).copied().collect(),
            strides: strides.iter().take(8).copied().collect(),
            offset,
        };
        // Several elements may share a byte.
        let slice = StorageSlice { length: slice.length.saturating_mul(dtype.elements_per_byte()), ..slice };
        let tensor = Strided::new(dtype, shape, strides, offset, Some(slice)).ok_or(error)?;
        Ok(dtype.unsupported().map_or_else(|| Tensor::Strided(Box::new(tensor)), Tensor::Unsupported))
    }

    /// Applies the last argument of `_rebuild_tensor_v2` and `_v3`: `{"conj": True, "neg": True}`.
    fn with_metadata(&mut self, tensor: Tensor, metadata: &[Value], global: Global) -> Result<Tensor, Fault> {
        let Some(&metadata) = metadata.first().filter(|&&metadata| metadata != Value::None) else { return Ok(tensor) };
        // As with sizes, it may be shared.
        self.charge(8 * self.graph.mapping(metadata).map_or(0, |bits| bits.items.len()) as u64)?;
        let bits = self.graph.mapping(metadata).ok_or_else(|| self.wrong_arguments(global))?;
        let mut tensor = tensor;
        for &(name, value) in &bits.items {
            let (Value::Bool(bit), Some(name), Tensor::Strided(strided)) = (value, self.graph.text(name), &mut tensor)
            else {
                return Err(self.wrong_arguments(global));
            };
            match name {
                "conj" if !bit || strided.dtype.is_complex() => strided.conjugate = bit,
                "neg" if !bit || strided.dtype.has_sign_bit() => strided.negative = bit,
                _ => return Err(self.wrong_arguments(global)),
            }
        }
        Ok(tensor)
    }
}

fn tensor_bytes(tensor: &Tensor) -> usize {
    match tensor {
        Tensor::Strided(strided) => TENSOR_BYTES + 16 * strided.shape.len(),
        Tensor::Unsupported(_) => 0,
    }
}
