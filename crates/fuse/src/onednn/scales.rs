//! [`Scales`]: what an operator needs to know about integers.

use cxx::UniquePtr;
use tch::Tensor;

use crate::bridge::{Argument, Attributes, Role};
use crate::error::Result;
use crate::quantize::Affine;

/// Attributes of an operator with the scales and zero points that it gets when it runs.
pub(crate) struct Scales {
    pub(crate) attributes: UniquePtr<Attributes>,
    pub(crate) values: Vec<(Argument, Tensor)>,
}

impl Scales {
    /// For an operator with these attributes.
    pub(crate) fn new(attributes: UniquePtr<Attributes>) -> Self {
        Self { attributes, values: Vec::new() }
    }

    /// Says what the integers of `argument` stand for, if they are some; `scale` and `zero` are the roles of these two.
    fn affine(&mut self, (argument, scale, zero): (Role, Role, Role), affine: Option<Affine>) -> Result<()> {
        let Some(affine) = affine else { return Ok(()) };
        self.attributes.pin_mut().scale(argument.into(), 0)?;
        self.values.push((scale.into(), Tensor::from_slice(&[affine.scale])));
        if affine.zero_point != 0 {
            self.attributes.pin_mut().zero_point(argument.into())?;
            self.values.push((zero.into(), Tensor::from_slice(&[affine.zero_point])));
        }
        Ok(())
    }

    pub(crate) fn source(&mut self, affine: Option<Affine>) -> Result<()> {
        self.affine((Role::Source, Role::SourceScale, Role::SourceZero), affine)
    }

    pub(crate) fn result(&mut self, affine: Option<Affine>) -> Result<()> {
        self.affine((Role::Result, Role::ResultScale, Role::ResultZero), affine)
    }

    /// The scales of the weights, one for each of their first axes in `mask`.
    pub(crate) fn weights(&mut self, mask: i32, scales: &Tensor) -> Result<()> {
        self.attributes.pin_mut().scale(Role::Weights.into(), mask)?;
        self.values.push((Role::WeightsScale.into(), scales.shallow_clone()));
        Ok(())
    }
}
