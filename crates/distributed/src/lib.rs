//! Data-parallel training on many devices and machines, on libtorch's own process groups.
//!
//! [`Launch`] finds out which process this is: torchrun, Slurm, Open MPI and `mmcv launch` start processes. [`Group`] connects
//! them, with the names and meanings of `mmengine.dist`. [`DataParallel`] averages the gradients of a module by the reducer of
//! Python's `DistributedDataParallel`; a Python process can be one of the ranks. In a group, every `SyncBN` computes its
//! statistics over all ranks.
//!
//! `docs/distributed.md` has examples, and what fails how.

mod address;
mod bridge;
mod data_parallel;
mod error;
mod fingerprint;
mod group;
mod launch;
mod rendezvous;
mod results;
mod sync_bn;
mod watch;

pub use data_parallel::{DataParallel, DataParallelOptions, NoSync};
pub use error::{Error, ErrorKind, RankReport, RankState, Result};
pub use group::{Backend, Group, GroupOptions, ReduceOp};
pub use launch::{Launch, Launcher};
