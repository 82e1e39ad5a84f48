//! Replays cases that were made by the Python reference; their format is described in `docs/parity.md`.

mod case;
mod difference;
mod layout;
mod origin;
mod replay;
mod tensors;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use mmcv::fuse::WinogradUse;
use mmcv::layers::Module;
use mmcv::registry::{Config, Dict};
use tch::{Device, Tensor};

pub use case::Case;
pub use layout::Layout;
pub use origin::origin;
use replay::Form;

/// The case files below a folder, in the order of their names; a file, `NAME.json` or `NAME.safetensors`, is itself a case.
///
/// # Errors
/// Returns an error if a folder cannot be read.
pub fn find(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.is_file() {
        return Ok(vec![folder.with_extension("json")]);
    }
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(find(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Replays one case on `device`; an error says where it differs from the reference.
///
/// # Errors
/// Where the case cannot be read, the layer gives other numbers, or it panics.
pub fn replay(file: &Path, device: Device) -> Result<()> {
    replay_as(file, device, Layout::Contiguous)
}

/// As [`replay`], with the elements of the inputs in another order in memory.
///
/// # Errors
/// As [`replay`].
pub fn replay_as(file: &Path, device: Device, layout: Layout) -> Result<()> {
    caught(&Case::read(file)?, device, Form::Plain(layout))
}

/// Replays one case in evaluation mode with the module in fused form, within 1e-4; gives why not, where it is not one,
/// or where no other order of summation can give its numbers.
///
/// # Errors
/// As [`replay`].
pub fn replay_fused(file: &Path, device: Device, winograd: WinogradUse) -> Result<Option<&'static str>> {
    let case = Case::read(file)?;
    match replay::not_fused(&case) {
        None => match caught(&case, device, Form::Fused(winograd)) {
            Err(error) if error.is::<replay::IllConditioned>() => {
                Ok(Some("its numbers depend on the last bits of the input"))
            }
            outcome => outcome.map(|()| None),
        },
        reason => Ok(reason),
    }
}

/// Writes the module of a case, in evaluation mode even if the case trains it, to `FOLDER/GROUP-NAME.onnx`, and its inputs and
/// outputs beside it; gives why not, where nothing can be run.
///
/// # Errors
/// Where the case cannot be read, or the module not be exported.
pub fn export(file: &Path, device: Device, folder: &Path) -> Result<Option<&'static str>> {
    let case = Case::read(file)?;
    if let Some(reason) = replay::not_run(&case) {
        return Ok(Some(reason));
    }
    let part = |path: Option<&std::ffi::OsStr>| path.unwrap_or_default().to_string_lossy().into_owned();
    let name = format!("{}-{}.onnx", part(file.parent().and_then(Path::file_name)), part(file.file_stem()));
    caught(&case, device, Form::Onnx(folder.join(name))).map(|()| None)
}

/// What helps to debug a failed case: its config, how it is run, and the line of the generator that made it.
///
/// # Errors
/// Returns an error if the case cannot be read.
pub fn details(file: &Path) -> Result<Vec<String>> {
    let case = Case::read(file)?;
    let description = &case.description;
    let mut lines = vec![format!("config     {} {}", description.builder, description.cfg)];
    for (name, dict) in [("arguments", &description.kwargs), ("forward", &description.forward_kwargs)] {
        match dict {
            Some(Config::Dict(dict)) if !dict.is_empty() => {
                lines.push(format!("{name:<10} {}", Config::from(dict.clone())))
            }
            _ => {}
        }
    }
    let mode = if description.train { "training" } else { "evaluation" };
    let mut run = format!("run        seed {}, {:?} state, {mode} mode", description.seed, description.state);
    for name in &description.forward {
        if let Some(input) = case.tensors.get(&format!("in:{name}")) {
            run += &format!(", {name} {:?}", input.size());
        }
    }
    lines.push(run);
    if let Some(origin) = origin(file) {
        lines.push(format!("made by    {origin}"));
    }
    Ok(lines)
}

/// The module of a case, with the weights of its seed.
///
/// # Errors
/// Where it cannot be built.
pub fn module(case: &Case) -> Result<Box<dyn Module>> {
    Ok(replay::build(&case.description)?.1)
}

/// The inputs of a case.
///
/// # Errors
/// Where one is missing.
pub fn inputs(case: &Case) -> Result<Vec<Tensor>> {
    replay::fused_inputs(case, Device::Cpu)
}

/// The options of a case's forward pass.
///
/// # Errors
/// Where they are no dict.
pub fn options(case: &Case) -> Result<Dict> {
    case::dict_or_empty(case.description.forward_kwargs.as_ref())
}

fn caught(case: &Case, device: Device, form: Form) -> Result<()> {
    match catch_unwind(AssertUnwindSafe(|| replay::replay(case, device, form))) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(anyhow!("panicked: {}", text.unwrap_or_default()))
        }
    }
}
