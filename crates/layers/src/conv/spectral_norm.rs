//! Spectral norm of a convolution's weight. Reference: `torch.nn.utils.spectral_norm`.

use tch::Tensor;

use crate::ops::scalar_like;
use crate::{Parts, Result, size};

const EPS: f64 = 1e-12;

/// The two vectors that approximate the largest singular value of a weight.
///
/// Miyato et al., Spectral Normalization for Generative Adversarial Networks (2018).
#[derive(Debug)]
pub(super) struct SpectralNorm {
    /// The dimension of the weight with the outputs.
    dim: i64,
    /// `[outputs]`
    u: Tensor,
    /// `[elements of the weight / outputs]`
    v: Tensor,
}

impl SpectralNorm {
    /// Draws `u` and then `v`.
    pub(super) fn new(weight: &Tensor, dim: i64) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let (height, width) = matrix(weight, dim)?.size2()?;
        let u = random_unit_vector(height, weight)?;
        let v = random_unit_vector(width, weight)?;
        Ok(Self { dim, u, v })
    }

    /// The weight divided by its largest singular value, after one power iteration in training.
    pub(super) fn apply(&self, weight: &Tensor, training: bool) -> Result<Tensor> {
        let matrix = matrix(weight, self.dim)?;
        if training {
            let _guard = tch::no_grad_guard();
            let v = normalized(&matrix.f_tr()?.f_mv(&self.u)?)?;
            self.v.shallow_clone().f_copy_(&v)?;
            let u = normalized(&matrix.f_mv(&self.v)?)?;
            self.u.shallow_clone().f_copy_(&u)?;
        }
        // Copies, so that the next iteration does not change the tensors that autograd saved in this one.
        let (u, v) = (self.u.f_detach_copy()?, self.v.f_detach_copy()?);
        let sigma = u.f_dot(&matrix.f_mv(&v)?)?;
        Ok(weight.f_div(&sigma)?)
    }

    /// The parts of a convolution with or without spectral norm, in the reference's order.
    pub(super) fn parts<'a>(
        norm: Option<&'a Self>,
        weight: &'a Tensor,
        bias: Option<&'a Tensor>,
        parts: &mut Parts<'a>,
    ) {
        match norm {
            None => {
                parts.parameter("weight", weight);
                parts.parameter("bias", bias);
            }
            Some(norm) => {
                parts.parameter("bias", bias);
                parts.parameter("weight_orig", weight);
                parts.buffer("weight_u", &norm.u);
                parts.buffer("weight_v", &norm.v);
            }
        }
    }
}

fn random_unit_vector(length: i64, like: &Tensor) -> Result<Tensor> {
    let mut vector = Tensor::f_empty([length], (like.f_kind()?, like.device()))?;
    normalized(&vector.f_normal_(0.0, 1.0)?)
}

/// The weight as a matrix: `[outputs, the rest]`.
fn matrix(weight: &Tensor, dim: i64) -> Result<Tensor> {
    let outputs_first = if dim == 0 { weight.shallow_clone() } else { weight.f_transpose(0, dim)? };
    let outputs = size::of(&outputs_first)?.first().copied().unwrap_or(0);
    Ok(outputs_first.f_reshape([outputs, -1])?)
}

/// The vector divided by its Euclidean norm, or by a tiny number if the norm is smaller.
fn normalized(vector: &Tensor) -> Result<Tensor> {
    let norm = vector.f_norm()?;
    Ok(vector.f_div(&norm.f_clamp_min_tensor(&scalar_like(EPS, &norm)?)?)?)
}
