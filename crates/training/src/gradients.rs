//! [`clip_grad_norm`].

use tch::{Kind, Tensor};

use crate::error::{Error, Result};

/// Scales the gradients of these parameters down so that their common 2-norm is at most `max_norm`, as
/// `torch.nn.utils.clip_grad_norm_` does; returns the norm before. Parameters without gradient do not count.
///
/// # Errors
///
/// Fails if `max_norm` is negative or NaN, and without changes if the norm is NaN or infinite: the learning rate is then usually too
/// large.
pub fn clip_grad_norm<'a>(parameters: impl IntoIterator<Item = &'a Tensor>, max_norm: f64) -> Result<f64> {
    Error::check(max_norm >= 0.0, "max_norm", max_norm, "a number from 0 on")?;
    let _guard = tch::no_grad_guard();
    let (mut gradients, mut norms) = (Vec::new(), Vec::new());
    for parameter in parameters {
        let gradient = parameter.f_grad()?;
        if gradient.defined() {
            norms.push(gradient.f_norm()?.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?);
            gradients.push(gradient);
        }
    }
    if norms.is_empty() {
        return Ok(0.0);
    }
    let norm = Tensor::f_stack(&norms, 0)?.f_norm()?.f_double_value(&[])?;
    Error::check(
        norm.is_finite(),
        "the norm of the gradients",
        norm,
        "a finite number: a smaller learning rate may help",
    )?;
    let scale = max_norm / (norm + 1e-6);
    if scale < 1.0 {
        for mut gradient in gradients {
            let _ = gradient.f_mul_scalar_(scale)?;
        }
    }
    Ok(norm)
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::clip_grad_norm;

    fn parameter(numbers: &[f32], gradient: &[f32]) -> Tensor {
        let parameter = Tensor::from_slice(numbers).set_requires_grad(true);
        (&parameter * Tensor::from_slice(gradient)).sum(tch::Kind::Float).backward();
        parameter
    }

    #[test]
    fn large_gradients_are_scaled_together() {
        let (left, right) = (parameter(&[1.0, 1.0], &[3.0, 0.0]), parameter(&[1.0], &[4.0]));
        let frozen = Tensor::from_slice(&[1.0_f32]);
        assert_eq!(clip_grad_norm([&left, &frozen, &right], 1.0).unwrap(), 5.0);
        assert!((left.grad().double_value(&[0]) - 0.6).abs() < 1e-6);
        assert!((right.grad().double_value(&[0]) - 0.8).abs() < 1e-6);
    }

    #[test]
    fn small_gradients_stay() {
        let parameter = parameter(&[1.0], &[0.25]);
        assert_eq!(clip_grad_norm([&parameter], 1.0).unwrap(), 0.25);
        assert_eq!(parameter.grad().double_value(&[0]), 0.25);
        assert_eq!(clip_grad_norm([], 1.0).unwrap(), 0.0);
    }

    #[test]
    fn no_number_is_an_error_without_changes() {
        let (left, right) = (parameter(&[1.0], &[f32::NAN]), parameter(&[1.0], &[4.0]));
        let error = clip_grad_norm([&left, &right], 1.0).unwrap_err().to_string();
        assert_eq!(
            error,
            "the norm of the gradients is NaN: expected a finite number: a smaller learning rate may help"
        );
        assert_eq!(right.grad().double_value(&[0]), 4.0);
        assert!(clip_grad_norm([&left], f64::NAN).is_err());
    }
}
