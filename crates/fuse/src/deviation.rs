//! [`Deviation`]: how far a classifier in bfloat16 is from the original.

use mmcv_layers::Forward;
use tch::{Kind, Tensor};

use crate::error::{Error, ErrorKind, Result};
use crate::sample;

/// How far the outputs of two classifiers are from each other.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Deviation {
    /// The number of images.
    pub images: usize,
    /// The number of images for which both have the same class first.
    pub agree: usize,
    /// The largest difference of a logit.
    pub largest: f64,
    /// The mean difference of the logits.
    pub mean: f64,
    /// The largest logit of the first of the two, without its sign.
    pub scale: f64,
}

/// Compares the logits of two classifiers for the same images, batch by batch.
///
/// Shapes: both return `[N, classes]`.
///
/// # Errors
/// Returns an error if one of them does not run, or returns something else.
pub fn deviation(reference: &dyn Forward, other: &dyn Forward, batches: &[Tensor]) -> Result<Deviation> {
    let _guard = tch::no_grad_guard();
    let mut found = Deviation { images: 0, agree: 0, largest: 0.0, mean: 0.0, scale: 0.0 };
    let mut logits = 0;
    for batch in batches {
        let expected = reference.forward(batch).map_err(ErrorKind::Module)?;
        let output = other.forward(batch).map_err(ErrorKind::Module)?;
        if expected.dim() != 2 || expected.size() != output.size() {
            let shapes = format!("{:?} and {:?}", expected.size(), output.size());
            return Err(Error::input("two classifiers that return [N, classes]", shapes));
        }
        let same = expected.f_argmax(1, false)?.f_eq_tensor(&output.f_argmax(1, false)?)?;
        let difference = expected.f_to_kind(Kind::Double)?.f_sub(&output)?.f_abs()?;
        found.images += same.numel();
        found.agree += usize::try_from(same.f_sum(Kind::Int64)?.f_int64_value(&[])?).unwrap_or(0);
        found.largest = found.largest.max(difference.f_max()?.f_double_value(&[])?);
        found.scale = found.scale.max(expected.f_to_kind(Kind::Double)?.f_abs()?.f_max()?.f_double_value(&[])?);
        found.mean += difference.f_sum(Kind::Double)?.f_double_value(&[])?;
        logits += difference.numel();
    }
    found.mean /= logits.max(1) as f64;
    Ok(found)
}

/// Random square crops of an image, each between half of its shorter side and all of it, resized to `size`: the same ones
/// for the same `seed`.
///
/// Shapes: `image` `[3, H, W]`, output `[count, 3, size, size]`.
///
/// # Errors
/// Returns an error if the image has another shape.
pub fn random_crops(image: &Tensor, count: usize, size: i64, seed: u64) -> Result<Tensor> {
    let shape = image.size();
    let [_, height, width] = shape.as_slice() else {
        return Err(Error::input("an image of shape [3, H, W]", format!("{shape:?}")));
    };
    let mut state = seed;
    let shorter = *height.min(width);
    let mut crops = Vec::with_capacity(count);
    for _ in 0..count {
        let side = (shorter + 1) / 2 + up_to(&mut state, shorter / 2);
        let (top, left) = (up_to(&mut state, height - side), up_to(&mut state, width - side));
        let crop = image.f_narrow(1, top, side)?.f_narrow(2, left, side)?.f_unsqueeze(0)?;
        crops.push(crop.f_upsample_bilinear2d([size, size], false, None, None)?);
    }
    Ok(Tensor::f_cat(&crops, 0)?)
}

/// A random number from 0 to `limit`.
fn up_to(state: &mut u64, limit: i64) -> i64 {
    let limit = u64::try_from(limit).unwrap_or(0) + 1;
    i64::try_from(sample::splitmix(state) % limit).unwrap_or(0)
}
