//! Collectives, with tensors of all kinds, and calls that do not fit together.

use std::time::Duration;

use mmcv_distributed::{Group, ReduceOp, Result};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::harness::Job;

const KINDS: [Kind; 7] = [Kind::Float, Kind::Double, Kind::Half, Kind::BFloat16, Kind::Int64, Kind::Int, Kind::Uint8];

/// `[2, 3]`, with numbers that depend on the rank.
fn tensor(rank: usize, kind: Kind) -> Tensor {
    let numbers: Vec<i64> = (0..6).map(|number| number + 1 + rank as i64).collect();
    Tensor::from_slice(&numbers).reshape([2, 3]).to_kind(kind)
}

/// What an operation over all ranks has to return.
fn expected(op: ReduceOp, world_size: usize, kind: Kind) -> Tensor {
    let all: Vec<Tensor> = (0..world_size).map(|rank| tensor(rank, Kind::Double)).collect();
    let all = Tensor::stack(&all, 0);
    let reduced = match op {
        ReduceOp::Sum => all.sum_dim_intlist([0i64].as_slice(), false, Kind::Double),
        ReduceOp::Mean => all.mean_dim([0i64].as_slice(), false, Kind::Double),
        ReduceOp::Min => all.amin([0i64].as_slice(), false),
        ReduceOp::Max => all.amax([0i64].as_slice(), false),
        ReduceOp::Product => all.prod_dim_int(0, false, Kind::Double),
    };
    reduced.to_kind(kind)
}

pub(crate) fn rank(group: &Group) -> Result<Value> {
    let (rank, world_size) = (group.rank(), group.world_size());
    assert_eq!(group.is_main_process(), rank == 0);
    for kind in KINDS {
        for op in [ReduceOp::Sum, ReduceOp::Mean, ReduceOp::Min, ReduceOp::Max, ReduceOp::Product] {
            let is_real = matches!(kind, Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16);
            let mut sum = tensor(rank, kind);
            let done = group.all_reduce(&mut sum, op);
            if op == ReduceOp::Mean && !is_real {
                assert!(done.unwrap_err().to_string().contains("convert it"));
                continue;
            }
            done?;
            assert_eq!(sum, expected(op, world_size, kind), "{kind:?} {op:?}");

            let mut sum = tensor(rank, kind);
            group.reduce(&mut sum, 1, op)?;
            let wanted = if rank == 1 { expected(op, world_size, kind) } else { tensor(rank, kind) };
            assert_eq!(sum, wanted, "{kind:?} {op:?}");
        }
        let mut copy = tensor(rank, kind);
        group.broadcast(&mut copy, 1)?;
        assert_eq!(copy, tensor(1, kind));
        for (other, gathered) in group.all_gather(&tensor(rank, kind))?.iter().enumerate() {
            assert_eq!(*gathered, tensor(other, kind));
        }
    }
    strides(group)?;
    group.barrier()?;
    group.monitored_barrier(Duration::from_secs(60))?;
    // Items 0 to 6 and the padding of a sampler.
    let results: Vec<f64> = (0..8).skip(rank).step_by(world_size).map(|item| f64::from(item) / 3.0).collect();
    let all = group.collect_results(&results, 7)?;
    assert_eq!(all.is_some(), rank == 0);
    if let Some(all) = all {
        assert_eq!(all, (0..7).map(|item| f64::from(item) / 3.0).collect::<Vec<_>>());
    }
    assert_eq!(group.collect_results::<i64>(&[], 0)?.unwrap_or_default(), Vec::<i64>::new());
    Ok(json!(rank))
}

