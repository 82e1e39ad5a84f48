//! `mmcv bench --deviation`: how far the scores of a fused network are from those of the network itself.

use std::path::Path;

use anyhow::{Context, Result};
use mmcv_fuse::{Deviation, Fused, deviation, random_crops};
use mmcv_layers::Module;
use mmcv_models::Preprocess;
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use crate::picture::{self, ReadOptions};

/// The number of crops, and the seed that draws them.
const CROPS: usize = 200;
const SEED: u64 = 0;

/// Pictures for two classifiers.
#[derive(Debug)]
pub(super) struct Photo {
    /// `[height, width, 3]` in RGB, 8 bits.
    pixels: Tensor,
}

/// The deviations on a photo and on random crops of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deviations {
    photo: Deviation,
    crops: Deviation,
}

impl Photo {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let pixels = picture::read(file, ReadOptions::default()).and_then(|photo| picture::pixels(&photo));
        Ok(Self { pixels: pixels.with_context(|| mmcv_zoo::escape(&file.to_string_lossy()))? })
    }

    /// Compares the two on the photo, prepared as `preprocess` says, and on crops of `size`, `batch` at a time.
    pub(super) fn compare(
        &self,
        network: &dyn Module,
        fused: &Fused,
        preprocess: &Preprocess,
        (batch, size): (i64, i64),
    ) -> Result<Deviations> {
        let resize_edge = preprocess.resize_edge.map(|edge| edge.max(size));
        let whole = Preprocess { resize_edge, crop_size: Some(size), ..preprocess.clone() };
        let photo = whole.apply(&self.pixels)?;
        let only_colours = Preprocess { resize_edge: None, crop_size: None, ..preprocess.clone() };
        let image = self.pixels.f_permute([2, 0, 1])?.f_to_kind(Kind::Float)?;
        let crops = random_crops(&image, CROPS, size, SEED)?.f_permute([0, 2, 3, 1])?.f_unbind(0)?;
        let crops: Vec<Tensor> = crops.iter().map(|crop| only_colours.apply(crop)).collect::<Result<_, _>>()?;
        let batches = Tensor::f_cat(&crops, 0)?.f_split(batch, 0)?;
        // The fused form may hold for one number of pictures only.
        let photo = photo.f_expand([batch, -1, -1, -1], false)?.f_contiguous()?;
        Ok(Deviations { photo: deviation(network, fused, &[photo])?, crops: deviation(network, fused, &batches)? })
    }
}

impl Deviations {
    /// The cells of a row: same class on the photo, on how many crops, largest and mean difference of the scores, and the
    /// largest score.
    pub(super) fn cells(&self) -> [String; 5] {
        let Self { photo, crops } = self;
        [
            if photo.agree == photo.images { "yes" } else { "no" }.to_owned(),
            format!("{}/{}", crops.agree, crops.images),
            format!("{:.2e}", crops.largest.max(photo.largest)),
            format!("{:.2e}", crops.mean),
            format!("{:.2e}", crops.scale.max(photo.scale)),
        ]
    }

    pub(super) fn to_json(self) -> Value {
        let object = |found: Deviation| {
            let Deviation { images, agree, largest, mean, scale, .. } = found;
            json!({
                "images": images,
                "same_class": agree,
                "largest_difference": largest,
                "mean_difference": mean,
                "largest_score": scale,
            })
        };
        json!({ "photo": object(self.photo), "crops": object(self.crops) })
    }
}
