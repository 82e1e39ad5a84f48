//! `cargo xtask bench-configs`: OpenMMLab's configs, read by mmengine and by `mmcv config`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::process::{cargo, output, run, stage};
use crate::setup::{Variant, ensure_libtorch};
use crate::workspace::{mmcv, root, target};

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The wheels with configs, one `name==version` a line; the first alone is enough for `--quick`.
const PACKAGES: &str = include_str!("packages.txt");

/// Compares `mmcv config` with mmengine on the configs in OpenMMLab's wheels: values and time.
///
/// Both read all files in one process each, and then one file from process start, in turns.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask bench-configs                       about 5,000 configs of 16 packages, in about 5 minutes
  cargo xtask bench-configs --quick               those of mmpretrain
  cargo xtask bench-configs --configs FOLDER --python ~/venv/bin/python

The first run downloads the wheels (15 MB) into target/bench/configs and installs mmengine there. The page is written to
target/bench/configs.md.")]
pub(crate) struct BenchConfigs {
    /// The configs of mmpretrain alone.
    #[arg(long)]
    quick: bool,
    /// A folder with the configs of packages, FOLDER/mmdet/.mim/configs, instead of the wheels.
    #[arg(long, value_name = "FOLDER")]
    configs: Option<PathBuf>,
    /// A Python with mmengine, instead of a new virtual environment.
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
}

impl BenchConfigs {
    pub(crate) fn run(self) -> Result<()> {
        let libtorch = ensure_libtorch(Variant::Cpu)?;
        stage("Building the mmcv command");
        run(cargo(&libtorch).args(["build", "--release", "--package", "mmcv-cli"]))?;
        let bench = target().join("bench");
        let folder = bench.join("configs");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let python = match self.python {
            Some(python) => python,
            None => environment(&folder)?,
        };
        let site = match self.configs {
            Some(site) => site,
            None => unpacked_packages(&folder, &python, self.quick)?,
        };
        stage("Reading the configs");
        let mut compare = Command::new(&python);
        compare.arg(script("compare.py")).arg("--mmcv").arg(mmcv()).arg("--site").arg(&site);
        let page = output(&mut compare)?;
        eprintln!("{page}");
        let file = bench.join("configs.md");
        fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
        stage(format_args!("Written: {}", file.display()));
        Ok(())
    }
}

fn script(name: &str) -> PathBuf {
    root().join("xtask/src/bench_configs").join(name)
}

/// The interpreter of a virtual environment in `folder` with mmengine, which is created if necessary.
fn environment(folder: &Path) -> Result<PathBuf> {
    let python = folder.join("venv/bin/python");
    let done = folder.join("venv/installed.txt");
    if fs::read_to_string(&done).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(python);
    }
    stage("Installing mmengine");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")))?;
    run(pip(&python).args(["install", "--requirement"]).arg(script("requirements.txt")))?;
    fs::write(&done, REQUIREMENTS).with_context(|| format!("cannot write {}", done.display()))?;
    Ok(python)
}

fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]);
    pip
}

/// The folder with the packages' configs, which are downloaded if necessary. Nothing of the packages is installed.
fn unpacked_packages(folder: &Path, python: &Path, quick: bool) -> Result<PathBuf> {
    let mut packages: Vec<&str> = PACKAGES.lines().collect();
    if quick {
        packages.truncate(1);
    }
    let site = folder.join(if quick { "site-quick" } else { "site" });
    let done = site.join("packages.txt");
    let wanted = packages.join("\n");
    if fs::read_to_string(&done).is_ok_and(|unpacked| unpacked == wanted) {
        return Ok(site);
    }
    stage("Downloading the configs");
    let wheels = folder.join("wheels");
    let download = ["download", "--no-deps", "--only-binary", ":all:", "--dest"];
    run(pip(python).args(download).arg(&wheels).args(&packages))?;
    run(Command::new(python).arg(script("unpack.py")).arg(&wheels).arg(&site).args(&packages))?;
    fs::write(&done, wanted).with_context(|| format!("cannot write {}", done.display()))?;
    Ok(site)
}
