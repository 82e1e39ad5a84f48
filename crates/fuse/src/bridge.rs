//! The bridge to the C++ shim, and the only `unsafe` code of the crate: how tch's tensors cross it.
//!
//! cxx generates both sides from what is declared here and compares it with `shim/*.h` at build time. A C++ exception becomes an
//! `Err`. Every function is safe to call: the shim checks indices, lengths and sizes itself.
#![allow(unsafe_code)]

use std::fmt;

use cxx::UniquePtr;
use mmcv_kernels::Workers;

use crate::trace::GraphBuilder;

#[cxx::bridge(namespace = "mmcv_fuse")]
#[allow(
    clippy::panic,
    unreachable_pub,
    reason = "what cxx generates is public, and panics for a shared type without destructor"
)]
mod shim {
    /// A tensor for the time of a call.
    struct TensorRef<'a> {
        tensor: &'a Tensor,
    }

    /// What a program asked of a tensor.
    #[derive(Debug)]
    enum QuestionKind {
        /// How many dimensions it has.
        Rank,
        /// Its whole size, or something that depends on it.
        Size,
        /// A part of its size; the Rust side knows which.
        Part,
        /// Whether an operator accepts it, which one did not.
        Refused,
        /// Its values.
        Values,
    }

    /// A question of a traced program.
    struct Asked<'a> {
        kind: QuestionKind,
        /// Whether the graph knows the tensor.
        has_value: bool,
        value: usize,
        size: &'a [i64],
        module: &'a str,
        /// The operator, for `Refused` and `Values`.
        operation: &'a str,
    }

    /// The algorithms of oneDNN in use; `shim/onednn.cpp` has their numbers from oneDNN's header.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Algorithm {
        Relu,
        Tanh,
        Elu,
        Linear,
        HardSigmoid,
        Logistic,
        GeluTanh,
        Swish,
        Clip,
        GeluErf,
        HardSwish,
        MaxPooling,
        AveragePooling,
        AveragePoolingWithPadding,
        Add,
        Multiply,
        Nearest,
        Bilinear,
    }

    /// The type of numbers in memory.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Type {
        F32,
        Bf16,
        U8,
        S8,
    }

    /// What an argument is for an operator.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Role {
        Source,
        SecondSource,
        /// One of many, by index.
        Sources,
        Weights,
        Bias,
        Result,
        Scratchpad,
        /// The other operand of what is done after the operator, by position among [`Attributes`].
        Operand,
        SourceScale,
        WeightsScale,
        ResultScale,
        SourceZero,
        ResultZero,
    }

    /// An argument of an operator.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Argument {
        role: Role,
        /// 0 if there is only one for the role.
        index: i32,
    }

    /// An operation on each element with its two numbers.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Eltwise {
        algorithm: Algorithm,
        alpha: f32,
        beta: f32,
    }

    /// What was in the memory of the result, to which it is added: `scale * (number - zero_point)`.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Sum {
        scale: f32,
        zero_point: i32,
    }

    /// How a window moves along each spatial axis: strides, dilations (0 for none), padding before and after.
    #[derive(Debug, Clone, PartialEq)]
    struct Window {
        strides: Vec<i64>,
        dilations: Vec<i64>,
        before: Vec<i64>,
        after: Vec<i64>,
    }

    /// A description for the time of a call.
    struct DescRef<'a> {
        desc: &'a Desc,
    }

    // SAFETY: the functions check what they get, and keep no reference that they get beyond the call. `Plan` keeps tensors of
    // which `fixed` took the address: they are weights and scratch memory of the fused form, which nothing else can resize.
    unsafe extern "C++" {
        include!("mmcv-fuse/shim/call.h");
        include!("mmcv-fuse/shim/onednn.h");
        include!("mmcv-fuse/shim/parallel.h");
        include!("mmcv-fuse/shim/script.h");
        include!("mmcv-fuse/shim/trace.h");

        #[namespace = "at"]
        type Tensor;
        fn storage(tensor: &Tensor) -> usize;
        fn plain(tensor: &Tensor) -> Result<UniquePtr<Tensor>>;
        fn is_moderate(tensor: &Tensor) -> bool;
        fn memory() -> u64;

        type Call;
        fn new_call(name: &str, overload: &str, count: usize) -> Result<UniquePtr<Call>>;
        fn push_none(self: Pin<&mut Call>) -> Result<()>;
        fn push_int(self: Pin<&mut Call>, value: i64) -> Result<()>;
        fn push_double(self: Pin<&mut Call>, value: f64) -> Result<()>;
        fn push_bool(self: Pin<&mut Call>, value: bool) -> Result<()>;
        fn push_string(self: Pin<&mut Call>, value: &str) -> Result<()>;
        fn push_device(self: Pin<&mut Call>, value: &str) -> Result<()>;
        fn push_ints(self: Pin<&mut Call>, values: &[i64]) -> Result<()>;
        fn push_doubles(self: Pin<&mut Call>, values: &[f64]) -> Result<()>;
        fn push_bools(self: Pin<&mut Call>, values: &[bool]) -> Result<()>;
        fn push_tensor(self: Pin<&mut Call>, index: usize) -> Result<()>;
        fn push_tensors(self: Pin<&mut Call>, indices: &[i64]) -> Result<()>;
        fn run(self: &Call, tensors: &[TensorRef], results: &mut Tensors) -> Result<()>;
        fn has_operator(name: &str, overload: &str, cuda: bool) -> bool;
        fn has_schema(name: &str, overload: &str) -> bool;
        fn is_random(name: &str, overload: &str) -> bool;

        type Script;
        fn new_script() -> Result<UniquePtr<Script>>;
        fn input(self: Pin<&mut Script>, value: usize) -> Result<()>;
        fn tensor(self: Pin<&mut Script>, value: usize, name: &str, tensor: &Tensor, is_parameter: bool) -> Result<()>;
        fn node(self: Pin<&mut Script>, call: &Call, outputs: &[usize]) -> Result<()>;
        fn save(self: Pin<&mut Script>, outputs: &[usize], single: bool, file: &str) -> Result<()>;

        fn trace_begin(tensors: &[TensorRef], inputs: usize, standing: &mut Tensors) -> Result<()>;
        fn trace_pause(paused: bool);
        fn trace_part(tensor: &Tensor) -> bool;
        fn trace_enter(module: &str) -> Result<()>;
        fn trace_leave() -> Result<()>;
        fn trace_end(outputs: &[TensorRef], builder: &mut GraphBuilder) -> Result<()>;
        fn trace_abandon();

        type Desc;
        fn any_desc(shape: &[i64], kind: Type) -> Result<SharedPtr<Desc>>;
        fn blocked_desc(shape: &[i64], kind: Type) -> Result<SharedPtr<Desc>>;
        fn block_size() -> Result<usize>;
        fn multiplies_tiles() -> Result<bool>;
        fn strided_desc(shape: &[i64], strides: &[i64], kind: Type) -> Result<SharedPtr<Desc>>;
        fn part(self: &Desc, shape: &[i64], offsets: &[i64]) -> Result<SharedPtr<Desc>>;
        fn equals(self: &Desc, other: &Desc) -> bool;
        fn size(self: &Desc) -> usize;
        #[cxx_name = "type"]
        fn kind(self: &Desc) -> Result<Type>;

        type Attributes;
        fn new_attributes() -> Result<UniquePtr<Attributes>>;
        fn eltwise(self: Pin<&mut Attributes>, eltwise: Eltwise) -> Result<()>;
        fn sum(self: Pin<&mut Attributes>, sum: Sum) -> Result<()>;
        fn binary(self: Pin<&mut Attributes>, algorithm: Algorithm, operand: &Desc) -> Result<()>;
        fn scale(self: Pin<&mut Attributes>, argument: Argument, mask: i32) -> Result<()>;
        fn zero_point(self: Pin<&mut Attributes>, argument: Argument) -> Result<()>;

        type Op;
        fn convolution(
            transposed: bool,
            source: &Desc,
            weights: &Desc,
            bias: &[DescRef],
            result: &Desc,
            window: &Window,
            attributes: &Attributes,
        ) -> Result<UniquePtr<Op>>;
        fn inner_product(
            source: &Desc,
            weights: &Desc,
            bias: &[DescRef],
            result: &Desc,
            attributes: &Attributes,
        ) -> Result<UniquePtr<Op>>;
        fn pooling(
            algorithm: Algorithm,
            source: &Desc,
            result: &Desc,
            kernel: &[i64],
            window: &Window,
        ) -> Result<UniquePtr<Op>>;
        fn elementwise(eltwise: Eltwise, source: &Desc, result: &Desc) -> Result<UniquePtr<Op>>;
        fn binary(
            algorithm: Algorithm,
            left: &Desc,
            right: &Desc,
            result: &Desc,
            attributes: &Attributes,
        ) -> Result<UniquePtr<Op>>;
        fn concatenation(axis: i32, sources: &[DescRef]) -> Result<UniquePtr<Op>>;
        fn resampling(algorithm: Algorithm, source: &Desc, result: &Desc) -> Result<UniquePtr<Op>>;
        fn reorder(source: &Desc, result: &Desc, attributes: &Attributes) -> Result<UniquePtr<Op>>;
        fn wants(self: &Op, argument: Argument) -> Result<SharedPtr<Desc>>;
        fn kernel(self: &Op) -> String;

        type Plan;
        fn new_plan() -> Result<UniquePtr<Plan>>;
        fn step(self: Pin<&mut Plan>, op: UniquePtr<Op>) -> Result<()>;
        fn fixed(self: Pin<&mut Plan>, argument: Argument, memory: &Tensor, offset: usize) -> Result<()>;
        fn attribute(self: Pin<&mut Plan>, argument: Argument, values: &Tensor) -> Result<()>;
        fn slot(self: Pin<&mut Plan>, argument: Argument, slot: usize) -> Result<()>;
        fn run(self: Pin<&mut Plan>, first: usize, last: usize, tensors: &[TensorRef], times: &mut [f64])
        -> Result<()>;

        fn onednn_version() -> Result<u32>;

        fn thread_count() -> usize;
        fn use_threads(count: usize);
        fn parallel(task: &Task, count: usize);

        #[allow(dead_code, reason = "for a test")]
        fn check_libtorch_file(path: &str) -> Result<()>;
    }

    extern "Rust" {
        type Task<'a>;
        fn run(self: &Task<'_>, index: usize);

        type Tensors;
        fn push(self: &mut Tensors, tensor: UniquePtr<Tensor>);

        type GraphBuilder;
        fn none(self: &mut GraphBuilder, value: usize);
        fn integer(self: &mut GraphBuilder, value: usize, constant: i64);
        fn real(self: &mut GraphBuilder, value: usize, constant: f64);
        fn boolean(self: &mut GraphBuilder, value: usize, constant: bool);
        fn string(self: &mut GraphBuilder, value: usize, constant: &str);
        fn device(self: &mut GraphBuilder, value: usize, constant: &str);
        fn integers(self: &mut GraphBuilder, value: usize, constant: &[i64]);
        fn reals(self: &mut GraphBuilder, value: usize, constant: &[f64]);
        fn booleans(self: &mut GraphBuilder, value: usize, constant: &[bool]);
        fn tensor(self: &mut GraphBuilder, value: usize, tensor: UniquePtr<Tensor>);
        fn created(self: &mut GraphBuilder, value: usize, tensor: UniquePtr<Tensor>);
        fn node(self: &mut GraphBuilder, op: &str, overload: &str, module: &str, inputs: &[usize], outputs: &[usize]);
        fn size(self: &mut GraphBuilder, value: usize, size: &[i64]);
        fn asked(self: &mut GraphBuilder, asked: Asked);
        fn ends(self: &mut GraphBuilder, inputs: &[usize], outputs: &[usize]);
    }
}

