//! The Python environment of the other engines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{NETWORKS, Network, Setting};
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
    stage("Installing PyTorch and the other engines");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let requirements = root().join("xtask/src/bench/requirements.txt");
    if run(pip(&python).arg("--requirement").arg(&requirements)).is_err() {
        // Some engines have no package for this machine; the others are installed without them.
        for package in packages() {
            if run(pip(&python).arg(package).arg("--constraint").arg(&requirements)).is_err() {
                stage(format_args!("{package} is left out: it cannot be installed"));
            }
        }
    }
    fs::write(&done, REQUIREMENTS).with_context(|| format!("cannot write {}", done.display()))?;
    Ok(python)
}

fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip
}

/// The packages in the list of requirements.
fn packages() -> Vec<&'static str> {
    let mut packages: Vec<&str> = REQUIREMENTS.lines().collect();
    packages.retain(|line| !line.is_empty() && !line.starts_with('#'));
    packages
}

/// The script of the other engines.
pub(super) fn peer(setting: &Setting) -> Command {
    let mut command = Command::new(&setting.python);
    command.arg(root().join("xtask/src/bench/peer"));
    // Keeps compiled kernels from run to run, and compiled scripts out of the sources.
    command.env("TORCHINDUCTOR_CACHE_DIR", setting.folder.join("inductor")).env("PYTHONDONTWRITEBYTECODE", "1");
    // As `mmcv` does for itself.
    command.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
    command
}

/// Exports these networks with inputs of these shapes, with weights, images and scores, unless they are up to date.
pub(super) fn export(setting: &Setting, exports: &[(Network, String)]) -> Result<()> {
    for network in NETWORKS {
        let mut shapes: Vec<String> = Vec::new();
        for (exported, shape) in exports {
            if *exported == network && !shapes.contains(shape) {
                shapes.push(shape.clone());
            }
        }
        if !shapes.is_empty() {
            export_network(setting, network, shapes)?;
        }
    }
    Ok(())
}

fn export_network(setting: &Setting, network: Network, mut shapes: Vec<String>) -> Result<()> {
    let folder = setting.network_folder(network);
    let source =
        fs::read_to_string(network.path()).with_context(|| format!("cannot read {}", network.path().display()))?;
    // A copy of the exported file shows whether it has changed since.
    let copy = folder.join("network.yaml");
    if fs::read_to_string(&copy).ok().as_ref() == Some(&source) {
        shapes.retain(|shape| !folder.join(format!("{shape}.scores")).is_file());
    } else if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    if shapes.is_empty() {
        return Ok(());
    }
    stage(format_args!("Exporting {}", network.title));
    let mut export = peer(setting);
    export.arg("export").arg(network.path()).arg("--folder").arg(&folder).arg("--shapes").args(shapes);
    run(&mut export)?;
    fs::write(&copy, source).with_context(|| format!("cannot write {}", copy.display()))
}
