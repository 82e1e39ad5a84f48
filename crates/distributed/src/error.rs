//! [`Error`]: what went wrong between processes.

use std::fmt;

use tch::TchError;

/// What went wrong between processes, and on which of them.
#[derive(Debug)]
pub struct Error {
    /// The rank of this process, if it is known.
    pub rank: Option<usize>,
    /// What went wrong.
    pub kind: Box<ErrorKind>,
}

/// What went wrong between processes.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A variable of the environment is missing.
    #[error("{name} is not set, and {because} is: set it to {expected}, or start the program with a launcher")]
    Missing {
        /// The variable.
        name: String,
        /// The variable that asks for it.
        because: String,
        /// What it should be.
        expected: String,
    },
    /// A variable of the environment has a value that is not allowed.
    #[error("{name} is {found:?}: expected {expected}")]
    Variable {
        /// The variable.
        name: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// The host of rank 0 has no address.
    #[error(
        "the host {host} of rank 0 has no address ({message}): set MASTER_ADDR to a name or address that this machine knows"
    )]
    Resolve {
        /// The host.
        host: String,
        /// The message of the system.
        message: String,
    },
    /// Another program listens at the port of rank 0.
    #[error("rank 0 cannot listen at port {port} ({message}): set MASTER_PORT to a free port, the same on all ranks")]
    Port {
        /// The port.
        port: u16,
        /// The message of the system.
        message: String,
    },
    /// Rank 0 does not answer.
    #[error(
        "rank 0 at {address} did not answer within {seconds} s ({message}): check that it runs, that MASTER_ADDR and MASTER_PORT are \
         the same on all ranks, and that no firewall is between"
    )]
    Unreachable {
        /// The address of rank 0.
        address: String,
        /// The time limit.
        seconds: f64,
        /// The last message of the system.
        message: String,
    },
    /// Processes did not come to the meeting.
    #[error(
        "{} of {world_size} did not come to {address} within {seconds} s: check that they were started, and their logs (with a Python process \
         among them, set GroupOptions::compares to false)",
        ranks(.missing)
    )]
    Absent {
        /// The ranks that did not come.
        missing: Vec<usize>,
        /// How many processes there should be.
        world_size: usize,
        /// The address of rank 0.
        address: String,
        /// The time limit.
        seconds: f64,
    },
    /// Two processes have the same rank.
    #[error("another process ({other}) has rank {rank} too: give each process a rank of its own (RANK)")]
    SameRank {
        /// The rank.
        rank: usize,
        /// The host and the number of the other process.
        other: String,
    },
    /// Another process was started with other settings.
    #[error("{what} is {here} on this rank and {there} on rank {other}: start all ranks with the same")]
    Settings {
        /// The setting.
        what: &'static str,
        /// Its value here.
        here: String,
        /// The other rank.
        other: usize,
        /// Its value there.
        there: String,
    },
    /// Ranks made different calls, or gave tensors of different shapes or types; nothing was computed.
    #[error("the ranks made different calls: {here} on this rank, and {there} on rank {other}")]
    Mismatch {
        /// The call of this rank.
        here: String,
        /// The other rank.
        other: usize,
        /// Its call.
        there: String,
    },
    /// A tensor that cannot take part; nothing was computed.
    #[error("{call} does not take {reason}")]
    Tensor {
        /// The call.
        call: String,
        /// What is wrong with the tensor.
        reason: String,
    },
    /// Another rank ended.
    #[error("{call} failed: {}: start all ranks again from the last checkpoint ({message})", lost(.ranks))]
    Lost {
        /// The call.
        call: String,
        /// What is known of other ranks.
        ranks: Vec<RankReport>,
        /// The message of libtorch.
        message: String,
    },
    /// Other ranks did not come to the same call in time.
    #[error(
        "{call} did not end within {seconds} s: {}: look at what those ranks do, or allow more time (GroupOptions::timeout) ({message})",
        late(.ranks)
    )]
    Timeout {
        /// The call.
        call: String,
        /// The time limit.
        seconds: f64,
        /// What is known of other ranks.
        ranks: Vec<RankReport>,
        /// The message of libtorch.
        message: String,
    },
    /// The group failed before, and is of no more use.
    #[error("the group failed before, and is of no more use: {first}")]
    Broken {
        /// The first error.
        first: String,
    },
    /// Parameters that got no gradient in a backward pass.
    #[error(
        "no gradient reached {}: set find_unused_parameters, or freeze what the loss does not depend on",
        .names.join(", ")
    )]
    Unused {
        /// The parameters.
        names: Vec<String>,
    },
    /// The modules of two ranks differ.
    #[error("parameter or buffer {here} of this rank is {there} on rank {other}: build the same module on all ranks")]
    Modules {
        /// The first that differs, with its type and shape.
        here: String,
        /// The other rank.
        other: usize,
        /// What is in its place there.
        there: String,
    },
    /// An argument that is not allowed.
    #[error("{name} is {found}: expected {expected}")]
    Argument {
        /// The argument.
        name: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// Results could not be written or read as JSON.
    #[error("results cannot be exchanged as JSON: {0}")]
    Results(String),
    /// The operation failed in the module.
    #[error("{0}")]
    Module(String),
    /// libtorch failed.
    #[error("{call}{}", mmcv_layers::torch_message(.message))]
    Native {
        /// The call and a colon, or nothing.
        call: String,
        /// The message of libtorch.
        message: String,
    },
}

