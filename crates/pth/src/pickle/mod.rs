//! A restricted pickle machine: it builds values, and knows the listed globals by name only. Nothing is imported,
//! called or executed.

mod call;
mod finish;
mod globals;
mod input;
mod literal;
mod machine;
mod memo;
mod numpy;
pub(crate) mod opcode;
mod rebuild;
mod stack;
mod step;
mod storage;
mod value;

pub(crate) use globals::AllowList;
pub(crate) use input::Input;
pub(crate) use machine::{Machine, Persistence};
pub(crate) use step::python_2_string;
pub(crate) use value::{Graph, Mapping, Node, Opaque, SetKind, Value};

use crate::error::{ErrorKind, PickleProblem};

/// What stops the machine: a problem at the current opcode, or an error that needs no position.
#[derive(Debug)]
pub(crate) enum Fault {
    Problem(PickleProblem),
    Error(ErrorKind),
}

impl From<PickleProblem> for Fault {
    fn from(problem: PickleProblem) -> Self {
        Self::Problem(problem)
    }
}

impl From<crate::bytes::Ended> for Fault {
    fn from(ended: crate::bytes::Ended) -> Self {
        Self::Problem(ended.into())
    }
}

impl From<ErrorKind> for Fault {
    fn from(error: ErrorKind) -> Self {
        Self::Error(error)
    }
}
