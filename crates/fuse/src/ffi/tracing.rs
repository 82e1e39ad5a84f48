//! [`Tracing`]: TorchScript's tracer.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_void};

use tch::Tensor;
use torch_sys::C_tensor;

use super::{Message, RawArg, check, pointers, push};
use crate::error::Result;
use crate::graph::{Arg, ValueId};

#[repr(C)]
struct Visitor {
    context: *mut c_void,
    node: unsafe extern "C" fn(
        *mut c_void,
        *const c_char,
        *const c_char,
        *const c_char,
        *const usize,
        usize,
        *const usize,
        usize,
    ),
    constant: unsafe extern "C" fn(*mut c_void, usize, *const RawArg),
    tensor: unsafe extern "C" fn(*mut c_void, usize, *mut C_tensor),
    created: unsafe extern "C" fn(*mut c_void, usize, *mut C_tensor),
    asked: unsafe extern "C" fn(*mut c_void, i32, usize, *const i64, usize, *const c_char, *const c_char),
    ends: unsafe extern "C" fn(*mut c_void, *const usize, usize, *const usize, usize),
}

unsafe extern "C" {
    fn mf_trace_begin(
        tensors: *const *const C_tensor,
        count: usize,
        inputs: usize,
        context: *mut c_void,
        push: unsafe extern "C" fn(*mut c_void, *mut C_tensor),
    ) -> Message;
    fn mf_trace_pause(paused: bool);
    fn mf_trace_part(tensor: *const C_tensor) -> bool;
    fn mf_trace_enter(module: *const c_char, length: usize) -> Message;
    fn mf_trace_leave() -> Message;
    fn mf_trace_end(outputs: *const *const C_tensor, count: usize, visitor: *const Visitor) -> Message;
    fn mf_trace_abandon();
}

/// A trace that is going on; dropped, it is abandoned.
pub(crate) struct Tracing(());

/// What [`Tracing::end`] tells of the graph.
pub(crate) trait Visit {
    fn node(&mut self, op: &str, overload: &str, module: &str, inputs: &[ValueId], outputs: &[ValueId]);
    fn constant(&mut self, value: ValueId, constant: Arg);
    fn tensor(&mut self, value: ValueId, tensor: Tensor);
    /// A value that an operator made of nothing, as it is at the end.
    fn created(&mut self, value: ValueId, tensor: Tensor);
    /// Something that the program asked; the value is that of the tensor, where the graph has it.
    fn asked(&mut self, what: Asked, value: Option<ValueId>, module: &str);
    fn ends(&mut self, inputs: &[ValueId], outputs: &[ValueId]);
}

/// What a program asked of a tensor that depends on an input.
#[derive(Debug)]
pub(crate) enum Asked {
    /// How many dimensions it has.
    Rank(usize),
    /// Its size.
    Size(Vec<i64>),
    /// What depends on its size; known to who watches ([`Tracing::part`]).
    Part,
    /// What an operator says that did not run.
    Refused,
    /// Its values, by an operator that gives no tensor.
    Values(String),
}

impl Tracing {
    /// Starts to note what this thread does with `inputs` and `state`. Gives tensors that stand for the inputs.
    pub(crate) fn begin(inputs: &[Tensor], state: &[Tensor]) -> Result<(Self, Vec<Tensor>)> {
        let tensors = pointers(inputs.iter().chain(state));
        let mut standing: Vec<Tensor> = Vec::new();
        let context = std::ptr::from_mut(&mut standing).cast();
        // SAFETY: the pointers are those of live tensors, as many as said; `push` is called only during this call, with
        // `standing`.
        check("trace", unsafe { mf_trace_begin(tensors.as_ptr(), tensors.len(), inputs.len(), context, push) })?;
        Ok((Self(()), standing))
    }

    /// The size of `tensor`, without that being noted.
    pub(crate) fn unnoted_size(tensor: &Tensor) -> Vec<i64> {
        // SAFETY: sets a flag of this thread.
        unsafe { mf_trace_pause(true) };
        let size = tensor.size();
        // SAFETY: as above.
        unsafe { mf_trace_pause(false) };
        size
    }

    /// Notes [`Asked::Part`]; gives false where the tensor depends on no input.
    pub(crate) fn part(tensor: &Tensor) -> bool {
        // SAFETY: the tensor is live.
        unsafe { mf_trace_part(tensor.as_ptr()) }
    }

    /// Notes that the module `name` starts (`Some`) or that the last one ends.
    pub(crate) fn scope(name: Option<&str>) {
        // SAFETY: the text is as long as said; both functions do nothing outside of a trace. A scope that cannot be set is
        // missing in messages only.
        let message = unsafe {
            match name {
                Some(name) => mf_trace_enter(name.as_ptr().cast(), name.len()),
                None => mf_trace_leave(),
            }
        };
        let _ = check("trace", message);
    }

