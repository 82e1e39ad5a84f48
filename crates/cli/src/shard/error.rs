//! [`ShardError`]: why the environment does not tell the shard of a process.

/// Why the environment does not tell the shard of a process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// Nothing tells the number of this process.
    #[error(
        "--shard auto: no launcher gave this process a number: start it with torchrun, srun, mpirun, `mmcv launch`, or as an \
         array job of Slurm, AWS Batch or Kubernetes; or give --shard I/N"
    )]
    NoLauncher,
    /// A variable is missing beside another one.
    #[error("--shard auto: {name} is not set, and {because} is: set {name} to {expected}, or give --shard I/N")]
    Missing {
        /// The variable.
        name: &'static str,
        /// The variable that asks for it.
        because: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A variable has a value that is not allowed.
    #[error("--shard auto: {name} is {found:?}: expected {expected}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// There is a number for this process, but nothing tells how many processes there are.
    #[error("--shard auto: {name} does not tell how many processes there are: give their number N with --shard auto/N")]
    NoCount {
        /// The variable with the number of this process.
        name: &'static str,
    },
    /// The number of processes in the environment is not the given one.
    #[error(
        "--shard auto/{expected}: there are {found} processes, by {names}: give --shard auto/{found}, or --shard I/{expected}"
    )]
    Count {
        /// The variables that count.
        names: String,
        /// The number that they have.
        found: u64,
        /// The number that was given.
        expected: u64,
    },
    /// The given number of processes cannot be that of several machines with so many processes each.
    #[error(
        "--shard auto/{expected}: {name} is {found}, and N has to be a multiple of it: the number of all processes"
    )]
    Multiple {
        /// The variable with the number of processes of each machine.
        name: &'static str,
        /// Its value.
        found: u64,
        /// The number that was given.
        expected: u64,
    },
}
