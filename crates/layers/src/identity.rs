//! [`Identity`]. Reference: `torch.nn.Identity`.

use tch::Tensor;

use crate::{Forward, Module, Result};

/// Returns its input unchanged.
///
/// Shapes: any input; the output has the same shape.
///
/// ```
/// use mmcv_layers::{Identity, Module};
/// use tch::Tensor;
///
/// let input = Tensor::from_slice(&[1.0, 2.0]);
/// assert_eq!(Identity.forward(&input)?, input);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct Identity;

impl Forward for Identity {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.shallow_clone())
    }
}

impl Module for Identity {
    fn class(&self) -> &'static [&'static str] {
        &["Identity", "Module"]
    }
}
