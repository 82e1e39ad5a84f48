//! [`Identity`]. Reference: `torch.nn.Identity`.

use tch::Tensor;

use crate::{Forward, Module, Result};

/// Returns its input unchanged.
///
/// Shapes: any input; the output has the same shape.
///
/// ```
/// use mmcv_layers::{Forward, Identity};
/// use tch::Tensor;
///
/// let input = Tensor::from_slice(&[1.0, 2.0]);
/// assert_eq!(Identity::default().forward(&input)?, input);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Default, Module)]
pub struct Identity {
    /// Gives every identity an address of its own, by which its parent knows it.
    _address: u8,
}

impl Forward for Identity {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.shallow_clone())
    }
}
