//! Tests with several processes on this machine: this program starts itself again, once for each rank.

#![allow(clippy::panic, clippy::unwrap_used, clippy::print_stdout)]

mod collectives;
mod faults;
mod harness;
mod machines;
#[cfg(feature = "nccl")]
mod nccl;
mod network;
mod python;
mod sync_bn;
mod training;

/// A rank of another test; see `harness`.
#[test]
#[ignore = "a rank of the other tests, which they start"]
fn rank() {
    harness::run_rank(|job, group| match job {
        "collectives" => collectives::rank(group),
        "mismatches" => collectives::mismatches(group),
        "sync_bn" => sync_bn::rank(group),
        "sync_bn_mismatch" => sync_bn::mismatch(group),
        "train" => training::rank(group),
        "unused" => training::unused(group),
        "modules" => training::modules(group),
        #[cfg(feature = "nccl")]
        "nccl" => nccl::rank(group),
        "python" => python::rank(group),
        "loop" => faults::endless(group),
        "sleeper" => faults::sleeper(group),
        "nothing" => Ok(serde_json::Value::Null),
        other => panic!("no job {other}"),
    });
}
