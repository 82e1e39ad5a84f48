//! The engines and their command lines.

use std::process::Command;

use clap::ValueEnum;

use super::case::{Case, Kind};
use super::{Setting, python, quantize};

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
    /// ncnn.
    Ncnn,
    /// MNN.
    Mnn,
}

/// All engines, in the order of the tables.
pub(super) const ENGINES: [Engine; 9] = [
    Engine::Mmcv,
    Engine::MmcvEager,
    Engine::Eager,
    Engine::Torchscript,
    Engine::Compile,
    Engine::Onnxruntime,
    Engine::Openvino,
    Engine::Ncnn,
    Engine::Mnn,
];

/// The element type of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dtype {
    F32,
    Bf16,
    /// Quantized after training, with a calibration.
    Int8,
}

impl Dtype {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

/// How a contender uses the threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// One pass at a time, with all threads.
    OnePass,
    /// One process for each thread.
    Processes,
    /// Several passes at once in one process, as many as the engine thinks best.
    Streams,
}

/// An engine with a type and a way to use the threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) engine: Engine,
    pub(super) dtype: Dtype,
    pub(super) sharing: Sharing,
    /// Whether the channels of a pixel lie side by side in memory; engines that choose layouts themselves have no such form.
    pub(super) channels_last: bool,
}

impl Engine {
    /// The engine in f32.
    pub(super) const fn f32(self) -> Contender {
        self.of(Dtype::F32)
    }

    /// The engine in bf16.
    pub(super) const fn bf16(self) -> Contender {
        self.of(Dtype::Bf16)
    }

    /// The engine in int8.
    pub(super) const fn int8(self) -> Contender {
        self.of(Dtype::Int8)
    }

    const fn of(self, dtype: Dtype) -> Contender {
        Contender { engine: self, dtype, sharing: Sharing::OnePass, channels_last: false }
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
            Self::Ncnn => "ncnn",
            Self::Mnn => "MNN",
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
    /// The same with one process for each thread.
    pub(super) const fn processes(self) -> Self {
        Self { sharing: Sharing::Processes, ..self }
    }

    /// The same with the engine's own streams.
    pub(super) const fn streams(self) -> Self {
        Self { sharing: Sharing::Streams, ..self }
    }

    /// The same with the channels of a pixel side by side.
    pub(super) const fn channels_last(self) -> Self {
        Self { channels_last: true, ..self }
    }

    /// The title in tables with several types or ways to use the threads.
    pub(super) fn title(self) -> String {
        let dtype = match self.dtype {
            Dtype::F32 => "",
            Dtype::Bf16 => " bf16",
            Dtype::Int8 => " int8",
        };
        let sharing = match self.sharing {
            Sharing::OnePass => "",
            Sharing::Processes => ", a process per thread",
            Sharing::Streams => ", streams",
        };
        let layout = if self.channels_last { ", channels last" } else { "" };
        format!("{}{dtype}{sharing}{layout}", self.engine.title())
    }

    /// The command that runs it in a case.
    pub(super) fn command(self, case: &Case, setting: &Setting) -> Command {
        let mut command = if self.engine.is_ours() { self.ours(case, setting) } else { self.python(case, setting) };
        let threads = match self.sharing {
            Sharing::Processes => 1,
            Sharing::Streams if self.engine.is_ours() => 1,
            _ => setting.threads,
        };
        command.args(["--batch-size", &case.batch.to_string(), "--size", &case.size.to_string()]);
        command.args(["--threads", &threads.to_string()]);
        if case.kind == Kind::Training && self.engine.is_ours() {
            command.args((self.dtype == Dtype::Bf16).then_some("--amp"));
        } else {
            command.args(["--dtype", self.dtype.name()]);
        }
        if self.sharing == Sharing::Streams {
            command.arg("--streams");
            if self.engine.is_ours() {
                command.arg(setting.threads.to_string());
            }
        }
        if self.channels_last {
            command.arg("--channels-last");
        }
        command
    }

    fn ours(self, case: &Case, setting: &Setting) -> Command {
        let mut command = Command::new(&setting.mmcv);
        command.arg("bench").arg(case.network.path()).arg("--interactive");
        command.arg("--checkpoint").arg(setting.network_folder(case.network).join("weights.pth"));
        if self.dtype == Dtype::Int8 {
            command.arg("--quantized").arg(setting.network_folder(case.network).join(quantize::FILE));
        }
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
        command.arg(engine).arg(case.network.path()).arg("--folder").arg(setting.network_folder(case.network));
        command
    }
}
