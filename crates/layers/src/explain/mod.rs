//! Descriptions of modules: [`repr`] prints the tree of modules as Python does, [`Explanation`] reports the config and
//! the initial values behind each part and checks shapes, and
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
//! | normalization | elements of the input; twice that with weights |
//! | pooling | elements of the input |
//! | activation, upsampling | elements of the output |
//!
//! Layers that MMCV does not count follow the same rules: convolutions with standardized weights or adaptive padding,
//! 1-D and 3-D transposed convolutions, synchronized batch norm, all activations, and `Scale` and `LayerScale`
//! (elements of the output). An attention counts its projections and each of its products of two matrices: rows x
//! inner size x columns.
//!
//! Padding, rearranging, dropout, softmax, masks, the standardization of weights, and elementwise work of a module
//! between its children, such as the addition of a shortcut, count as nothing.

mod count;
mod explanation;
pub mod python;
mod repr;

pub use count::{elements, product};
pub use explanation::{Explanation, ModuleRow, TensorRow};
pub use repr::repr;
