//! oneDNN through the shim, safe to call: [`Desc`] says how memory is laid out, [`Op`] is a primitive, [`Plan`] runs them.
//!
//! A third of it declares the functions of the shim, which stand beside what makes them safe.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_void};

use crate::error::{Error, Result};
use crate::ffi::check;

#[repr(C)]
struct RawDesc {
    _private: [u8; 0],
}

#[repr(C)]
struct RawOp {
    _private: [u8; 0],
}

#[repr(C)]
struct RawPlan {
    _private: [u8; 0],
}

#[repr(C)]
struct RawPost {
    kind: i32,
    algorithm: i32,
    alpha: f32,
    beta: f32,
    operand: *const RawDesc,
}

#[repr(C)]
struct RawPlace {
    argument: i32,
    slot: i32,
    fixed: *mut c_void,
    desc: *const RawDesc,
}

type Message = *mut c_char;

unsafe extern "C" {
    fn mo_version(version: *mut i32) -> Message;
    fn mo_desc(layout: i32, count: i32, shape: *const i64, bf16: i32, made: *mut *mut RawDesc) -> Message;
    fn mo_desc_strided(
        count: i32,
        shape: *const i64,
        strides: *const i64,
        bf16: i32,
        made: *mut *mut RawDesc,
    ) -> Message;
    fn mo_desc_part(whole: *const RawDesc, shape: *const i64, offsets: *const i64, made: *mut *mut RawDesc) -> Message;
    fn mo_desc_clone(desc: *const RawDesc, made: *mut *mut RawDesc) -> Message;
    fn mo_desc_free(desc: *mut RawDesc);
    fn mo_desc_equal(one: *const RawDesc, other: *const RawDesc) -> bool;
    fn mo_desc_size(desc: *const RawDesc) -> usize;
    fn mo_desc_rank(desc: *const RawDesc) -> i32;
    fn mo_convolution(
        transposed: bool,
        source: *const RawDesc,
        weights: *const RawDesc,
        bias: *const RawDesc,
        result: *const RawDesc,
        strides: *const i64,
        dilations: *const i64,
        before: *const i64,
        after: *const i64,
        posts: *const RawPost,
        count: usize,
        made: *mut *mut RawOp,
    ) -> Message;
    fn mo_inner_product(
        source: *const RawDesc,
        weights: *const RawDesc,
        bias: *const RawDesc,
        result: *const RawDesc,
        posts: *const RawPost,
        count: usize,
        made: *mut *mut RawOp,
    ) -> Message;
    fn mo_pooling(
        algorithm: i32,
        source: *const RawDesc,
        result: *const RawDesc,
        strides: *const i64,
        kernel: *const i64,
        dilations: *const i64,
        before: *const i64,
        after: *const i64,
        made: *mut *mut RawOp,
    ) -> Message;
    fn mo_eltwise(
        algorithm: i32,
        alpha: f32,
        beta: f32,
        source: *const RawDesc,
        result: *const RawDesc,
        made: *mut *mut RawOp,
    ) -> Message;
    fn mo_binary(
        algorithm: i32,
        left: *const RawDesc,
        right: *const RawDesc,
        result: *const RawDesc,
        posts: *const RawPost,
        count: usize,
        made: *mut *mut RawOp,
    ) -> Message;
    fn mo_concat(
        axis: i32,
        sources: *const *const RawDesc,
        count: i32,
        result: *const RawDesc,
        made: *mut *mut RawOp,
    ) -> Message;
    fn mo_resampling(algorithm: i32, source: *const RawDesc, result: *const RawDesc, made: *mut *mut RawOp) -> Message;
    fn mo_reorder(source: *const RawDesc, result: *const RawDesc, made: *mut *mut RawOp) -> Message;
    fn mo_op_free(op: *mut RawOp);
    fn mo_op_desc(op: *const RawOp, which: i32, made: *mut *mut RawDesc) -> Message;
    fn mo_op_kernel(op: *const RawOp) -> *const c_char;
    fn mo_plan_new(made: *mut *mut RawPlan) -> Message;
    fn mo_plan_free(plan: *mut RawPlan);
    fn mo_plan_add(plan: *mut RawPlan, op: *mut RawOp, places: *const RawPlace, count: usize) -> Message;
    fn mo_plan_run(
        plan: *const RawPlan,
        pointers: *const *mut c_void,
        count: usize,
        times: *mut f64,
        time_count: usize,
    ) -> Message;
    #[cfg(test)]
    fn mo_check_file(path: *const c_char) -> Message;
}

