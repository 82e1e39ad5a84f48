//! [`Sgd`]: stochastic gradient descent.

use tch::Tensor;

use super::sealed::Sealed;
use super::{Optimizer, Slot, zeros};
use crate::bridge::{self, Momentum, SgdStep};
use crate::error::{Error, Result};

/// Stochastic gradient descent: `torch.optim.SGD(..., fused=True)`.
///
/// Source: Sutskever et al., "On the importance of initialization and momentum in deep learning" (ICML 2013).
pub type Sgd = Optimizer<SgdOptions>;

/// Arguments of [`Sgd`], with PyTorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdOptions {
    /// The learning rate; 0.001 by default.
    pub lr: f64,
    /// The share of the last step's direction; 0 by default.
    pub momentum: f64,
    /// What is left out of the gradient in the momentum; 0 by default.
    pub dampening: f64,
    /// The share of a weight that is added to its gradient; 0 by default.
    pub weight_decay: f64,
    /// Nesterov's momentum; off by default.
    pub nesterov: bool,
}

impl Default for SgdOptions {
    fn default() -> Self {
        Self { lr: 1e-3, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false }
    }
}

impl Sealed for SgdOptions {
    const KEYS: &'static [&'static str] = &["momentum_buffer"];

    fn check(&self) -> Result<()> {
        let Self { lr, momentum, dampening, weight_decay, nesterov } = *self;
        Error::check(lr >= 0.0 && lr.is_finite(), "lr", lr, "a number from 0 on")?;
        Error::check(momentum >= 0.0 && momentum.is_finite(), "momentum", momentum, "a number from 0 on")?;
        Error::check(dampening.is_finite(), "dampening", dampening, "a number")?;
        Error::check(
            weight_decay >= 0.0 && weight_decay.is_finite(),
            "weight_decay",
            weight_decay,
            "a number from 0 on",
        )?;
        Error::check(!nesterov || momentum > 0.0, "momentum", momentum, "a number over 0, because of nesterov")?;
        Error::check(!nesterov || dampening == 0.0, "dampening", dampening, "0, because of nesterov")
    }

    fn has_state(&self) -> bool {
        self.momentum != 0.0
    }

    fn begin(parameter: &Tensor) -> Result<Vec<Tensor>> {
        Ok(vec![zeros(parameter)?])
    }

    fn step(&self, slots: &[&Slot], is_first: bool) -> Result<()> {
        let mut parameters = Vec::new();
        for slot in slots {
            let parameter = bridge::native(&slot.parameter);
            parameters.push(Momentum { parameter, buffer: slot.state.first().map_or(parameter, bridge::native) });
        }
        let Self { lr, momentum, dampening, weight_decay, nesterov } = *self;
        Ok(bridge::fused_sgd(&parameters, &SgdStep { lr, momentum, dampening, weight_decay, nesterov, is_first })?)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::{Sgd, SgdOptions};

    const OPTIONS: SgdOptions =
        SgdOptions { lr: 0.1, momentum: 0.9, dampening: 0.0, weight_decay: 0.5, nesterov: false };

    fn parameter(numbers: &[f64]) -> Tensor {
        Tensor::from_slice(numbers).set_requires_grad(true)
    }

    /// A step towards smaller `gradient * parameter`.
    fn step(optimizer: &mut Sgd, parameter: &Tensor, gradient: f64) {
        optimizer.zero_grad().unwrap();
        (parameter * gradient).sum(Kind::Double).backward();
        optimizer.step().unwrap();
    }

    fn named(parameter: &Tensor) -> Vec<(String, Tensor)> {
        vec![("weight".to_owned(), parameter.shallow_clone())]
    }

    /// By hand: `g = gradient + 0.5 w`, `b = 0.9 b + g`, `w -= 0.1 b` (with Nesterov `0.1 (g + 0.9 b)`).
    #[test]
    fn two_steps_as_written_in_the_paper() {
        for nesterov in [false, true] {
            let weight = parameter(&[1.0, -2.0]);
            let mut optimizer = Sgd::new(named(&weight), SgdOptions { nesterov, ..OPTIONS }).unwrap();
            let mut expected = [(1.0, 0.0), (-2.0, 0.0)];
            for gradient in [3.0, -1.0] {
                step(&mut optimizer, &weight, gradient);
                for (weight, buffer) in &mut expected {
                    let decayed = gradient + 0.5 * *weight;
                    *buffer = 0.9 * *buffer + decayed;
                    *weight -= 0.1 * if nesterov { decayed + 0.9 * *buffer } else { *buffer };
                }
            }
            for (index, (expected, _)) in expected.iter().enumerate() {
                let found = weight.double_value(&[index as i64]);
                assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
            }
        }
    }

    #[test]
    fn momentum_may_begin_later() {
        let weight = parameter(&[1.0]);
        let plain = SgdOptions { momentum: 0.0, weight_decay: 0.0, ..OPTIONS };
        let mut optimizer = Sgd::new(named(&weight), plain).unwrap();
        step(&mut optimizer, &weight, 2.0);
        assert_eq!((weight.double_value(&[0]), optimizer.state().len()), (0.8, 0));
        optimizer.set_options(SgdOptions { momentum: 0.5, ..plain }).unwrap();
        step(&mut optimizer, &weight, 2.0);
        step(&mut optimizer, &weight, 2.0);
        assert!((weight.double_value(&[0]) - 0.3).abs() < 1e-12, "{weight}");
    }

    #[test]
    fn parameters_without_gradient_stay_and_begin_later() {
        let (used, unused) = (parameter(&[1.0]), parameter(&[1.0]));
        let both = [("used".to_owned(), used.shallow_clone()), ("unused".to_owned(), unused.shallow_clone())];
        let mut optimizer = Sgd::new(both, SgdOptions { weight_decay: 0.0, ..OPTIONS }).unwrap();
        step(&mut optimizer, &used, 1.0);
        assert_eq!(unused.double_value(&[0]), 1.0);
        assert_eq!(optimizer.state().len(), 1);
        step(&mut optimizer, &unused, 2.0);
        assert_eq!((used.double_value(&[0]), unused.double_value(&[0])), (0.9, 0.8));
    }

    #[test]
    fn a_resumed_optimizer_continues() {
        let (weight, resumed) = (parameter(&[1.0, 5.0]), parameter(&[1.0, 5.0]));
        let mut whole = Sgd::new(named(&weight), OPTIONS).unwrap();
        let mut first = Sgd::new(named(&resumed), OPTIONS).unwrap();
        step(&mut whole, &weight, 1.0);
        step(&mut first, &resumed, 1.0);
        let mut second = Sgd::new(named(&resumed), OPTIONS).unwrap();
        second.set_state(&first.state()).unwrap();
        step(&mut whole, &weight, -2.0);
        step(&mut second, &resumed, -2.0);
        assert_eq!(weight, resumed);
        let mut forgetful = Sgd::new(named(&resumed), OPTIONS).unwrap();
        step(&mut whole, &weight, 1.0);
        step(&mut forgetful, &resumed, 1.0);
        assert_ne!(weight, resumed);
    }

    #[test]
    fn gradients_in_another_layout_count_as_their_numbers() {
        let weight = Tensor::arange(16, (Kind::Double, tch::Device::Cpu)).view([1, 2, 2, 4]);
        let last = weight.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]).detach().set_requires_grad(true);
        let plain = weight.copy().set_requires_grad(true);
        for weight in [&last, &plain] {
            let mut optimizer = Sgd::new(named(weight), OPTIONS).unwrap();
            for _ in 0..2 {
                optimizer.zero_grad().unwrap();
                (weight * Tensor::arange(16, (Kind::Double, tch::Device::Cpu)).view([1, 2, 2, 4]))
                    .sum(Kind::Double)
                    .backward();
                optimizer.step().unwrap();
            }
        }
        assert_eq!(last, plain);
    }

    #[test]
    fn states_of_other_parameters_are_refused() {
        let weight = parameter(&[1.0]);
        let mut optimizer = Sgd::new(named(&weight), OPTIONS).unwrap();
        let state = |name: &str, numbers: &[f64]| [(name.to_owned(), Tensor::from_slice(numbers))];
        let error = optimizer.set_state(&state("bias.momentum_buffer", &[1.0])).unwrap_err().to_string();
        assert_eq!(error, "the optimizer cannot resume: bias.momentum_buffer belongs to no parameter");
        let error = optimizer.set_state(&state("weight.momentum_buffer", &[1.0, 2.0])).unwrap_err().to_string();
        let expected = "the optimizer cannot resume: weight.momentum_buffer has shape [2], and the parameter [1]";
        assert_eq!(error, expected);
        assert!(optimizer.state().is_empty());
    }

    #[test]
    fn arguments_are_checked() {
        let refused = |options| Sgd::new([], options).unwrap_err().to_string();
        assert_eq!(refused(SgdOptions { lr: -1.0, ..OPTIONS }), "lr is -1: expected a number from 0 on");
        assert_eq!(
            refused(SgdOptions { momentum: f64::NAN, ..OPTIONS }),
            "momentum is NaN: expected a number from 0 on"
        );
        let error = refused(SgdOptions { momentum: 0.0, nesterov: true, ..OPTIONS });
        assert_eq!(error, "momentum is 0: expected a number over 0, because of nesterov");
    }
}
