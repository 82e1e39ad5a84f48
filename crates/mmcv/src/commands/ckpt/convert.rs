//! `mmcv ckpt convert`: a checkpoint in another format.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use mmcv_pth::{Checkpoint, ConversionReport, ConvertOptions, Dtype, OutputFormat};
use serde_json::{Map, Value, json};

use super::reading::Reading;
use crate::commands::{Failure, name, plural, print, print_json, shown, size};
use crate::progress::Bytes;

/// Writes a checkpoint as `.pth` or safetensors.
///
/// A `.pth` file keeps order, nesting, shared storages and `_metadata`. Safetensors hold tensors under the keys that
/// `inspect` shows, each with its own copy, and everything else as JSON texts in `__metadata__`.
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
pub(crate) struct Convert {
    /// The file to read: `.pth` of any age, TorchScript, safetensors, a `.pkl` of numpy arrays as Detectron2 has them, or
    /// the index `*.index.json` of several.
    source: PathBuf,
    /// The file to write; its suffix tells the format: .safetensors, or .pth, .pt, .bin, .ckpt.
    destination: PathBuf,
    /// The format to write, whatever the suffix.
    #[arg(long, value_name = "FORMAT")]
    to: Option<To>,
    /// Takes only what is below this entry, a dotted path such as `state_dict` or `nets.teacher`.
    #[arg(long, value_name = "ENTRY")]
    entry: Option<String>,
    /// Writes floating-point tensors as numbers of this type, rounded as torch's `.to(dtype)` does; others stay as they are.
    #[arg(long, value_name = "TYPE")]
    dtype: Option<FloatType>,
    /// Leaves out what the format cannot hold, and tells what that is.
    #[arg(long)]
    lossy: bool,
    /// Replaces a file that exists; of a link, the file that it leads to.
    #[arg(long)]
    force: bool,
    /// Prints one JSON object: what was written, and what was left out.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: Reading,
}

/// A type of floating-point numbers.
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

/// A format that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    Pth,
    Safetensors,
}

impl To {
    fn of_suffix(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "pth" | "pt" | "bin" | "ckpt" => Some(Self::Pth),
            "safetensors" => Some(Self::Safetensors),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        if self == Self::Pth { "pth" } else { "safetensors" }
    }
}

impl Convert {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let file = name(&self.destination);
        let Some(to) = self.to.or_else(|| To::of_suffix(&self.destination)) else {
            let message =
                format!("{file}: its suffix tells no format that is written; add `--to pth` or `--to safetensors`\n");
            clap::Error::raw(ErrorKind::MissingRequiredArgument, message).exit();
        };
        mmcv_pth::resolve_destination(&self.destination)?;
        // Also a link that leads nowhere is something that would be replaced.
        if !self.force && self.destination.symlink_metadata().is_ok() {
            return Err(Failure(format!("{file}: there is such a file; `--force` replaces it")));
        }
        let checkpoint = Checkpoint::open_with(&self.source, &self.reading.options())?;
        let bar = Bytes::of(checkpoint.tensors().map(|raw| raw.byte_count()).sum());
        let progress = |written| bar.at(written);
        let options = ConvertOptions {
            entry: self.entry.as_deref(),
            dtype: self.dtype.map(FloatType::dtype),
            lossy: self.lossy,
            progress: Some(&progress),
        };
        let target = if to == To::Pth { OutputFormat::Pth } else { OutputFormat::Safetensors };
        let converted = mmcv_pth::convert(&checkpoint, &self.destination, target, &options)?;
        drop(bar);
        let bytes = self.destination.metadata().map(|metadata| metadata.len()).unwrap_or_default();
        if self.json {
            let left_out: Map<String, Value> =
                converted.left_out.iter().map(|(path, what)| (path.clone(), json!(what))).collect();
            return print_json(&json!({
                "source": shown(&self.source),
                "destination": shown(&self.destination),
                "format": to.name(),
                "tensors": converted.tensors,
                "bytes": bytes,
                "cast": converted.cast,
                "unshared": converted.unshared,
                "left_out": left_out,
            }));
        }
        print(&format!("{file}: {}, {}\n{}", plural(converted.tensors, "tensor"), size(bytes), self.notes(&converted)))
    }

    fn notes(&self, converted: &ConversionReport) -> String {
        let mut text = String::new();
        if let Some(to) = self.dtype.filter(|_| converted.cast > 0) {
            text.push_str(&format!("{} cast to {}\n", plural(converted.cast, "tensor"), to.dtype()));
        }
        if converted.unshared > 0 {
            let tensors = plural(converted.unshared, "tensor");
            text.push_str(&format!("{tensors} shared memory with others, and now have copies of their own\n"));
        }
        for (path, what) in &converted.left_out {
            text.push_str(&format!("left out: {path:?} ({})\n", mmcv_pth::printable(what)));
        }
        text
    }
}
