//! Images that are read, preprocessed, and joined in batches of one size.

use std::path::Path;

use anyhow::{Result, anyhow};
use image::RgbImage;
use mmcv_models::{ExifOrientation, Preprocess};
use tch::{Device, Tensor};

use super::{BatchNetwork, SharedForward};
use crate::draw;
use crate::failure::one_line;
use crate::image::{ReadOptions, read, to_tensor};

/// How images become inputs.
#[derive(Clone, Copy)]
pub(crate) struct Preparation<'a> {
    pub(crate) preprocess: &'a Preprocess,
    /// The device of the network.
    pub(crate) device: Device,
    /// Whether results are drawn beside the images.
    pub(crate) draws: bool,
    /// The maximum number of pixels of an image.
    pub(crate) max_pixels: u64,
}

/// The outputs for one image.
pub(crate) struct ImageOutput {
    /// The image at the size of drawings, if [`Preparation::draws`].
    pub(crate) thumbnail: Option<RgbImage>,
    /// `[1, ...]` each.
    pub(crate) outputs: Vec<Tensor>,
}

/// Consecutive images, read by one thread.
pub(super) struct Chunk<T> {
    images: Vec<Image<T>>,
    /// Inputs of one size each.
    batches: Vec<Batch>,
}

/// An image, or why it could not be read.
struct Image<T> {
    tag: T,
    read: Result<Place>,
}

/// Where an image is.
struct Place {
    batch: usize,
    row: usize,
    thumbnail: Option<RgbImage>,
}

/// Inputs of one size.
struct Batch {
    /// `[1, 3, H, W]` each.
    inputs: Vec<Tensor>,
    /// The outputs for all images, if the thread that read the images runs the network too.
    outputs: Option<Result<Vec<Tensor>>>,
}

/// What happened to an image.
pub(crate) enum Outcome {
    Done(ImageOutput),
    /// It could not be read or preprocessed.
    Unreadable(anyhow::Error),
    /// The network failed for the batch that it is in. The first image of the batch has the error with its causes.
    Failed(anyhow::Error),
}

impl<T> Chunk<T> {
    /// Reads and preprocesses images, of which `file` is the path or the reason that there is none. A decoded image is dropped before
    /// the next one is read.
    pub(super) fn read(tags: Vec<T>, file: fn(&T) -> Result<&Path, &str>, preparation: Preparation<'_>) -> Self {
        let mut chunk = Self { images: Vec::new(), batches: Vec::new() };
        for tag in tags {
            let prepared = match file(&tag) {
                Ok(file) => prepare(file, preparation),
                Err(reason) => Err(anyhow!("{reason}")),
            };
            let read = match prepared {
                Ok((input, thumbnail)) => {
                    let (batch, row) = chunk.add(input);
                    Ok(Place { batch, row, thumbnail })
                }
                Err(error) => Err(error),
            };
            chunk.images.push(Image { tag, read });
        }
        chunk
    }

    /// Adds an input to a batch. Without a crop size, only consecutive images of the same size share one.
    fn add(&mut self, input: Tensor) -> (usize, usize) {
        if let Some(Batch { inputs, .. }) = self.batches.last_mut()
            && inputs.first().is_some_and(|first| first.size() == input.size())
        {
            inputs.push(input);
        } else {
            self.batches.push(Batch { inputs: vec![input], outputs: None });
        }
        let row = self.batches.last().map_or(0, |batch| batch.inputs.len() - 1);
        (self.batches.len() - 1, row)
    }

    /// Runs the network on all batches.
    pub(super) fn forward(&mut self, forward: &SharedForward<'_>, device: Device) {
        for batch in &mut self.batches {
            batch.outputs = Some(joined(&batch.inputs, device).and_then(|input| forward(&input)));
        }
    }

    /// Runs the network on the batches for which that was not done. Returns what happened to each image, in order.
    pub(super) fn finish<'a>(self, device: Device, network: &mut impl BatchNetwork<'a>) -> Result<Vec<(T, Outcome)>> {
        let mut results = Vec::new();
        for Batch { inputs, outputs } in self.batches {
            results.push(match outputs {
                Some(outputs) => outputs,
                None => joined(&inputs, device).and_then(|input| network.forward(&input)),
            });
        }
        let mut outcomes = Vec::new();
        for Image { tag, read } in self.images {
            let outcome = match read {
                Err(error) => Outcome::Unreadable(error),
                Ok(Place { batch, row, thumbnail }) => match results.get_mut(batch) {
                    Some(Ok(outputs)) => Outcome::Done(ImageOutput { thumbnail, outputs: row_of(outputs, row)? }),
                    Some(Err(error)) => {
                        let text = one_line(error);
                        Outcome::Failed(std::mem::replace(error, anyhow!(text)))
                    }
                    None => continue,
                },
            };
            outcomes.push((tag, outcome));
        }
        Ok(outcomes)
    }
}

/// The input `[1, 3, H, W]` of an image, and the image at the size of drawings.
fn prepare(file: &Path, preparation: Preparation<'_>) -> Result<(Tensor, Option<RgbImage>)> {
    let apply_orientation = preparation.preprocess.exif == ExifOrientation::Apply;
    let image = read(file, ReadOptions { apply_orientation, max_pixels: preparation.max_pixels })?;
    let thumbnail = if preparation.draws { Some(draw::thumbnail(&image)?) } else { None };
    let pixels = to_tensor(&image)?;
    drop(image);
    Ok((preparation.preprocess.apply(&pixels)?, thumbnail))
}

/// The inputs of all images in one tensor.
fn joined(inputs: &[Tensor], device: Device) -> Result<Tensor> {
    Ok(Tensor::f_cat(inputs, 0)?.f_to_device(device)?)
}

fn row_of(outputs: &[Tensor], row: usize) -> Result<Vec<Tensor>> {
    let row = i64::try_from(row)?;
    Ok(outputs.iter().map(|output| output.f_narrow(0, row, 1)).collect::<Result<_, _>>()?)
}
