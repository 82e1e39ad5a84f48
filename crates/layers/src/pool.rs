//! `MaxPool2d` and `MaxPool3d`. Reference: mmcv/cnn/bricks/wrappers.py, `torch.nn.MaxPool2d`.

use mmcv_registry::{Dict, Spec, config_struct};
use tch::Tensor;

use crate::registry::{Build, build_from};
use crate::{Module, Output, Result, Size, single_input};

config_struct! {
    /// Arguments of `MaxPool2d` and `MaxPool3d`.
    pub struct MaxPoolConfig {
        required {
            /// Size of the window in pixels.
            kernel_size: Size,
        }
        optional {
            /// Step of the window in pixels; null for the size of the window.
            stride: Option<Size> = None,
            /// Pixels of negative infinity added at both ends of each dimension.
            padding: Size = Size::All(0),
            /// Distance of the window's elements in pixels.
            dilation: Size = Size::All(1),
            /// Whether the places of the largest values are given too.
            return_indices: bool = false,
            /// Whether a window that begins inside may end outside.
            ceil_mode: bool = false,
        }
    }
}

/// The registered pooling layers.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "pool",
        doc: "The largest value of each window of 2 dimensions.",
        source: "torch.nn.MaxPool2d",
        fields: MaxPoolConfig::FIELDS,
        aliases: &["torch.nn.MaxPool2d"],
        ..Spec::new("MaxPool2d", |arguments| build_from(arguments, |config| MaxPool::new(2, config)))
    },
    Spec {
        group: "pool",
        doc: "The largest value of each window of 3 dimensions.",
        source: "torch.nn.MaxPool3d",
        fields: MaxPoolConfig::FIELDS,
        aliases: &["torch.nn.MaxPool3d"],
        ..Spec::new("MaxPool3d", |arguments| build_from(arguments, |config| MaxPool::new(3, config)))
    },
];

/// The largest value of each window.
///
/// Shapes: input `[N, C, *]` or `[C, *]`; output with `(size + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1`
/// pixels in each dimension.
#[derive(Debug)]
pub struct MaxPool {
    kernel_size: Vec<i64>,
    stride: Vec<i64>,
    padding: Vec<i64>,
    dilation: Vec<i64>,
    return_indices: bool,
    ceil_mode: bool,
}

impl MaxPool {
    /// A pooling over `dims` dimensions (1, 2 or 3).
    ///
    /// # Errors
    /// Where a list of sizes has not `dims` items. Other mistakes are found by the forward pass, as in the reference.
    pub fn new(dims: usize, config: &MaxPoolConfig) -> Result<Self> {
        let kernel_size = config.kernel_size.broadcast_at_least(1, dims, "kernel_size")?;
        let stride = match &config.stride {
            Some(stride) => stride.broadcast_at_least(1, dims, "stride")?,
            None => kernel_size.clone(),
        };
        let padding = config.padding.broadcast_at_least(0, dims, "padding")?;
        let dilation = config.dilation.broadcast_at_least(1, dims, "dilation")?;
        let MaxPoolConfig { return_indices, ceil_mode, .. } = *config;
        Ok(Self { kernel_size, stride, padding, dilation, return_indices, ceil_mode })
    }
}

impl Module for MaxPool {
    fn class(&self) -> &'static [&'static str] {
        match self.kernel_size.len() {
            1 => &["MaxPool1d", "_MaxPoolNd"],
            2 => &["MaxPool2d", "MaxPool2d"],
            _ => &["MaxPool3d", "MaxPool3d"],
        }
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let Self { kernel_size, stride, padding, dilation, ceil_mode, .. } = self;
        Ok(match kernel_size.len() {
            1 => input.f_max_pool1d(kernel_size, stride, padding, dilation, *ceil_mode)?,
            2 => input.f_max_pool2d(kernel_size, stride, padding, dilation, *ceil_mode)?,
            _ => input.f_max_pool3d(kernel_size, stride, padding, dilation, *ceil_mode)?,
        })
    }

    /// With `return_indices` gives the values and their places, as indices into the flattened spatial dimensions.
    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        let input = single_input(self.name(), inputs, options)?;
        if !self.return_indices {
            return self.forward(input).map(Output::Tensor);
        }
        let Self { kernel_size, stride, padding, dilation, ceil_mode, .. } = self;
        let (values, places) = match kernel_size.len() {
            1 => input.f_max_pool1d_with_indices(kernel_size, stride, padding, dilation, *ceil_mode)?,
            2 => input.f_max_pool2d_with_indices(kernel_size, stride, padding, dilation, *ceil_mode)?,
            _ => input.f_max_pool3d_with_indices(kernel_size, stride, padding, dilation, *ceil_mode)?,
        };
        Ok(Output::Tensors(vec![values, places]))
    }
}