pub(crate) use shim::{
    Algorithm, Argument, Asked, Attributes, Call, Desc, DescRef, Eltwise, Op, Plan, QuestionKind, Role, Sum, Tensor,
    TensorRef, Type, Window, any_desc, binary, block_size, blocked_desc, concatenation, convolution, elementwise,
    has_operator, has_schema, inner_product, is_random, multiplies_tiles, new_attributes, new_call, new_plan,
    new_script, onednn_version, pooling, reorder, resampling, strided_desc, thread_count, trace_abandon, trace_begin,
    trace_end, trace_enter, trace_leave, trace_pause, use_threads,
};

#[cfg(test)]
pub(crate) use shim::check_libtorch_file;

// SAFETY: a call has no tie to a thread; `run` changes nothing of it.
unsafe impl Send for Call {}

// SAFETY: a description is never changed once it is made, so that threads can share it.
unsafe impl Send for Desc {}
// SAFETY: as above.
unsafe impl Sync for Desc {}

// SAFETY: a plan has no tie to a thread: oneDNN's primitives, memory objects and its only stream for the CPU have none.
unsafe impl Send for Plan {}

/// A task for the threads of libtorch.
struct Task<'a>(&'a (dyn Fn(usize) + Sync));

impl Task<'_> {
    fn run(&self, index: usize) {
        (self.0)(index);
    }
}

