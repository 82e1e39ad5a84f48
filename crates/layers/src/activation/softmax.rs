//! [`Softmax`]. Reference: `torch.nn.Softmax`.

use tch::{Kind, Tensor};

use crate::{Forward, Module, Result};

/// `exp(x)`, divided by its sum over one dimension.
///
/// Shapes: any input with that dimension; the output has the same shape.
///
/// ```
/// use mmcv_layers::{Forward, activation::Softmax};
/// use tch::Tensor;
///
/// let output = Softmax { dim: -1 }.forward(&Tensor::from_slice(&[1.0, 1.0]))?;
/// assert_eq!(output, Tensor::from_slice(&[0.5, 0.5]));
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct Softmax {
    /// The dimension; negative values count from the end.
    pub dim: i64,
}

impl Forward for Softmax {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_softmax(self.dim, None::<Kind>)?)
    }
}

impl Module for Softmax {
    fn class(&self) -> &'static [&'static str] {
        &["Softmax", "Module"]
    }

    fn extra_repr(&self) -> String {
        format!("dim={}", self.dim)
    }
}
