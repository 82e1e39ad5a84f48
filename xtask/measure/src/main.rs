//! Measures the sources of the workspace and checks the house rules that need a parser; `cargo xtask measure` starts it.
//!
//! It is a package of its own so that `xtask`, which is compiled before anything else, needs no parser.
#![allow(clippy::print_stderr)]

mod items;
mod measures;
mod rules;
mod source;
mod table;
mod tally;
mod tokens;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use tally::Tally;

/// Measures library and binary code: in-file tests, tests, benches and examples are left out.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask measure")]
struct Arguments {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    /// Measures another checkout, without checking it against the limits.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let here = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let root = arguments.root.as_ref().unwrap_or(&here);
    let sources = source::read_all(root)?;
    let mut packages: BTreeMap<String, Tally> = BTreeMap::new();
    let mut total = Tally::default();
    for source in &sources {
        let tally = Tally::of(source)?;
        packages.entry(source.package.clone()).or_default().add(&tally);
        total.add(&tally);
    }
    let packages: Vec<(String, Tally)> = packages.into_iter().collect();
    let text = if arguments.json { table::json(&packages, &total)? + "\n" } else { table::text(&packages, &total) };
    // A closed pipe, as of `| head`, is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if arguments.root.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    let rules = rules::check(&sources);
    for note in rules.slack {
        eprintln!("note: {note}");
    }
    let mut problems = measures::problems(&total);
    problems.extend(rules.problems);
    for problem in &problems {
        eprintln!("error: {problem}");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
