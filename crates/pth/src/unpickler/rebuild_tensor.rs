//! The functions with which torch pickles tensors, and the attributes of tensors.

use crate::error::PickleProblem;
use crate::tensor::{Dtype, StorageSlice, Strided, TensorDesc};
use crate::unpickler::Unpickler;
use crate::unpickler::fault::Fault;
use crate::unpickler::globals::{Function, Global, GlobalKind};
use crate::unpickler::persistent_id::non_negative;
use crate::unpickler::value::{Node, Value};

/// Bytes of a tensor's description, without its shape and strides.
const TENSOR_BYTES: usize = 112;

impl Unpickler<'_> {
    /// Calls one of the functions that return a tensor.
    pub(super) fn rebuild(&mut self, function: Function, global: Global, arguments: &[Value]) -> Result<Value, Fault> {
        use Function as F;
        let tensor = match (function, arguments) {
            (F::RebuildTensor, &[storage, offset, size, stride]) => self.view(storage, offset, size, stride, None)?,
            (F::RebuildTensorV2, &[storage, offset, size, stride, gradient, hooks, ref metadata @ ..])
                if metadata.len() <= 1 =>
            {
                self.check_gradient(gradient, hooks, global)?;
                let tensor = self.view(storage, offset, size, stride, None)?;
                self.apply_metadata(tensor, metadata, global)?
            }
            (F::RebuildTensorV3, &[storage, offset, size, stride, gradient, hooks, dtype, ref metadata @ ..])
                if metadata.len() <= 1 =>
            {
                self.check_gradient(gradient, hooks, global)?;
                let Some(dtype) = self.dtype(dtype) else { return Err(self.wrong_arguments(global)) };
                let tensor = self.view(storage, offset, size, stride, Some(dtype))?;
                self.apply_metadata(tensor, metadata, global)?
            }
            (F::RebuildQuantized, &[storage, offset, size, stride, parameters, gradient, hooks]) => {
                self.check_gradient(gradient, hooks, global)?;
                let view = self.view(storage, offset, size, stride, None)?;
                unsupported_if(view.is_some() && self.is_quantizer(parameters), "quantized")
            }
            (F::RebuildSparse, &[layout, data]) => self.sparse(layout, data)?,
            (F::RebuildNested, tensors @ [_, _, _, _]) => {
                unsupported_if(tensors.iter().all(|&value| self.is_tensor(value)), "nested")
            }
            (F::RebuildMeta, &[dtype, size, stride, Value::Bool(_)]) => {
                let same_rank = match (self.sizes(size)?, self.sizes(stride)?) {
                    (Some(size), Some(stride)) => size.len() == stride.len(),
                    _ => false,
                };
                unsupported_if(same_rank && self.dtype(dtype).is_some(), "meta")
            }
            _ => None,
        };
        let tensor = tensor.ok_or_else(|| self.wrong_arguments(global))?;
        self.tensor(tensor)
    }

    /// `_rebuild_parameter*(data, requires_grad, hooks[, state])`: returns the tensor itself.
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

    /// `_rebuild_from_type_v2(function, type, arguments, state)`: the result of the function, as one of torch's types.
    pub(super) fn rebuild_from_type(&mut self, global: Global, arguments: &[Value]) -> Result<Value, Fault> {
        let &[function, class, arguments, _state] = arguments else { return Err(self.wrong_arguments(global)) };
        match self.graph.node(class) {
            Some(Node::Global(Global {
                kind: GlobalKind::Opaque | GlobalKind::Function(Function::TensorClass | Function::Parameter),
                ..
            })) => {}
            _ => return Err(self.wrong_arguments(global)),
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
            // This refuses all functions but those that rebuild tensors.
            GlobalKind::Function(function) => self.rebuild(function, inner, &arguments),
            _ => Err(self.wrong_arguments(global)),
        }
    }

    /// `Tensor()`, `Parameter([data[, requires_grad]])`. Without data, it returns a tensor to be filled by BUILD.
    pub(super) fn tensor_class(
        &mut self,
        function: Function,
        global: Global,
        arguments: &[Value],
    ) -> Result<Value, Fault> {
        match (function, arguments) {
            (_, []) => match Strided::new(Dtype::Float32, vec![0], vec![1], 0, None) {
                Some(empty) => self.tensor(TensorDesc::Strided(Box::new(empty))),
                None => Err(self.wrong_arguments(global)),
            },
            (Function::Parameter, &[data] | &[data, Value::Bool(_)]) if self.is_tensor(data) => Ok(data),
            _ => Err(self.wrong_arguments(global)),
        }
    }

    /// BUILD on a tensor: its attributes, or in the oldest files its storage and view.
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
        let Some(filled) = filled else { return Err(self.wrong_type("BUILD of a tensor", state)) };
        self.charge(tensor_bytes(&filled) as u64)?;
        if let Some(Node::Tensor(tensor)) = self.graph.node_mut(target) {
            *tensor = filled;
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: TensorDesc) -> Result<Value, Fault> {
        let bytes = tensor_bytes(&tensor);
        self.node(Node::Tensor(tensor), bytes)
    }

    fn is_tensor(&self, value: Value) -> bool {
        matches!(self.graph.node(value), Some(Node::Tensor(_)))
    }

    fn is_tensor_or_list(&self, value: Value) -> bool {
        matches!(self.graph.node(value), Some(Node::Tensor(_) | Node::List(_)))
    }

    /// Whether a value is `(scheme, scale, zero point)` or `(scheme, scales, zero points, axis)`.
    fn is_quantizer(&self, parameters: Value) -> bool {
        let scheme = match self.graph.tuple(parameters) {
            Some(&[scheme, Value::Float(_) | Value::Int(_), Value::Int(_)]) => scheme,
            Some(&[scheme, scales, zero_points, Value::Int(_)])
                if self.is_tensor_or_list(scales) && self.is_tensor_or_list(zero_points) =>
            {
                scheme
            }
            _ => return false,
        };
        let scheme = self.graph.node(scheme);
        matches!(scheme, Some(Node::Global(Global { kind: GlobalKind::QuantizationScheme, .. })))
    }

    /// `(indices, values, size[, is_coalesced])`, or for compressed layouts `(compressed, plain, values, size)`.
    fn sparse(&mut self, layout: Value, data: Value) -> Result<Option<TensorDesc>, Fault> {
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
        let all_tensors = tensors.iter().all(|&tensor| self.is_tensor(tensor));
        Ok(unsupported_if(all_tensors && self.sizes(size)?.is_some(), layout))
    }

    fn dtype(&self, value: Value) -> Option<Dtype> {
        match self.graph.node(value) {
            Some(&Node::Dtype(dtype)) => Some(dtype),
            _ => None,
        }
    }

    /// Checks that `requires_grad` is a bool, and the hooks are a mapping or None.
    fn check_gradient(&self, gradient: Value, hooks: Value, global: Global) -> Result<(), Fault> {
        let hooks_are_valid = hooks == Value::None || self.graph.mapping(hooks).is_some();
        if matches!(gradient, Value::Bool(_)) && hooks_are_valid { Ok(()) } else { Err(self.wrong_arguments(global)) }
    }

    /// The sizes in a list or tuple; `None` if the value is not a list of sizes.
    fn sizes(&mut self, value: Value) -> Result<Option<Vec<u64>>, Fault> {
        let count = self.graph.sequence(value).unwrap_or_default().len();
        // Many tensors may share one list, and each use takes time.
        self.charge(8 * count as u64)?;
        let Some(items) = self.graph.sequence(value) else { return Ok(None) };
        let mut sizes = Vec::with_capacity(items.len());
        for &item in items {
            let Some(size) = non_negative(item) else { return Ok(None) };
            sizes.push(size);
        }
        Ok(Some(sizes))
    }

    /// A view of a storage; `None` if an argument has the wrong type. Default `dtype`: that of the storage.
    fn view(
        &mut self,
        storage: Value,
        offset: Value,
        size: Value,
        stride: Value,
        dtype: Option<Dtype>,
    ) -> Result<Option<TensorDesc>, Fault> {
        let Some(&Node::Storage(slice, global)) = self.graph.node(storage) else { return Ok(None) };
        let (Some(offset), Some(size), Some(stride)) = (non_negative(offset), self.sizes(size)?, self.sizes(stride)?)
        else {
            return Ok(None);
        };
        let dtype = match (dtype, global.kind) {
            (Some(dtype), _) => dtype,
            (None, GlobalKind::Storage(Some(dtype))) => dtype,
            (None, _) => Dtype::Uint8,
        };
        view_slice(dtype, size, stride, offset, slice).map(Some)
    }

    /// Applies the last argument of `_rebuild_tensor_v2` and `_v3`, `{"conj": True, "neg": True}`, if it is present.
    fn apply_metadata(
        &mut self,
        tensor: Option<TensorDesc>,
        metadata: &[Value],
        global: Global,
    ) -> Result<Option<TensorDesc>, Fault> {
        let Some(mut tensor) = tensor else { return Ok(None) };
        let metadata = match metadata {
            [] | [Value::None] => return Ok(Some(tensor)),
            [metadata, ..] => *metadata,
        };
        // Many tensors may share one mapping, and each use takes time.
        let count = self.graph.mapping(metadata).map_or(0, |bits| bits.items.len());
        self.charge(8 * count as u64)?;
        let Some(bits) = self.graph.mapping(metadata) else { return Err(self.wrong_arguments(global)) };
        for &(name, value) in &bits.items {
            let (Value::Bool(bit), Some(name), TensorDesc::Strided(strided)) =
                (value, self.graph.text(name), &mut tensor)
            else {
                return Err(self.wrong_arguments(global));
            };
            match name {
                "conj" if !bit || strided.dtype.is_complex() => strided.conjugate = bit,
                "neg" if !bit || strided.dtype.has_sign_bit() => strided.negative = bit,
                _ => return Err(self.wrong_arguments(global)),
            }
        }
        Ok(Some(tensor))
    }
}

