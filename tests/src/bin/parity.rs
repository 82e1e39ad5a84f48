//! `parity [--fuse] DIR...`: replays the cases in the folders, and exits with 1 where one failed or none was found. With
//! `--fuse` those in evaluation mode, with the modules in fused form; others are skipped.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use mmcv_tests::parity;

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line for each case and the totals; returns the number of cases that failed.
fn run() -> Result<usize> {
    // A panic fails its case; its text is part of the line.
    std::panic::set_hook(Box::new(|_| {}));
    let device = mmcv_tests::device()?;
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let (options, folders): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument == "--fuse");
    let fuse = !options.is_empty();
    for folder in folders {
        for file in parity::find(Path::new(&folder))? {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let outcome =
                if fuse { parity::replay_fused(&file, device) } else { parity::replay(&file, device).map(|()| None) };
            match outcome {
                Ok(Some(reason)) => {
                    skipped += 1;
                    println!("SKIP {name}: {reason}");
                }
                Ok(None) => {
                    passed += 1;
                    println!("PASS {name}");
                }
                Err(error) => {
                    failed += 1;
                    println!("FAIL {name}: {}", format!("{error:#}").replace('\n', " "));
                }
            }
        }
    }
    if fuse {
        println!("{skipped} skipped: training, expected errors, nothing run, numbers that depend on the last bits");
    }
    println!("{passed} passed, {failed} failed");
    ensure!(passed + failed > 0, "no case was found; give folders that hold NAME.json files");
    Ok(failed)
}
