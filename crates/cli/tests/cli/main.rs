//! The real `mmcv` binary: what it prints, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod bench;
mod build;
mod ckpt;
mod config;
mod doctor;
mod export;
mod images;
mod launch;
mod layers;
mod listed;
mod networks;
mod predict;
mod projects;
mod quantize;
mod server;
mod usage;
mod weights;
mod zoo;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A small classifier of five classes, without weights.
const CLASSIFIER: &str = "model:
  type: ImageClassifier
  backbone: {type: ResNet, depth: 18, base_channels: 8, stem_channels: 8}
  neck: {type: GlobalAveragePooling}
  head: {type: LinearClsHead, num_classes: 5, in_channels: 64}
preprocess: {crop_size: 64, resize_edge: 64, mean: [120, 120, 120], std: [60, 60, 60]}
classes: [a, b, c, d, e]
";

/// The command in a clean environment with `home` as cache folder. Loopback is reached without a proxy.
fn mmcv(home: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mmcv"));
    command.args(arguments).env_clear().env("MMCV_HOME", home).stdin(Stdio::null());
    for kept in ["LD_LIBRARY_PATH", "PATH"] {
        command.envs(std::env::var_os(kept).map(|value| (kept, value)));
    }
    command
}

/// What a finished command said; it must have ended by itself and without a panic.
#[derive(Debug)]
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    fn by(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let said = Self { code: status.code().expect("no signal"), stdout, stderr };
        assert!((0..=2).contains(&said.code) && !said.stderr.contains("panicked"), "{said:?}");
        said
    }

    /// The output of a command that did its work.
    fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    /// The message of a command that failed, of which nothing may be on stdout.
    fn failed(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (1, ""), "{self:?}");
        assert!(self.stderr.lines().any(|line| line.starts_with("error: ")), "{self:?}");
        self.stderr
    }
}

/// Runs the command in a fresh cache folder.
fn run<const N: usize>(arguments: [&str; N]) -> Said {
    let home = tempfile::tempdir().unwrap();
    Said::by(&mut mmcv(home.path(), arguments))
}
