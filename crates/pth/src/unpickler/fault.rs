//! [`Fault`]: why the unpickler stops.

use crate::cursor::Ended;
use crate::error::{ErrorKind, PickleProblem};

/// A problem at the current opcode, or an error that needs no position.
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

impl From<Ended> for Fault {
    fn from(ended: Ended) -> Self {
        Self::Problem(ended.into())
    }
}

impl From<ErrorKind> for Fault {
    fn from(error: ErrorKind) -> Self {
        Self::Error(error)
    }
}
