//! From the variables of the environment to a shard: processes of a launcher, jobs of an array, or both.

use super::environment::{Environment, Lookup, invalid};
use super::launchers::{ArrayPlace, KUBERNETES, Place, array, process};
use super::{Shard, ShardError};

/// The shard of this process. `given` is the number of shards, for array jobs that do not tell it.
///
/// Launchers are torchrun, `mmcv launch`, Open MPI, PMI and srun; arrays those of Slurm, AWS Batch and Kubernetes. If each job of an
/// array starts several processes, there are as many shards as processes.
pub fn detect(given: Option<u64>, lookup: Lookup<'_>) -> Result<Shard, ShardError> {
    let environment = Environment(lookup);
    let process = process(environment)?;
    let Some(job) = array(environment)? else {
        let Some(Place { index, count, count_name }) = process else { return Err(ShardError::NoLauncher) };
        check(given, count, count_name)?;
        return Ok(Shard { index, count });
    };
    let Some(jobs) = job.count else { return uncounted(job, process, given) };
    let Some(process) = process else {
        check(given, jobs, job.name)?;
        return Ok(Shard { index: job.index, count: jobs });
    };
    let count = jobs.saturating_mul(process.count);
    check(given, count, &format!("{} and {}", job.name, process.count_name))?;
    Ok(Shard { index: job.index * process.count + process.index, count })
}

/// The shard of a job whose array does not tell the number of jobs.
fn uncounted(job: ArrayPlace, process: Option<Place>, given: Option<u64>) -> Result<Shard, ShardError> {
    let Some(count) = given else { return Err(ShardError::NoCount { name: job.name }) };
    let Some(process) = process else { return below(job, count, Shard { index: job.index, count }) };
    // The processes of Kubeflow's jobs are numbered over all pods.
    if job.name == KUBERNETES && process.count == count {
        return Ok(Shard { index: process.index, count });
    }
    if !count.is_multiple_of(process.count) {
        return Err(ShardError::Multiple { name: process.count_name, found: process.count, expected: count });
    }
    let index = job.index.saturating_mul(process.count).saturating_add(process.index);
    below(job, count / process.count, Shard { index, count })
}

fn below(job: ArrayPlace, jobs: u64, shard: Shard) -> Result<Shard, ShardError> {
    if job.index < jobs {
        return Ok(shard);
    }
    Err(invalid(job.name, job.index, format!("a number below {jobs}, for --shard auto/{}", shard.count)))
}

fn check(given: Option<u64>, found: u64, names: &str) -> Result<(), ShardError> {
    match given {
        Some(expected) if expected != found => Err(ShardError::Count { names: names.to_owned(), found, expected }),
        _ => Ok(()),
    }
}