/// The version of the oneDNN that is used: 31200 is 3.12.0.
pub(crate) fn version() -> Result<i32> {
    let mut version = 0;
    // SAFETY: the pointer is to a live integer.
    check("", unsafe { mo_version(&raw mut version) })?;
    Ok(version)
}

/// The shape, type and layout of memory.
#[derive(Debug)]
pub(crate) struct Desc(*mut RawDesc);

// SAFETY: a description is plain data that is not changed once it is made.
unsafe impl Send for Desc {}

impl Desc {
    fn made(operator: &str, make: impl FnOnce(*mut *mut RawDesc) -> Message) -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        check(operator, make(&raw mut raw))?;
        Ok(Self(raw))
    }

    /// Whatever layout an operator likes.
    pub(crate) fn any(shape: &[i64], bf16: bool) -> Result<Self> {
        let count = count(shape.len())?;
        // SAFETY: the shape is as long as said.
        Self::made("", |made| unsafe { mo_desc(0, count, shape.as_ptr(), i32::from(bf16), made) })
    }

    /// Channels in blocks of the size of a vector register.
    pub(crate) fn blocked(shape: &[i64], bf16: bool) -> Result<Self> {
        let count = count(shape.len())?;
        // SAFETY: the shape is as long as said.
        Self::made("", |made| unsafe { mo_desc(1, count, shape.as_ptr(), i32::from(bf16), made) })
    }

    /// As libtorch has contiguous tensors.
    pub(crate) fn plain(shape: &[i64], bf16: bool) -> Result<Self> {
        let mut strides: Vec<i64> = Vec::with_capacity(shape.len());
        let mut stride = 1;
        for size in shape.iter().rev() {
            strides.push(stride);
            stride = i64::saturating_mul(stride, *size.max(&1));
        }
        strides.reverse();
        Self::strided(shape, &strides, bf16)
    }

    /// Channels last.
    pub(crate) fn channels_last(shape: &[i64], bf16: bool) -> Result<Self> {
        let Some((batch, [channels, spatial @ ..])) = shape.split_first() else { return Self::plain(shape, bf16) };
        let order = [&[*batch], spatial, &[*channels]].concat();
        let mut strides = Vec::with_capacity(order.len());
        let mut stride = 1;
        for size in order.iter().rev() {
            strides.push(stride);
            stride = i64::saturating_mul(stride, *size);
        }
        strides.reverse();
        // From the order in memory to that of the axes.
        let channel = strides.pop().unwrap_or(1);
        strides.insert(1, channel);
        Self::strided(shape, &strides, bf16)
    }

    pub(crate) fn strided(shape: &[i64], strides: &[i64], bf16: bool) -> Result<Self> {
        same_length(strides, shape.len())?;
        let count = count(shape.len())?;
        // SAFETY: shape and strides are as long as said.
        Self::made("", |made| unsafe {
            mo_desc_strided(count, shape.as_ptr(), strides.as_ptr(), i32::from(bf16), made)
        })
    }

    /// A part of this memory: `shape` elements from `offsets` on.
    pub(crate) fn part(&self, shape: &[i64], offsets: &[i64]) -> Result<Self> {
        same_length(shape, self.rank())?;
        same_length(offsets, self.rank())?;
        // SAFETY: the description is live; shape and offsets have as many entries as it has axes.
        Self::made("", |made| unsafe { mo_desc_part(self.0, shape.as_ptr(), offsets.as_ptr(), made) })
    }

    pub(crate) fn copy(&self) -> Result<Self> {
        // SAFETY: the description is live.
        Self::made("", |made| unsafe { mo_desc_clone(self.0, made) })
    }

    /// The number of axes.
    fn rank(&self) -> usize {
        // SAFETY: the description is live.
        usize::try_from(unsafe { mo_desc_rank(self.0) }).unwrap_or(0)
    }

    /// In bytes.
    pub(crate) fn size(&self) -> usize {
        // SAFETY: the description is live.
        unsafe { mo_desc_size(self.0) }
    }
}

