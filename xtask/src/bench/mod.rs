//! `cargo xtask bench`: networks on several engines, measured in turns.

mod case;
mod chart;
mod deviation;
mod engine;
mod load;
mod machine;
mod peer;
mod plan;
mod python;
mod quantize;
mod random;
mod report;
mod table;
mod throughput;
mod turns;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::process::{cargo, run, stage};
use crate::setup::{Variant, ensure_libtorch};
use crate::workspace::{mmcv, root, target};
use case::{Kind, Outcome};
use engine::Engine;

/// Compares mmcv with PyTorch, ONNX Runtime, OpenVINO, ncnn and MNN: inference, throughput, training, start-up, memory.
///
/// Every engine is a separate process that waits for its turn, so only one runs at a time, and other load affects all of them
/// alike. They take turns in random order; medians are compared.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask bench                                        everything, in about an hour: docs/benchmarks.md
  cargo xtask bench --quick                                two networks, one image, few rounds
  cargo xtask bench --only int8,throughput                 some parts; with --quick, fewer cases of them
  cargo xtask bench --networks resnet50 --engines mmcv,eager,openvino
  cargo xtask bench --python ~/venv/bin/python             a Python with the packages of xtask/src/bench/requirements.txt

Only a complete run writes to docs/; others write to target/bench/. The first run installs PyTorch and the other engines
into target/bench/venv (7 GB).")]
pub(crate) struct Bench {
    /// Two networks, one image, few rounds.
    #[arg(long)]
    quick: bool,
    /// Networks: file names in xtask/src/bench/networks, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    networks: Vec<String>,
    /// Parts instead of all; --quick alone has inference and start-up.
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<Kind>,
    /// Engines: mmcv, mmcv-eager, eager, torchscript, compile, onnxruntime, openvino, ncnn, mnn.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    engines: Vec<Engine>,
    /// The most rounds of each comparison; slow ones have fewer, but at least 5.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Threads of each engine.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// A Python with the packages, instead of a new virtual environment.
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
}

/// The file with the tables.
const PAGE: &str = "benchmarks.md";

/// A network: its file and its title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    file: &'static str,
    title: &'static str,
}

/// The networks, in the order of the tables.
const NETWORKS: [Network; 8] = [
    Network { file: "resnet50", title: "ResNet-50" },
    Network { file: "resnet18", title: "ResNet-18" },
    Network { file: "resnext50_32x4d", title: "ResNeXt-50 32x4d" },
    Network { file: "regnetx_400mf", title: "RegNetX-400MF" },
    Network { file: "mobilenet_v2", title: "MobileNetV2" },
    Network { file: "vgg16", title: "VGG-16" },
    Network { file: "hrnet_w18", title: "HRNet-W18" },
    Network { file: "res2net50", title: "Res2Net-50" },
];

impl Network {
    /// Its config file.
    fn path(self) -> PathBuf {
        root().join("xtask/src/bench/networks").join(self.file).with_extension("yaml")
    }
}

/// Settings shared by all comparisons.
#[derive(Debug)]
struct Setting {
    python: PathBuf,
    mmcv: PathBuf,
    /// The folder for exported networks, weights and logs.
    folder: PathBuf,
    threads: u16,
    rounds: u32,
}

impl Setting {
    /// The folder for what is exported of a network.
    fn network_folder(&self, network: Network) -> PathBuf {
        self.folder.join(network.file)
    }
}

fn network(name: &str) -> Result<Network> {
    let names = NETWORKS.map(|network| network.file).join(", ");
    let network = NETWORKS.into_iter().find(|network| network.file == name);
    network.with_context(|| format!("there is no network {name:?}; there are {names}"))
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        let cases = plan::cases(&self.networks()?, &self.only, &self.engines, self.quick);
        ensure!(!cases.is_empty(), "nothing to measure: the chosen networks and engines take part in no comparison");
        let libtorch = ensure_libtorch(Variant::Cpu)?;
        stage("Building the mmcv command");
        run(cargo(&libtorch).args(["build", "--release", "--package", "mmcv-cli"]))?;
        let folder = target().join("bench");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let python = match &self.python {
            Some(python) => python.clone(),
            None => python::environment(&folder)?,
        };
        let rounds = if self.quick { self.rounds.min(5) } else { self.rounds };
        let setting = Setting { python, mmcv: mmcv(), folder, threads: self.threads, rounds };
        python::export(&setting, &cases)?;
        quantize::quantize(&setting, &cases)?;
        let mut outcomes = Vec::new();
        for case in cases {
            outcomes.push(case.measure(&setting));
            // A run that is cut leaves what it measured.
            write(&setting.folder, &setting, &outcomes)?;
        }
        let folder = if self.is_complete() { root().join("docs") } else { setting.folder.clone() };
        write(&folder, &setting, &outcomes)?;
        stage(format_args!("Written: {}", folder.join(PAGE).display()));
        Ok(())
    }

    /// Whether everything is measured.
    fn is_complete(&self) -> bool {
        !self.quick && self.only.is_empty() && self.networks.is_empty() && self.engines.is_empty()
    }

    fn networks(&self) -> Result<Vec<Network>> {
        let names: Vec<&str> = if !self.networks.is_empty() {
            self.networks.iter().map(String::as_str).collect()
        } else if self.quick {
            vec!["resnet50", "mobilenet_v2"]
        } else {
            return Ok(NETWORKS.to_vec());
        };
        names.into_iter().map(network).collect()
    }
}

fn write(folder: &Path, setting: &Setting, outcomes: &[Outcome]) -> Result<()> {
    let chart = chart::draw(outcomes);
    let page = report::write(setting, outcomes);
    for (name, text) in [(PAGE, page), ("benchmarks.svg", chart)] {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
