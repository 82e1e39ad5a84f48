//! One process of a measurement of `cargo xtask bench --only distributed`: see `--help`.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use mmcv::layers::norm::{BatchNormConfig, convert_sync_batchnorm};
use mmcv::layers::{Forward, LayerConfig, Module};
use mmcv::prelude::*;
use mmcv_distributed::{Backend, DataParallel, DataParallelOptions, Group, Launch, ReduceOp};
use mmcv_training::{Sgd, SgdOptions};
use tch::{Device, Kind, Reduction, Tensor};

/// How long a process waits for the others.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Numbers in 100 MB.
const NUMBERS: i64 = 25_000_000;
/// The share of a process in a training step: images of the usual size.
const IMAGES: [i64; 4] = [4, 3, 224, 224];
const CLASSES: i64 = 1000;
/// The input of a batch norm in each process.
const FEATURES: [i64; 4] = [8, 64, 56, 56];

/// Measures a task of distributed training, of which all processes of a launcher perform their part.
///
/// It prints `ready`, and for each line `run` on stdin the milliseconds that its part of the task took. `quit` ends it.
#[derive(Debug, Parser)]
#[command(name = "measure_distributed")]
#[command(
    after_help = "`cargo xtask bench --only distributed` starts the processes; each finds the others by RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT, as with torchrun."
)]
struct Arguments {
    task: Task,
    /// The network of a training step.
    #[arg(required_if_eq("task", "step"))]
    config: Option<PathBuf>,
    /// Its weights.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Task {
    /// The sum of 100 MB of 32-bit numbers of each process.
    AllReduce,
    /// Forward pass, cross entropy, backward pass with averaged gradients, and a step of SGD, with four images in each process.
    Step,
    /// Forward and backward pass of a batch norm, with the statistics of each process.
    Bn,
    /// The same with the statistics of all processes.
    SyncBn,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    tch::set_num_threads(1);
    let group = Group::init(&Launch::from_env()?, Backend::Gloo, TIMEOUT)?;
    let mut task = prepare(arguments, &group)?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        match line?.trim() {
            "run" => {
                let start = Instant::now();
                task()?;
                println!("{:.3}", 1e3 * start.elapsed().as_secs_f64());
            }
            "quit" => break,
            other => bail!("expected `run` or `quit`, found {other:?}"),
        }
    }
    Ok(())
}

/// What is measured, as a function.
fn prepare(arguments: &Arguments, group: &Group) -> Result<Box<dyn FnMut() -> Result<()>>> {
    match (arguments.task, &arguments.config) {
        (Task::AllReduce, _) => {
            let (mut numbers, group) = (noise(&[NUMBERS])?, group.clone());
            Ok(Box::new(move || Ok(group.all_reduce(&mut numbers, ReduceOp::Sum)?)))
        }
        (Task::Step, Some(config)) => step(config, arguments.checkpoint.as_deref(), group),
        (Task::Step, None) => bail!("CONFIG is missing: the network of a training step"),
        (Task::Bn, _) => batch_norm(false),
        (Task::SyncBn, _) => batch_norm(true),
    }
}

fn step(config: &Path, checkpoint: Option<&Path>, group: &Group) -> Result<Box<dyn FnMut() -> Result<()>>> {
    let network = Builder::new(&MODELS).model(&Config::from_file(config)?)?;
    if let Some(file) = checkpoint {
        load_checkpoint(&*network, &file.display().to_string(), &LoadOptions::default())?;
    }
    network.train(true);
    let network = DataParallel::new(group, network, &DataParallelOptions::default())?;
    let options = SgdOptions { lr: 0.01, momentum: 0.9, weight_decay: 1e-4, ..SgdOptions::default() };
    let mut optimizer = Sgd::new(network.module().named_parameters(), options)?;
    let images = noise(&IMAGES)?;
    let labels = Tensor::f_randint(CLASSES, &IMAGES[..1], (Kind::Int64, Device::Cpu))?;
    Ok(Box::new(move || {
        optimizer.zero_grad()?;
        let scores = network.forward(&images)?;
        let loss = scores.f_cross_entropy_loss(&labels, None::<&Tensor>, Reduction::Mean, -100, 0.0)?;
        network.backward(&loss)?;
        Ok(optimizer.step()?)
    }))
}

fn batch_norm(synchronized: bool) -> Result<Box<dyn FnMut() -> Result<()>>> {
    let norm = BatchNormConfig::new().with_num_features(FEATURES[1]).build()?;
    if synchronized {
        convert_sync_batchnorm(&norm);
    }
    norm.train(true);
    let features = noise(&FEATURES)?.f_set_requires_grad(true)?;
    let gradient = noise(&FEATURES)?;
    Ok(Box::new(move || {
        let output = norm.forward(&features)?;
        Ok(Tensor::f_run_backward(&[(output * &gradient).f_sum(Kind::Float)?], &[&features], false, false).map(drop)?)
    }))
}

fn noise(shape: &[i64]) -> Result<Tensor> {
    Ok(Tensor::f_randn(shape, (Kind::Float, Device::Cpu))?)
}
