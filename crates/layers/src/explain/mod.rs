//! What a module is, where it comes from, and what it costs: [`repr`] shows the tree of modules as Python does,
//! [`Explanation`] finds the dict and the initial values behind each part of it and checks that the shapes fit, and
//! [`Module::multiply_adds`](crate::Module::multiply_adds) counts the work of a forward pass.
//!
//! # Multiply-adds
//! The conventions are those of `get_model_complexity_info` in mmcv/cnn/utils/flops_counter.py:
//!
//! | layer | multiply-adds |
//! | --- | --- |
//! | convolution | elements of the kernel x input channels / groups x elements of the output; with a bias, plus the elements of the output |
//! | transposed convolution | elements of the kernel x output channels / groups x elements of the input; the bias as above |
//! | linear layer | elements of the input x output features; a bias counts nothing |
//! | normalisation | elements of the input, twice that where it has weights |
//! | pooling | elements of the input |
//! | activation, upsampling | elements of the output |
//!
//! What MMCV leaves out is counted in the same way: convolutions with standardised weights or adaptive padding, 1-D and 3-D
//! transposed convolutions, synchronised batch norm, all activations, and `Scale` and `LayerScale` (elements of the output).
//! An attention counts its projections and each of its products of two matrices: rows x inner size x columns.
//!
//! Nothing is counted for padding, rearranging, dropout, softmax, masks, the standardising of weights, and for what a
//! module does to single elements between its children, such as the addition of a shortcut.

mod count;
mod explanation;
pub mod python;
mod repr;

pub use count::{elements, product};
pub use explanation::{Explanation, ModuleRow, TensorRow};
pub use repr::repr;