    /// Ends the trace, whose results are `outputs`.
    pub(crate) fn end<V: Visit>(self, outputs: &[Tensor], visit: &mut V) -> Result<()> {
        let outputs = pointers(outputs);
        let visitor = Visitor {
            context: std::ptr::from_mut(visit).cast(),
            node: visit_node::<V>,
            constant: visit_constant::<V>,
            tensor: visit_tensor::<V>,
            created: visit_created::<V>,
            asked: visit_asked::<V>,
            ends: visit_ends::<V>,
        };
        // SAFETY: the pointers are those of live tensors; the functions of the visitor are called only during this call,
        // with `visit` as their context.
        check("trace", unsafe { mf_trace_end(outputs.as_ptr(), outputs.len(), &raw const visitor) })
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        // SAFETY: has no arguments, and does nothing where the trace was ended.
        unsafe { mf_trace_abandon() }
    }
}

/// # Safety
/// `data` has `count` elements, or `count` is 0.
unsafe fn slice<'a, T>(data: *const T, count: usize) -> &'a [T] {
    if count == 0 || data.is_null() {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(data, count) }
}

/// # Safety
/// `text` is a C string.
unsafe fn text(text: *const c_char) -> String {
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

unsafe extern "C" fn visit_node<V: Visit>(
    context: *mut c_void,
    op: *const c_char,
    overload: *const c_char,
    module: *const c_char,
    inputs: *const usize,
    input_count: usize,
    outputs: *const usize,
    output_count: usize,
) {
    // SAFETY: the shim hands on the context that `end` made of a `V`, C strings, and arrays as long as said.
    unsafe {
        let inputs = slice(inputs, input_count);
        let outputs = slice(outputs, output_count);
        (*context.cast::<V>()).node(&text(op), &text(overload), &text(module), inputs, outputs);
    }
}

unsafe extern "C" fn visit_constant<V: Visit>(context: *mut c_void, value: usize, arg: *const RawArg) {
    // SAFETY: as in `visit_node`; what `data` points to is what the tag says.
    unsafe {
        let RawArg { tag, integer, real, data, count } = &*arg;
        let string = || String::from_utf8_lossy(slice(data.cast::<u8>(), *count)).into_owned();
        let constant = match tag {
            1 => Arg::Int(*integer),
            2 => Arg::Double(*real),
            3 => Arg::Bool(*integer != 0),
            4 => Arg::Str(string()),
            5 => Arg::Ints(slice(data.cast(), *count).to_vec()),
            6 => Arg::Doubles(slice(data.cast(), *count).to_vec()),
            7 => Arg::Bools(slice(data.cast::<i64>(), *count).iter().map(|bool| *bool != 0).collect()),
            8 => Arg::Device(string()),
            _ => Arg::None,
        };
        (*context.cast::<V>()).constant(value, constant);
    }
}

unsafe extern "C" fn visit_tensor<V: Visit>(context: *mut c_void, value: usize, tensor: *mut C_tensor) {
    // SAFETY: as in `visit_node`; the tensor is owned by the callee.
    unsafe { (*context.cast::<V>()).tensor(value, Tensor::from_ptr(tensor)) }
}

unsafe extern "C" fn visit_created<V: Visit>(context: *mut c_void, value: usize, tensor: *mut C_tensor) {
    // SAFETY: as in `visit_tensor`.
    unsafe { (*context.cast::<V>()).created(value, Tensor::from_ptr(tensor)) }
}

unsafe extern "C" fn visit_asked<V: Visit>(
    context: *mut c_void,
    kind: i32,
    value: usize,
    size: *const i64,
    dimensions: usize,
    module: *const c_char,
    operator: *const c_char,
) {
    // SAFETY: as in `visit_node`.
    unsafe {
        let asked = match kind {
            0 => Asked::Rank(dimensions),
            1 => Asked::Size(slice(size, dimensions).to_vec()),
            2 => Asked::Part,
            3 => Asked::Refused,
            _ => Asked::Values(text(operator)),
        };
        let value = Some(value).filter(|value| *value != usize::MAX);
        (*context.cast::<V>()).asked(asked, value, &text(module));
    }
}

unsafe extern "C" fn visit_ends<V: Visit>(
    context: *mut c_void,
    inputs: *const usize,
    input_count: usize,
    outputs: *const usize,
    output_count: usize,
) {
    // SAFETY: as in `visit_node`.
    unsafe { (*context.cast::<V>()).ends(slice(inputs, input_count), slice(outputs, output_count)) }
}
