//! The engines and their command lines.

use std::process::Command;

use clap::ValueEnum;

use super::case::{Case, Kind};
use super::{Setting, python};

/// A program that runs networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// mmcv-rs, rewritten by mmcv-fuse.
    Mmcv,
    /// mmcv-rs, layer by layer.
    MmcvEager,
    /// PyTorch, layer by layer.
    Eager,
    /// `torch.jit.optimize_for_inference`.
    Torchscript,
    /// `torch.compile` with freezing.
    Compile,
    /// ONNX Runtime.
    Onnxruntime,
    /// OpenVINO.
    Openvino,
}

/// All engines, in the order of the tables.
pub(super) const ENGINES: [Engine; 7] = [
    Engine::Mmcv,
    Engine::MmcvEager,
    Engine::Eager,
    Engine::Torchscript,
    Engine::Compile,
    Engine::Onnxruntime,
    Engine::Openvino,
];

/// The element type of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dtype {
    F32,
    Bf16,
}

impl Dtype {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// An engine with a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) engine: Engine,
    pub(super) dtype: Dtype,
}

impl Engine {
    /// The engine in f32.
    pub(super) const fn f32(self) -> Contender {
        Contender { engine: self, dtype: Dtype::F32 }
    }

    /// The engine in bf16.
    pub(super) const fn bf16(self) -> Contender {
        Contender { engine: self, dtype: Dtype::Bf16 }
    }

    /// The title in tables.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Mmcv => "mmcv-rs",
            Self::MmcvEager => "mmcv-rs, eager",
            Self::Eager => "PyTorch eager",
            Self::Torchscript => "TorchScript",
            Self::Compile => "torch.compile",
            Self::Onnxruntime => "ONNX Runtime",
            Self::Openvino => "OpenVINO",
        }
    }

    /// The name on the command line.
    pub(super) fn name(self) -> String {
        match self.to_possible_value() {
            Some(value) => value.get_name().to_owned(),
            None => String::new(),
        }
    }

    /// Whether it is mmcv-rs.
    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Mmcv | Self::MmcvEager)
    }
}

impl Contender {
    /// The command that runs it in a case.
    pub(super) fn command(self, case: &Case, setting: &Setting) -> Command {
        let mut command = if self.engine.is_ours() { self.ours(case, setting) } else { self.python(case, setting) };
        command.args(["--batch-size", &case.batch.to_string(), "--threads", &setting.threads.to_string()]);
        if case.kind != Kind::Training {
            command.args(["--dtype", self.dtype.name()]);
        }
        command
    }

    fn ours(self, case: &Case, setting: &Setting) -> Command {
        let mut command = Command::new(&setting.mmcv);
        command.arg("bench").arg(case.network.path()).arg("--interactive");
        command.arg("--checkpoint").arg(setting.folder.join(case.network.file).with_extension("pth"));
        match (case.kind, self.engine) {
            (Kind::Training, _) => command.arg("--train"),
            (_, Engine::Mmcv) => command.args(["--mode", "fused"]),
            _ => command.args(["--mode", "eager"]),
        };
        command
    }

    fn python(self, case: &Case, setting: &Setting) -> Command {
        let mut command = python::peer(setting);
        let engine = if case.kind == Kind::Training { "train".to_owned() } else { self.engine.name() };
        command.arg(engine).arg(case.network.path()).arg("--folder").arg(&setting.folder);
        command
    }
}
