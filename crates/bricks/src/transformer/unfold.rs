//! [`Unfold`]. Reference: `torch.nn.Unfold`.

use mmcv_layers::explain::python;
use mmcv_layers::{Forward, Module, Result};
use tch::Tensor;

/// Turns the pixels of each window into one vector.
///
/// Shapes: input `[N, C, H, W]`, output `[N, C * pixels of a window, windows]`.
#[derive(Debug)]
pub(super) struct Unfold {
    pub(super) kernel_size: Vec<i64>,
    pub(super) dilation: Vec<i64>,
    pub(super) padding: Vec<i64>,
    pub(super) stride: Vec<i64>,
}

impl Forward for Unfold {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_im2col(&self.kernel_size, &self.dilation, &self.padding, &self.stride)?)
    }
}

impl Module for Unfold {
    fn class(&self) -> &'static [&'static str] {
        &["Unfold", "Module"]
    }

    fn extra_repr(&self) -> String {
        let [kernel_size, dilation, padding, stride] = [&self.kernel_size, &self.dilation, &self.padding, &self.stride]
            .map(|sizes| python::tuple(sizes.iter().copied()));
        format!("kernel_size={kernel_size}, dilation={dilation}, padding={padding}, stride={stride}")
    }
}
