//! Trains the network of a config on handwritten digits: see `--help` and the README in this folder.
#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, clippy::missing_errors_doc)]

mod config;
mod data;
mod log;
mod plot;
mod project;
mod trainer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use mmcv::registry::Config;
use mmcv_distributed::{Backend, Group, Launch};
use serde_json::json;

use log::{Log, Speed};

pub use config::TrainingConfig;
pub use data::Digits;
pub use trainer::{Epoch, Trainer};

/// Trains the network of a config on 1,437 handwritten digits, and tests it on 360 others.
///
/// After each epoch, saves the network to DIR/last.pth and draws losses and accuracy to DIR/training.png; DIR/log.jsonl has a
/// line for each batch and each epoch. Under a launcher (`mmcv launch`, torchrun, srun, mpirun), the same command trains on all
/// processes.
#[derive(Debug, Parser)]
#[command(name = "train_digits")]
#[command(after_help = "Examples:
  cargo run --release -p mmcv --example train_digits
  cargo run --release -p mmcv --example train_digits -- --epochs 5 --out /tmp/digits
  cargo run --release -p mmcv --example train_digits -- --resume target/train_digits/last.pth --epochs 30
  cargo run --release -p mmcv --example train_digits -- --cfg-options sgd.lr=0.02 seed=1
  mmcv launch -n 2 -- target/release/examples/train_digits
  torchrun --no-python --nproc-per-node 2 target/release/examples/train_digits
  cargo run --release -p mmcv --features pyconfig --example train_digits -- \\
      --config crates/mmcv/examples/train_digits/resnet18_digits.py --epochs 3")]
pub struct Arguments {
    /// The network and its training [default: digits.yaml of the example], or a config of an OpenMMLab project; `.py` needs
    /// the feature `pyconfig`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Number of epochs, including those before resuming [default: max_epochs of the config].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub epochs: Option<i64>,
    /// Resumes from this checkpoint; the results are the same as without interruption.
    #[arg(long, value_name = "FILE.pth")]
    pub resume: Option<PathBuf>,
    /// The folder of the checkpoint and the plot; it is created if it is missing.
    #[arg(long, value_name = "DIR", default_value = "target/train_digits")]
    pub out: PathBuf,
    /// How long a process waits for the others, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    pub timeout: u64,
    /// Prints one JSON object at the end, and nothing else.
    #[arg(long)]
    pub json: bool,
    /// Overrides config values: KEY.KEY=VALUE.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    pub cfg_options: Vec<String>,
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

/// Trains, on all processes of the launcher, and prints the progress on the first.
pub fn run(arguments: &Arguments) -> Result<()> {
    let group = Group::init(&Launch::from_env()?, Backend::Gloo, Duration::from_secs(arguments.timeout.max(1)))?;
    run_in_group(arguments, &group)
}

fn run_in_group(arguments: &Arguments, group: &Group) -> Result<()> {
    let start = Instant::now();
    let config = read_config(arguments)?;
    let epochs = arguments.epochs.unwrap_or(config.max_epochs);
    let out = &arguments.out;
    let is_main = group.is_main_process();
    let is_quiet = arguments.json || !is_main;
    let mut trainer = match &arguments.resume {
        Some(file) => Trainer::resume_in_group(config, file, group)?,
        None => Trainer::in_group(config, group)?,
    };
    let mut log = if is_main { Some(Log::open(out, trainer.history().len())?) } else { None };
    while (trainer.history().len() as i64) < epochs {
        let bar = progress(trainer.steps_per_epoch(), is_quiet);
        let mut speed = Speed::default();
        let epoch = trainer.run_epoch(|step| {
            let images_per_second = speed.after(step.images);
            bar.set_message(format!("loss {:.4}, lr {:.4}, {images_per_second:.0} images/s", step.loss, step.lr));
            bar.inc(1);
            if let Some(log) = &mut log {
                log.step(step, images_per_second);
            }
        })?;
        bar.finish_and_clear();
        if !is_quiet {
            print(&epoch, epochs);
        }
        if let Some(log) = &mut log {
            log.epoch(&epoch)?;
            trainer.save(&out.join("last.pth"))?;
            plot::write(&out.join("training.png"), trainer.history())?;
        }
    }
    // The processes end together: one that is early would look like one that failed.
    group.barrier()?;
    let seconds = start.elapsed().as_secs_f64();
    if !is_main {
        return Ok(());
    }
    if arguments.json {
        println!("{:#}", json!({ "history": trainer.history(), "seconds": seconds, "out": out.display().to_string() }));
    } else {
        println!("{seconds:.1} s; {}: last.pth, training.png, log.jsonl", out.display());
    }
    Ok(())
}

/// The config file, or that of the example, with the overrides from the command line.
pub fn read_config(arguments: &Arguments) -> Result<TrainingConfig> {
    let mut config = match &arguments.config {
        Some(file) => Config::from_file(file)?,
        None => Config::from_yaml(include_str!("digits.yaml"))?,
    };
    config.set_options(&arguments.cfg_options)?;
    TrainingConfig::read(&config)
}

/// A progress bar on stderr for one epoch; nothing is drawn if stderr is not a terminal.
fn progress(steps: u64, hidden: bool) -> ProgressBar {
    let bar = if hidden { ProgressBar::hidden() } else { ProgressBar::new(steps) };
    let style = "{bar:30} {pos}/{len} steps, {eta} left, {msg}";
    bar.with_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn print(epoch: &Epoch, epochs: i64) {
    let Epoch { epoch, lr, train_loss, test_loss, test_accuracy } = epoch;
    let accuracy = 100.0 * test_accuracy;
    println!(
        "epoch {epoch:>2}/{epochs}  lr {lr:<6.4}  loss {train_loss:.4}  test loss {test_loss:.4}  test accuracy {accuracy:.2} %"
    );
}
