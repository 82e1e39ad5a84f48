//! The Python environment of the other engines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Network, Setting};
use crate::process::{run, stage};
use crate::workspace::root;

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The interpreter of a virtual environment in `folder` with all packages, which is created if necessary.
pub(super) fn environment(folder: &Path) -> Result<PathBuf> {
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    let done = venv.join("installed.txt");
    if let Ok(installed) = fs::read_to_string(&done)
        && installed == REQUIREMENTS
    {
        return Ok(python);
    }
    stage("Installing PyTorch, ONNX Runtime and OpenVINO");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(Command::new(&python).args(pip).arg(root().join("xtask/src/bench/requirements.txt")))?;
    fs::write(&done, REQUIREMENTS).with_context(|| format!("cannot write {}", done.display()))?;
    Ok(python)
}

/// The script of the other engines.
pub(super) fn peer(setting: &Setting) -> Command {
    let mut command = Command::new(&setting.python);
    command.arg(root().join("xtask/src/bench/peer.py"));
    // Keeps compiled kernels from run to run.
    command.env("TORCHINDUCTOR_CACHE_DIR", setting.folder.join("inductor"));
    command
}

/// Exports the weights of all networks, and the networks for ONNX Runtime and OpenVINO, unless they are up to date.
pub(super) fn export(setting: &Setting, networks: &[Network], batches: &[u32]) -> Result<()> {
    let mut missing = Vec::new();
    for network in networks {
        // A copy of the exported file shows whether it has changed since.
        let source =
            fs::read_to_string(network.path()).with_context(|| format!("cannot read {}", network.path().display()))?;
        let copy = setting.folder.join(network.file).with_extension("yaml");
        let mut is_exported = fs::read_to_string(&copy).ok().as_ref() == Some(&source);
        for batch in batches {
            is_exported &= setting.folder.join(format!("{}-{batch}.onnx", network.file)).is_file();
        }
        if !is_exported {
            missing.push((network.path(), copy, source));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut export = peer(setting);
    export.arg("export").args(missing.iter().map(|(path, ..)| path)).arg("--folder").arg(&setting.folder);
    run(export.arg("--batch-size").args(batches.iter().map(u32::to_string)))?;
    for (_, copy, source) in missing {
        fs::write(&copy, source).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    Ok(())
}
