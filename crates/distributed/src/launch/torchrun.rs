//! The variables of torchrun and of PyTorch's `env://`.

use super::environment::{Environment, invalid};
use super::{DEFAULT_PORT, Launch, Launcher};
use crate::Result;

pub(super) fn read(environment: &Environment<'_>) -> Result<Launch> {
    let because = "WORLD_SIZE";
    let world_size = environment.count("WORLD_SIZE", because)?;
    let rank = environment.index("RANK", because, "WORLD_SIZE", world_size)?;
    let local_world_size = environment.optional_number("LOCAL_WORLD_SIZE")?;
    let local_rank = match local_world_size {
        Some(0) => return Err(invalid("LOCAL_WORLD_SIZE", "0", "a number of processes, at least 1")),
        Some(local) if local > world_size => {
            let expected = format!("at most WORLD_SIZE, which is {world_size}");
            return Err(invalid("LOCAL_WORLD_SIZE", &local.to_string(), &expected));
        }
        Some(local) => environment.index("LOCAL_RANK", because, "LOCAL_WORLD_SIZE", local)?,
        None => environment.index("LOCAL_RANK", because, "WORLD_SIZE", world_size)?,
    };
    let agent_store = match environment.get("TORCHELASTIC_USE_AGENT_STORE").as_deref() {
        None | Some("False") => false,
        Some("True") => true,
        Some(other) => return Err(invalid("TORCHELASTIC_USE_AGENT_STORE", other, "True or False")),
    };
    let (master_addr, master_port) = meeting_point(environment, world_size)?;
    let launcher = Launcher::Torchrun;
    Ok(Launch { launcher, rank, world_size, local_rank, local_world_size, master_addr, master_port, agent_store })
}

/// One process needs none.
fn meeting_point(environment: &Environment<'_>, world_size: usize) -> Result<(String, u16)> {
    let port = environment.port()?;
    if world_size == 1 {
        let host = environment.get("MASTER_ADDR").unwrap_or_else(|| "127.0.0.1".to_owned());
        return Ok((host, port.unwrap_or(DEFAULT_PORT)));
    }
    let host = environment.required("MASTER_ADDR", "WORLD_SIZE", "the host of rank 0")?;
    match port {
        Some(port) => Ok((host, port)),
        None => Err(environment.missing(
            "MASTER_PORT",
            "WORLD_SIZE",
            "a free port of the host of rank 0, the same on all ranks",
        )),
    }
}
