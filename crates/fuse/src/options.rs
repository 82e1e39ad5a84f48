//! [`FuseOptions`]: how a module is rewritten.

use std::sync::Arc;

use crate::quantize::Quantization;

/// How a module is rewritten.
///
/// ```
/// use mmcv_fuse::{FuseOptions, Precision};
///
/// let mut options = FuseOptions::default();
/// options.precision = Precision::Bf16;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FuseOptions {
    /// The type of weights and activations inside; inputs and outputs stay as they are. F32 by default.
    pub precision: Precision,
    /// The layers in integers of 8 bits, and all weights, in place of the module's; none by default. `precision` is for the rest.
    pub quantization: Option<Arc<Quantization>>,
    /// How far an output may be from the module's: for F32 this share of itself and of the largest output (of 1 at least), 1e-4
    /// by default; for Bf16 this share of the largest output, 0.1 by default. With a quantization, libtorch's operators with
    /// rounded values take the place of the module, and the root of the mean square difference may be 0.5 of that of the outputs by
    /// default: roundings differ.
    pub tolerance: Option<f64>,
    /// Whether the outputs are compared with the module's on a second input; true by default.
    pub self_check: bool,
    /// Whether the module is traced and checked at the very size of the example. By default this happens at a smaller size, with at
    /// most two images, if it tells the same: it takes less time and memory, and looks at other kernels of oneDNN where these depend
    /// on the size. False by default.
    pub full_size: bool,
    /// What runs the operators.
    pub backend: Backend,
    /// Which convolutions of 3 x 3 are computed with fewer multiplications.
    pub winograd: WinogradUse,
}

/// The type of weights and activations inside the fused form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Precision {
    /// 32 bits, as the module's own.
    #[default]
    F32,
    /// bfloat16: 8 bits of mantissa. Faster on processors that compute with it (AVX-512 BF16, AMX). Without AVX-512, oneDNN has no
    /// kernels for it: these operators stay in f32, and [`Fused::summary`](crate::Fused::summary) and a warning say so.
    Bf16,
}

/// What runs the operators of the fused form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Backend {
    /// oneDNN if it can be used, else libtorch.
    #[default]
    Auto,
    /// libtorch's own operators.
    Libtorch,
    /// oneDNN directly; an error if it cannot be used.
    OneDnn,
}

/// Which convolutions of 3 x 3 are computed by Winograd's algorithm: with less than half of the multiplications, and other
/// roundings. For float32 on the CPU with oneDNN; others are always computed directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WinogradUse {
    /// Those for which it is estimated to be faster; none if the self check then finds numbers that are not allowed.
    #[default]
    Auto,
    /// None: all are computed directly.
    Never,
    /// All that can be.
    Always,
}

impl Default for FuseOptions {
    fn default() -> Self {
        Self {
            precision: Precision::F32,
            quantization: None,
            tolerance: None,
            self_check: true,
            full_size: false,
            backend: Backend::Auto,
            winograd: WinogradUse::Auto,
        }
    }
}

impl FuseOptions {
    /// What the self check allows.
    pub(crate) fn allowed(&self) -> Allowed {
        let (share, of) = if self.quantization.is_some() {
            (0.5, Measure::Quadratic)
        } else if self.precision == Precision::Bf16 {
            (0.1, Measure::Largest)
        } else {
            (1e-4, Measure::Each)
        };
        Allowed { share: self.tolerance.unwrap_or(share), of }
    }
}

/// How far numbers may be from what is expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Allowed {
    pub(crate) share: f64,
    pub(crate) of: Measure,
}

/// What differences are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Each difference with its number and the largest number, or 1: sums round by the size of their terms.
    Each,
    /// Each difference with the largest number.
    Largest,
    /// The root of the mean square of the differences with that of the numbers. Where one number is rounded to another integer, numbers
    /// after it are near other integers, so that after some layers roundings have nothing in common.
    Quadratic,
}
