//! [`Call`]: one operator of libtorch, called by its name.

use cxx::UniquePtr;
use tch::Tensor;

use crate::bridge::{self, Tensors, new_call, references};
use crate::error::{Error, Result};
use crate::graph::Arg;

/// A call of an operator whose arguments are known except for the tensors.
#[derive(Debug)]
pub(crate) struct Call {
    call: UniquePtr<bridge::Call>,
    operator: String,
}

impl Call {
    /// Prepares the call and checks its arguments; a value in `args` is an index into the tensors of [`Self::run`].
    pub(crate) fn new(op: &str, overload: &str, args: &[Arg]) -> Result<Self> {
        let call = prepare(op, overload, args).map_err(|error| Error::native(op, &error))?;
        Ok(Self { call, operator: op.to_owned() })
    }

    /// The call without its tensors, for the shim.
    pub(crate) fn native(&self) -> &bridge::Call {
        &self.call
    }

    /// Calls the operator with these tensors.
    pub(crate) fn run(&self, tensors: &[&Tensor]) -> Result<Vec<Tensor>> {
        let mut results = Tensors::default();
        let done = self.call.run(&references(tensors.iter().copied()), &mut results);
        done.map_err(|error| Error::native(&self.operator, &error))?;
        Ok(results.0)
    }
}

fn prepare(op: &str, overload: &str, args: &[Arg]) -> Result<UniquePtr<bridge::Call>, cxx::Exception> {
    let mut call = new_call(op, overload, args.len())?;
    for arg in args {
        let call = call.pin_mut();
        match arg {
            Arg::None => call.push_none()?,
            Arg::Int(int) => call.push_int(*int)?,
            Arg::Double(double) => call.push_double(*double)?,
            Arg::Bool(bool) => call.push_bool(*bool)?,
            Arg::Str(text) => call.push_string(text)?,
            Arg::Device(device) => call.push_device(device)?,
            Arg::Ints(ints) => call.push_ints(ints)?,
            Arg::Doubles(doubles) => call.push_doubles(doubles)?,
            Arg::Bools(bools) => call.push_bools(bools)?,
            Arg::Value(value) => call.push_tensor(*value)?,
            Arg::Values(values) => {
                let indices: Vec<i64> = values.iter().map(|value| index(*value)).collect();
                call.push_tensors(&indices)?;
            }
        }
    }
    Ok(call)
}

/// The index for the shim, where -1 stands for none and what is out of range for the last index.
fn index(value: Option<usize>) -> i64 {
    match value {
        Some(value) => i64::try_from(value).unwrap_or(i64::MAX),
        None => -1,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tch::{Tensor, kind};

    use super::*;

    #[test]
    fn an_index_that_no_tensor_has_is_an_error() {
        let tensor = Tensor::ones([2], kind::FLOAT_CPU);
        let relu = Call::new("aten::relu", "", &[Arg::Value(1)]).unwrap();
        assert!(relu.run(&[&tensor]).unwrap_err().to_string().contains("there is no tensor 1"));
        assert!(Call::new("aten::relu", "", &[Arg::Value(usize::MAX)]).unwrap().run(&[&tensor]).is_err());
        let cat = Call::new("aten::cat", "", &[Arg::Values(vec![Some(0), Some(7)]), Arg::Int(0)]).unwrap();
        assert!(cat.run(&[&tensor]).is_err());
        let wrong = Call::new("aten::relu", "", &[Arg::Values(vec![Some(0)])]);
        assert!(wrong.and_then(|call| call.run(&[&tensor])).is_err());
        assert!(Call::new("aten::relu", "", &[]).is_err());
    }
}
