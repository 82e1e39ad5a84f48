//! The C++ shim's functions, and the only door to them: everything here is safe to call.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_void};

use tch::Tensor;
use torch_sys::C_tensor;

mod tracing;

use crate::error::{Error, Result};
use crate::graph::Arg;

pub(crate) use tracing::{Asked, Tracing, Visit};

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
struct RawCall {
    _private: [u8; 0],
}

type Message = *mut c_char;

unsafe extern "C" {
    fn mf_free_message(message: Message);
    fn mf_has_operator(name: *const c_char, overload: *const c_char, device: i32) -> bool;
    fn mf_has_schema(name: *const c_char, overload: *const c_char) -> bool;
    fn mf_is_random(name: *const c_char, overload: *const c_char) -> bool;
    fn mf_storage(tensor: *const C_tensor) -> usize;
    fn mf_plain(tensor: *const C_tensor, made: *mut *mut C_tensor) -> Message;
    fn mf_is_moderate(tensor: *const C_tensor) -> bool;
    fn mf_memory() -> u64;
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
        count: usize,
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

/// The tensor itself, or one with the same elements in plain memory where its own are not what lies there: a conjugate, a
/// negative view, zeros without memory. What has no elements in memory is refused.
pub(crate) fn plain(tensor: &Tensor) -> Result<Option<Tensor>> {
    let mut made = std::ptr::null_mut();
    // SAFETY: the tensor is live, and the pointer is to a live pointer.
    let message = unsafe { mf_plain(tensor.as_ptr(), &raw mut made) };
    if let Err(Error::Native { message, .. }) = check("", message) {
        let found = message.lines().next().unwrap_or_default();
        return Err(Error::input("a dense tensor with its elements in memory", found));
    }
    if made.is_null() {
        return Ok(None);
    }
    // SAFETY: the shim made it, and gives it away.
    Ok(Some(unsafe { Tensor::from_ptr(made) }))
}

/// Whether all elements are numbers of a moderate size (less than 2^63), so that sums of their products are numbers too. Only
/// contiguous tensors of 32 bits on the CPU are looked at; others count as moderate.
pub(crate) fn is_moderate(tensor: &Tensor) -> bool {
    // SAFETY: the tensor is live; the shim reads as many elements as it says to have, and those that use this made sure
    // by `plain` that it has them.
    unsafe { mf_is_moderate(tensor.as_ptr()) }
}

/// The machine's memory in bytes, where that is known.
pub(crate) fn memory() -> Option<u64> {
    // SAFETY: has no arguments.
    Some(unsafe { mf_memory() }).filter(|bytes| *bytes > 0)
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
        let context = std::ptr::from_mut(&mut results).cast();
        // SAFETY: `raw` was made by `mf_call_new`; the pointers are those of live tensors, as many as said, and the shim
        // checks the indices among the arguments; `push` is called only during this call, with `results`.
        let message = unsafe { mf_call_run(self.raw, pointers.as_ptr(), pointers.len(), context, push) };
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tch::{Tensor, kind};

    use super::*;

    #[test]
    fn an_index_that_no_tensor_has_is_an_error() {
        let tensor = Tensor::ones([2], kind::FLOAT_CPU);
        let relu = Call::new("aten::relu", "", &[Arg::Value(1)]).unwrap();
        assert!(relu.run(&[&tensor]).unwrap_err().to_string().contains("there is no tensor 1"));
        assert!(Call::new("aten::relu", "", &[Arg::Value(usize::MAX)]).unwrap().run(&[&tensor]).is_err());
        let cat = Call::new("aten::cat", "", &[Arg::Values(vec![Some(0), Some(7)]), Arg::Int(0)]).unwrap();
        assert!(cat.run(&[&tensor]).is_err());
        let wrong = Call::new("aten::relu", "", &[Arg::Values(vec![Some(0)])]);
        assert!(wrong.and_then(|call| call.run(&[&tensor])).is_err());
        assert!(Call::new("aten::relu", "", &[]).is_err());
    }

    #[test]
    fn numbers_that_are_not_moderate() {
        for value in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e19, -1e30, f32::MAX] {
            for place in [0, 7, 99] {
                let mut numbers = vec![0.5f32; 100];
                numbers[place] = value;
                assert!(!is_moderate(&Tensor::from_slice(&numbers)), "{value}");
            }
        }
        for value in [0.0, -0.0, 1e18, -1e18, f32::MIN_POSITIVE, 1e-45] {
            assert!(is_moderate(&Tensor::from_slice(&[value, -value])), "{value}");
        }
        assert!(is_moderate(&Tensor::zeros([0], kind::FLOAT_CPU)));
    }
}