/// The threads that libtorch and its oneDNN use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LibtorchThreads;

impl Workers for LibtorchThreads {
    fn run(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        shim::parallel(&Task(task), count);
    }
}

/// A part of memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) offset: usize,
    pub(crate) size: usize,
}

/// Parts of the memory of a contiguous tensor on the CPU as numbers of 32 bits; `None` if they do not lie within it, or overlap.
pub(crate) fn parts<const COUNT: usize>(memory: &mut tch::Tensor, spans: [Span; COUNT]) -> Option<[&mut [f32]; COUNT]> {
    let size = memory.numel().checked_mul(memory.kind().elt_size_in_bytes())?;
    let start = memory.data_ptr();
    if memory.device() != tch::Device::Cpu || !memory.is_contiguous() || !start.cast::<f32>().is_aligned() {
        return None;
    }
    for (index, span) in spans.iter().enumerate() {
        if span.offset % 4 != 0 || span.size % 4 != 0 || span.offset.checked_add(span.size)? > size {
            return None;
        }
        for other in spans.get(index + 1..)? {
            if span.offset < other.offset + other.size && other.offset < span.offset + span.size {
                return None;
            }
        }
    }
    // SAFETY: the parts lie within the tensor's memory, are aligned, do not overlap, and are borrowed as long as the tensor is;
    // nothing else changes the memory of an arena meanwhile. Any bytes are numbers.
    Some(spans.map(|span| unsafe { std::slice::from_raw_parts_mut(start.byte_add(span.offset).cast(), span.size / 4) }))
}

