//! Optimizers: one step over all parameters in a call, and the names of their states.

pub(crate) mod adamw;
pub(crate) mod sgd;

use tch::Tensor;

use crate::bridge::{self, TensorRef};
use crate::error::{Error, Result};

/// Removes the gradients of these parameters.
fn clear_gradients<'a>(parameters: impl Iterator<Item = &'a Tensor>) -> Result<()> {
    let mut references = Vec::new();
    for parameter in parameters {
        references.push(TensorRef { tensor: bridge::native(parameter) });
    }
    Ok(bridge::clear_gradients(&references)?)
}

fn has_gradient(parameter: &Tensor) -> Result<bool> {
    Ok(parameter.f_grad()?.defined())
}

/// Zeros that lie in memory as the parameter does.
fn zeros(parameter: &Tensor) -> Result<Tensor> {
    let _guard = tch::no_grad_guard();
    Ok(parameter.f_zeros_like()?)
}

/// States of an optimizer by name, of which each is taken once.
struct States<'a> {
    left: Vec<(&'a str, &'a Tensor)>,
}

impl<'a> States<'a> {
    fn new(states: &'a [(String, Tensor)]) -> Self {
        Self { left: states.iter().map(|(key, state)| (key.as_str(), state)).collect() }
    }

    /// A copy of the state `key`, which has to have this shape, in the type, on the device and in the layout of `like`.
    fn take(&mut self, key: &str, like: &Tensor) -> Result<Option<Tensor>> {
        let Some(place) = self.left.iter().position(|(name, _)| *name == key) else { return Ok(None) };
        let (_, state) = self.left.swap_remove(place);
        let (found, expected) = (state.size(), like.size());
        if found != expected {
            let problem = format!("has shape {found:?}, and the parameter {expected:?}");
            return Err(Error::State { key: key.to_owned(), problem });
        }
        let mut copy = zeros(like)?;
        let _guard = tch::no_grad_guard();
        copy.f_copy_(state)?;
        Ok(Some(copy))
    }

    /// Refuses states that no parameter took.
    fn finish(self) -> Result<()> {
        match self.left.first() {
            None => Ok(()),
            Some((key, _)) => {
                Err(Error::State { key: (*key).to_owned(), problem: "belongs to no parameter".to_owned() })
            }
        }
    }
}
