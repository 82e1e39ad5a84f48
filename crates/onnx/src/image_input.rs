//! [`ImageInput`]: images in 8 bits as the input of an exported network.

use mmcv_fuse::graph::ValueId;
use tch::{Kind, Tensor};

use crate::builder::{Attribute, Name};
use crate::error::{Error, ErrorKind, Result};
use crate::exporter::Exporter;

/// Images in 8 bits as the input of an exported network: uint8, `[batch, height, width, channels]`.
///
/// The graph reverses the channels if asked to, subtracts `mean`, divides by `std`, in f32, and puts the channels before height and
/// width. Images are resized, cropped and padded before.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ImageInput {
    /// Means of the channels, in the scale of 0 to 255, in the network's order.
    pub mean: Vec<f64>,
    /// Standard deviations of the channels, in the same scale and order.
    pub std: Vec<f64>,
    /// Whether the images have the channels in the reverse of the network's order, such as RGB for a network that takes BGR; false by
    /// default.
    pub reverse_channels: bool,
}

impl ImageInput {
    /// Images whose channels have these means and standard deviations, in the scale of 0 to 255.
    #[must_use]
    pub fn new(mean: &[f64], std: &[f64]) -> Self {
        Self { mean: mean.to_vec(), std: std.to_vec(), reverse_channels: false }
    }

    /// Sets whether the images have the channels in the reverse of the network's order.
    #[must_use]
    pub fn with_reverse_channels(mut self, reverse_channels: bool) -> Self {
        self.reverse_channels = reverse_channels;
        self
    }

    /// Adds the nodes that make the network's input `value` from images called `name`. Returns the sizes of the images, for each trace.
    pub(crate) fn add(&self, exporter: &mut Exporter<'_>, value: ValueId, name: &Name) -> Result<Vec<Vec<i64>>> {
        let mut sizes = Vec::new();
        for shape in exporter.sizes(value) {
            let &[images, channels, height, width] = shape.as_slice() else {
                let what = format!("images become an input with 4 axes, and the network takes one of shape {shape:?}");
                return Err(Error::unsupported("", what));
            };
            sizes.push(vec![images, height, width, channels]);
        }
        let channels = exporter.fixed_size(value, 1)?;
        self.check(channels)?;
        "preprocess".clone_into(&mut exporter.builder.module);
        let mut pixels = exporter.builder.node("Transpose", &[name], &[("perm", Attribute::Ints(vec![0, 3, 1, 2]))]);
        if self.reverse_channels {
            let order: Vec<i64> = (0..channels).rev().collect();
            let order = exporter.builder.ints(&order)?;
            pixels = exporter.builder.node("Gather", &[&pixels, &order], &[("axis", Attribute::Int(1))]);
        }
        pixels = exporter.cast(&pixels, Kind::Uint8, Kind::Float)?;
        for (operator, numbers) in [("Sub", &self.mean), ("Div", &self.std)] {
            let numbers = Tensor::f_from_slice(numbers)?.f_to_kind(Kind::Float)?.f_view([1, channels, 1, 1])?;
            let numbers = exporter.builder.constant(&numbers)?;
            pixels = exporter.builder.node(operator, &[&pixels, &numbers], &[]);
        }
        let pixels = exporter.cast(&pixels, Kind::Float, exporter.kind(value))?;
        exporter.bind(value, pixels);
        Ok(sizes)
    }

    /// Returns an error unless there is a mean and a standard deviation for each channel.
    fn check(&self, channels: i64) -> Result<()> {
        for (name, numbers) in [("image_input.mean", &self.mean), ("image_input.std", &self.std)] {
            let is_usable = |number: &f64| number.is_finite() && (name != "image_input.std" || *number != 0.0);
            if numbers.len() as i64 != channels || !numbers.iter().all(is_usable) {
                let expected = format!("expected {channels} finite numbers, one for each channel, and no std of 0");
                return Err(ErrorKind::Option { name, value: format!("{numbers:?}"), expected }.into());
            }
        }
        Ok(())
    }
}
