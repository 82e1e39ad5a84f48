//! The bridge to the C++ shim, and the only `unsafe` code of the crate: how tch's tensors cross it.
//!
//! cxx generates both sides from what is declared here and compares it with `shim/training.h` at build time. A C++ exception becomes
//! an `Err`. Every function is safe to call: the shim checks shapes, layouts and types itself.
#![allow(unsafe_code)]

#[cxx::bridge(namespace = "mmcv_training")]
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

    /// A parameter of SGD with its momentum; itself if there is none.
    struct Momentum<'a> {
        parameter: &'a Tensor,
        buffer: &'a Tensor,
    }

    /// A parameter of AdamW with the means of its gradients and of their squares, and the number of its steps.
    struct Moments<'a> {
        parameter: &'a Tensor,
        mean: &'a Tensor,
        square: &'a Tensor,
        steps: &'a Tensor,
    }

    /// The types that autocast computes in.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum HalfPrecision {
        Float16,
        BFloat16,
    }

    /// Autocast of a thread for a type of device.
    #[derive(Debug, Clone, Copy)]
    struct AutocastState {
        enabled: bool,
        dtype: HalfPrecision,
    }

    struct SgdStep {
        lr: f64,
        momentum: f64,
        dampening: f64,
        weight_decay: f64,
        nesterov: bool,
        /// Whether the momentum becomes the gradient.
        is_first: bool,
    }

    struct AdamWStep {
        lr: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        weight_decay: f64,
    }

    // SAFETY: the functions check what they get, and keep no tensor.
    unsafe extern "C++" {
        include!("mmcv-training/shim/training.h");

        /// libtorch's, under a name of this crate: other bridges have it too, and a program can have several.
        type Tensor;
        fn set_autocast(cuda: bool, state: &AutocastState) -> Result<AutocastState>;
        fn enter_autocast() -> Result<()>;
        fn leave_autocast() -> Result<()>;
        fn fused_sgd(parameters: &[Momentum], step: &SgdStep) -> Result<()>;
        fn fused_adamw(parameters: &[Moments], step: &AdamWStep) -> Result<()>;
        fn clear_gradients(parameters: &[TensorRef]) -> Result<()>;
    }
}

pub(crate) use shim::{
    AdamWStep, AutocastState, HalfPrecision, Moments, Momentum, SgdStep, TensorRef, clear_gradients, enter_autocast,
    fused_adamw, fused_sgd, leave_autocast, set_autocast,
};

/// The C++ tensor behind tch's.
pub(crate) fn native(tensor: &tch::Tensor) -> &shim::Tensor {
    // SAFETY: tch's pointer is to a `torch::Tensor`, which is `at::Tensor`, is never null, and is valid for as long as `tensor`
    // lives, which is as long as the reference.
    unsafe { &*tensor.as_ptr().cast() }
}
