//! From a picture to the tensor that a classifier takes.

use mmcv_layers::{Error, Result};
use mmcv_registry::Config;
use tch::{Kind, Tensor};

/// Most pixels of a picture after resizing: a strip of a few pixels' width would otherwise take all memory.
const MOST_PIXELS: i128 = 1 << 28;

/// How pictures are prepared.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct Preprocess {
    /// Pixels of the short side after resizing, with antialiased bilinear filtering; null to keep the size.
    #[config(default = None)]
    pub resize_edge: Option<i64>,
    /// Pixels of both sides of the square that is cut out of the centre; null to keep all.
    #[config(default = None)]
    pub crop_size: Option<i64>,
    /// Means of the channels, in the scale of 0 to 255, in the order of `channel_order`.
    #[config(default = vec![0.0, 0.0, 0.0])]
    pub mean: Vec<f64>,
    /// Standard deviations of the channels, in the same scale and order.
    #[config(default = vec![1.0, 1.0, 1.0])]
    pub std: Vec<f64>,
    /// The order in which the network takes the channels: `rgb` or `bgr`.
    #[config(default = ChannelOrder::Rgb)]
    pub channel_order: ChannelOrder,
    /// Whether whoever reads a picture turns it as its EXIF metadata say: `apply`, as `mmcv.imread` does, or `ignore`.
    #[config(default = ExifOrientation::Apply)]
    pub exif: ExifOrientation,
}

/// The order of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum ChannelOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// What becomes of the orientation in EXIF metadata: most cameras do not turn the pixels, but say how they were held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum ExifOrientation {
    /// The picture is turned upright.
    Apply,
    /// The pixels stay as they are stored.
    Ignore,
}

impl Preprocess {
    /// Prepares one picture, which is upright where `exif` wants it so: `[height, width, 3]` in RGB, 8 bits; gives `[1, 3, height, width]` in float32.
    ///
    /// # Errors
    /// Where the picture is of another form or empty, a size is not positive, or `mean` and `std` have not 3 items.
    pub fn apply(&self, picture: &Tensor) -> Result<Tensor> {
        if !picture.defined() {
            return Err(Error::input("a picture", "an undefined tensor"));
        }
        let shape = picture.size();
        let &[height, width, 3] = shape.as_slice() else {
            return Err(Error::input("a picture of shape [height, width, 3]", format!("{shape:?}")));
        };
        let mut pixels = picture.f_permute([2, 0, 1])?.f_unsqueeze(0)?;
        if let Some(edge) = self.resize_edge {
            let size = resized(height, width, edge)?;
            pixels = pixels.f_contiguous()?.f_internal_upsample_bilinear2d_aa(size, false, None, None)?;
        }
        if let Some(size) = self.crop_size {
            pixels = centre_crop(&pixels, size)?;
        }
        if self.channel_order == ChannelOrder::Bgr {
            pixels = pixels.f_flip([1])?;
        }
        if self.std.contains(&0.0) {
            return Err(Error::argument(
                "std",
                format!("{:?}", self.std),
                "expected no zero: pixels are divided by it",
            ));
        }
        let pixels = pixels.f_to_kind(Kind::Float)?;
        let pixels = pixels.f_sub(&per_channel("mean", &self.mean)?)?.f_div(&per_channel("std", &self.std)?)?;
        Ok(pixels.f_contiguous()?)
    }
}

/// Height and width after the short side was brought to `edge` pixels.
fn resized(height: i64, width: i64, edge: i64) -> Result<[i64; 2]> {
    if edge < 1 {
        return Err(Error::argument("resize_edge", edge, "expected a positive number of pixels"));
    }
    let short = height.min(width);
    if short < 1 {
        return Err(Error::input("a picture with at least one pixel", format!("{height} x {width}")));
    }
    let long = height.max(width);
    if i128::from(edge) * i128::from(edge) * i128::from(long) / i128::from(short) > MOST_PIXELS {
        let expected = format!("at most {MOST_PIXELS} pixels after resizing to resize_edge {edge}");
        return Err(Error::input(expected, format!("a picture of {height} x {width} pixels")));
    }
    let scaled = |side: i64| (i128::from(edge) * i128::from(side) / i128::from(short)).try_into().unwrap_or(i64::MAX);
    Ok([scaled(height), scaled(width)])
}

fn centre_crop(pixels: &Tensor, size: i64) -> Result<Tensor> {
    if size < 1 {
        return Err(Error::argument("crop_size", size, "expected a positive number of pixels"));
    }
    let (_, _, height, width) = pixels.size4()?;
    if height < size || width < size {
        let found = format!("{height} x {width} pixels after resizing");
        return Err(Error::input(format!("at least {size} x {size} pixels for crop_size {size}"), found));
    }
    // The reference rounds half to even: 1.5 and 2.5 are both 2.
    let start = |side: i64| ((side - size) as f64 / 2.0).round_ties_even() as i64;
    Ok(pixels.f_narrow(2, start(height), size)?.f_narrow(3, start(width), size)?)
}

fn per_channel(name: &str, values: &[f64]) -> Result<Tensor> {
    if values.len() != 3 {
        return Err(Error::argument(name, format!("{values:?}"), "expected 3 numbers, one for each channel"));
    }
    Ok(Tensor::f_from_slice(values)?.f_to_kind(Kind::Float)?.f_view([1, 3, 1, 1])?)
}
