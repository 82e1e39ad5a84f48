//! The variables of Slurm, and its lists of hosts.

use super::environment::{Environment, invalid};
use super::{DEFAULT_PORT, Launch, Launcher};
use crate::{Error, Result};

pub(super) fn read(environment: &Environment<'_>) -> Result<Launch> {
    let because = "SLURM_NTASKS";
    let world_size = environment.count("SLURM_NTASKS", because)?;
    // Inside an allocation of one task, the program need not be started by srun.
    if world_size == 1 {
        return Ok(Launch { launcher: Launcher::Slurm, ..Launch::single() });
    }
    // A batch script has the number of tasks, and is one process.
    if let Some(tasks) = environment.optional_number("SLURM_STEP_NUM_TASKS")?
        && tasks != world_size
    {
        let expected = format!("SLURM_NTASKS, which is {world_size}: start the program with srun");
        return Err(invalid("SLURM_STEP_NUM_TASKS", &tasks.to_string(), &expected));
    }
    let rank = environment
        .index("SLURM_PROCID", because, "SLURM_NTASKS", world_size)
        .map_err(|error| start_with_srun(environment, error))?;
    let local_rank = environment.index("SLURM_LOCALID", because, "SLURM_NTASKS", world_size)?;
    let nodes = environment.optional_number("SLURM_NNODES")?;
    let master_addr = match environment.get("MASTER_ADDR") {
        Some(host) => host,
        None => first_of_list(environment, because)?,
    };
    Ok(Launch {
        launcher: Launcher::Slurm,
        rank,
        world_size,
        local_rank,
        // How many tasks a node has is known only for one node.
        local_world_size: if nodes == Some(1) { Some(world_size) } else { None },
        master_addr,
        master_port: environment.port()?.unwrap_or(DEFAULT_PORT),
        agent_store: false,
    })
}

fn start_with_srun(environment: &Environment<'_>, error: Error) -> Error {
    if environment.has("SLURM_PROCID") {
        return error;
    }
    environment.missing("SLURM_PROCID", "SLURM_NTASKS", "the number of the task (srun sets it)")
}

fn first_of_list(environment: &Environment<'_>, because: &str) -> Result<String> {
    let name = if environment.has("SLURM_STEP_NODELIST") { "SLURM_STEP_NODELIST" } else { "SLURM_NODELIST" };
    let list = environment.required(name, because, "the hosts of the job, such as node[01-03,7],x")?;
    first_host(&list).ok_or_else(|| invalid(name, &list, "a list of hosts, such as node[01-03,7],x"))
}

/// The first host of a list such as `node[01-03,7],x`, in which each bracket holds numbers and ranges of numbers.
fn first_host(list: &str) -> Option<String> {
    let mut host = String::new();
    let mut rest = list;
    loop {
        let end = rest.find(['[', ',', ']']).unwrap_or(rest.len());
        let (plain, after) = rest.split_at(end);
        host.push_str(plain);
        if !after.starts_with('[') {
            let is_complete = after.is_empty() || after.starts_with(',');
            return if is_complete && is_name(&host) { Some(host) } else { None };
        }
        let (numbers, behind) = after.strip_prefix('[')?.split_once(']')?;
        host.push_str(first_number(numbers)?);
        rest = behind;
    }
}

/// The first of `01-03,7`.
fn first_number(numbers: &str) -> Option<&str> {
    let first = numbers.split([',', '-']).next()?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if numbers.split([',', '-']).all(is_number) { Some(first) } else { None }
}

fn is_name(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._:".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::first_host;

    #[test]
    fn the_first_host_of_a_list() {
        for (list, host) in [
            ("node[01-03,7],x", "node01"),
            ("x", "x"),
            ("x,node[1-2]", "x"),
            ("gpu-a[003]", "gpu-a003"),
            ("r[1-2]n[05-06].cluster", "r1n05.cluster"),
            ("[1-3]", "1"),
            ("10.0.0.[4,9]", "10.0.0.4"),
        ] {
            assert_eq!(first_host(list).as_deref(), Some(host), "{list}");
        }
        for list in ["", ",x", "node[", "node[]", "node[a-b]", "node[1-", "node]1", "node[1-2]]", "no de", "node[1-2-]"]
        {
            assert_eq!(first_host(list), None, "{list}");
        }
    }
}