fn unsupported_if(condition: bool, kind: &'static str) -> Option<TensorDesc> {
    if condition { Some(TensorDesc::Unsupported(kind)) } else { None }
}

fn view_slice(
    dtype: Dtype,
    shape: Vec<u64>,
    strides: Vec<u64>,
    offset: u64,
    slice: StorageSlice,
) -> Result<TensorDesc, Fault> {
    let out_of_bounds = PickleProblem::OutOfBounds {
        shape: shape.iter().take(8).copied().collect(),
        strides: strides.iter().take(8).copied().collect(),
        offset,
    };
    // Several elements may share a byte.
    let slice = StorageSlice { length: slice.length.saturating_mul(dtype.elements_per_byte()), ..slice };
    let Some(tensor) = Strided::new(dtype, shape, strides, offset, Some(slice)) else {
        return Err(out_of_bounds.into());
    };
    match dtype.unsupported() {
        Some(kind) => Ok(TensorDesc::Unsupported(kind)),
        None => Ok(TensorDesc::Strided(Box::new(tensor))),
    }
}

fn tensor_bytes(tensor: &TensorDesc) -> usize {
    match tensor {
        TensorDesc::Strided(strided) => TENSOR_BYTES + 16 * strided.shape.len(),
        TensorDesc::Unsupported(_) => 0,
    }
}
