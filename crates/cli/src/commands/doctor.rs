//! `mmcv doctor`: what the machine offers.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use tch::{Cuda, Device, Kind, Tensor};

use super::{Failure, print, shown};

/// Shows libtorch, threads, CPU, CUDA and the cache folder.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  mmcv doctor --json")]
pub(crate) struct Doctor {
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let findings = findings();
        if self.json {
            return print(&format!("{findings:#}\n"));
        }
        let entries = findings.as_object().into_iter().flatten();
        print(&entries.map(|(name, value)| format!("{name:<22} {}\n", plain(value))).collect::<String>())
    }
}

fn findings() -> Value {
    let library = loaded("libtorch_cpu.so");
    let cuda_error = (Cuda::device_count() == 0).then(cuda_error);
    json!({
        "mmcv": env!("CARGO_PKG_VERSION"),
        "libtorch": library.as_deref().and_then(version),
        "libtorch_folder": library.as_deref().and_then(Path::parent).map(shown),
        "threads": tch::get_num_threads(),
        "interop_threads": tch::get_num_interop_threads(),
        "cpu_capability": cpu_capability(),
        "mkl": tch::utils::has_mkl(),
        "onednn": tch::utils::has_mkldnn(),
        "cuda_library_loaded": loaded("libtorch_cuda.so").is_some(),
        "cuda_devices": Cuda::device_count(),
        "cuda_error": cuda_error,
        "fused_inference": fused_inference(),
        "cache": cache(),
    })
}

/// The file of a library that this process has loaded.
fn loaded(name: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines()
        .filter_map(|line| line.find('/').and_then(|start| line.get(start..)))
        .map(PathBuf::from)
        .find(|path| path.file_name().is_some_and(|file| file == name))
}

/// The version of libtorch: from `build-version` beside `lib/`, or from the wheel's `version.py`.
fn version(library: &Path) -> Option<String> {
    let folder = library.parent()?.parent()?;
    if let Ok(version) = std::fs::read_to_string(folder.join("build-version")) {
        return Some(version.trim().to_owned());
    }
    let python = std::fs::read_to_string(folder.join("version.py")).ok()?;
    let line = python.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(line.trim_matches(['\'', '"']).to_owned())
}

/// The kernels that libtorch chooses, by its own rule; `ATEN_CPU_CAPABILITY` overrides it.
fn cpu_capability() -> String {
    if let Ok(forced) = std::env::var("ATEN_CPU_CAPABILITY") {
        return format!("{forced} (ATEN_CPU_CAPABILITY)");
    }
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let avx2 = has!("avx2") && has!("fma");
        if avx2 && has!("avx512f") && has!("avx512vl") && has!("avx512bw") && has!("avx512dq") {
            return "AVX512".to_owned();
        }
        if avx2 {
            return "AVX2".to_owned();
        }
    }
    "default".to_owned()
}

/// What libtorch says when a tensor is moved to the first CUDA device.
fn cuda_error() -> String {
    let moved = Tensor::f_zeros([1], (Kind::Float, Device::Cpu)).and_then(|tensor| tensor.f_to_device(Device::Cuda(0)));
    moved.err().map(|error| mmcv_layers::first_line(&error)).unwrap_or_default()
}

/// What runs fused modules.
fn fused_inference() -> Value {
    let (backend, note) = match mmcv_fuse::onednn_version() {
        Ok(version) => (format!("oneDNN {version}"), None),
        Err(error) => ("libtorch".to_owned(), Some(error.to_string())),
    };
    let operators = mmcv_fuse::available_operators();
    let missing: Vec<String> = operators.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect();
    json!({
        "backend": backend,
        "without_onednn": note,
        "missing_operators": if missing.is_empty() { Value::Null } else { json!(missing.join(" ")) },
    })
}

/// The cache folder and its state.
fn cache() -> Value {
    let zoo = match mmcv_zoo::Zoo::from_env() {
        Ok(zoo) => zoo,
        Err(error) => return json!({ "error": error.to_string() }),
    };
    let (files, bytes) = usage(zoo.home());
    let read_only = zoo.home().metadata().is_ok_and(|metadata| metadata.permissions().readonly());
    let state = match (zoo.home().exists(), zoo.home().is_dir(), read_only) {
        (false, ..) => "does not exist yet",
        (true, false, _) => "not a folder",
        (true, true, true) => "read-only",
        (true, true, false) => "ready",
    };
    json!({ "folder": shown(zoo.home()), "state": state, "files": files, "bytes": bytes })
}

/// The number of files below a folder, and their sizes; hidden entries are not counted.
fn usage(folder: &Path) -> (u64, u64) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let visible = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    visible.fold((0, 0), |(files, bytes), entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => {
            let (inner_files, inner_bytes) = usage(&entry.path());
            (files + inner_files, bytes + inner_bytes)
        }
        Ok(kind) if kind.is_file() => (files + 1, bytes + entry.metadata().map_or(0, |metadata| metadata.len())),
        _ => (files, bytes),
    })
}

/// A value for people.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Null => "none".to_owned(),
        Value::Object(entries) => {
            entries.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
