//! `mmcv ckpt convert`: writes a checkpoint in another format.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use mmcv_pth::{Checkpoint, ConvertOptions, Dtype, OpenOptions, OutputFormat};
use serde::Serialize;

use crate::Failure;
use crate::args::UnknownClassesOption;
use crate::format::{plural, size};
use crate::output::{as_map, display, lossy, print, print_json};
use crate::progress::ByteProgress;

/// Writes a checkpoint as `.pth` or safetensors.
///
/// A `.pth` file keeps order, nesting, shared storages and `_metadata`. A safetensors file stores each tensor under the key
/// that `inspect` shows, without sharing, and everything else as JSON in `__metadata__`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv ckpt convert resnet50-0676ba61.pth resnet50.safetensors
  mmcv ckpt convert epoch_12.pth weights.safetensors --entry state_dict
  mmcv ckpt convert model.pth half.safetensors --dtype float16
  mmcv ckpt convert R-50.pkl R-50.pth
  mmcv ckpt convert whole_module.pth weights.pth --unknown-classes opaque
  mmcv ckpt convert model.safetensors pytorch_model.bin
  mmcv ckpt convert old_format.pth new_format.pth
  mmcv ckpt convert model.safetensors.index.json model.safetensors
  mmcv ckpt convert scripted.pt weights --to pth --force")]
pub struct Convert {
    /// The file to read: zip or legacy `.pth`, TorchScript, safetensors, a Detectron2 `.pkl` of numpy arrays, or the index
    /// `*.index.json` of a sharded checkpoint.
    source: PathBuf,
    /// The file to write. Its extension selects the format: .safetensors, or .pth, .pt, .bin, .ckpt.
    destination: PathBuf,
    /// The format to write, regardless of the extension.
    #[arg(long, value_name = "FORMAT")]
    to: Option<Format>,
    /// Converts only this entry, a dotted path such as `state_dict` or `nets.teacher`.
    #[arg(long, value_name = "ENTRY")]
    entry: Option<String>,
    /// Casts floating-point tensors to this type, rounding as torch's `.to(dtype)` does. Other tensors are unchanged.
    #[arg(long, value_name = "TYPE")]
    dtype: Option<FloatType>,
    /// Drops what the format cannot hold, and lists it.
    #[arg(long)]
    lossy: bool,
    /// Replaces an existing file; for a symbolic link, its target.
    #[arg(long)]
    force: bool,
    /// Prints one JSON object: what was written and what was dropped.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    unknown_classes: UnknownClassesOption,
}

/// A floating-point type.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FloatType {
    Float16,
    Bfloat16,
    Float32,
    Float64,
}

impl FloatType {
    fn dtype(self) -> Dtype {
        match self {
            Self::Float16 => Dtype::Float16,
            Self::Bfloat16 => Dtype::Bfloat16,
            Self::Float32 => Dtype::Float32,
            Self::Float64 => Dtype::Float64,
        }
    }
}

/// An output format.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Pth,
    Safetensors,
}

impl Format {
    fn of_extension(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "pth" | "pt" | "bin" | "ckpt" => Some(Self::Pth),
            "safetensors" => Some(Self::Safetensors),
            _ => None,
        }
    }

    fn target(self) -> OutputFormat {
        match self {
            Self::Pth => OutputFormat::Pth,
            Self::Safetensors => OutputFormat::Safetensors,
        }
    }
}

#[derive(Serialize)]
struct Report {
    source: String,
    destination: String,
    format: Format,
    tensors: usize,
    bytes: u64,
    cast: usize,
    unshared: usize,
    #[serde(serialize_with = "as_map")]
    left_out: Vec<(String, String)>,
}

impl Convert {
    pub fn run(&self) -> Result<(), Failure> {
        let format = self.format();
        mmcv_pth::resolve_destination(&self.destination)?;
        // Also true of a dangling symbolic link.
        let exists = self.destination.symlink_metadata().is_ok();
        if exists && !self.force {
            return Err(Failure::Text(format!(
                "{}: the file exists; `--force` replaces it",
                display(&self.destination)
            )));
        }
        let report = self.convert(format)?;
        if self.json { print_json(&report) } else { print(&self.text(&report)) }
    }

    /// The output format. Ends the program with a usage error if nothing selects one.
    fn format(&self) -> Format {
        if let Some(format) = self.to {
            return format;
        }
        if let Some(format) = Format::of_extension(&self.destination) {
            return format;
        }
        let file = display(&self.destination);
        let message = format!("{file}: its extension selects no format; add `--to pth` or `--to safetensors`\n");
        clap::Error::raw(ErrorKind::MissingRequiredArgument, message).exit();
    }

    fn convert(&self, format: Format) -> Result<Report, Failure> {
        let options = OpenOptions::new().unknown_classes(self.unknown_classes.policy());
        let checkpoint = Checkpoint::open_with(&self.source, &options)?;
        let bar = ByteProgress::with_total(checkpoint.tensors().map(|tensor| tensor.byte_count()).sum());
        let progress = |written| bar.set(written);
        let options = ConvertOptions {
            entry: self.entry.as_deref(),
            dtype: self.dtype.map(FloatType::dtype),
            lossy: self.lossy,
            progress: Some(&progress),
        };
        let converted = mmcv_pth::convert(&checkpoint, &self.destination, format.target(), &options)?;
        Ok(Report {
            source: lossy(&self.source),
            destination: lossy(&self.destination),
            format,
            tensors: converted.tensors,
            bytes: self.destination.metadata().map(|metadata| metadata.len()).unwrap_or_default(),
            cast: converted.cast,
            unshared: converted.unshared,
            left_out: converted.left_out,
        })
    }

    fn text(&self, report: &Report) -> String {
        let file = display(&self.destination);
        let mut text = format!("{file}: {}, {}\n", plural(report.tensors, "tensor"), size(report.bytes));
        if let Some(dtype) = self.dtype
            && report.cast > 0
        {
            text.push_str(&format!("{} cast to {}\n", plural(report.cast, "tensor"), dtype.dtype()));
        }
        if report.unshared > 0 {
            let tensors = plural(report.unshared, "tensor");
            text.push_str(&format!("{tensors} shared memory with others and were copied\n"));
        }
        for (path, what) in &report.left_out {
            text.push_str(&format!("left out: {path:?} ({})\n", mmcv_pth::printable(what)));
        }
        text
    }
}
