//! The C++ shim's functions, and the only door to them: everything here is safe to call.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_void};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::error::{Error, Result};
use crate::graph::{Arg, ValueId};

/// `Arg` of the shim.
#[repr(C)]
struct RawArg {
    tag: i32,
    integer: i64,
    real: f64,
    data: *const c_void,
    count: usize,
}

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
    ends: unsafe extern "C" fn(*mut c_void, *const usize, usize, *const usize, usize),
}

#[repr(C)]
struct RawCall {
    _private: [u8; 0],
}

type Message = *mut c_char;

unsafe extern "C" {
    fn mf_free_message(message: Message);
    fn mf_trace_begin(tensors: *const *const C_tensor, count: usize) -> Message;
    fn mf_trace_enter(module: *const c_char, length: usize) -> Message;
    fn mf_trace_leave() -> Message;
    fn mf_trace_end(outputs: *const *const C_tensor, count: usize, visitor: *const Visitor) -> Message;
    fn mf_trace_abandon();
    fn mf_has_operator(name: *const c_char, overload: *const c_char, device: i32) -> bool;
    fn mf_has_schema(name: *const c_char, overload: *const c_char) -> bool;
    fn mf_is_random(name: *const c_char, overload: *const c_char) -> bool;
    fn mf_storage(tensor: *const C_tensor) -> usize;
    fn mf_call_new(
        name: *const c_char,
        overload: *const c_char,
        args: *const RawArg,
        count: usize,
        made: *mut *mut RawCall,
    ) -> Message;
    fn mf_call_free(call: *mut RawCall);
    fn mf_call_run(
        call: *const RawCall,
        tensors: *const *const C_tensor,
        context: *mut c_void,
        push: unsafe extern "C" fn(*mut c_void, *mut C_tensor),
    ) -> Message;
}

/// Turns a message of the shim into an error of `operator`.
pub(crate) fn check(operator: &str, message: *mut c_char) -> Result<()> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a message that is not null is a C string made by `strdup`, and is freed here once.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        mf_free_message(message);
        text
    };
    Err(Error::Native { operator: operator.to_owned(), message: text })
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::input("a name without a zero byte", text))
}

fn pointers<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<*const C_tensor> {
    tensors.into_iter().map(Tensor::as_ptr).collect()
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
    fn ends(&mut self, inputs: &[ValueId], outputs: &[ValueId]);
}

