//! [`Operator`]: a call of an operator, in all traces, and its arguments.

use mmcv_fuse::graph::{Arg, Node, ValueId};

use crate::error::{Error, Result};

/// An operator in all traces.
#[derive(Debug, Clone)]
pub(crate) struct Operator<'a> {
    pub(crate) node: &'a Node,
    pub(crate) others: Vec<&'a Node>,
}

impl Operator<'_> {
    /// An error of this operator.
    pub(crate) fn unsupported(&self, what: impl std::fmt::Display) -> Error {
        Error::unsupported(&self.node.module, format!("{} {what}", self.node.op))
    }

    pub(crate) fn dynamic(&self, index: usize) -> Error {
        let what = format!("argument {index} of {} depends on the size of the input", self.node.op);
        Error::dynamic(&self.node.module, what)
    }

    /// Argument `index`, which has to be the same in all traces.
    pub(crate) fn arg(&self, index: usize) -> Result<&Arg> {
        let arg = self.node.args.get(index).unwrap_or(&Arg::None);
        for other in &self.others {
            if other.args.get(index).unwrap_or(&Arg::None) != arg {
                return Err(self.dynamic(index));
            }
        }
        Ok(arg)
    }

    /// The integers of argument `index`; one integer counts as a list.
    pub(crate) fn ints(&self, index: usize) -> Result<Vec<i64>> {
        match self.arg(index)? {
            Arg::Ints(ints) => Ok(ints.clone()),
            Arg::Int(int) => Ok(vec![*int]),
            _ => Err(self.unsupported(format!("without a list of integers as argument {index}"))),
        }
    }

    /// The integers of argument `index`, one for each of so many axes: one integer counts for all, and none if it is not given.
    pub(crate) fn per_axis(&self, index: usize, axes: usize) -> Result<Vec<i64>> {
        if !self.has(index) {
            return Ok(Vec::new());
        }
        let list = self.ints(index)?;
        Ok(if let [one] = list.as_slice() { vec![*one; axes] } else { list })
    }

    pub(crate) fn int(&self, index: usize) -> Result<i64> {
        match self.arg(index)? {
            Arg::Int(int) => Ok(*int),
            _ => Err(self.unsupported(format!("without an integer as argument {index}"))),
        }
    }

    pub(crate) fn number(&self, index: usize) -> Result<f64> {
        match self.arg(index)? {
            Arg::Int(int) => Ok(*int as f64),
            Arg::Double(double) => Ok(*double),
            _ => Err(self.unsupported(format!("without a number as argument {index}"))),
        }
    }

    pub(crate) fn bool(&self, index: usize) -> Result<bool> {
        match self.arg(index)? {
            Arg::Bool(bool) => Ok(*bool),
            _ => Err(self.unsupported(format!("without true or false as argument {index}"))),
        }
    }

    /// Whether argument `index` is given.
    pub(crate) fn has(&self, index: usize) -> bool {
        !matches!(self.node.args.get(index), None | Some(Arg::None))
    }

    pub(crate) fn value(&self, index: usize) -> Result<ValueId> {
        match self.node.args.get(index) {
            Some(Arg::Value(value)) => Ok(*value),
            _ => Err(self.unsupported(format!("without a tensor as argument {index}"))),
        }
    }

    pub(crate) fn values(&self, index: usize) -> Result<Vec<ValueId>> {
        match self.node.args.get(index) {
            Some(Arg::Values(values)) => Ok(values.iter().flatten().copied().collect()),
            _ => Err(self.unsupported(format!("without tensors as argument {index}"))),
        }
    }

    /// The result, of which there is one.
    pub(crate) fn output(&self) -> Result<ValueId> {
        self.node.output().ok_or_else(|| self.unsupported("with several results"))
    }
}