/// The numbers of a contiguous tensor of 32 bits on the CPU.
pub(crate) fn numbers(tensor: &tch::Tensor) -> Option<&[f32]> {
    let is_plain = tensor.kind() == tch::Kind::Float && tensor.device() == tch::Device::Cpu && tensor.is_contiguous();
    if !is_plain || storage(tensor) == 0 {
        return None;
    }
    // SAFETY: the memory of a contiguous tensor of this type has so many numbers, and is kept by the tensor; weights of the fused
    // form are never changed.
    Some(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) })
}

/// Tensors that the shim hands over.
#[derive(Debug, Default)]
pub(crate) struct Tensors(pub(crate) Vec<tch::Tensor>);

impl Tensors {
    fn push(&mut self, tensor: UniquePtr<Tensor>) {
        self.0.extend(adopt(tensor));
    }
}

/// The C++ tensor of one of tch's.
pub(crate) fn native(tensor: &tch::Tensor) -> &Tensor {
    // SAFETY: tch's pointer is to a `torch::Tensor`, which is `at::Tensor`, is never null, and is valid for as long as `tensor`
    // lives, which is as long as the reference.
    unsafe { &*tensor.as_ptr().cast() }
}

/// tch's form of a C++ tensor; `None` for a null pointer.
pub(crate) fn adopt(tensor: UniquePtr<Tensor>) -> Option<tch::Tensor> {
    if tensor.is_null() {
        return None;
    }
    // SAFETY: the pointer is not null and owns a `torch::Tensor` made by `new`, which tch now owns and frees by `delete`.
    Some(unsafe { tch::Tensor::from_ptr(tensor.into_raw().cast()) })
}

/// The tensors for a call of the shim.
pub(crate) fn references<'a>(tensors: impl IntoIterator<Item = &'a tch::Tensor>) -> Vec<TensorRef<'a>> {
    tensors.into_iter().map(|tensor| TensorRef { tensor: native(tensor) }).collect()
}

/// An identifier of the memory that the tensor shares with its views; 0 if it has none.
pub(crate) fn storage(tensor: &tch::Tensor) -> usize {
    shim::storage(native(tensor))
}

/// Returns a tensor with the same elements in plain memory if those of `tensor` are not what lies in its memory (a conjugate, a
/// negative view, zeros without memory), else `None`. Fails for a tensor without elements in memory.
pub(crate) fn plain(tensor: &tch::Tensor) -> Result<Option<tch::Tensor>, cxx::Exception> {
    Ok(adopt(shim::plain(native(tensor))?))
}

/// Whether all elements are numbers of a moderate size (less than 2^63), so that sums of their products are numbers too. Only
/// contiguous tensors of 32 bits on the CPU are looked at; others count as moderate.
pub(crate) fn is_moderate(tensor: &tch::Tensor) -> bool {
    shim::is_moderate(native(tensor))
}

/// The machine's memory in bytes; `None` if unknown.
pub(crate) fn memory() -> Option<u64> {
    match shim::memory() {
        0 => None,
        bytes => Some(bytes),
    }
}

/// Notes that a part of the tensor's size was asked for; returns false if the tensor depends on no input.
pub(crate) fn trace_part(tensor: &tch::Tensor) -> bool {
    shim::trace_part(native(tensor))
}

/// Puts an argument of the plan's last operator into `memory`, from `offset` on, in bytes.
pub(crate) fn fix(
    plan: &mut UniquePtr<Plan>,
    argument: Argument,
    memory: &tch::Tensor,
    offset: usize,
) -> Result<(), cxx::Exception> {
    plan.pin_mut().fixed(argument, native(memory), offset)
}

/// Gives the plan's last operator scales (float32) or a zero point (int32).
pub(crate) fn fix_attribute(
    plan: &mut UniquePtr<Plan>,
    argument: Argument,
    values: &tch::Tensor,
) -> Result<(), cxx::Exception> {
    plan.pin_mut().attribute(argument, native(values))
}

impl From<Role> for Argument {
    fn from(role: Role) -> Self {
        Self { role, index: 0 }
    }
}

impl PartialEq for Desc {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other)
    }
}

impl fmt::Debug for Desc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desc").field("size", &self.size()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").finish_non_exhaustive()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tch::{Tensor, kind};

    use super::is_moderate;

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
