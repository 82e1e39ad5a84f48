//! [`MaxPool`]: `MaxPool2d` and `MaxPool3d`. Reference: mmcv/cnn/bricks/wrappers.py, `torch.nn.MaxPool2d`.

use mmcv_registry::{Config, Dict};
use tch::Tensor;

use crate::explain::{elements, python};
use crate::{Builder, Forward, Layer, Module, Output, Result, Size, single_input};

/// Arguments of `MaxPool2d` and `MaxPool3d`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "MaxPool2d", layer = MaxPool2d)]
pub struct MaxPoolConfig {
    /// Size of the window.
    pub kernel_size: Size,
    /// Stride of the window; null for the size of the window.
    #[config(default = None)]
    pub stride: Option<Size>,
    /// Padding with negative infinity added to both sides of each dimension.
    #[config(default = Size::All(0))]
    pub padding: Size,
    /// Spacing between window elements.
    #[config(default = Size::All(1))]
    pub dilation: Size,
    /// Whether to return the indices of the maxima too.
    #[config(default = false)]
    pub return_indices: bool,
    /// Whether to round the output size up, so that windows may extend past the end.
    #[config(default = false)]
    pub ceil_mode: bool,
}

/// The largest value of each window.
///
/// Shapes: input `[N, C, *]` or `[C, *]`; output with `(size + 2 padding - dilation (kernel_size - 1) - 1) / stride +
/// 1` pixels in each dimension.
///
/// ```
/// use mmcv_layers::pool::MaxPoolConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let pool = MaxPoolConfig::new(2).build()?; // MaxPool2d
/// let output = pool.forward(&Tensor::rand([1, 8, 16, 16], FLOAT_CPU))?;
/// assert_eq!(output.size(), [1, 8, 8, 8]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct MaxPool {
    config: MaxPoolConfig,
    kernel_size: Vec<i64>,
    stride: Vec<i64>,
    padding: Vec<i64>,
    dilation: Vec<i64>,
}

impl MaxPool {
    /// Creates a pooling over `dims` dimensions (1, 2 or 3).
    ///
    /// # Errors
    /// Returns an error if a list of sizes does not have `dims` items or a size is out of range. The forward pass
    /// checks the rest, as in the reference.
    pub fn new(dims: usize, config: &MaxPoolConfig) -> Result<Self> {
        let kernel_size = config.kernel_size.broadcast_at_least(1, dims, "kernel_size")?;
        let stride = match &config.stride {
            Some(stride) => stride.broadcast_at_least(1, dims, "stride")?,
            None => kernel_size.clone(),
        };
        let padding = config.padding.broadcast_at_least(0, dims, "padding")?;
        let dilation = config.dilation.broadcast_at_least(1, dims, "dilation")?;
        Ok(Self { config: config.clone(), kernel_size, stride, padding, dilation })
    }
}

/// The type `MaxPool2d`.
#[derive(Debug)]
pub enum MaxPool2d {}

impl Layer for MaxPool2d {
    const NAME: &'static str = "MaxPool2d";
    type Config = MaxPoolConfig;
    type Module = MaxPool;

    fn build(config: &MaxPoolConfig, _: &Builder<'_>) -> Result<MaxPool> {
        MaxPool::new(2, config)
    }
}

/// The type `MaxPool3d`.
#[derive(Debug)]
pub enum MaxPool3d {}

impl Layer for MaxPool3d {
    const NAME: &'static str = "MaxPool3d";
    type Config = MaxPoolConfig;
    type Module = MaxPool;

    fn build(config: &MaxPoolConfig, _: &Builder<'_>) -> Result<MaxPool> {
        MaxPool::new(3, config)
    }
}

impl Forward for MaxPool {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let Self { config, kernel_size, stride, padding, dilation } = self;
        Ok(match kernel_size.len() {
            1 => input.f_max_pool1d(kernel_size, stride, padding, dilation, config.ceil_mode)?,
            2 => input.f_max_pool2d(kernel_size, stride, padding, dilation, config.ceil_mode)?,
            _ => input.f_max_pool3d(kernel_size, stride, padding, dilation, config.ceil_mode)?,
        })
    }

    /// With `return_indices`, returns the maxima and their indices into the flattened spatial dimensions.
    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        let input = single_input(inputs, options)?;
        if !self.config.return_indices {
            return self.forward(input).map(Output::Tensor);
        }
        let Self { config, kernel_size, stride, padding, dilation } = self;
        let (values, indices) = match kernel_size.len() {
            1 => input.f_max_pool1d_with_indices(kernel_size, stride, padding, dilation, config.ceil_mode)?,
            2 => input.f_max_pool2d_with_indices(kernel_size, stride, padding, dilation, config.ceil_mode)?,
            _ => input.f_max_pool3d_with_indices(kernel_size, stride, padding, dilation, config.ceil_mode)?,
        };
        Ok(Output::Tensors(vec![values, indices]))
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

    fn extra_repr(&self) -> String {
        let MaxPoolConfig { kernel_size, stride, padding, dilation, ceil_mode, .. } = &self.config;
        format!(
            "kernel_size={}, stride={}, padding={}, dilation={}, ceil_mode={}",
            python::size(kernel_size),
            python::size(stride.as_ref().unwrap_or(kernel_size)),
            python::size(padding),
            python::size(dilation),
            python::value(*ceil_mode)
        )
    }

    fn multiply_adds(&self, inputs: &[Vec<i64>], _outputs: &[Vec<i64>]) -> u64 {
        elements(inputs)
    }
}
