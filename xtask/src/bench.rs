//! `cargo xtask bench`: networks on several engines, measured in turns.

mod case;
mod chart;
mod engine;
mod machine;
mod peer;
mod python;
mod random;
mod report;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::process::{cargo, run, stage};
use crate::setup::{Variant, ensure_libtorch};
use crate::workspace::{mmcv, root, target};
use case::{Case, Kind, Outcome};
use engine::Engine;

/// Compares mmcv with PyTorch, ONNX Runtime and OpenVINO: inference, training, start-up, memory.
///
/// Every engine is a process of its own that waits for its turn, so only one runs at a time, and what else the machine
/// does concerns all of them. They take turns in random order; medians are compared.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask bench                                        everything, in about 20 minutes: docs/benchmarks.md
  cargo xtask bench --quick                                two networks, one picture, few rounds
  cargo xtask bench --networks resnet50 --engines mmcv,eager,openvino
  cargo xtask bench --python ~/venv/bin/python             a Python that has what xtask/src/bench/requirements.txt lists

Only a run of everything writes to docs/; others write to target/bench/. The first run installs PyTorch, ONNX Runtime and
OpenVINO into target/bench/venv (6 GB).")]
pub(crate) struct Bench {
    /// Two networks, one picture, few rounds.
    #[arg(long)]
    quick: bool,
    /// The networks: names of the files in xtask/src/bench/networks, with commas between them.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    networks: Vec<String>,
    /// The engines: mmcv, mmcv-eager, eager, torchscript, compile, onnxruntime, openvino.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    engines: Vec<Engine>,
    /// Rounds of each comparison, at most; slow ones have fewer, and at least 5.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Threads of each engine.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// A Python with the packages, in place of a new virtual environment.
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
}

/// A network: its file, and its name for people.
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
    fn path(self) -> PathBuf {
        root().join("xtask/src/bench/networks").join(self.file).with_extension("yaml")
    }
}

/// What all comparisons have in common.
#[derive(Debug)]
struct Setting {
    python: PathBuf,
    mmcv: PathBuf,
    /// Where exported networks, weights and logs are.
    folder: PathBuf,
    threads: u16,
    rounds: u32,
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        let networks = self.networks()?;
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
        stage("Exporting the networks");
        python::export(&setting, &networks, self.batches())?;
        let cases = self.cases(&networks);
        ensure!(!cases.is_empty(), "nothing is to be measured: the chosen engines take part in no comparison");
        let outcomes: Vec<Outcome> = cases.into_iter().map(|case| case.measure(&setting)).collect();
        let folder = if self.is_whole() { root().join("docs") } else { setting.folder.clone() };
        self.write(&folder, &setting, &outcomes)
    }

    /// Whether the result is about everything.
    fn is_whole(&self) -> bool {
        !self.quick && self.networks.is_empty() && self.engines.is_empty()
    }

    fn networks(&self) -> Result<Vec<Network>> {
        if self.networks.is_empty() {
            let quick = |network: &&Network| !self.quick || ["resnet50", "mobilenet_v2"].contains(&network.file);
            return Ok(NETWORKS.iter().filter(quick).copied().collect());
        }
        let names = NETWORKS.map(|network| network.file).join(", ");
        let find = |name: &String| NETWORKS.iter().find(|network| network.file == name).copied();
        let find = |name| find(name).with_context(|| format!("there is no network {name:?}; there are {names}"));
        self.networks.iter().map(find).collect()
    }

    /// Numbers of pictures in one input.
    fn batches(&self) -> &'static [u32] {
        if self.quick { &[1] } else { &[1, 8] }
    }

    /// What is measured, in order.
    fn cases(&self, networks: &[Network]) -> Vec<Case> {
        let has = |name: &str| networks.iter().copied().find(|network| network.file == name);
        let mut kinds: Vec<(Network, u32, Kind)> = Vec::new();
        for &batch in self.batches() {
            kinds.extend(networks.iter().map(|&network| (network, batch, Kind::Inference)));
        }
        if !self.quick {
            kinds.extend(has("resnet50").map(|network| (network, 1, Kind::Bf16)));
            let trained = ["resnet50", "mobilenet_v2"].into_iter().filter_map(has);
            kinds.extend(trained.map(|network| (network, 8, Kind::Training)));
        }
        kinds.extend(has("resnet50").map(|network| (network, 1, Kind::StartUp)));
        let cases = kinds.into_iter().map(|(network, batch, kind)| Case::new(network, batch, kind, &self.engines));
        cases.filter(|case| !case.contenders.is_empty()).collect()
    }

    fn write(&self, folder: &Path, setting: &Setting, outcomes: &[Outcome]) -> Result<()> {
        let chart = chart::draw(outcomes);
        let page = report::write(setting, outcomes);
        for (name, text) in [("benchmarks.md", page), ("benchmarks.svg", chart)] {
            let file = folder.join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            stage(format_args!("Written: {}", file.display()));
        }
        Ok(())
    }
}
