//! `mmcv bench --deviation`: how much the scores of a fused network deviate from those of the original.

use std::path::Path;

use anyhow::{Context, Result};
use mmcv_cli::output::display;
use mmcv_fuse::{Deviation, Fused, deviation};
use mmcv_layers::Module;
use mmcv_models::Preprocess;
use serde::Serialize;
use tch::Tensor;

use crate::crops::normalized_crops;
use crate::image::{ReadOptions, read, to_tensor};

/// The number of random crops.
const CROPS: usize = 200;

/// An image whose scores are compared.
#[derive(Debug)]
pub(super) struct Photo {
    /// `[H, W, 3]` in RGB, 8 bits.
    pixels: Tensor,
}

/// The deviations on a photo and on random crops of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Deviations {
    photo: DeviationReport,
    crops: DeviationReport,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct DeviationReport {
    images: usize,
    same_class: usize,
    largest_difference: f64,
    mean_difference: f64,
    largest_score: f64,
}

impl Photo {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let image = read(file, ReadOptions::default()).with_context(|| display(file))?;
        Ok(Self { pixels: to_tensor(&image)? })
    }

    /// Compares two networks on the photo, with a preprocessing, and on crops of `size`, in batches of `batch_size`.
    pub(super) fn compare(
        &self,
        network: &dyn Module,
        fused: &Fused,
        preprocess: &Preprocess,
        (batch_size, size): (i64, i64),
    ) -> Result<Deviations> {
        let mut whole = preprocess.clone();
        if whole.pipeline.is_empty() {
            whole.resize_edge = preprocess.resize_edge.map(|edge| edge.max(size));
            whole.crop_size = Some(size);
        } else if whole.output_size() != Some([size, size]) {
            whole = Preprocess { resize_edge: Some(size), crop_size: Some(size), pipeline: Vec::new(), ..whole };
        }
        // A fused network may accept only one batch size.
        let photo = whole.apply(&self.pixels)?.f_expand([batch_size, -1, -1, -1], false)?.f_contiguous()?;
        let batches = normalized_crops(&self.pixels, preprocess, CROPS, size)?.f_split(batch_size, 0)?;
        Ok(Deviations {
            photo: DeviationReport::new(&deviation(network, fused, &[photo])?),
            crops: DeviationReport::new(&deviation(network, fused, &batches)?),
        })
    }
}

impl DeviationReport {
    fn new(deviation: &Deviation) -> Self {
        Self {
            images: deviation.images,
            same_class: deviation.agree,
            largest_difference: deviation.largest,
            mean_difference: deviation.mean,
            largest_score: deviation.scale,
        }
    }
}

impl Deviations {
    pub(super) const COLUMNS: [&'static str; 5] =
        ["same class", "of crops", "largest difference", "mean", "largest score"];

    pub(super) fn cells(&self) -> [String; 5] {
        let Self { photo, crops } = self;
        [
            if photo.same_class == photo.images { "yes" } else { "no" }.to_owned(),
            format!("{}/{}", crops.same_class, crops.images),
            format!("{:.2e}", crops.largest_difference.max(photo.largest_difference)),
            format!("{:.2e}", crops.mean_difference),
            format!("{:.2e}", crops.largest_score.max(photo.largest_score)),
        ]
    }
}
