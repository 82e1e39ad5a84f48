//! `mmcv bench`: measures the speed of networks.

mod deviation;
mod interactive;
mod profile;
mod statistics;
mod subject;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, ValueEnum};
use mmcv_cli::Failure;
use mmcv_cli::format::{shape, table};
use mmcv_cli::output::{print, print_json};
use serde::Serialize;

use crate::args::ConfigOptions;
use crate::weights::CheckpointArgs;
use deviation::{Deviations, Photo};
use profile::Profile;
use statistics::Summary;
use subject::{Subject, Task};

/// Measures forward passes or training steps of the networks of config files.
///
/// Several networks and modes take turns, so that other load on the machine affects them equally. The input is random, and so
/// are the weights without --checkpoint.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv bench model_zoo/configs/mobilenet_v2.yaml
  mmcv bench model_zoo/configs/*.yaml --batch-size 8 --threads 2 --json
  mmcv bench network.yaml --mode eager,fused            both, and the speedup
  mmcv bench network.yaml --profile                     the time of each layer
  mmcv bench mobilenet_v2.yaml --mode fused --dtype bf16 --deviation cat.jpg
  mmcv bench mobilenet_v2.yaml --mode fused --quantized mobilenet_v2.int8.safetensors
  mmcv bench network.yaml --mode fused --streams 2      images a second of two streams of one thread each
  mmcv bench network.yaml --train --batch-size 16       forward pass, backward pass and a step of SGD
  mmcv bench network.yaml --train --channels-last       the same with the channels of a pixel side by side
  mmcv bench network.yaml --train --channels-last --amp the same in mixed precision, for AVX-512 BF16 or AMX
  printf 'run\\nrun\\nquit\\n' | mmcv bench network.yaml --interactive

With --interactive, it prints `ready`, and for each line `run` on stdin the milliseconds of one pass. `output FILE` prints
the numbers that the network returns for the input in FILE, which are raw f32 numbers; `quit` ends it.")]
pub(crate) struct Bench {
    /// Config files, YAML or JSON, with the dict of a type or a list of dicts, at the top level or under `model`; or model zoo
    /// names.
    #[arg(required = true, value_name = "CONFIG")]
    configs: Vec<String>,
    /// The number of images in one input.
    #[arg(long, alias = "batch", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,
    /// Height and width of an image [default: the config's crop size, or 224].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    size: Option<u32>,
    /// Threads of one operator [default: libtorch's; 1 with --streams].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Runs a fused network for so many inputs at the same time. The times are those until all of many inputs are done, divided by
    /// their number.
    #[arg(long, value_name = "N", conflicts_with_all = ["train", "profile", "deviation"])]
    streams: Option<NonZeroUsize>,
    /// The type of the network's weights and activations; inputs and outputs are f32.
    #[arg(long, value_enum, default_value_t = Dtype::F32)]
    dtype: Dtype,
    /// Lays out weights and images with the channels of a pixel side by side, in training and with --mode eager. A fused network
    /// chooses its layouts itself.
    #[arg(long)]
    channels_last: bool,
    /// Runs fused networks in integers of 8 bits, with the weights of a file that `mmcv quantize` wrote.
    #[arg(long, value_name = "FILE", conflicts_with = "train")]
    quantized: Option<PathBuf>,
    /// Which convolutions of 3 x 3 of a fused network in f32 use Winograd's algorithm.
    #[arg(long, value_enum, default_value_t = Winograd::Auto)]
    winograd: Winograd,
    /// How the network runs; several modes are separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "eager")]
    mode: Vec<Mode>,
    /// The number of measured passes.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The number of passes before these.
    #[arg(long, default_value_t = 3)]
    warmup: u32,
    /// Measures training steps: forward pass, loss, backward pass, and SGD with momentum.
    #[arg(long, conflicts_with_all = ["mode", "dtype", "profile"])]
    train: bool,
    /// Trains in mixed precision: convolutions and linear layers in bfloat16 by autocast.
    #[arg(long, requires = "train")]
    amp: bool,
    #[command(flatten)]
    weights: CheckpointArgs,
    #[command(flatten)]
    options: ConfigOptions,
    /// Shows the time of each layer.
    #[arg(long)]
    profile: bool,
    /// Compares the scores of the fused network with those of the original in f32, on an image and on 200 random crops of it.
    #[arg(long, value_name = "IMAGE", conflicts_with = "train")]
    deviation: Option<PathBuf>,
    /// Measures on request from stdin.
    #[arg(long, conflicts_with_all = ["runs", "warmup", "json", "profile", "deviation"])]
    interactive: bool,
    /// Prints JSON: a list with an object for each network and mode.
    #[arg(long)]
    json: bool,
}

/// A floating-point type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    /// 32 bits.
    F32,
    /// 16 bits with the range of 32.
    Bf16,
    /// Integers of 8 bits, with --quantized.
    Int8,
}

/// Which convolutions use Winograd's algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Winograd {
    /// Those for which it is estimated to be faster.
    Auto,
    /// None.
    Never,
    /// All that can.
    Always,
}

/// How a network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Layer by layer, as built.
    Eager,
    /// Rewritten for inference by `mmcv_fuse`.
    Fused,
}

/// A network with its measurements.
#[derive(Debug)]
struct Measured {
    subject: Subject,
    summary: Summary,
    profile: Option<Profile>,
    /// Only of a fused network.
    deviations: Option<Deviations>,
}

#[derive(Serialize)]
struct Report<'a> {
    config: &'a str,
    task: &'static str,
    mode: &'static str,
    dtype: &'static str,
    input: Vec<i64>,
    threads: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    streams: Option<NonZeroUsize>,
    runs: u32,
    median_ms: f64,
    lower_quartile_ms: f64,
    upper_quartile_ms: f64,
    least_ms: f64,
    images_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deviation: Option<Deviations>,
}

impl Bench {
    /// The config file or model zoo name, if there is one only.
    pub(super) fn only_config(&self) -> Option<&str> {
        match self.configs.as_slice() {
            [config] => Some(config),
            _ => None,
        }
    }

    pub(crate) fn run(self) -> Result<(), Failure> {
        self.check_usage();
        if let (Some(threads), None) = (self.threads, self.streams) {
            tch::set_num_threads(i32::from(threads));
        }
        let photo = match &self.deviation {
            Some(file) => Some(Photo::read(file)?),
            None => None,
        };
        let mut subjects = Vec::new();
        for config in &self.configs {
            for task in self.tasks() {
                subjects.push(Subject::new(config, task, &self)?);
            }
        }
        if self.interactive
            && let Some(subject) = subjects.first_mut()
        {
            return interactive::serve(subject);
        }
        let times = self.measure(&mut subjects)?;
        let mut results = Vec::new();
        for (subject, times) in subjects.into_iter().zip(times) {
            results.push(self.finish(subject, &times, photo.as_ref())?);
        }
        if self.json {
            return print_json(&results.iter().map(|result| self.report(result)).collect::<Vec<_>>());
        }
        print(&self.text(&results))
    }

    /// Checks what clap cannot. Ends the program with status 2 if the usage is incorrect.
    fn check_usage(&self) {
        if self.interactive && (self.configs.len() != 1 || self.mode.len() != 1) {
            usage_error("--interactive takes one config and one mode");
        }
        if self.deviation.is_some() && !self.mode.contains(&Mode::Fused) {
            usage_error("--deviation needs --mode fused: it compares the fused network with the original");
        }
        if self.channels_last && !self.train && self.mode.contains(&Mode::Fused) {
            usage_error("--channels-last is not for --mode fused, which chooses its layouts itself");
        }
        if self.quantized.is_some() && (self.configs.len() != 1 || !self.mode.contains(&Mode::Fused)) {
            usage_error("--quantized takes one config, and needs --mode fused");
        }
        if self.dtype == Dtype::Int8 && (self.quantized.is_none() || self.mode != [Mode::Fused]) {
            usage_error("--dtype int8 needs --mode fused, and --quantized with a file that `mmcv quantize` wrote");
        }
        if self.streams.is_some() && self.mode != [Mode::Fused] {
            usage_error("--streams needs --mode fused");
        }
        if self.weights.is_given() && self.configs.len() != 1 {
            usage_error("--checkpoint takes one config");
        }
    }

    /// The tasks of each config.
    fn tasks(&self) -> Vec<Task> {
        if self.train {
            return vec![Task::Training(if self.amp { Dtype::Bf16 } else { Dtype::F32 })];
        }
        let dtype = |mode| if self.quantized.is_some() && mode == Mode::Fused { Dtype::Int8 } else { self.dtype };
        self.mode.iter().map(|&mode| Task::Inference(mode, dtype(mode))).collect()
    }

    /// The milliseconds of all runs of each subject. The subjects take turns, and each run begins with another one.
    fn measure(&self, subjects: &mut [Subject]) -> Result<Vec<Vec<f64>>, Failure> {
        let mut times = vec![Vec::new(); subjects.len()];
        let (count, warmup) = (subjects.len(), self.warmup as usize);
        for run in 0..warmup + self.runs as usize {
            for turn in 0..count {
                let index = (run + turn) % count;
                let time = subjects[index].pass()?;
                if run >= warmup {
                    times[index].push(time);
                }
            }
        }
        Ok(times)
    }

    /// Summarizes the times, and adds the profile and the deviations if they are requested.
    fn finish(&self, mut subject: Subject, times: &[f64], photo: Option<&Photo>) -> Result<Measured, Failure> {
        let profile = if self.profile { Some(subject.profile(self.runs)?) } else { None };
        let deviations = match photo {
            Some(photo) => subject.deviations(photo)?,
            None => None,
        };
        Ok(Measured { subject, summary: Summary::of(times), profile, deviations })
    }

    fn text(&self, results: &[Measured]) -> String {
        let mut text = self.times_table(results);
        if results.iter().any(|result| result.deviations.is_some()) {
            let rows = deviations_table(results);
            text.push_str(&format!("\nScores, compared with the original network in f32\n\n{rows}"));
        }
        for Measured { subject, profile, .. } in results {
            if let Some(profile) = profile {
                text.push_str(&format!("\n{}, {}\n\n{}", subject.name(), subject.task(), profile.report()));
            }
        }
        text
    }

    fn times_table(&self, results: &[Measured]) -> String {
        let compares = self.mode.len() > 1;
        let speed_title = if compares { "speed" } else { "" };
        let columns = ["network", "mode", "input", "median ms", "quartiles", "images/s", speed_title];
        let mut rows = vec![columns.map(str::to_owned)];
        for tasks_of_config in results.chunks(self.tasks().len()) {
            // Speeds are relative to the first mode.
            let mut reference = None;
            for Measured { subject, summary, .. } in tasks_of_config {
                let speed = *reference.get_or_insert(summary.median) / summary.median;
                rows.push([
                    subject.name().to_owned(),
                    subject.task().to_string(),
                    shape(&subject.shape()),
                    format!("{:.2}", summary.median),
                    format!("{:.2}-{:.2}", summary.lower, summary.upper),
                    format!("{:.1}", summary.per_second(self.batch_size)),
                    if compares { format!("{speed:.2}x") } else { String::new() },
                ]);
            }
        }
        table(&rows, 3)
    }

    fn report<'a>(&self, measured: &'a Measured) -> Report<'a> {
        let Measured { subject, summary, profile, deviations } = measured;
        Report {
            config: subject.name(),
            task: if self.train { "training" } else { "inference" },
            mode: subject.task().mode(),
            dtype: subject.task().dtype(),
            input: subject.shape(),
            threads: match self.streams {
                Some(_) => i32::from(self.threads.unwrap_or(1)),
                None => tch::get_num_threads(),
            },
            streams: self.streams,
            runs: self.runs,
            median_ms: summary.median,
            lower_quartile_ms: summary.lower,
            upper_quartile_ms: summary.upper,
            least_ms: summary.least,
            images_per_second: summary.per_second(self.batch_size),
            profile: profile.as_ref(),
            deviation: *deviations,
        }
    }
}

/// Ends the program with status 2.
fn usage_error(message: &str) -> ! {
    crate::Arguments::command().error(ErrorKind::ArgumentConflict, message).exit()
}

fn deviations_table(results: &[Measured]) -> String {
    let [same, crops, largest, mean, scale] = Deviations::COLUMNS;
    let mut rows = vec![["network", "mode", same, crops, largest, mean, scale].map(str::to_owned)];
    for Measured { subject, deviations, .. } in results {
        if let Some(deviations) = deviations {
            let [same, crops, largest, mean, scale] = deviations.cells();
            rows.push([subject.name().to_owned(), subject.task().to_string(), same, crops, largest, mean, scale]);
        }
    }
    table(&rows, 3)
}
