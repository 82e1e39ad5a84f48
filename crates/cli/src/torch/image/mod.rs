//! Reading images. A file that is truncated or corrupt is an error.

mod container;
mod damage;
mod exif;
mod jpeg;
mod read;
#[cfg(test)]
mod tests;

use anyhow::Result;
use image::RgbImage;
use tch::Tensor;

pub(crate) use read::{MAX_PIXELS, ReadOptions, read};

/// The pixels as a tensor of shape `[H, W, 3]`, in RGB with 8 bits.
pub(crate) fn to_tensor(image: &RgbImage) -> Result<Tensor> {
    let (width, height) = (i64::from(image.width()), i64::from(image.height()));
    Ok(Tensor::f_from_slice(image.as_raw())?.f_view([height, width, 3])?)
}
