//! [`Integers`]: weights in 8 bits.

use tch::{Kind, Tensor};

use crate::error::Result;

/// A weight as signed integers, with a scale for each position along its first axis.
#[derive(Debug)]
pub(crate) struct Integers {
    /// Int8, of the weight's shape, contiguous.
    pub(crate) integers: Tensor,
    /// Float32, `[outputs]`.
    pub(crate) scales: Tensor,
}

/// The largest integer; -128 is not used.
const LARGEST: f64 = 127.0;

/// The largest sum of two neighboring integers of one sign. Processors without VNNI add the products with two activations, of 255 at
/// most, in 16 bits, where no more has room; so the numbers are the same on all of them.
const LARGEST_PAIR: f64 = 128.0;

impl Integers {
    /// The integers for a weight `[outputs, inputs, ...]`.
    pub(crate) fn of(weight: &Tensor) -> Result<Self> {
        let outputs = weight.size().first().copied().unwrap_or(1);
        let rows = weight.f_reshape([outputs, -1])?;
        let largest = rows.f_abs()?.f_amax([1], false)?.f_div_scalar(LARGEST)?;
        let scales = match pairs(weight)? {
            Some(pairs) => largest.f_maximum(&pairs.f_div_scalar(LARGEST_PAIR)?)?,
            None => largest,
        };
        let scales = scales.f_where_self(&scales.f_gt(1e-30)?, &scales.f_ones_like()?)?;
        let mut shape = vec![1; weight.dim()];
        if let Some(first) = shape.first_mut() {
            *first = outputs;
        }
        // Rounding may add a half to both numbers of a pair.
        let scaled = weight.f_div(&scales.f_view(shape.as_slice())?)?;
        let integers = fit_pairs(scaled.f_round()?)?.f_clamp(-LARGEST, LARGEST)?;
        Ok(Self { integers: integers.f_to_kind(Kind::Int8)?.f_contiguous()?, scales })
    }

    /// What the integers stand for.
    pub(crate) fn numbers(&self) -> Result<Tensor> {
        let mut shape = vec![1; self.integers.dim()];
        if let Some(first) = shape.first_mut() {
            *first = self.scales.size1()?;
        }
        Ok(self.integers.f_to_kind(Kind::Float)?.f_mul(&self.scales.f_view(shape.as_slice())?)?)
    }

    /// The same memory.
    pub(crate) fn shallow_clone(&self) -> Self {
        Self { integers: self.integers.shallow_clone(), scales: self.scales.shallow_clone() }
    }
}

/// For each output, the largest sum of what is positive, or negative, of two neighboring inputs; `None` if there is one input.
fn pairs(weight: &Tensor) -> Result<Option<Tensor>> {
    let Some((even, odd)) = neighbors(weight)? else { return Ok(None) };
    let outputs = weight.size().first().copied().unwrap_or(1);
    let positive = even.f_clamp_min(0.0)?.f_add(&odd.f_clamp_min(0.0)?)?;
    let negative = even.f_clamp_max(0.0)?.f_add(&odd.f_clamp_max(0.0)?)?;
    let largest = positive.f_maximum(&negative.f_neg()?)?;
    Ok(Some(largest.f_reshape([outputs, -1])?.f_amax([1], false)?))
}

/// The inputs with even positions, and those after them.
fn neighbors(weight: &Tensor) -> Result<Option<(Tensor, Tensor)>> {
    let Some(inputs) = weight.size().get(1).copied() else { return Ok(None) };
    if inputs < 2 {
        return Ok(None);
    }
    let pairs = inputs / 2 * 2;
    Ok(Some((weight.f_slice(1, 0, pairs, 2)?, weight.f_slice(1, 1, pairs, 2)?)))
}

/// Takes from the first of two neighbors what is too much where their sum has become too large.
fn fit_pairs(rounded: Tensor) -> Result<Tensor> {
    let (Some((even, odd)), true) = (neighbors(&rounded)?, rounded.dim() > 1) else { return Ok(rounded) };
    let same_sign = even.f_mul(&odd)?.f_gt(0.0)?;
    let excess = even.f_add(&odd)?.f_abs()?.f_sub_scalar(LARGEST_PAIR)?.f_clamp_min(0.0)?;
    let excess = excess.f_mul(&same_sign.f_to_kind(Kind::Float)?)?;
    let mut target = neighbors(&rounded)?.map(|(even, _)| even);
    if let Some(target) = &mut target {
        let _: Tensor = target.f_sub_(&excess.f_mul(&even.f_sign()?)?)?;
    }
    Ok(rounded)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::{Integers, neighbors};

    #[test]
    fn weights_are_close_and_pairs_have_room_in_16_bits() {
        tch::manual_seed(0);
        for shape in [vec![5, 8, 3, 3], vec![4, 7, 1, 1], vec![6, 1, 3, 3], vec![3, 10], vec![4, 3, 7, 7]] {
            for weight in
                [Tensor::randn(&shape, (Kind::Float, Device::Cpu)), Tensor::ones(&shape, (Kind::Float, Device::Cpu))]
            {
                let integers = Integers::of(&weight).unwrap();
                let step = integers.scales.max().double_value(&[]);
                let difference = (integers.numbers().unwrap() - &weight).abs().max().double_value(&[]);
                assert!(difference <= step * 1.01, "{shape:?} {difference} {step}");
                if let Some((even, odd)) = neighbors(&integers.integers.to_kind(Kind::Float)).unwrap() {
                    let positive = (even.clamp_min(0.0) + odd.clamp_min(0.0)).max().double_value(&[]);
                    let negative = (even.clamp_max(0.0) + odd.clamp_max(0.0)).min().double_value(&[]);
                    assert!(positive <= 128.0 && negative >= -128.0, "{shape:?} {positive} {negative}");
                }
            }
        }
    }

    #[test]
    fn nothing_but_zeros_stays_zero() {
        let weight = Tensor::zeros([2, 4], (Kind::Float, Device::Cpu));
        assert_eq!(Integers::of(&weight).unwrap().numbers().unwrap(), weight);
    }
}
