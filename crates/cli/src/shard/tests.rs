//! Environments of all launchers and arrays, right and wrong.

#![allow(clippy::unwrap_used)]

use super::{Shard, ShardChoice, ShardError, detect, local_index};

fn read(given: Option<u64>, variables: &[(&str, &str)]) -> Result<(u64, u64), ShardError> {
    let lookup = |name: &str| variables.iter().find(|entry| entry.0 == name).map(|entry| entry.1.to_owned());
    detect(given, &lookup).map(|shard| (shard.index, shard.count))
}

/// The variables of `text`, such as `RANK=1 WORLD_SIZE=2`.
fn variables(text: &str) -> Vec<(&str, &str)> {
    text.split_whitespace().map(|pair| pair.split_once('=').unwrap()).collect()
}

#[test]
fn shards_are_given_or_found() {
    let fixed = |index, count| Ok(ShardChoice::Fixed(Shard { index, count }));
    assert_eq!("0/1".parse(), fixed(0, 1));
    assert_eq!("3/8".parse(), fixed(3, 8));
    assert_eq!("auto".parse(), Ok(ShardChoice::Auto(None)));
    assert_eq!("auto/40".parse(), Ok(ShardChoice::Auto(Some(40))));
    for text in ["", "3", "/8", "3/", "-1/8", "a/8", "3/0", "auto/0", "auto/x", "3/8/9", "1/99999999999"] {
        assert!(text.parse::<ShardChoice>().unwrap_err().contains("I/N"), "{text}");
    }
    assert_eq!("8/8".parse::<ShardChoice>().unwrap_err(), "shards are counted from 0, so the last of 8 is 7/8");
}

#[test]
fn every_entry_belongs_to_one_shard_and_blocks_stay_together() {
    for (count, block) in [(1, 1), (3, 1), (2, 4), (5, 3)] {
        let mut positions = [0; 5];
        for index in 0..100 {
            let owners: Vec<u64> =
                (0..count).filter(|&shard| Shard { index: shard, count }.has(index, block)).collect();
            let [owner] = owners[..] else { panic!("{index} of {count} shards belongs to {owners:?}") };
            assert_eq!(owner, index / block % count);
            let position = &mut positions[usize::try_from(owner).unwrap()];
            assert_eq!(Shard { index: owner, count }.index_of(*position, block), index);
            *position += 1;
        }
    }
}

