//! [`Preprocess`]: from an image to the input of a network.

mod pixels;
mod resize;
mod step;

use mmcv_layers::{Error, Result};
use mmcv_registry::Config;
use tch::{Kind, Tensor};

use pixels::Pixels;

pub use resize::{Interpolation, ResizeBackend};
pub use step::{CenterCropConfig, Edge, Factors, ImageStep, ResizeConfig, ResizeEdgeConfig, WidthHeight};

/// Most pixels of an image after resizing: a strip a few pixels wide would otherwise take all memory.
const MOST_PIXELS: i128 = 1 << 28;

/// The preprocessing of images.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct Preprocess {
    /// Pixels of the short side after resizing, with antialiased bilinear filtering; null to keep the size.
    #[config(default = None)]
    pub resize_edge: Option<i64>,
    /// Pixels of the sides of the square cropped from the center; null to keep all.
    #[config(default = None)]
    pub crop_size: Option<i64>,
    /// The steps of an OpenMMLab pipeline that change pixels, such as `{type: ResizeEdge, scale: 256, backend: pillow}`, with
    /// the numbers of OpenCV or Pillow; empty for `resize_edge` and `crop_size`.
    #[config(default = Vec::new())]
    pub pipeline: Vec<ImageStep>,
    /// Means of the channels, in the scale of 0 to 255, in the order of `channel_order`.
    #[config(default = vec![0.0, 0.0, 0.0])]
    pub mean: Vec<f64>,
    /// Standard deviations of the channels, in the same scale and order.
    #[config(default = vec![1.0, 1.0, 1.0])]
    pub std: Vec<f64>,
    /// The order in which the network takes the channels: `rgb` or `bgr`.
    #[config(default = ChannelOrder::Rgb)]
    pub channel_order: ChannelOrder,
    /// Whether the reader of an image rotates it according to its EXIF metadata: `apply`, as `mmcv.imread` does, or
    /// `ignore`.
    #[config(default = ExifOrientation::Apply)]
    pub exif: ExifOrientation,
    /// Height and width of the network's input are multiples of this number of pixels, at least 1; pixels are added below
    /// and on the right.
    #[config(default = 1)]
    pub pad_size_divisor: i64,
    /// The value of the pixels that are added, after the normalization.
    #[config(default = 0.0)]
    pub pad_value: f64,
}

/// The order of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum ChannelOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// The use of the orientation in EXIF metadata: most cameras store the pixels as recorded, and the orientation beside
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum ExifOrientation {
    /// The image is rotated upright.
    Apply,
    /// The pixels are used as stored.
    Ignore,
}

impl Preprocess {
    /// Prepares one image, which the caller has rotated as `exif` says: from 8-bit RGB `[height, width, 3]` to float32
    /// `[1, 3, height, width]`.
    ///
    /// # Errors
    /// Returns an error if the image is empty or has another shape, a size is not positive, `mean` or `std` does not have 3
    /// items, or `pipeline` is combined with `resize_edge` or `crop_size`.
    pub fn apply(&self, image: &Tensor) -> Result<Tensor> {
        self.normalize(&self.resize_and_crop(image)?)
    }

    /// The first half of [`apply`](Self::apply): from `[height, width, 3]` to `[1, 3, height, width]`, both 8-bit RGB.
    ///
    /// # Errors
    /// Returns an error if the image is empty or has another shape, a size is not positive, or `pipeline` is combined with
    /// `resize_edge` or `crop_size`.
    pub fn resize_and_crop(&self, image: &Tensor) -> Result<Tensor> {
        if !image.defined() {
            return Err(Error::input("an image", "an undefined tensor"));
        }
        let shape = image.size();
        let &[height, width, 3] = shape.as_slice() else {
            return Err(Error::input("an image of shape [height, width, 3]", format!("{shape:?}")));
        };
        let mut pixels = match self.pipeline.as_slice() {
            [] => image.f_permute([2, 0, 1])?.f_unsqueeze(0)?,
            steps => self.run(steps, image)?,
        };
        if let Some(edge) = self.resize_edge {
            let size = resized(height, width, edge)?;
            // The channels of a pixel lie side by side, which libtorch resizes faster, to the same numbers, and even to a single pixel.
            pixels = pixels.f_internal_upsample_bilinear2d_aa(size, false, None, None)?;
        }
        if let Some(size) = self.crop_size {
            pixels = center_crop(&pixels, size)?;
        }
        Ok(pixels)
    }

    /// The second half of [`apply`](Self::apply): from 8-bit RGB `[batch, 3, height, width]` to float32 of this shape, padded.
    ///
    /// # Errors
    /// Returns an error if the images have another shape, or `mean` or `std` does not have 3 items.
    pub fn normalize(&self, images: &Tensor) -> Result<Tensor> {
        let mut pixels = images.shallow_clone();
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
        Ok(self.pad(&pixels)?.f_contiguous()?)
    }

