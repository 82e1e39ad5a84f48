//! Random crops of images as inputs of a network.

use anyhow::Result;
use mmcv_fuse::random_crops;
use mmcv_models::Preprocess;
use tch::{Kind, Tensor};

const SEED: u64 = 0;

/// Random crops of `[H, W, 3]`, resized to `size` and normalized: `[count, 3, size, size]`.
pub(crate) fn normalized_crops(pixels: &Tensor, preprocess: &Preprocess, count: usize, size: i64) -> Result<Tensor> {
    let normalize = Preprocess { resize_edge: None, crop_size: None, pipeline: Vec::new(), ..preprocess.clone() };
    let image = pixels.f_permute([2, 0, 1])?.f_to_kind(Kind::Float)?;
    let crops = random_crops(&image, count, size, SEED)?.f_permute([0, 2, 3, 1])?;
    let mut normalized = Vec::new();
    for crop in crops.f_unbind(0)? {
        normalized.push(normalize.apply(&crop)?);
    }
    Ok(Tensor::f_cat(&normalized, 0)?)
}
