//! `parity DIR...`: replays the cases in the folders, and exits with 1 where one failed or none was found.
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
    let (mut passed, mut failed) = (0, 0);
    for folder in std::env::args().skip(1) {
        for file in parity::find(Path::new(&folder))? {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match parity::replay(&file, device) {
                Ok(()) => {
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
    println!("{passed} passed, {failed} failed");
    ensure!(passed + failed > 0, "no case was found; give folders that hold NAME.json files");
    Ok(failed)
}