    /// Height and width of the result, if they are the same for all images; a crop of smaller images is smaller.
    #[must_use]
    pub fn output_size(&self) -> Option<[i64; 2]> {
        let size = match (self.crop_size, self.pipeline.last()) {
            (Some(size), _) => [size, size],
            (None, Some(step)) => step.output_size()?,
            (None, None) => return None,
        };
        Some(size.map(|side| multiple(side, self.pad_size_divisor)))
    }

    /// The steps of the pipeline: from `[height, width, 3]` to `[1, 3, height, width]`.
    fn run(&self, steps: &[ImageStep], image: &Tensor) -> Result<Tensor> {
        for (key, size) in [("resize_edge", self.resize_edge), ("crop_size", self.crop_size)] {
            if let Some(size) = size {
                let reason = "cannot be combined with a pipeline: change the sizes in `pipeline`";
                return Err(Error::conflict(key, size, reason));
            }
        }
        let mut pixels = Pixels::of(image)?;
        pixels.check()?;
        for step in steps {
            pixels = step.apply(&pixels)?;
        }
        Ok(pixels.to_tensor()?.f_permute([2, 0, 1])?.f_unsqueeze(0)?)
    }

    /// Adds pixels below and on the right of `[1, 3, height, width]`.
    fn pad(&self, pixels: &Tensor) -> Result<Tensor> {
        if self.pad_size_divisor < 1 {
            return Err(Error::argument("pad_size_divisor", self.pad_size_divisor, "expected at least 1 pixel"));
        }
        let (_, _, height, width) = pixels.size4()?;
        let [below, right] = [height, width].map(|side| multiple(side, self.pad_size_divisor) - side);
        if below == 0 && right == 0 {
            return Ok(pixels.shallow_clone());
        }
        let (height, width) = (i128::from(height + below), i128::from(width + right));
        if height * width > MOST_PIXELS {
            let expected =
                format!("at most {MOST_PIXELS} pixels after padding to multiples of {}", self.pad_size_divisor);
            return Err(Error::input(expected, format!("{height} x {width}")));
        }
        Ok(pixels.f_pad([0, right, 0, below], "constant", self.pad_value)?)
    }
}

/// The next multiple of `divisor`, saturating.
fn multiple(side: i64, divisor: i64) -> i64 {
    let divisor = divisor.max(1);
    match side % divisor {
        0 => side,
        rest => side.saturating_add(divisor - rest),
    }
}

/// Height and width after resizing the short side to `edge` pixels.
fn resized(height: i64, width: i64, edge: i64) -> Result<[i64; 2]> {
    if edge < 1 {
        return Err(Error::argument("resize_edge", edge, "expected a positive number of pixels"));
    }
    let short = height.min(width);
    if short < 1 {
        return Err(Error::input("an image with at least one pixel", format!("{height} x {width}")));
    }
    let long = height.max(width);
    if i128::from(edge) * i128::from(edge) * i128::from(long) / i128::from(short) > MOST_PIXELS {
        let expected = format!("at most {MOST_PIXELS} pixels after resizing to resize_edge {edge}");
        return Err(Error::input(expected, format!("an image of {height} x {width} pixels")));
    }
    Ok([height, width].map(|side| {
        let scaled = i128::from(edge) * i128::from(side) / i128::from(short);
        i64::try_from(scaled).unwrap_or(i64::MAX)
    }))
}

fn center_crop(pixels: &Tensor, size: i64) -> Result<Tensor> {
    if size < 1 {
        return Err(Error::argument("crop_size", size, "expected a positive number of pixels"));
    }
    let (_, _, height, width) = pixels.size4()?;
    if height < size || width < size {
        let found = format!("{height} x {width} pixels after resizing");
        return Err(Error::input(format!("at least {size} x {size} pixels for crop_size {size}"), found));
    }
    // The reference rounds half to even: 1.5 and 2.5 are both 2.
    let [top, left] = [height, width].map(|side| ((side - size) as f64 / 2.0).round_ties_even() as i64);
    Ok(pixels.f_narrow(2, top, size)?.f_narrow(3, left, size)?)
}

fn per_channel(name: &str, values: &[f64]) -> Result<Tensor> {
    if values.len() != 3 {
        return Err(Error::argument(name, format!("{values:?}"), "expected 3 numbers, one for each channel"));
    }
    Ok(Tensor::f_from_slice(values)?.f_to_kind(Kind::Float)?.f_view([1, 3, 1, 1])?)
}
