//! A test helper: a small `mmcv zoo` that needs no libtorch, so that the tests can run several processes and kill them.
//!
//! `list --json`, `fetch X [--sha256 HEX] [--no-verify]`, `path [X]`, `import X FILE`.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mmcv_zoo::{Error, ErrorKind, FetchOptions, Zoo};

const USAGE: &str =
    "usage: zoo_test_command list --json | fetch X [--sha256 HEX] [--no-verify] | path [X] | import X FILE";

/// Shows warnings as the real command does.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn && metadata.target().starts_with("mmcv")
    }
    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("warning: {}", record.args());
        }
    }
    fn flush(&self) {}
}

fn main() -> ExitCode {
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["list", "--json"] => list(),
        ["path"] => Zoo::from_env().map(|zoo| zoo.home().to_owned()).map(line),
        ["path", name] => Zoo::from_env().and_then(|zoo| zoo.path(name)).map(line),
        ["import", name, file] => import(name, Path::new(file)).map(line),
        ["fetch", name, flags @ ..] => match options(flags) {
            Some(options) => Zoo::from_env().and_then(|zoo| zoo.fetch(name, &options)).map(line),
            None => return usage(),
        },
        _ => return usage(),
    };
    match result {
        Ok(output) if std::io::stdout().write_all(&output).is_ok() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}{}", error.report(), hint(&error));
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

/// What the user can do about an error.
fn hint(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::NoDigest { .. } => "; use `--sha256 HEX` or `--no-verify`",
        _ => "",
    }
}

fn options(flags: &[&str]) -> Option<FetchOptions<'static>> {
    let mut options = FetchOptions::default();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        match *flag {
            "--no-verify" => options.no_verify = true,
            "--sha256" => options.sha256 = Some(flags.next()?.parse().ok()?),
            _ => return None,
        }
    }
    Some(options)
}

fn list() -> Result<Vec<u8>, Error> {
    let map: serde_json::Map<_, _> = Zoo::from_env()?.list()?.into_iter().collect();
    Ok(format!("{:#}\n", serde_json::Value::Object(map)).into_bytes())
}

fn import(name: &str, file: &Path) -> Result<PathBuf, Error> {
    Zoo::from_env()?.import(name, file, &FetchOptions::default())
}

fn line(path: PathBuf) -> Vec<u8> {
    let mut bytes = path.into_os_string().into_encoded_bytes();
    bytes.push(b'\n');
    bytes
}
