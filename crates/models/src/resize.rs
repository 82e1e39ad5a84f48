//! [`resize`]: interpolation to the size of another map. Reference: `torch.nn.functional.interpolate` with `size`.

use mmcv_layers::observe::of_size;
use mmcv_layers::upsample::{Interpolation, Upsample, UpsampleConfig};
use mmcv_layers::{Forward, Result, Size};
use tch::Tensor;

/// Interpolates `input` to the spatial size of `like`.
pub(crate) fn resize(
    input: &Tensor,
    like: &Tensor,
    interpolation: Interpolation,
    align_corners: Option<bool>,
) -> Result<Tensor> {
    let size = of_size(like, |shape| shape.iter().skip(2).copied().collect::<Vec<i64>>())?;
    let config = UpsampleConfig { size: Some(Size::Each(size)), align_corners, ..UpsampleConfig::new() };
    Upsample::new(interpolation, &config)?.forward(input)
}
