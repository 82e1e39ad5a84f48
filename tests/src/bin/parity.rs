//! `parity [--fuse [--winograd] | --onnx FOLDER] [--filter TEXT] PATH...`: replays parity cases, and exits with 1 if one failed or none was found.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use mmcv::fuse::WinogradUse;
use mmcv_tests::parity;
use tch::Device;

/// Replays parity cases.
#[derive(Debug, Parser)]
struct Options {
    /// Only the cases in evaluation mode, with the modules in fused form.
    #[arg(long)]
    fuse: bool,

    /// In fused form, all convolutions by Winograd's algorithm that can be.
    #[arg(long, requires = "fuse")]
    winograd: bool,

    /// Writes the modules of the cases, in evaluation mode, to a folder as ONNX files, for `tests/onnx/run.py`.
    #[arg(long, value_name = "FOLDER", conflicts_with = "fuse")]
    onnx: Option<PathBuf>,

    /// Only the cases whose `GROUP/NAME` contains this text.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Cases, and folders of cases.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

#[derive(Debug, Default)]
struct Totals {
    passed: usize,
    failed: usize,
    skipped: usize,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(Totals { failed: 0, .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line for each case, details of those that failed, and the totals.
fn run(options: &Options) -> Result<Totals> {
    // A panic fails its case; its text is part of the line.
    std::panic::set_hook(Box::new(|_| {}));
    let device = mmcv_tests::device()?;
    if let Some(folder) = &options.onnx {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let mut totals = Totals::default();
    for path in &options.paths {
        for file in parity::find(path)? {
            if is_selected(&file, options) {
                replay(&file, device, options, &mut totals);
            }
        }
    }
    let Totals { passed, failed, skipped } = totals;
    if options.fuse || options.onnx.is_some() {
        println!("{skipped} skipped: training, expected errors, nothing run, numbers that depend on the last bits");
    }
    println!("{passed} passed, {failed} failed");
    ensure!(passed + failed > 0, "no case was found; give NAME.json files or folders of them, and check --filter");
    Ok(totals)
}

fn is_selected(file: &Path, options: &Options) -> bool {
    let Some(text) = &options.filter else { return true };
    let group = file.parent().and_then(Path::file_name).unwrap_or_default();
    format!("{}/{}", group.display(), case_name(file)).contains(text)
}

fn case_name(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn replay(file: &Path, device: Device, options: &Options, totals: &mut Totals) {
    let name = case_name(file);
    let winograd = if options.winograd { WinogradUse::Always } else { WinogradUse::Auto };
    let outcome = if let Some(folder) = &options.onnx {
        parity::export(file, device, folder)
    } else if options.fuse {
        parity::replay_fused(file, device, winograd)
    } else {
        parity::replay(file, device).map(|()| None)
    };
    match outcome {
        Ok(Some(reason)) => {
            totals.skipped += 1;
            println!("SKIP {name}: {reason}");
        }
        Ok(None) => {
            totals.passed += 1;
            println!("PASS {name}");
        }
        Err(error) => {
            totals.failed += 1;
            println!("FAIL {name}: {}", format!("{error:#}").replace('\n', " "));
            for line in parity::details(file).unwrap_or_default() {
                println!("     {line}");
            }
        }
    }
}