impl PartialEq for Desc {
    fn eq(&self, other: &Self) -> bool {
        // SAFETY: both descriptions are live.
        unsafe { mo_desc_equal(self.0, other.0) }
    }
}

impl Drop for Desc {
    fn drop(&mut self) {
        // SAFETY: made by the shim, and freed once.
        unsafe { mo_desc_free(self.0) }
    }
}

/// What is done with the result of an operator before it is written.
#[derive(Debug)]
pub(crate) enum Post<'a> {
    Eltwise(Eltwise),
    /// What was in the memory of the result is added.
    Sum,
    /// A binary operation (`dnnl_alg_kind_t`) with other memory.
    Binary(i32, &'a Desc),
}

/// An operation on each element: `dnnl_alg_kind_t` and its two numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Eltwise {
    pub(crate) algorithm: i32,
    pub(crate) alpha: f32,
    pub(crate) beta: f32,
}

fn posts(posts: &[Post<'_>]) -> Vec<RawPost> {
    let raw = |post: &Post<'_>| match post {
        Post::Eltwise(Eltwise { algorithm, alpha, beta }) => {
            RawPost { kind: 0, algorithm: *algorithm, alpha: *alpha, beta: *beta, operand: std::ptr::null() }
        }
        Post::Sum => RawPost { kind: 1, algorithm: 0, alpha: 0.0, beta: 0.0, operand: std::ptr::null() },
        Post::Binary(algorithm, desc) => {
            RawPost { kind: 2, algorithm: *algorithm, alpha: 0.0, beta: 0.0, operand: desc.0 }
        }
    };
    posts.iter().map(raw).collect()
}

/// A primitive for memory of given descriptions.
#[derive(Debug)]
pub(crate) struct Op(*mut RawOp);

// SAFETY: a primitive has no tie to a thread.
unsafe impl Send for Op {}

/// The axes along which a window moves: strides, dilations from 0 on, padding before and after.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    pub(crate) strides: Vec<i64>,
    pub(crate) dilations: Vec<i64>,
    pub(crate) before: Vec<i64>,
    pub(crate) after: Vec<i64>,
}

impl Window {
    /// Every list has an entry for each spatial axis of `source`.
    fn check(&self, source: &Desc) -> Result<()> {
        let axes = source.rank().saturating_sub(2);
        for list in [&self.strides, &self.dilations, &self.before, &self.after] {
            same_length(list, axes)?;
        }
        Ok(())
    }
}

/// Memory that an operator asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    Source = 0,
    Weights = 1,
    Result = 2,
    Scratchpad = 3,
}

