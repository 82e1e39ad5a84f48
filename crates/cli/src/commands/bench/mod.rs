//! `mmcv bench`: how long a network takes.

mod deviation;
mod interactive;
mod profile;
mod statistics;
mod subject;

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, ValueEnum};
use serde_json::{Value, json};

use super::table::table;
use super::weights::GivenWeights;
use super::{Failure, print};
use deviation::{Deviations, Photo};
use profile::Profile;
use statistics::Summary;
use subject::{Subject, Task};

/// Measures forward passes, or training steps, of the networks of config files.
///
/// Several networks and modes are measured in turns, so that what else the machine does concerns all of them. The weights
/// are random where --checkpoint names none; the input is random.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv bench model_zoo/configs/mobilenet_v2.yaml
  mmcv bench model_zoo/configs/*.yaml --batch 8 --threads 2 --json
  mmcv bench network.yaml --mode eager,fused            both, and how many times as fast
  mmcv bench network.yaml --profile                     where the time goes, layer by layer
  mmcv bench mobilenet_v2.yaml --mode fused --dtype bf16 --deviation cat.jpg
  mmcv bench network.yaml --train --batch 16            forward pass, backward pass and a step of SGD
  printf 'run\\nrun\\nquit\\n' | mmcv bench network.yaml --interactive

With --interactive it prints `ready`, and for each line `run` on stdin the milliseconds of one pass; `quit` ends it.")]
pub(crate) struct Bench {
    /// The config files, YAML or JSON: the dict of a type or a list of them, or with one under `model`; or names of the zoo.
    #[arg(required = true, value_name = "CONFIG")]
    configs: Vec<String>,
    /// Pictures in one input.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Height and width of a picture; by default what the config prepares, else 224.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    size: Option<u32>,
    /// Threads of one operator; by default what libtorch takes.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// The type of the numbers in the network; inputs and outputs are f32.
    #[arg(long, value_enum, default_value_t = Dtype::F32)]
    dtype: Dtype,
    /// How the network runs; several with commas between them.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "eager")]
    mode: Vec<Mode>,
    /// Passes that are measured.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Passes before these.
    #[arg(long, default_value_t = 3)]
    warmup: u32,
    /// Measures training steps: forward pass, loss, backward pass, and SGD with momentum.
    #[arg(long, conflicts_with_all = ["mode", "dtype", "profile"])]
    train: bool,
    #[command(flatten)]
    weights: GivenWeights,
    /// Changes the configs: KEY.KEY=VALUE.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    cfg_options: Vec<String>,
    /// Shows the time of each layer.
    #[arg(long)]
    profile: bool,
    /// Compares the scores of the fused network with those of the network itself in f32, on a picture and on 200 random
    /// crops of it.
    #[arg(long, value_name = "PICTURE", conflicts_with = "train")]
    deviation: Option<PathBuf>,
    /// Measures when it is told to on stdin.
    #[arg(long, conflicts_with_all = ["runs", "warmup", "json", "profile", "deviation"])]
    interactive: bool,
    /// Prints JSON: a list with an object for each network and mode.
    #[arg(long)]
    json: bool,
}

/// The type of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    /// 32 bits.
    F32,
    /// 16 bits with the range of 32.
    Bf16,
}

/// How a network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Layer by layer, as it was built.
    Eager,
    /// As `mmcv_fuse` rewrites it.
    Fused,
}

/// A network, and what was found out about it.
#[derive(Debug)]
struct Measured {
    subject: Subject,
    summary: Summary,
    /// Where it was asked for.
    profile: Option<Profile>,
    /// Where they were asked for, of a fused network.
    deviations: Option<Deviations>,
}

impl Bench {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.check_usage();
        if let Some(threads) = self.threads {
            tch::set_num_threads(i32::from(threads));
        }
        let photo = self.deviation.as_deref().map(Photo::read).transpose()?;
        let mut subjects = Vec::new();
        for config in &self.configs {
            for task in self.tasks() {
                subjects.push(Subject::new(config, task, &self)?);
            }
        }
        if let (true, Some(subject)) = (self.interactive, subjects.first_mut()) {
            return interactive::serve(subject);
        }
        let times = self.measure(&mut subjects)?;
        let results =
            subjects.into_iter().zip(times).map(|(subject, times)| self.finish(subject, &times, photo.as_ref()));
        let results = results.collect::<Result<Vec<_>, _>>()?;
        if self.json {
            return print(&format!("{:#}\n", self.to_json(&results)));
        }
        print(&self.report(&results))
    }

    /// Sums up, and does what is asked for beside the measuring.
    fn finish(&self, mut subject: Subject, times: &[f64], photo: Option<&Photo>) -> Result<Measured, Failure> {
        let profile = if self.profile { Some(subject.profile(self.runs)?) } else { None };
        let deviations = photo.map(|photo| subject.deviations(photo)).transpose()?.flatten();
        Ok(Measured { subject, summary: Summary::of(times), profile, deviations })
    }

    /// What the arguments cannot say by themselves. Ends the program with status 2.
    fn check_usage(&self) {
        let refuse = |message| crate::Arguments::command().error(ErrorKind::ArgumentConflict, message).exit();
        if self.interactive && (self.configs.len() != 1 || self.mode.len() != 1) {
            refuse("--interactive takes one config and one mode");
        }
        if self.deviation.is_some() && !self.mode.contains(&Mode::Fused) {
            refuse("--deviation needs --mode fused: it compares the fused network with the network itself");
        }
        if self.weights.are_named() && self.configs.len() != 1 {
            refuse("--checkpoint takes one config");
        }
    }

    /// What is measured of each config.
    fn tasks(&self) -> Vec<Task> {
        if self.train {
            return vec![Task::Training];
        }
        self.mode.iter().map(|&mode| Task::Inference(mode, self.dtype)).collect()
    }

    /// The milliseconds of all runs, for each subject; the subjects take turns, each is first in turns.
    fn measure(&self, subjects: &mut [Subject]) -> Result<Vec<Vec<f64>>, Failure> {
        let mut times = vec![Vec::new(); subjects.len()];
        let count = subjects.len();
        for run in 0..self.warmup as usize + self.runs as usize {
            for turn in 0..count {
                let index = (run + turn) % count;
                if let (Some(subject), Some(times)) = (subjects.get_mut(index), times.get_mut(index)) {
                    let time = subject.pass()?;
                    if run >= self.warmup as usize {
                        times.push(time);
                    }
                }
            }
        }
        Ok(times)
    }

    fn report(&self, results: &[Measured]) -> String {
        let several = self.mode.len() > 1;
        let columns =
            ["network", "mode", "input", "median ms", "quartiles", "images/s", if several { "speed" } else { "" }];
        let mut rows = vec![columns.map(str::to_owned)];
        for (index, Measured { subject, summary, .. }) in results.iter().enumerate() {
            let first = results.get(index - index % self.tasks().len()).map(|first| &first.summary);
            let speed = first.filter(|_| several).map(|first| format!("{:.2}x", first.median / summary.median));
            rows.push([
                subject.name().to_owned(),
                subject.task().to_string(),
                super::network::shape(&subject.shape()),
                format!("{:.2}", summary.median),
                format!("{:.2}-{:.2}", summary.lower, summary.upper),
                format!("{:.1}", summary.per_second(self.batch)),
                speed.unwrap_or_default(),
            ]);
        }
        let mut text = table(&rows, 3);
        let columns = ["network", "mode", "same class", "of crops", "largest difference", "mean", "largest score"];
        let mut rows = vec![columns.map(str::to_owned)];
        for Measured { subject, deviations, .. } in results {
            let Some([photo, crops, largest, mean, scale]) = deviations.as_ref().map(Deviations::cells) else {
                continue;
            };
            rows.push([subject.name().to_owned(), subject.task().to_string(), photo, crops, largest, mean, scale]);
        }
        if rows.len() > 1 {
            text.push_str(&format!("\nScores, compared with the network itself in f32\n\n{}", table(&rows, 3)));
        }
        for Measured { subject, profile, .. } in results {
            let Some(profile) = profile else { continue };
            text.push_str(&format!("\n{}, {}\n\n{}", subject.name(), subject.task(), profile.report()));
        }
        text
    }

    fn to_json(&self, results: &[Measured]) -> Value {
        let object = |Measured { subject, summary, profile, deviations }: &Measured| {
            let Summary { median, lower, upper, least } = summary;
            let mut object = json!({
                "config": subject.name(),
                "task": if self.train { "training" } else { "inference" },
                "mode": subject.task().mode(),
                "dtype": subject.task().dtype(),
                "input": subject.shape(),
                "threads": tch::get_num_threads(),
                "runs": self.runs,
                "median_ms": median,
                "lower_quartile_ms": lower,
                "upper_quartile_ms": upper,
                "least_ms": least,
                "images_per_second": summary.per_second(self.batch),
            });
            if let Some(profile) = profile {
                object["profile"] = profile.to_json();
            }
            if let Some(deviations) = deviations {
                object["deviation"] = deviations.to_json();
            }
            object
        };
        results.iter().map(object).collect()
    }
}