/// What a rank finds out about another one when a call fails.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RankReport {
    /// The rank.
    pub rank: usize,
    /// Its host and the number of its process.
    pub process: String,
    /// Its state.
    pub state: RankState,
}

/// The state of another rank.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RankState {
    /// Its process has ended.
    Ended,
    /// Its process is there, and does not answer: it is stopped, or its machine is overloaded.
    Silent,
    /// Its machine cannot be reached.
    Unreachable,
    /// It answers, and is at this call.
    At(String),
}

/// The result of work on several processes.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn native(call: impl Into<String>, message: impl Into<String>) -> Self {
        ErrorKind::Native { call: call.into(), message: message.into() }.into()
    }

    pub(crate) fn argument(name: &'static str, found: impl fmt::Display, expected: impl Into<String>) -> Self {
        ErrorKind::Argument { name, found: found.to_string(), expected: expected.into() }.into()
    }

    pub(crate) fn on(mut self, rank: usize) -> Self {
        self.rank = Some(rank);
        self
    }
}

impl fmt::Display for RankReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} ({}) ", self.rank, self.process)?;
        match &self.state {
            RankState::Ended => f.write_str("has ended"),
            RankState::Silent => f.write_str("does not answer: it is stopped, or its machine is overloaded"),
            RankState::Unreachable => f.write_str("cannot be reached"),
            RankState::At(call) => write!(f, "is at {call}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rank {
            Some(rank) => write!(f, "rank {rank}: {}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { rank: None, kind: Box::new(kind) }
    }
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        Self::native("", error.to_string())
    }
}

impl From<mmcv_layers::Error> for Error {
    fn from(error: mmcv_layers::Error) -> Self {
        if let mmcv_layers::ErrorKind::Other(other) = &*error.kind
            && let Some(inner) = other.downcast_ref::<Self>()
        {
            return Self { rank: inner.rank, kind: inner.kind.clone() };
        }
        ErrorKind::Module(error.to_string()).into()
    }
}

impl From<Error> for mmcv_layers::Error {
    fn from(error: Error) -> Self {
        Self::new(mmcv_layers::ErrorKind::Other(Box::new(error)))
    }
}

fn ranks(missing: &[usize]) -> String {
    let numbers: Vec<_> = missing.iter().map(ToString::to_string).collect();
    let noun = if missing.len() == 1 { "rank" } else { "ranks" };
    format!("{noun} {}", numbers.join(", "))
}

fn lost(reports: &[RankReport]) -> String {
    if reports.is_empty() {
        return "another rank closed its connection".to_owned();
    }
    join(reports)
}

fn late(reports: &[RankReport]) -> String {
    if reports.is_empty() {
        return "another rank did not come".to_owned();
    }
    join(reports)
}

fn join(reports: &[RankReport]) -> String {
    reports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
