//! Measures what the ranks exchange: `mmcv launch -n 2 -- target/release/examples/measure`. Rank 0 prints milliseconds, the least and
//! the median of 15 rounds.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use mmcv_distributed::{Backend, DataParallel, DataParallelOptions, Group, Launch, ReduceOp};
use mmcv_layers::norm::{BatchNorm, BatchNormConfig, BatchNormKind};
use mmcv_layers::{Forward, LayerConfig, LinearConfig, Module, ModuleExt, Sequential};
use tch::nn::{OptimizerConfig, Sgd};
use tch::{Kind, Tensor, kind::FLOAT_CPU};

const ROUNDS: usize = 15;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    tch::set_num_threads(1);
    let group = Group::init(&Launch::from_env()?, Backend::Gloo, Duration::from_secs(120))?;

    let mut numbers = Tensor::ones([25_000_000], FLOAT_CPU);
    report(&group, "all-reduce of 100 MB", || Ok(group.all_reduce(&mut numbers, ReduceOp::Mean)?))?;
    let mut number = Tensor::ones([1], FLOAT_CPU);
    report(&group, "100 all-reduces of 4 bytes", || {
        for _ in 0..100 {
            group.all_reduce(&mut number, ReduceOp::Mean)?;
        }
        Ok(())
    })?;

    let mut layers: Vec<Box<dyn Module>> = Vec::new();
    for _ in 0..8 {
        layers.push(LinearConfig::new(1024, 1024).build()?.boxed());
    }
    let network = DataParallel::new(&group, Sequential::new(layers), &DataParallelOptions::default())?;
    let mut optimizer = Sgd::default().build(&network.module().var_store(), 1e-3)?;
    let input = Tensor::randn([64, 1024], FLOAT_CPU);
    report(&group, "training step, 8 layers of 1024 x 1024, 64 rows", || {
        optimizer.zero_grad();
        network.backward(&network.forward(&input)?.square().mean(Kind::Float))?;
        optimizer.step();
        Ok(())
    })?;

    let images = Tensor::randn([16, 64, 56, 56], FLOAT_CPU).set_requires_grad(true);
    for (name, kind) in [("BN", BatchNormKind::TwoD), ("SyncBN", BatchNormKind::Sync)] {
        let norm = BatchNorm::new(kind, &BatchNormConfig::new().with_num_features(64))?;
        report(&group, &format!("{name} of [16, 64, 56, 56], forward and backward"), || {
            norm.forward(&images)?.sum(Kind::Float).f_backward()?;
            Ok(())
        })?;
    }
    Ok(())
}

fn report(group: &Group, name: &str, mut work: impl FnMut() -> Result<()>) -> Result<()> {
    work()?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        group.barrier()?;
        let start = Instant::now();
        work()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    if let (true, Some(least), Some(median)) = (group.is_main_process(), times.first(), times.get(ROUNDS / 2)) {
        println!("{name}: {least:.2} {median:.2}");
    }
    Ok(())
}
