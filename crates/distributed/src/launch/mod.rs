//! [`Launch`]: which process this is among those that a launcher started.

mod environment;
mod mpi;
mod slurm;
#[cfg(test)]
mod tests;
mod torchrun;

use crate::Result;
use environment::Environment;

/// The port of rank 0 if the launcher sets none, as PyTorch's.
const DEFAULT_PORT: u16 = 29500;

/// Which process this is among those that a launcher started, and where they meet.
///
/// ```
/// use mmcv_distributed::{Launch, Launcher};
///
/// let variables = [("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1"), ("MASTER_ADDR", "node7"), ("MASTER_PORT", "29500")];
/// let launch = Launch::from_variables(|name| variables.iter().find(|entry| entry.0 == name).map(|entry| entry.1.to_owned()))?;
/// assert_eq!((launch.launcher, launch.rank, launch.world_size), (Launcher::Torchrun, 1, 2));
/// # Ok::<(), mmcv_distributed::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Who started the processes.
    pub launcher: Launcher,
    /// The number of this process, from 0.
    pub rank: usize,
    /// The number of processes.
    pub world_size: usize,
    /// The number of this process among those of its machine: the index of its GPU.
    pub local_rank: usize,
    /// The number of processes on this machine, if the launcher tells it.
    pub local_world_size: Option<usize>,
    /// The host of rank 0.
    pub master_addr: String,
    /// The port at which rank 0 waits for the others.
    pub master_port: u16,
    /// Whether torchrun's agent waits at the port, and not rank 0.
    pub agent_store: bool,
}

/// Who started the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// Nobody: there is one process.
    None,
    /// torchrun, `mmcv launch`, or what sets the same variables (PyTorch's `env://`).
    Torchrun,
    /// Slurm's `srun`.
    Slurm,
    /// Open MPI's `mpirun`.
    OpenMpi,
}

impl Launch {
    /// One process, which nobody launched.
    #[must_use]
    pub fn single() -> Self {
        Self {
            launcher: Launcher::None,
            rank: 0,
            world_size: 1,
            local_rank: 0,
            local_world_size: Some(1),
            master_addr: "127.0.0.1".to_owned(),
            master_port: DEFAULT_PORT,
            agent_store: false,
        }
    }

    /// What the environment says: the variables of torchrun (`WORLD_SIZE`), else those of Slurm (`SLURM_NTASKS`), else those of
    /// Open MPI (`OMPI_COMM_WORLD_SIZE`); without any of them [`Self::single`]. The order is mmengine's.
    ///
    /// # Errors
    /// Returns an error if a variable is missing beside others, is not a number, or contradicts another one; the error names it.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// As [`Self::from_env`], with the values that `lookup` has.
    ///
    /// # Errors
    /// As [`Self::from_env`].
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let environment = Environment::new(&lookup);
        if environment.has("WORLD_SIZE") {
            return torchrun::read(&environment);
        }
        if environment.has("SLURM_NTASKS") {
            return slurm::read(&environment);
        }
        if environment.has("OMPI_COMM_WORLD_SIZE") || environment.has("OMPI_COMM_WORLD_RANK") {
            return mpi::read(&environment);
        }
        for name in ["RANK", "LOCAL_RANK"] {
            if environment.has(name) {
                return Err(environment.missing("WORLD_SIZE", name, "the number of processes"));
            }
        }
        Ok(Self::single())
    }

    /// Whether processes may be on other machines than this one.
    pub(crate) fn spans_machines(&self) -> bool {
        self.local_world_size.is_none_or(|local| local < self.world_size)
    }
}
