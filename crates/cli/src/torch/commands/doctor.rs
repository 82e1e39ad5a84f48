//! `mmcv doctor`: libtorch and the machine it runs on.

use std::path::{Path, PathBuf};

use clap::Args;
use mmcv_zoo::Zoo;
use serde::Serialize;
use tch::{Cuda, Device, Kind, Tensor};

use mmcv_cli::Failure;
use mmcv_cli::output::{lossy, print_report};

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
        print_report(&Report::new(), self.json)
    }
}

#[derive(Serialize)]
struct Report {
    mmcv: &'static str,
    libtorch: Option<String>,
    libtorch_folder: Option<String>,
    threads: i32,
    interop_threads: i32,
    cpu_capability: String,
    mkl: bool,
    onednn: bool,
    cuda_library_loaded: bool,
    cuda_devices: i64,
    cuda_error: Option<String>,
    fused_inference: FusedInference,
    cache: Cache,
}

/// The backend of fused modules.
#[derive(Serialize)]
struct FusedInference {
    backend: String,
    without_onednn: Option<String>,
    missing_operators: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Cache {
    Unknown { error: String },
    Folder { folder: String, state: &'static str, files: u64, bytes: u64 },
}

impl Report {
    fn new() -> Self {
        let library = loaded_library("libtorch_cpu.so");
        let mut report = Self {
            mmcv: env!("CARGO_PKG_VERSION"),
            libtorch: None,
            libtorch_folder: None,
            threads: tch::get_num_threads(),
            interop_threads: tch::get_num_interop_threads(),
            cpu_capability: cpu_capability(),
            mkl: tch::utils::has_mkl(),
            onednn: tch::utils::has_mkldnn(),
            cuda_library_loaded: loaded_library("libtorch_cuda.so").is_some(),
            cuda_devices: Cuda::device_count(),
            cuda_error: if Cuda::device_count() == 0 { Some(cuda_error()) } else { None },
            fused_inference: FusedInference::new(),
            cache: Cache::new(),
        };
        if let Some(library) = library {
            report.libtorch = libtorch_version(&library);
            report.libtorch_folder = library.parent().map(lossy);
        }
        report
    }
}

/// The file of a library that is loaded into this process.
fn loaded_library(name: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    for line in maps.lines() {
        let Some(start) = line.find('/') else { continue };
        let path = Path::new(&line[start..]);
        if path.ends_with(name) {
            return Some(path.to_owned());
        }
    }
    None
}

/// The version of libtorch: from `build-version` beside `lib/`, or from the wheel's `version.py`.
fn libtorch_version(library: &Path) -> Option<String> {
    let folder = library.parent()?.parent()?;
    if let Ok(version) = std::fs::read_to_string(folder.join("build-version")) {
        return Some(version.trim().to_owned());
    }
    let python = std::fs::read_to_string(folder.join("version.py")).ok()?;
    for line in python.lines() {
        if let Some(version) = line.strip_prefix("__version__ = ") {
            return Some(version.trim_matches(['\'', '"']).to_owned());
        }
    }
    None
}

/// The instruction set that libtorch selects, by the same rule; `ATEN_CPU_CAPABILITY` overrides it.
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

/// The error of moving a tensor to the first CUDA device.
fn cuda_error() -> String {
    let moved = Tensor::f_zeros([1], (Kind::Float, Device::Cpu)).and_then(|tensor| tensor.f_to_device(Device::Cuda(0)));
    match moved {
        Ok(_) => String::new(),
        Err(error) => mmcv_layers::first_line(&error),
    }
}

impl FusedInference {
    fn new() -> Self {
        let (backend, without_onednn) = match mmcv_fuse::onednn_version() {
            Ok(version) => (format!("oneDNN {version}"), None),
            Err(error) => ("libtorch".to_owned(), Some(error.to_string())),
        };
        let mut missing = Vec::new();
        for (name, is_available) in mmcv_fuse::available_operators() {
            if !is_available {
                missing.push(name);
            }
        }
        let missing_operators = if missing.is_empty() { None } else { Some(missing.join(" ")) };
        Self { backend, without_onednn, missing_operators }
    }
}

impl Cache {
    fn new() -> Self {
        let zoo = match Zoo::from_env() {
            Ok(zoo) => zoo,
            Err(error) => return Self::Unknown { error: error.to_string() },
        };
        let home = zoo.home();
        let state = match home.metadata() {
            Err(_) => "does not exist yet",
            Ok(metadata) if !metadata.is_dir() => "not a folder",
            Ok(metadata) if metadata.permissions().readonly() => "read-only",
            Ok(_) => "ready",
        };
        let (files, bytes) = usage(home);
        Self::Folder { folder: lossy(home), state, files, bytes }
    }
}

/// The number of files below a folder and their total size, without hidden entries.
fn usage(folder: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    let Ok(entries) = std::fs::read_dir(folder) else { return (0, 0) };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_dir() {
            let (inner_files, inner_bytes) = usage(&entry.path());
            files += inner_files;
            bytes += inner_bytes;
        } else if kind.is_file() {
            files += 1;
            if let Ok(metadata) = entry.metadata() {
                bytes += metadata.len();
            }
        }
    }
    (files, bytes)
}