impl Op {
    fn made(operator: &str, make: impl FnOnce(*mut *mut RawOp) -> Message) -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        check(operator, make(&raw mut raw))?;
        Ok(Self(raw))
    }

    pub(crate) fn convolution(
        transposed: bool,
        [source, weights, result]: [&Desc; 3],
        bias: Option<&Desc>,
        window: &Window,
        after: &[Post<'_>],
    ) -> Result<Self> {
        let after = posts(after);
        window.check(source)?;
        // SAFETY: all descriptions are live; the lists of the window have as many entries as there are spatial axes.
        Self::made("convolution", |made| unsafe {
            mo_convolution(
                transposed,
                source.0,
                weights.0,
                bias.map_or(std::ptr::null_mut(), |bias| bias.0),
                result.0,
                window.strides.as_ptr(),
                window.dilations.as_ptr(),
                window.before.as_ptr(),
                window.after.as_ptr(),
                after.as_ptr(),
                after.len(),
                made,
            )
        })
    }

    pub(crate) fn inner_product(
        [source, weights, result]: [&Desc; 3],
        bias: Option<&Desc>,
        after: &[Post<'_>],
    ) -> Result<Self> {
        let after = posts(after);
        let bias = bias.map_or(std::ptr::null_mut(), |bias| bias.0);
        // SAFETY: all descriptions are live.
        Self::made("linear", |made| unsafe {
            mo_inner_product(source.0, weights.0, bias, result.0, after.as_ptr(), after.len(), made)
        })
    }

    pub(crate) fn pooling(
        algorithm: i32,
        [source, result]: [&Desc; 2],
        kernel: &[i64],
        window: &Window,
    ) -> Result<Self> {
        window.check(source)?;
        same_length(kernel, source.rank().saturating_sub(2))?;
        // SAFETY: as in `convolution`, and so has the kernel.
        Self::made("pooling", |made| unsafe {
            mo_pooling(
                algorithm,
                source.0,
                result.0,
                window.strides.as_ptr(),
                kernel.as_ptr(),
                window.dilations.as_ptr(),
                window.before.as_ptr(),
                window.after.as_ptr(),
                made,
            )
        })
    }

    pub(crate) fn eltwise(eltwise: Eltwise, [source, result]: [&Desc; 2]) -> Result<Self> {
        let Eltwise { algorithm, alpha, beta } = eltwise;
        // SAFETY: all descriptions are live.
        Self::made("eltwise", |made| unsafe { mo_eltwise(algorithm, alpha, beta, source.0, result.0, made) })
    }

    pub(crate) fn binary(algorithm: i32, [left, right, result]: [&Desc; 3], after: &[Post<'_>]) -> Result<Self> {
        let after = posts(after);
        // SAFETY: all descriptions are live.
        Self::made("binary", |made| unsafe {
            mo_binary(algorithm, left.0, right.0, result.0, after.as_ptr(), after.len(), made)
        })
    }

    pub(crate) fn concat(axis: i32, sources: &[&Desc], result: Option<&Desc>) -> Result<Self> {
        let raw: Vec<*const RawDesc> = sources.iter().map(|desc| desc.0.cast_const()).collect();
        let result = result.map_or(std::ptr::null_mut(), |result| result.0);
        let count = count(raw.len())?;
        // SAFETY: all descriptions are live, and as many as said.
        Self::made("concat", |made| unsafe { mo_concat(axis, raw.as_ptr(), count, result, made) })
    }

    pub(crate) fn resampling(algorithm: i32, [source, result]: [&Desc; 2]) -> Result<Self> {
        // SAFETY: all descriptions are live.
        Self::made("resampling", |made| unsafe { mo_resampling(algorithm, source.0, result.0, made) })
    }

    pub(crate) fn reorder([source, result]: [&Desc; 2]) -> Result<Self> {
        // SAFETY: all descriptions are live.
        Self::made("reorder", |made| unsafe { mo_reorder(source.0, result.0, made) })
    }

    /// The memory that the operator asks for.
    pub(crate) fn wants(&self, role: Role) -> Result<Desc> {
        // SAFETY: the operator is live.
        Desc::made("", |made| unsafe { mo_op_desc(self.0, role as i32, made) })
    }

    /// The name of its kernel, such as `brgconv:avx512_core`.
    pub(crate) fn kernel(&self) -> String {
        // SAFETY: the operator is live, and gives a C string that lives as long.
        unsafe { CStr::from_ptr(mo_op_kernel(self.0)) }.to_string_lossy().into_owned()
    }
}

impl Drop for Op {
    fn drop(&mut self) {
        // SAFETY: made by the shim, and freed once: an operator that a plan took is null here.
        unsafe { mo_op_free(self.0) }
    }
}

/// Where the memory of an argument is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Address {
    /// At a pointer.
    Fixed(*mut c_void),
    /// At the pointer with this index among those given for a run.
    Slot(usize),
}

/// Operators in order, with their memory.
#[derive(Debug)]
pub(crate) struct Plan(*mut RawPlan);

// SAFETY: a plan has no tie to a thread.
unsafe impl Send for Plan {}

impl Plan {
    pub(crate) fn new() -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: the pointer is to a live pointer.
        check("", unsafe { mo_plan_new(&raw mut raw) })?;
        Ok(Self(raw))
    }

    /// Adds an operator.
    ///
    /// # Safety
    /// Each fixed address has the memory that its description says, for as long as the plan is run.
    pub(crate) unsafe fn add(&mut self, mut op: Op, arguments: &[(i32, &Desc, Address)]) -> Result<()> {
        let mut places: Vec<RawPlace> = Vec::with_capacity(arguments.len());
        for (argument, desc, address) in arguments {
            let (slot, fixed) = match address {
                Address::Fixed(fixed) => (-1, *fixed),
                Address::Slot(slot) => (count(*slot)?, std::ptr::null_mut()),
            };
            places.push(RawPlace { argument: *argument, slot, fixed, desc: desc.0 });
        }
        let raw = std::mem::replace(&mut op.0, std::ptr::null_mut());
        // SAFETY: the plan is live, owns the operator from now on, and copies the descriptions.
        check("", unsafe { mo_plan_add(self.0, raw, places.as_ptr(), places.len()) })
    }

    /// Runs all operators; where there are `times`, one for each operator, the milliseconds that it took are written there.
    ///
    /// # Safety
    /// The pointer of each slot is to the memory that the slot's description says.
    pub(crate) unsafe fn run(&mut self, pointers: &[*mut c_void], times: Option<&mut [f64]>) -> Result<()> {
        let (times, count) = times.map_or((std::ptr::null_mut(), 0), |times| (times.as_mut_ptr(), times.len()));
        // SAFETY: as the caller promises, and as the caller of `add` did; the lists are as long as said.
        check("", unsafe { mo_plan_run(self.0, pointers.as_ptr(), pointers.len(), times, count) })
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: made by the shim, and freed once.
        unsafe { mo_plan_free(self.0) }
    }
}

