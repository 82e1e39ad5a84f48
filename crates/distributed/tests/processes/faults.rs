//! Ranks that end, hang, do not come, or come with other settings.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use mmcv_distributed::{Group, ReduceOp, Result};
use serde_json::Value;
use tch::Tensor;

use super::harness::{Job, has_begun, variable};

const SHORT: Duration = Duration::from_secs(4);
/// How much longer than its time limit a call may take on a busy machine.
const SLACK: Duration = Duration::from_secs(40);

pub(crate) fn endless(group: &Group) -> Result<Value> {
    let mut sum = Tensor::ones([1000], tch::kind::FLOAT_CPU);
    has_begun();
    loop {
        group.all_reduce(&mut sum, ReduceOp::Mean)?;
    }
}

/// Rank 1 works on its own, for longer than the others wait.
pub(crate) fn sleeper(group: &Group) -> Result<Value> {
    group.barrier()?;
    if group.rank() == 1 {
        std::thread::sleep(Duration::from_secs(100));
    }
    match variable("MMCV_CALL").as_str() {
        "monitored_barrier" => group.monitored_barrier(Duration::from_secs(2))?,
        _ => group.barrier()?,
    }
    Ok(Value::Null)
}

#[test]
fn a_killed_rank_is_named() {
    let kills = variable("MMCV_TEST_KILLS").parse().unwrap_or(4);
    for number in 0..kills {
        let mut job = Job::new("loop", 3);
        job.start_all();
        for rank in 0..3 {
            job.wait_for_beginning(rank);
        }
        // Some moment; nothing depends on which.
        let nanoseconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
        std::thread::sleep(Duration::from_micros(u64::from(nanoseconds) % 50_000));
        let killed = number % 3;
        job.child(killed).kill().unwrap();
        job.child(killed).wait().unwrap();
        let start = Instant::now();
        for rank in (0..3).filter(|rank| *rank != killed) {
            let error = job.end(rank).unwrap_err();
            let named = format!("rank {killed} (process {} on ", job.child(killed).id());
            assert!(error.contains(&named) && error.contains("has ended"), "{killed}: {error}");
            assert!(error.starts_with(&format!("rank {rank}: ")) && error.contains("checkpoint"), "{error}");
        }
        assert!(start.elapsed() < SLACK);
    }
}

#[test]
fn a_stopped_rank_is_named() {
    let mut job = Job::new("loop", 2).timeout(SHORT);
    job.start_all();
    job.wait_for_beginning(0);
    job.wait_for_beginning(1);
    let process = job.child(1).id().to_string();
    assert!(Command::new("kill").args(["-STOP", &process]).status().unwrap().success());
    let error = job.end(0).unwrap_err();
    assert!(error.contains("did not end within 4 s: rank 1") && error.contains("does not answer"), "{error}");
}

#[test]
fn a_rank_that_is_elsewhere_is_named() {
    for call in ["barrier", "monitored_barrier"] {
        let mut job = Job::new("sleeper", 2).timeout(SHORT).variable("MMCV_CALL", call);
        job.start_all();
        let error = job.end(0).unwrap_err();
        let place = "is at what follows call 1 (barrier)";
        assert!(error.contains("rank 1 (process ") && error.contains(place) && error.contains("more time"), "{error}");
    }
}

#[test]
fn a_rank_that_does_not_come_is_named() {
    let mut job = Job::new("nothing", 3).timeout(SHORT);
    job.start(0, &[]);
    job.start(2, &[]);
    let error = job.end(0).unwrap_err();
    assert!(error.contains("rank 1 of 3 did not come to 127.0.0.1:") && error.contains("logs"), "{error}");
    assert!(job.end(2).is_err());
}

#[test]
fn a_master_that_is_not_there_is_named() {
    let mut job = Job::new("nothing", 2).timeout(SHORT);
    job.start(1, &[]);
    let error = job.end(1).unwrap_err();
    let address = format!("rank 1: rank 0 at 127.0.0.1:{} did not answer within 4 s", job.port());
    assert!(error.starts_with(&address) && error.contains("MASTER_PORT"), "{error}");
    job.start(1, &[("MASTER_ADDR", "no-such-host.invalid")]);
    assert!(job.end(1).unwrap_err().contains("no-such-host.invalid"));
}

#[test]
fn a_taken_port_is_named() {
    let mut job = Job::new("nothing", 2).timeout(SHORT);
    let _taken = TcpListener::bind(("::", job.port())).unwrap();
    job.start(0, &[]);
    let error = job.end(0).unwrap_err();
    assert!(
        error.contains(&format!("cannot listen at port {}", job.port())) && error.contains("MASTER_PORT"),
        "{error}"
    );
}

#[test]
fn another_number_of_processes_is_an_error() {
    let mut job = Job::new("nothing", 2).timeout(Duration::from_secs(20));
    job.start(0, &[]);
    job.start(1, &[("WORLD_SIZE", "3"), ("LOCAL_WORLD_SIZE", "3")]);
    let errors = [job.end(0).unwrap_err(), job.end(1).unwrap_err()];
    assert!(errors[0].contains("(WORLD_SIZE) is 2 on this rank and 3 on rank 1"), "{errors:?}");
    assert!(errors[1].contains("(WORLD_SIZE) is 3 on this rank and 2 on rank 0"), "{errors:?}");
}

#[test]
fn a_rank_twice_is_an_error() {
    // The store of rank 0 stays as long as it waits for rank 2.
    let mut job = Job::new("nothing", 3).timeout(Duration::from_secs(20));
    job.start(0, &[]);
    job.start(1, &[]);
    job.start(2, &[("RANK", "1"), ("LOCAL_RANK", "1")]);
    // Either of the two may be the second.
    let mut errors = Vec::new();
    let start = Instant::now();
    while errors.is_empty() {
        assert!(start.elapsed() < SLACK);
        for rank in [1, 2] {
            if job.child(rank).try_wait().unwrap().is_some() {
                errors.push(job.end(rank).unwrap_err());
            }
        }
    }
    assert!(errors[0].contains("has rank 1 too") && errors[0].contains("RANK"), "{errors:?}");
}