/// Parts of larger tensors, which gloo alone would take for the memory that they begin in.
fn strides(group: &Group) -> Result<()> {
    let (rank, world_size) = (group.rank(), group.world_size());
    let whole = Tensor::full([4, 4], rank as i64, (Kind::Float, Device::Cpu));
    let mut part = whole.narrow(1, 1, 2).transpose(0, 1);
    group.all_reduce(&mut part, ReduceOp::Sum)?;
    let total = (world_size * (world_size - 1) / 2) as f64;
    let inside = whole.narrow(1, 1, 2);
    assert_eq!(inside, Tensor::full_like(&inside, total));
    for column in [0, 3] {
        let outside = whole.narrow(1, column, 1);
        assert_eq!(outside, Tensor::full_like(&outside, rank as f64));
    }

    let image = Tensor::rand([2, 3, 4, 5], tch::kind::FLOAT_CPU);
    let mut image = mmcv_layers::channels_last(&image)?;
    group.broadcast(&mut image, 0)?;
    let all = group.all_gather(&image)?;
    assert!(all.iter().all(|other| *other == image));

    let mut weight = Tensor::full([3], rank as i64, (Kind::Float, Device::Cpu)).set_requires_grad(true);
    group.all_reduce(&mut weight, ReduceOp::Mean)?;
    assert_eq!(weight, Tensor::full_like(&weight, total / world_size as f64));

    let mut nothing = Tensor::zeros([0, 3], tch::kind::FLOAT_CPU);
    group.all_reduce(&mut nothing, ReduceOp::Sum)?;
    assert_eq!(group.all_gather(&nothing)?[1].size(), [0, 3]);
    Ok(())
}

pub(crate) fn mismatches(group: &Group) -> Result<Value> {
    let odd = group.rank() == 1;
    let float = |sizes: &[i64]| Tensor::ones(sizes, tch::kind::FLOAT_CPU);
    let mut errors = Vec::new();
    let mut note = |outcome: Result<()>| errors.push(outcome.unwrap_err().to_string());
    note(group.all_reduce(&mut float(if odd { &[9] } else { &[4] }), ReduceOp::Sum));
    note(group.all_reduce(&mut float(&[4]).to_kind(if odd { Kind::Double } else { Kind::Float }), ReduceOp::Sum));
    note(group.all_reduce(&mut float(&[4]), if odd { ReduceOp::Max } else { ReduceOp::Sum }));
    note(if odd { group.barrier() } else { group.broadcast(&mut float(&[4]), 0) });
    note(group.all_gather(&float(if odd { &[4] } else { &[2, 2] })).map(|_| ()));
    note(group.all_reduce(&mut if odd { float(&[1]).expand([4], false) } else { float(&[4]) }, ReduceOp::Sum));
    note(group.broadcast(&mut float(&[1]), 7));
    // The group is as it was.
    let mut sum = float(&[4]);
    group.all_reduce(&mut sum, ReduceOp::Sum)?;
    assert_eq!(sum, float(&[4]) * group.world_size() as f64);
    Ok(json!(errors))
}

#[test]
fn collectives_are_right() {
    for world_size in [2, 4] {
        assert_eq!(Job::new("collectives", world_size).run().len(), world_size);
    }
}

/// Without comparing first, gloo ends the process.
#[test]
fn other_shapes_types_and_calls_are_errors() {
    let ranks = Job::new("mismatches", 3).run();
    let errors = |rank: usize| ranks[rank].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
    let wanted = [
        "rank 0: the ranks made different calls: all_reduce(sum) of Float [4] on this rank, and all_reduce(sum) of Float [9] on rank 1",
        "all_reduce(sum) of Double [4] on rank 1",
        "all_reduce(max) of Float [4] on rank 1",
        "broadcast(rank 0) of Float [4] on this rank, and barrier on rank 1",
        "all_gather of Float [4] on rank 1",
        "a call with a tensor that cannot take part on rank 1",
        "dst is 7",
    ];
    for (error, wanted) in errors(0).zip(wanted) {
        assert!(error.contains(wanted) || wanted.starts_with("dst") && error.contains("src is 7"), "{error}");
    }
    assert!(errors(1).nth(5).unwrap().contains("elements share memory"));
    assert!(errors(2).next().unwrap().contains("Float [9] on rank 1"));
}
