//! The variables of launchers and of array jobs. Numbers of processes are the only thing that is read: nobody meets anybody.

use super::ShardError;
use super::environment::{Environment, Lookup, invalid};

/// The number of this process among those that a launcher started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) index: u64,
    pub(super) count: u64,
    /// The variable with the count.
    pub(super) count_name: &'static str,
}

/// The number of this job among those of an array.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArrayPlace {
    pub(super) index: u64,
    /// `None` if the scheduler does not tell it.
    pub(super) count: Option<u64>,
    /// The variable with the index.
    pub(super) name: &'static str,
}

/// Kubernetes tells the index of a pod, and not the number of pods.
pub(super) const KUBERNETES: &str = "JOB_COMPLETION_INDEX";
const AWS: &str = "AWS_BATCH_JOB_ARRAY_INDEX";
const SLURM_ARRAY: &str = "SLURM_ARRAY_TASK_ID";

/// Launchers whose variables are only an index and a count, from the innermost. Slurm is the last: its variables are also those of
/// programs that mpirun or torchrun start inside a Slurm job.
const PAIRS: [[&str; 2]; 3] =
    [["RANK", "WORLD_SIZE"], ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"], ["PMI_RANK", "PMI_SIZE"]];

const LOCAL: [&str; 4] = ["LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"];

/// The number of this process among those that the innermost launcher started.
pub(super) fn process(environment: Environment<'_>) -> Result<Option<Place>, ShardError> {
    for [index_name, count_name] in PAIRS {
        if environment.has(index_name) || environment.has(count_name) {
            let count = environment.required(count_name, index_name, "the number of processes")?;
            let index = environment.required(index_name, count_name, "the number of this process, from 0")?;
            return place(index_name, index, count_name, count).map(Some);
        }
    }
    slurm_step(environment)
}

/// The number of this job in an array of jobs.
pub(super) fn array(environment: Environment<'_>) -> Result<Option<ArrayPlace>, ShardError> {
    if let Some(id) = environment.number(SLURM_ARRAY)? {
        return slurm_array(environment, id).map(Some);
    }
    if let Some(index) = environment.number(AWS)? {
        let count = environment.number("AWS_BATCH_JOB_ARRAY_SIZE")?;
        if let Some(count) = count {
            place(AWS, index, "AWS_BATCH_JOB_ARRAY_SIZE", count)?;
        }
        return Ok(Some(ArrayPlace { index, count, name: AWS }));
    }
    match environment.number(KUBERNETES)? {
        Some(index) => Ok(Some(ArrayPlace { index, count: None, name: KUBERNETES })),
        None => Ok(None),
    }
}

/// The number of this process among those of its machine, if a launcher tells it: the index of its GPU.
pub fn local_index(lookup: Lookup<'_>) -> Result<Option<u64>, ShardError> {
    let environment = Environment(lookup);
    for name in LOCAL {
        if let Some(index) = environment.number(name)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

fn place(index_name: &'static str, index: u64, count_name: &'static str, count: u64) -> Result<Place, ShardError> {
    if count == 0 {
        return Err(invalid(count_name, count, "a number of processes, at least 1"));
    }
    if index >= count {
        return Err(invalid(index_name, index, format!("a number below {count_name}, which is {count}")));
    }
    Ok(Place { index, count, count_name })
}

/// A task that srun started. A batch script has the number of tasks too, and is one process.
fn slurm_step(environment: Environment<'_>) -> Result<Option<Place>, ShardError> {
    const TASKS: &str = "SLURM_NTASKS";
    const STEP_TASKS: &str = "SLURM_STEP_NUM_TASKS";
    let Some(count) = environment.number(TASKS)? else {
        return match environment.number("SLURM_PROCID")? {
            // A batch script without a number of tasks.
            None | Some(0) => Ok(None),
            Some(_) => Err(ShardError::Missing {
                name: TASKS,
                because: "SLURM_PROCID",
                expected: "the number of tasks (srun sets it)",
            }),
        };
    };
    if count <= 1 {
        return place("SLURM_PROCID", 0, TASKS, count).map(Some);
    }
    let started =
        environment.required(STEP_TASKS, TASKS, "the number of tasks (srun sets it: start the program with srun)")?;
    if started != count {
        return Err(invalid(STEP_TASKS, started, format!("{TASKS}, which is {count}: start the program with srun")));
    }
    let index = environment.required("SLURM_PROCID", TASKS, "the number of the task (srun sets it)")?;
    place("SLURM_PROCID", index, TASKS, count).map(Some)
}

/// A job of an array such as `--array=1-9:2`. An array with gaps, as one that repeats some jobs of another, has no shards.
fn slurm_array(environment: Environment<'_>, id: u64) -> Result<ArrayPlace, ShardError> {
    const COUNT: &str = "SLURM_ARRAY_TASK_COUNT";
    let first = environment.required("SLURM_ARRAY_TASK_MIN", SLURM_ARRAY, "the first index of the array")?;
    let last = environment.required("SLURM_ARRAY_TASK_MAX", SLURM_ARRAY, "the last index of the array")?;
    let step = environment.number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1);
    if step == 0 {
        return Err(invalid("SLURM_ARRAY_TASK_STEP", step, "a number, at least 1"));
    }
    if last < first {
        return Err(invalid("SLURM_ARRAY_TASK_MAX", last, format!("at least SLURM_ARRAY_TASK_MIN, which is {first}")));
    }
    if id < first || id > last || !(id - first).is_multiple_of(step) {
        return Err(invalid(SLURM_ARRAY, id, format!("a number from {first} to {last} in steps of {step}")));
    }
    let count = (last - first) / step + 1;
    if let Some(found) = environment.number(COUNT)?
        && found != count
    {
        let expected = format!(
            "{count} jobs, from {first} to {last} in steps of {step}: the array has gaps, so give --shard I/N, such as \
             --shard $SLURM_ARRAY_TASK_ID/N"
        );
        return Err(invalid(COUNT, found, expected));
    }
    Ok(ArrayPlace { index: (id - first) / step, count: Some(count), name: SLURM_ARRAY })
}
