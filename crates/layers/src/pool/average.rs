//! [`AvgPool2d`] and [`AdaptiveAvgPool`].

use tch::Tensor;

use crate::explain::{elements, python};
use crate::{Error, Forward, Module, Result, Size};

/// The mean of each square window. Reference: `torch.nn.AvgPool2d`.
///
/// Shapes: input `[N, C, H, W]` or `[C, H, W]`; output with `(size + 2 padding - kernel_size) / stride + 1` pixels in
/// each dimension.
///
/// ```
/// use mmcv_layers::{Forward, pool::AvgPool2d};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let pool = AvgPool2d { kernel_size: 2, stride: 2, padding: 0, ceil_mode: false, count_include_pad: true };
/// let output = pool.forward(&Tensor::rand([1, 8, 16, 16], FLOAT_CPU))?;
/// assert_eq!(output.size(), [1, 8, 8, 8]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct AvgPool2d {
    /// Side of the window in pixels.
    pub kernel_size: i64,
    /// Stride of the window in pixels.
    pub stride: i64,
    /// Zero padding added to both sides of each dimension.
    pub padding: i64,
    /// Whether to round the output size up, so that windows may extend past the end.
    pub ceil_mode: bool,
    /// Whether the padding counts in the mean.
    pub count_include_pad: bool,
}

impl Forward for AvgPool2d {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let Self { kernel_size, stride, padding, ceil_mode, count_include_pad } = *self;
        for (name, value) in [("kernel_size", kernel_size), ("stride", stride)] {
            if value < 1 {
                return Err(Error::argument(name, value, "expected a positive number of pixels"));
            }
        }
        Ok(input.f_avg_pool2d(
            [kernel_size; 2],
            [stride; 2],
            [padding; 2],
            ceil_mode,
            count_include_pad,
            None::<i64>,
        )?)
    }
}

impl Module for AvgPool2d {
    fn class(&self) -> &'static [&'static str] {
        &["AvgPool2d", "_AvgPoolNd"]
    }

    fn extra_repr(&self) -> String {
        format!("kernel_size={}, stride={}, padding={}", self.kernel_size, self.stride, self.padding)
    }

    fn multiply_adds(&self, inputs: &[Vec<i64>], _outputs: &[Vec<i64>]) -> u64 {
        elements(inputs)
    }
}

/// Means over windows that are sized for a fixed output size. Reference: `torch.nn.AdaptiveAvgPool2d`.
///
/// Shapes: input `[N, C, *]` or `[C, *]`; output with `output_size` pixels.
///
/// ```
/// use mmcv_layers::{Forward, Size, pool::AdaptiveAvgPool};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let pool = AdaptiveAvgPool::new(2, Size::All(1))?;
/// let output = pool.forward(&Tensor::rand([1, 8, 16, 16], FLOAT_CPU))?;
/// assert_eq!(output.size(), [1, 8, 1, 1]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct AdaptiveAvgPool {
    dims: usize,
    output_size: Size,
}

impl AdaptiveAvgPool {
    /// Creates a pooling over `dims` dimensions (1, 2 or 3).
    ///
    /// # Errors
    /// Returns an error if `dims` is out of range, or `output_size` is a list of another length.
    pub fn new(dims: usize, output_size: Size) -> Result<Self> {
        if !(1..=3).contains(&dims) {
            return Err(Error::argument("dim", dims, "expected 1, 2 or 3"));
        }
        output_size.expand(dims, "output_size")?;
        Ok(Self { dims, output_size })
    }
}

impl Forward for AdaptiveAvgPool {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let size = self.output_size.expand(self.dims, "output_size")?;
        Ok(match self.dims {
            1 => input.f_adaptive_avg_pool1d(size)?,
            2 => input.f_adaptive_avg_pool2d(size)?,
            _ => input.f_adaptive_avg_pool3d(size)?,
        })
    }
}

impl Module for AdaptiveAvgPool {
    fn class(&self) -> &'static [&'static str] {
        match self.dims {
            1 => &["AdaptiveAvgPool1d", "_AdaptiveAvgPoolNd"],
            2 => &["AdaptiveAvgPool2d", "_AdaptiveAvgPoolNd"],
            _ => &["AdaptiveAvgPool3d", "_AdaptiveAvgPoolNd"],
        }
    }

    fn extra_repr(&self) -> String {
        format!("output_size={}", python::size(&self.output_size))
    }

    fn multiply_adds(&self, inputs: &[Vec<i64>], _outputs: &[Vec<i64>]) -> u64 {
        elements(inputs)
    }
}
