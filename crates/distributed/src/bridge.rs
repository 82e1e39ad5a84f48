//! The bridge to the C++ shim, and the only `unsafe` code of the crate: how tch's tensors cross it.
//!
//! cxx generates both sides from what is declared here and compares it with `shim/*.h` at build time. A C++ exception becomes an
//! `Err`. Every function is safe to call: the shim checks lengths and tensors itself.
#![allow(unsafe_code)]

use cxx::UniquePtr;

#[cxx::bridge(namespace = "mmcv_distributed")]
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

    /// How a process meets the others.
    struct Meeting {
        /// The host of the store.
        host: String,
        port: u16,
        rank: i64,
        world_size: i64,
        /// Whether this process has the store.
        serves: bool,
        /// A socket that listens at the port, for the store; -1 for none.
        listener: i32,
        timeout_ms: u64,
        /// The address for connections; empty for libtorch's choice.
        address: String,
        /// Whether all ranks compare their calls.
        compares: bool,
        /// Whether tensors on CUDA devices go through NCCL.
        nccl: bool,
    }

    /// How numbers of several ranks become one.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Reduction {
        Sum,
        Product,
        Min,
        Max,
    }

    struct ReducerOptions {
        bucket_bytes: i64,
        first_bucket_bytes: i64,
        find_unused_parameters: bool,
    }

    /// The state and arguments of a batch norm; what is absent has no element.
    struct NormArguments<'a> {
        weight: &'a [TensorRef<'a>],
        bias: &'a [TensorRef<'a>],
        running_mean: &'a [TensorRef<'a>],
        running_variance: &'a [TensorRef<'a>],
        momentum: f64,
        eps: f64,
    }

    // SAFETY: the functions check what they get, and keep tensors only as counted handles.
    unsafe extern "C++" {
        include!("mmcv-distributed/shim/group.h");
        include!("mmcv-distributed/shim/reducer.h");
        include!("mmcv-distributed/shim/sync_bn.h");

        /// libtorch's, under a name of this crate: mmcv-fuse's bridge has it as `at::Tensor`, and a program can have both.
        type Tensor;
        fn refusal(tensor: &Tensor) -> String;
        fn grad_is_enabled() -> bool;

        type Store;
        fn open_store(meeting: &Meeting) -> Result<UniquePtr<Store>>;
        fn set(self: &Store, key: &str, value: &[u8]) -> Result<()>;
        fn get(self: &Store, key: &str) -> Result<Vec<u8>>;
        fn add(self: &Store, key: &str, amount: i64) -> Result<i64>;

        type Group;
        fn form_group(store: &Store, meeting: &Meeting) -> Result<UniquePtr<Group>>;
        fn exchange(self: &Group, numbers: &[i64]) -> Result<Vec<i64>>;
        fn all_reduce(self: &Group, tensor: &Tensor, reduction: Reduction) -> Result<()>;
        fn reduce(self: &Group, tensor: &Tensor, root: i64, reduction: Reduction) -> Result<()>;
        fn broadcast(self: &Group, tensor: &Tensor, root: i64) -> Result<()>;
        fn all_gather(self: &Group, tensor: &Tensor) -> Result<UniquePtr<Tensor>>;
        fn broadcast_all(self: &Group, tensors: &[TensorRef], root: i64) -> Result<()>;
        fn barrier(self: &Group) -> Result<()>;
        fn monitored_barrier(self: &Group, milliseconds: u64) -> Result<()>;

        fn verify_parameters(group: &Group, parameters: &[TensorRef]) -> Result<()>;
        type Reducer;
        fn new_reducer(
            group: &Group,
            parameters: &[TensorRef],
            names: &Vec<String>,
            options: &ReducerOptions,
        ) -> Result<UniquePtr<Reducer>>;
        fn prepare_forward(self: Pin<&mut Reducer>) -> Result<()>;
        fn prepare_backward(self: Pin<&mut Reducer>, outputs: &[TensorRef]) -> Result<()>;
        fn check_finished(self: Pin<&mut Reducer>) -> Result<()>;

        fn sync_batch_norm(group: &Group, input: &Tensor, arguments: &NormArguments) -> Result<UniquePtr<Tensor>>;
    }
}

pub(crate) use shim::{
    Group, Meeting, NormArguments, Reducer, ReducerOptions, Reduction, Store, Tensor, TensorRef, form_group,
    grad_is_enabled, new_reducer, open_store, verify_parameters,
};

// SAFETY: a store has no tie to a thread, and locks itself.
unsafe impl Send for Store {}

// SAFETY: a group has no tie to a thread: c10d's groups are made to be called from autograd's threads too.
unsafe impl Send for Group {}
// SAFETY: every collective starts under the group's lock, but for those of the reducer, which start in the backward pass that the
// group's thread waits for.
unsafe impl Sync for Group {}

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

/// Why a tensor cannot take part in a collective.
pub(crate) fn refusal(tensor: &tch::Tensor) -> Option<String> {
    let reason = shim::refusal(native(tensor));
    if reason.is_empty() { None } else { Some(reason) }
}

/// The output of a batch norm over all ranks.
pub(crate) fn sync_batch_norm(
    group: &Group,
    input: &tch::Tensor,
    arguments: &NormArguments<'_>,
) -> Result<Option<tch::Tensor>, cxx::Exception> {
    Ok(adopt(shim::sync_batch_norm(group, native(input), arguments)?))
}