fn count(length: usize) -> Result<i32> {
    i32::try_from(length).map_err(|_| Error::unsupported("", "a list is too long for oneDNN"))
}

fn same_length(list: &[i64], wanted: usize) -> Result<()> {
    if list.len() == wanted {
        return Ok(());
    }
    Err(Error::unsupported("", format!("a list for oneDNN has {} entries and not {wanted}", list.len())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::ffi::CString;
    use std::path::Path;

    use super::*;

    fn check_file(path: &Path) -> Result<()> {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: a C string that lives through the call.
        check("", unsafe { mo_check_file(path.as_ptr()) })
    }

    /// The file of the libtorch that this process runs.
    fn libtorch() -> std::path::PathBuf {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with("/libtorch_cpu.so")).unwrap();
        line.split_once('/').map(|(_, path)| format!("/{path}")).unwrap().into()
    }

    #[test]
    fn another_file_than_the_one_that_is_mapped_is_refused() {
        let _ = tch::Tensor::zeros([1], tch::kind::FLOAT_CPU);
        let file = libtorch();
        check_file(&file).unwrap();
        let folder = std::env::temp_dir().join(format!("mmcv-fuse-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let message = |path: &Path| check_file(path).unwrap_err().to_string();
        // Another version in its place: another library, and the same one with another build id.
        assert!(message(&file.with_file_name("libc10.so")).contains("is not the file any more"));
        let cut = folder.join("cut.so");
        let head = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        std::fs::write(&cut, head.get(..200).unwrap()).unwrap();
        assert!(message(&cut).contains("damaged"), "{}", message(&cut));
        std::fs::write(&cut, "no library").unwrap();
        assert!(message(&cut).contains("damaged"), "{}", message(&cut));
        std::fs::write(&cut, [b'x'; 5000]).unwrap();
        assert!(message(&cut).contains("no ELF file"), "{}", message(&cut));
        assert!(message(&folder.join("none.so")).contains("cannot open"));
        assert!(message(&folder).contains("is no file"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn lists_of_another_length_are_errors() {
        let image = Desc::plain(&[1, 3, 8, 8], false).unwrap();
        assert!(image.part(&[1, 1, 8], &[0, 0, 0, 0]).is_err());
        assert!(image.part(&[1, 1, 8, 8], &[0, 0]).is_err());
        assert!(Desc::strided(&[1, 3], &[1], false).is_err());
        assert!(Desc::any(&[1; 40], false).is_err());
        assert!(Desc::blocked(&[1, 3], false).is_err());
        let short = Window { strides: vec![1], dilations: vec![0; 2], before: vec![0; 2], after: vec![0; 2] };
        assert!(Op::pooling(0x1ff, [&image, &image], &[1, 1], &short).is_err());
        assert!(Op::convolution(false, [&image, &image, &image], None, &short, &[]).is_err());
        let whole = Window { strides: vec![1; 2], ..short };
        assert!(Op::pooling(0x1ff, [&image, &image], &[1], &whole).is_err());
        let empty: [&Desc; 0] = [];
        assert!(Op::concat(1, &empty, None).is_err());
    }
}
