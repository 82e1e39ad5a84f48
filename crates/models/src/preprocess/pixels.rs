//! [`Pixels`]: an image with 8 bits for each channel.

use mmcv_layers::{Error, Result};
use tch::Tensor;

/// The number of channels: red, green, blue, or the reverse.
pub(crate) const CHANNELS: usize = 3;

/// An image with 8 bits for each channel, row by row, with the channels of a pixel beside each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// `height * width * 3` values.
    pub(crate) values: Vec<u8>,
}

impl Pixels {
    /// The pixels of a tensor `[height, width, 3]`.
    pub(crate) fn of(image: &Tensor) -> Result<Self> {
        let (height, width, _) = image.size3()?;
        let values = Vec::try_from(image.f_to_kind(tch::Kind::Uint8)?.f_contiguous()?.f_flatten(0, -1)?)?;
        Ok(Self { height: to_size(height), width: to_size(width), values })
    }

    /// `[height, width, 3]`.
    pub(crate) fn to_tensor(&self) -> Result<Tensor> {
        let shape = [self.height, self.width, CHANNELS].map(|size| i64::try_from(size).unwrap_or(i64::MAX));
        Ok(Tensor::f_from_slice(&self.values)?.f_view(shape)?)
    }

    /// One row.
    pub(crate) fn row(&self, y: usize) -> &[u8] {
        let length = self.width * CHANNELS;
        self.values.get(y * length..(y + 1) * length).unwrap_or_default()
    }

    /// The part of `height` rows from `top` on and `width` columns from `left` on, as far as the image has them.
    pub(crate) fn crop(&self, top: usize, left: usize, height: usize, width: usize) -> Self {
        let (height, width) = (height.min(self.height - top), width.min(self.width - left));
        let mut values = Vec::with_capacity(height * width * CHANNELS);
        for y in top..top + height {
            values.extend(self.row(y).iter().skip(left * CHANNELS).take(width * CHANNELS));
        }
        Self { height, width, values }
    }

    /// The image with its columns as rows.
    pub(crate) fn transposed(&self) -> Self {
        let mut values = Vec::with_capacity(self.values.len());
        for x in 0..self.width {
            for y in 0..self.height {
                values.extend(self.row(y).iter().skip(x * CHANNELS).take(CHANNELS));
            }
        }
        Self { height: self.width, width: self.height, values }
    }

    /// Returns an error if the image is empty.
    pub(crate) fn check(&self) -> Result<()> {
        if self.height == 0 || self.width == 0 {
            return Err(Error::input("an image with at least one pixel", format!("{} x {}", self.height, self.width)));
        }
        Ok(())
    }
}

fn to_size(size: i64) -> usize {
    usize::try_from(size).unwrap_or_default()
}
