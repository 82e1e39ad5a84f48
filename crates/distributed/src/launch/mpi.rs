//! The variables of Open MPI.

use super::environment::Environment;
use super::{DEFAULT_PORT, Launch, Launcher};
use crate::Result;

pub(super) fn read(environment: &Environment<'_>) -> Result<Launch> {
    let because = if environment.has("OMPI_COMM_WORLD_SIZE") { "OMPI_COMM_WORLD_SIZE" } else { "OMPI_COMM_WORLD_RANK" };
    let world_size = environment.count("OMPI_COMM_WORLD_SIZE", because)?;
    let rank = environment.index("OMPI_COMM_WORLD_RANK", because, "OMPI_COMM_WORLD_SIZE", world_size)?;
    let local_rank = environment.index("OMPI_COMM_WORLD_LOCAL_RANK", because, "OMPI_COMM_WORLD_SIZE", world_size)?;
    let local_world_size = environment.optional_number("OMPI_COMM_WORLD_LOCAL_SIZE")?;
    let master_addr = match environment.get("MASTER_ADDR") {
        Some(host) => host,
        // All are on this machine.
        None if world_size == 1 || local_world_size == Some(world_size) => "127.0.0.1".to_owned(),
        None => {
            return Err(environment.missing("MASTER_ADDR", because, "the host of rank 0 (mpirun -x MASTER_ADDR=HOST)"));
        }
    };
    Ok(Launch {
        launcher: Launcher::OpenMpi,
        rank,
        world_size,
        local_rank,
        local_world_size,
        master_addr,
        master_port: environment.port()?.unwrap_or(DEFAULT_PORT),
        agent_store: false,
    })
}
