//! Networks in integers of 8 bits: what they stand for is found from example inputs, written to a file, and used by
//! [`fuse`](crate::fuse).
//!
//! Activations are unsigned integers with one scale and zero point for each value, weights signed ones with a scale for each output
//! channel (Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018). In the
//! graph, a value in 8 bits is what libtorch's `fake_quantize_per_tensor_affine` returns, and a weight what its integers stand for:
//! libtorch's operators compute the same numbers, in 32 bits, as the kernels do with integers.

mod affine;
mod apply;
mod calibration;
mod correction;
mod error;
mod file;
mod histogram;
mod integers;
mod points;
mod sensitivity;

pub(crate) use affine::Affine;
pub(crate) use apply::apply;
pub use calibration::{Calibration, CalibrationOptions};
pub use file::Quantization;
pub use histogram::RangeMethod;
pub(crate) use integers::Integers;
pub use sensitivity::QuantizedLayer;

#[cfg(test)]
mod tests;
