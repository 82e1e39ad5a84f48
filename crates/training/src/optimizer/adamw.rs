//! [`AdamW`].

use tch::{Kind, Tensor};

use super::sealed::Sealed;
use super::{Optimizer, Slot, zeros};
use crate::bridge::{self, AdamWStep, Moments};
use crate::error::{Error, Result};

/// Adam with decoupled weight decay: `torch.optim.AdamW(..., fused=True)`.
///
/// Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019).
pub type AdamW = Optimizer<AdamWOptions>;

/// Arguments of [`AdamW`], with PyTorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWOptions {
    /// The learning rate; 0.001 by default.
    pub lr: f64,
    /// The shares of the past in the means of gradients and of their squares; 0.9 and 0.999 by default.
    pub betas: (f64, f64),
    /// What is added to the denominator; 1e-8 by default.
    pub eps: f64,
    /// The share of a weight that is taken away, times the learning rate; 0.01 by default.
    pub weight_decay: f64,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2 }
    }
}

impl Sealed for AdamWOptions {
    const KEYS: &'static [&'static str] = &["exp_avg", "exp_avg_sq", "step"];

    fn check(&self) -> Result<()> {
        let Self { lr, betas, eps, weight_decay } = *self;
        Error::check(lr >= 0.0 && lr.is_finite(), "lr", lr, "a number from 0 on")?;
        for beta in [betas.0, betas.1] {
            Error::check((0.0..1.0).contains(&beta), "betas", beta, "two numbers from 0 on, below 1")?;
        }
        Error::check(eps >= 0.0 && eps.is_finite(), "eps", eps, "a number from 0 on")?;
        Error::check(
            weight_decay >= 0.0 && weight_decay.is_finite(),
            "weight_decay",
            weight_decay,
            "a number from 0 on",
        )
    }

    fn begin(parameter: &Tensor) -> Result<Vec<Tensor>> {
        let steps = Tensor::f_zeros([0_i64; 0], (Kind::Float, parameter.device()))?;
        Ok(vec![zeros(parameter)?, zeros(parameter)?, steps])
    }

    fn step(&self, slots: &[&Slot], _: bool) -> Result<()> {
        let mut parameters = Vec::new();
        for slot in slots {
            if let [mean, square, steps] = slot.state.as_slice() {
                let [parameter, mean, square, steps] = [&slot.parameter, mean, square, steps].map(bridge::native);
                parameters.push(Moments { parameter, mean, square, steps });
            }
        }
        let Self { lr, betas: (beta1, beta2), eps, weight_decay } = *self;
        Ok(bridge::fused_adamw(&parameters, &AdamWStep { lr, beta1, beta2, eps, weight_decay })?)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::{AdamW, AdamWOptions};

    fn parameter(numbers: &[f64]) -> Tensor {
        Tensor::from_slice(numbers).set_requires_grad(true)
    }

    fn named(parameter: &Tensor) -> Vec<(String, Tensor)> {
        vec![("weight".to_owned(), parameter.shallow_clone())]
    }

    fn step(optimizer: &mut AdamW, parameter: &Tensor, gradient: f64) {
        optimizer.zero_grad().unwrap();
        (parameter * gradient).sum(Kind::Double).backward();
        optimizer.step().unwrap();
    }

    #[test]
    fn two_steps_as_written_in_the_paper() {
        let options = AdamWOptions { lr: 0.1, weight_decay: 0.5, ..AdamWOptions::default() };
        let weight = parameter(&[1.0]);
        let mut optimizer = AdamW::new(named(&weight), options).unwrap();
        let (mut expected, mut mean, mut square) = (1.0_f64, 0.0_f64, 0.0_f64);
        for (count, gradient) in [3.0, -1.0].into_iter().enumerate() {
            step(&mut optimizer, &weight, gradient);
            let steps = count as i32 + 1;
            expected -= 0.1 * 0.5 * expected;
            mean = 0.9 * mean + 0.1 * gradient;
            square = 0.999 * square + 0.001 * gradient * gradient;
            let (mean, square) = (mean / (1.0 - 0.9_f64.powi(steps)), square / (1.0 - 0.999_f64.powi(steps)));
            expected -= 0.1 * mean / (square.sqrt() + 1e-8);
        }
        let found = weight.double_value(&[0]);
        assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    }

    #[test]
    fn a_resumed_optimizer_continues() {
        let (weight, resumed) = (parameter(&[1.0, 5.0]), parameter(&[1.0, 5.0]));
        let mut whole = AdamW::new(named(&weight), AdamWOptions::default()).unwrap();
        let mut first = AdamW::new(named(&resumed), AdamWOptions::default()).unwrap();
        step(&mut whole, &weight, 1.0);
        step(&mut first, &resumed, 1.0);
        let mut second = AdamW::new(named(&resumed), AdamWOptions::default()).unwrap();
        second.set_state(&first.state()).unwrap();
        step(&mut whole, &weight, -2.0);
        step(&mut second, &resumed, -2.0);
        assert_eq!(weight, resumed);
        assert_eq!(
            second.state().iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(),
            ["weight.exp_avg", "weight.exp_avg_sq", "weight.step"]
        );
    }

    #[test]
    fn half_a_state_is_refused() {
        let weight = parameter(&[1.0]);
        let mut optimizer = AdamW::new(named(&weight), AdamWOptions::default()).unwrap();
        step(&mut optimizer, &weight, 1.0);
        let mut state = optimizer.state();
        state.pop();
        let error = optimizer.set_state(&state).unwrap_err().to_string();
        assert_eq!(error, "the optimizer cannot resume: weight has not all of exp_avg, exp_avg_sq, step");
    }

    #[test]
    fn arguments_are_checked() {
        let refused = |options| AdamW::new([], options).unwrap_err().to_string();
        let error = refused(AdamWOptions { betas: (0.9, 1.0), ..AdamWOptions::default() });
        assert_eq!(error, "betas is 1: expected two numbers from 0 on, below 1");
        let error = refused(AdamWOptions { eps: f64::INFINITY, ..AdamWOptions::default() });
        assert_eq!(error, "eps is inf: expected a number from 0 on");
    }
}