#[test]
fn launchers_and_arrays_are_read() {
    for (text, given, expected) in [
        ("RANK=3 WORLD_SIZE=4", None, (3, 4)),
        ("RANK=3 WORLD_SIZE=4", Some(4), (3, 4)),
        ("OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2", None, (1, 2)),
        ("PMI_RANK=1 PMI_SIZE=2", None, (1, 2)),
        ("SLURM_PROCID=5 SLURM_NTASKS=8 SLURM_STEP_NUM_TASKS=8", None, (5, 8)),
        ("SLURM_PROCID=0 SLURM_NTASKS=1", None, (0, 1)),
        // mpirun and torchrun inside a batch script of Slurm.
        ("SLURM_PROCID=0 SLURM_NTASKS=2 OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2", None, (1, 2)),
        ("SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_STEP_NUM_TASKS=2 RANK=5 WORLD_SIZE=8", None, (5, 8)),
        ("SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=7 SLURM_ARRAY_TASK_COUNT=8", None, (3, 8)),
        // --array=1-9:2, in a batch script without tasks.
        (
            "SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=9 SLURM_ARRAY_TASK_STEP=2 \
             SLURM_ARRAY_TASK_COUNT=5 SLURM_PROCID=0",
            None,
            (2, 5),
        ),
        // An array of jobs with two tasks each.
        (
            "SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=3 SLURM_PROCID=1 SLURM_NTASKS=2 \
             SLURM_STEP_NUM_TASKS=2",
            Some(6),
            (3, 6),
        ),
        ("AWS_BATCH_JOB_ARRAY_INDEX=3 AWS_BATCH_JOB_ARRAY_SIZE=10", None, (3, 10)),
        ("AWS_BATCH_JOB_ARRAY_INDEX=3", Some(10), (3, 10)),
        ("AWS_BATCH_JOB_ARRAY_INDEX=3 AWS_BATCH_JOB_ARRAY_SIZE=10 RANK=1 WORLD_SIZE=2", None, (7, 20)),
        ("JOB_COMPLETION_INDEX=0", Some(40), (0, 40)),
        // Kubeflow's ranks count over all pods; those of `mmcv launch` do in each.
        ("JOB_COMPLETION_INDEX=1 RANK=3 WORLD_SIZE=4", Some(4), (3, 4)),
        ("JOB_COMPLETION_INDEX=1 RANK=3 WORLD_SIZE=4", Some(8), (7, 8)),
    ] {
        assert_eq!(read(given, &variables(text)), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let array = "SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=7";
    for (text, given, words) in [
        ("", None, "give --shard I/N"),
        ("HOME=/root SLURM_PROCID=0", None, "no launcher"),
        ("RANK=1", None, "WORLD_SIZE is not set, and RANK is"),
        ("WORLD_SIZE=1", None, "RANK is not set, and WORLD_SIZE is"),
        ("RANK=2 WORLD_SIZE=2", None, "RANK is \"2\": expected a number below WORLD_SIZE, which is 2"),
        ("RANK=0 WORLD_SIZE=0", None, "WORLD_SIZE is \"0\": expected a number of processes, at least 1"),
        ("RANK=-1 WORLD_SIZE=2", None, "RANK is \"-1\": expected a number"),
        ("RANK=0 WORLD_SIZE=2", Some(3), "--shard auto/3: there are 2 processes, by WORLD_SIZE"),
        ("OMPI_COMM_WORLD_RANK=0", None, "OMPI_COMM_WORLD_SIZE is not set"),
        ("SLURM_PROCID=3", None, "SLURM_NTASKS is not set, and SLURM_PROCID is"),
        ("SLURM_NTASKS=0", None, "SLURM_NTASKS is \"0\""),
        ("SLURM_PROCID=0 SLURM_NTASKS=4", None, "start the program with srun"),
        ("SLURM_PROCID=0 SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=1", None, "SLURM_STEP_NUM_TASKS is \"1\""),
        ("SLURM_PROCID=4 SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=4", None, "SLURM_PROCID is \"4\""),
        ("SLURM_ARRAY_TASK_ID=1", None, "SLURM_ARRAY_TASK_MIN is not set, and SLURM_ARRAY_TASK_ID is"),
        (
            &format!("SLURM_ARRAY_TASK_ID=8 {array}"),
            None,
            "SLURM_ARRAY_TASK_ID is \"8\": expected a number from 0 to 7",
        ),
        (&format!("SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=2 {array}"), None, "the array has gaps"),
        (&format!("SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_STEP=2 {array}"), None, "in steps of 2"),
        (&format!("SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_STEP=0 {array}"), None, "SLURM_ARRAY_TASK_STEP is \"0\""),
        (&format!("SLURM_ARRAY_TASK_ID=3 {array}"), Some(9), "there are 8 processes, by SLURM_ARRAY_TASK_ID"),
        ("AWS_BATCH_JOB_ARRAY_INDEX=3", None, "--shard auto/N"),
        ("AWS_BATCH_JOB_ARRAY_INDEX=3 AWS_BATCH_JOB_ARRAY_SIZE=3", None, "AWS_BATCH_JOB_ARRAY_INDEX is \"3\""),
        ("JOB_COMPLETION_INDEX=3", None, "JOB_COMPLETION_INDEX does not tell how many processes there are"),
        ("JOB_COMPLETION_INDEX=3", Some(3), "JOB_COMPLETION_INDEX is \"3\": expected a number below 3"),
        ("JOB_COMPLETION_INDEX=3 RANK=0 WORLD_SIZE=2", None, "--shard auto/N"),
        ("JOB_COMPLETION_INDEX=3 RANK=0 WORLD_SIZE=2", Some(5), "a multiple of it"),
        ("JOB_COMPLETION_INDEX=4294967296 RANK=0 WORLD_SIZE=2", Some(8), "expected a number below 4"),
    ] {
        let error = read(given, &variables(text)).unwrap_err().to_string();
        assert!(error.starts_with("--shard auto") && error.contains(words), "{text}: {error}");
    }
}

#[test]
fn the_device_is_that_of_the_process_on_its_machine() {
    for (text, expected) in
        [("", None), ("LOCAL_RANK=3 SLURM_LOCALID=0", Some(3)), ("SLURM_LOCALID=2", Some(2)), ("LOCAL_RANK=", None)]
    {
        let variables = variables(text);
        let lookup = |name: &str| variables.iter().find(|entry| entry.0 == name).map(|entry| entry.1.to_owned());
        assert_eq!(local_index(&lookup), Ok(expected), "{text}");
    }
}
