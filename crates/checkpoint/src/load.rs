//! Loading: from a source to a file, and from the file into a module.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use mmcv_layers::{Module, Parts, join, named_modules};
use mmcv_pth::{Checkpoint, RawTensor};
use mmcv_zoo::{FetchOptions, Zoo};
use tch::{Kind, Tensor};

use crate::error::ErrorKind;
use crate::report::Mismatch;
use crate::{Error, LoadReport, ReviseKeys, tensor};

/// Keys under which training programs put the state dict.
const WRAPPERS: [&str; 2] = ["state_dict", "model"];

/// How a checkpoint is loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Renaming of the file's tensors. Default: a leading `module.` is removed.
    pub revise_keys: ReviseKeys,
    /// Only the tensors whose names begin with this are taken, and it is removed, before `revise_keys`. A dot at its end
    /// is added where it is missing. Default: all.
    pub prefix: Option<String>,
    /// Whether every tensor of the module has to be in the file and the other way round. Where not, what does not fit is
    /// left out and reported. Default: true.
    pub strict: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { revise_keys: ReviseKeys::default(), prefix: None, strict: true }
    }
}

/// Loads a checkpoint into `module`.
///
/// `source` is a path (also `~/...` and `file://...`), an `http://` or `https://` URL whose file name carries a SHA-256
/// prefix, `torchvision://NAME` or `open-mmlab://NAME`. Downloads are verified and cached, see [`mmcv_zoo`].
///
/// Names, shapes and types are checked before the first tensor is written.
///
/// # Errors
/// Where the source cannot be found, fetched, verified or read, or does not fit `module`.
pub fn load_checkpoint(module: &dyn Module, source: &str, options: &LoadOptions) -> Result<LoadReport, Error> {
    let file = locate(source, &FetchOptions::default())?;
    load_file(module, &file, options)
}

/// The local file of a source, which is fetched where it has to be.
///
/// # Errors
/// Where the source cannot be found, fetched or verified.
pub fn locate(source: &str, options: &FetchOptions<'_>) -> Result<PathBuf, Error> {
    let failed = |error: mmcv_zoo::Error| Error::new(source, error);
    if let Some(path) = source.strip_prefix("file://") {
        return Ok(PathBuf::from(path));
    }
    if source.contains("://") {
        return Zoo::from_env().and_then(|zoo| zoo.fetch(source, options)).map_err(failed);
    }
    match (source.strip_prefix("~/"), std::env::home_dir()) {
        (Some(below), Some(home)) => Ok(home.join(below)),
        _ => Ok(PathBuf::from(source)),
    }
}

/// Loads a checkpoint file into `module`. The file may be in any format that [`mmcv_pth`] reads; the state dict may
/// stand under `state_dict` or `model`.
///
/// # Errors
/// Where the file cannot be read or does not fit `module`.
pub fn load_file(module: &dyn Module, file: &Path, options: &LoadOptions) -> Result<LoadReport, Error> {
    let load = || {
        let checkpoint = Checkpoint::open(file)?;
        let wrapped =
            WRAPPERS.iter().find_map(|key| checkpoint.tensors_below(&[key]).filter(|found| !found.is_empty()));
        let tensors = wrapped.unwrap_or_else(|| checkpoint.tensors().collect());
        load_tensors(module, tensors, options)
    };
    load().map_err(|kind: ErrorKind| Error::new(&file.display().to_string(), kind))
}

fn load_tensors(
    module: &dyn Module,
    tensors: Vec<RawTensor<'_>>,
    options: &LoadOptions,
) -> Result<LoadReport, ErrorKind> {
    let mut found = rename(tensors, options)?;
    let mut report = LoadReport::default();
    let mut pairs = Vec::new();
    let modules = named_modules(module);
    let mut absent = Vec::new();
    for (path, module) in &modules {
        let parts = Parts::of(*module);
        let mut lacks = Vec::new();
        for (local, target) in parts.parameters.into_iter().chain(parts.buffers) {
            let name = join(path, &local);
            match found.remove(&name) {
                Some(raw) => match fits(&raw, target) {
                    Ok(kind) => pairs.push((name, target, raw, kind)),
                    Err((expected, found)) => report.mismatched.push(Mismatch { name, expected, found }),
                },
                None if module.may_be_absent(&local) => lacks.push(local),
                None => report.missing.push(name),
            }
        }
        absent.push(lacks);
    }
    report.unexpected = found.into_keys().collect();
    report.unexpected.sort();
    if pairs.is_empty() || (options.strict && !report.is_complete()) {
        return Err(ErrorKind::Mismatch(report));
    }
    if !report.is_complete() {
        log::warn!("{report}");
    }
    // Everything is read once before the first tensor is written, so that a damaged file changes nothing.
    for (_, _, raw, _) in &pairs {
        raw.for_each_chunk(|_| {})?;
    }
    for (name, target, raw, kind) in pairs {
        copy(&raw, kind, target.shallow_clone())?;
        raw.release();
        report.loaded.push(name);
    }
    for ((_, module), lacks) in modules.iter().zip(&absent) {
        let lacks: Vec<&str> = lacks.iter().map(AsRef::as_ref).collect();
        module.after_load(&lacks)?;
    }
    Ok(report)
}

/// The tensors by the names that the options give them.
fn rename<'a>(tensors: Vec<RawTensor<'a>>, options: &LoadOptions) -> Result<HashMap<String, RawTensor<'a>>, ErrorKind> {
    let prefix = options.prefix.as_deref().map(|prefix| format!("{}.", prefix.trim_end_matches('.')));
    let mut renamed: HashMap<String, RawTensor<'a>> = HashMap::new();
    for raw in tensors {
        let Some(key) = raw.key().strip_prefix(prefix.as_deref().unwrap_or_default()) else { continue };
        let name = options.revise_keys.apply(key);
        let second = raw.key().to_owned();
        if let Some(first) = renamed.insert(name.clone(), raw) {
            return Err(ErrorKind::SameName { name, first: first.key().to_owned(), second });
        }
    }
    Ok(renamed)
}

/// The type of the tensor where type and shape are those of `target`; else both in words.
fn fits(raw: &RawTensor<'_>, target: &Tensor) -> Result<Kind, (String, String)> {
    let shape = target.size();
    let kind = raw.dtype().and_then(tensor::kind);
    let own = target.f_kind().ok();
    let same_shape = raw.shape().iter().map(|size| i64::try_from(*size).ok()).eq(shape.iter().copied().map(Some));
    match (kind, own) {
        (Some(kind), Some(own)) if kind == own && same_shape => Ok(kind),
        _ => {
            let expected = format!("{} {shape:?}", own.map_or("unknown", tensor::name));
            let dtype = raw.dtype().map_or_else(|| raw.unsupported().unwrap_or("unknown"), mmcv_pth::Dtype::name);
            Err((expected, format!("{dtype} {:?}", raw.shape())))
        }
    }
}

fn copy(raw: &RawTensor<'_>, kind: Kind, mut target: Tensor) -> Result<(), ErrorKind> {
    let _guard = tch::no_grad_guard();
    let read = tensor::read(raw, kind)?;
    target.f_copy_(&read).map_err(mmcv_layers::Error::from)?;
    Ok(())
}