impl Tracing {
    /// Starts to note what this thread does with `inputs`.
    pub(crate) fn begin<'a>(inputs: impl IntoIterator<Item = &'a Tensor>) -> Result<Self> {
        let inputs = pointers(inputs);
        // SAFETY: the pointers are those of live tensors, as many as said.
        check("trace", unsafe { mf_trace_begin(inputs.as_ptr(), inputs.len()) })?;
        Ok(Self(()))
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

/// Whether this libtorch has the operator, with a kernel for the CPU or for CUDA.
pub(crate) fn has_operator(name: &str, overload: &str, cuda: bool) -> bool {
    let (Ok(name), Ok(overload)) = (c_string(name), c_string(overload)) else { return false };
    // SAFETY: both are C strings that live through the call.
    unsafe { mf_has_operator(name.as_ptr(), overload.as_ptr(), i32::from(cuda)) }
}

/// Whether this libtorch knows the operator.
pub(crate) fn has_schema(name: &str, overload: &str) -> bool {
    let (Ok(name), Ok(overload)) = (c_string(name), c_string(overload)) else { return false };
    // SAFETY: both are C strings that live through the call.
    unsafe { mf_has_schema(name.as_ptr(), overload.as_ptr()) }
}

/// Whether the operator draws random numbers.
pub(crate) fn is_random(name: &str, overload: &str) -> bool {
    let (Ok(name), Ok(overload)) = (c_string(name), c_string(overload)) else { return false };
    // SAFETY: both are C strings that live through the call.
    unsafe { mf_is_random(name.as_ptr(), overload.as_ptr()) }
}

/// The address of the memory in which the tensor, and its views, have their elements.
pub(crate) fn storage(tensor: &Tensor) -> usize {
    // SAFETY: the tensor is live.
    unsafe { mf_storage(tensor.as_ptr()) }
}

/// A call of an operator whose arguments are known but for the tensors.
#[derive(Debug)]
pub(crate) struct Call {
    raw: *mut RawCall,
    operator: String,
}

// SAFETY: the shim's object has no tie to a thread.
unsafe impl Send for Call {}

impl Call {
    /// Prepares the call and checks its arguments; a value in `args` is an index into the tensors of [`Self::run`].
    pub(crate) fn new(op: &str, overload: &str, args: &[Arg]) -> Result<Self> {
        let lists: Vec<Vec<i64>> = args.iter().map(integers).collect();
        let raw: Vec<RawArg> = args.iter().zip(&lists).map(|(arg, list)| raw(arg, list)).collect();
        let (name, overload) = (c_string(op)?, c_string(overload)?);
        let mut made = std::ptr::null_mut();
        // SAFETY: the strings and the arguments, with what they point to, live through the call.
        let message = unsafe { mf_call_new(name.as_ptr(), overload.as_ptr(), raw.as_ptr(), raw.len(), &raw mut made) };
        check(op, message)?;
        Ok(Self { raw: made, operator: op.to_owned() })
    }

    /// Calls the operator with these tensors.
    pub(crate) fn run(&self, tensors: &[&Tensor]) -> Result<Vec<Tensor>> {
        let mut results: Vec<Tensor> = Vec::new();
        let pointers = pointers(tensors.iter().copied());
        // SAFETY: `raw` was made by `mf_call_new`; the pointers are those of live tensors, and the indices among the
        // arguments were made for them by the caller; `push` is called only during this call, with `results`.
        let message =
            unsafe { mf_call_run(self.raw, pointers.as_ptr(), std::ptr::from_mut(&mut results).cast(), push) };
        check(&self.operator, message)?;
        Ok(results)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // SAFETY: `raw` was made by `mf_call_new`, and is freed once.
        unsafe { mf_call_free(self.raw) }
    }
}

unsafe extern "C" fn push(context: *mut c_void, tensor: *mut C_tensor) {
    // SAFETY: the context is the vector of `run`; the tensor is owned by the callee.
    unsafe { (*context.cast::<Vec<Tensor>>()).push(Tensor::from_ptr(tensor)) }
}

/// What a list argument is in the shim, where it is one of integers.
fn integers(arg: &Arg) -> Vec<i64> {
    match arg {
        Arg::Ints(ints) => ints.clone(),
        Arg::Bools(bools) => bools.iter().copied().map(i64::from).collect(),
        Arg::Values(values) => {
            values.iter().map(|value| value.and_then(|value| i64::try_from(value).ok()).unwrap_or(-1)).collect()
        }
        _ => Vec::new(),
    }
}

/// `arg` for the shim; `list` is that of [`integers`].
fn raw(arg: &Arg, list: &[i64]) -> RawArg {
    let (tag, integer, real) = match arg {
        Arg::None => (0, 0, 0.0),
        Arg::Int(int) => (1, *int, 0.0),
        Arg::Double(double) => (2, 0, *double),
        Arg::Bool(bool) => (3, i64::from(*bool), 0.0),
        Arg::Str(_) => (4, 0, 0.0),
        Arg::Ints(_) => (5, 0, 0.0),
        Arg::Doubles(_) => (6, 0, 0.0),
        Arg::Bools(_) => (7, 0, 0.0),
        Arg::Device(_) => (8, 0, 0.0),
        Arg::Value(value) => (9, i64::try_from(*value).unwrap_or(-1), 0.0),
        Arg::Values(_) => (10, 0, 0.0),
    };
    let (data, count) = match arg {
        Arg::Str(text) | Arg::Device(text) => (text.as_ptr().cast(), text.len()),
        Arg::Doubles(doubles) => (doubles.as_ptr().cast(), doubles.len()),
        _ => (list.as_ptr().cast(), list.len()),
    };
    RawArg { tag, integer, real, data, count }
}
