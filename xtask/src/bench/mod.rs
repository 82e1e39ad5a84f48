//! `cargo xtask bench`: networks on several engines, measured in turns.

mod case;
mod chart;
mod deviation;
mod distributed;
mod engine;
mod files;
mod load;
mod machine;
mod peer;
mod plan;
mod python;
mod quantize;
mod random;
mod report;
mod sides;
mod table;
mod throughput;
mod turns;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::process::{cargo, run, stage};
use crate::setup::{Variant, ensure_libtorch};
use crate::workspace::{mmcv, root, target};
use case::{Kind, Outcome, SIZE};
use engine::Engine;

/// Compares mmcv with PyTorch, ONNX Runtime, OpenVINO, ncnn and MNN: inference, throughput, training, start-up, memory, files.
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
    only: Vec<Part>,
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

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Forward passes in f32.
    Inference,
    /// Forward passes in bf16, and in f32 for comparison.
    Bf16,
    /// Forward passes in int8, and in other types for comparison.
    Int8,
    /// Images per second of several passes at once.
    Throughput,
    /// Forward passes with more and larger images, the time until the first output, and memory.
    Growth,
    /// Forward passes beside a program that keeps one core busy.
    Load,
    /// Forward pass, backward pass, and a step of SGD.
    Training,
    /// From the start of the process to the end of the first forward pass.
    StartUp,
    /// Sums, training steps and batch norms over two processes.
    Distributed,
    /// Images from JPEG files, with a network and without.
    Files,
}

/// A part that is no comparison of engines.
struct Section {
    part: Part,
    /// What it needs the weights of, and an exported network of one image.
    network: &'static str,
    /// Returns the section of the page.
    measure: fn(&Setting) -> Result<String>,
}

const SECTIONS: [Section; 2] = [
    Section { part: Part::Distributed, network: distributed::NETWORK, measure: distributed::measure },
    Section { part: Part::Files, network: files::NETWORK, measure: files::measure },
];

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

impl Part {
    /// The kind of its comparisons; `None` if it is no comparison of engines.
    fn kind(self) -> Option<Kind> {
        Some(match self {
            Self::Inference => Kind::Inference,
            Self::Bf16 => Kind::Bf16,
            Self::Int8 => Kind::Int8,
            Self::Throughput => Kind::Throughput,
            Self::Growth => Kind::Growth,
            Self::Load => Kind::Load,
            Self::Training => Kind::Training,
            Self::StartUp => Kind::StartUp,
            Self::Distributed | Self::Files => return None,
        })
    }
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
        let kinds: Vec<Kind> = self.only.iter().filter_map(|part| part.kind()).collect();
        let cases = if self.only.is_empty() || !kinds.is_empty() {
            plan::cases(&self.networks()?, &kinds, &self.engines, self.quick)
        } else {
            Vec::new()
        };
        let sections: Vec<Section> = SECTIONS.into_iter().filter(|section| self.has(section.part)).collect();
        ensure!(
            !cases.is_empty() || !sections.is_empty(),
            "nothing to measure: the chosen networks and engines take part in no comparison"
        );
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
        if self.has(Part::Distributed) {
            run(cargo(&libtorch).args(["build", "--release", "--package", "mmcv", "--example", distributed::EXAMPLE]))?;
        }
        let mut exports: Vec<(Network, String)> = cases.iter().map(|case| (case.network, case.shape())).collect();
        for section in &sections {
            exports.push((network(section.network)?, format!("1x{SIZE}")));
        }
        python::export(&setting, &exports)?;
        quantize::quantize(&setting, &cases)?;
        let mut page = Page::default();
        for case in cases {
            page.outcomes.push(case.measure(&setting));
            // A run that is cut leaves what it measured.
            page.write(&setting.folder, &setting)?;
        }
        for section in sections {
            page.sections.push((section.measure)(&setting)?);
            page.write(&setting.folder, &setting)?;
        }
        let folder = if self.is_complete() { root().join("docs") } else { setting.folder.clone() };
        page.write(&folder, &setting)?;
        stage(format_args!("Written: {}", folder.join(PAGE).display()));
        Ok(())
    }

    /// Whether a part that is no comparison of engines is measured.
    fn has(&self, part: Part) -> bool {
        if self.only.is_empty() { self.is_complete() } else { self.only.contains(&part) }
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

/// What is measured.
#[derive(Debug, Default)]
struct Page {
    outcomes: Vec<Outcome>,
    /// In Markdown.
    sections: Vec<String>,
}

impl Page {
    fn write(&self, folder: &Path, setting: &Setting) -> Result<()> {
        let chart = chart::draw(&self.outcomes);
        let page = report::write(setting, &self.outcomes, &self.sections);
        for (name, text) in [(PAGE, page), ("benchmarks.svg", chart)] {
            let file = folder.join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }
}
