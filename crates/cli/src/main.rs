//! The `mmcv` command. What needs no libtorch runs here; `mmcv-torch`, which lies beside it, runs the rest: libtorch alone
//! takes a quarter of a second to load.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use mmcv_cli::commands::{ckpt, config, launch, merge, zoo};
use mmcv_cli::{Failure, failure};

#[derive(Debug, Parser)]
#[command(name = "mmcv", bin_name = "mmcv", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: WithoutTorch,
}

/// The commands that need no libtorch.
#[derive(Debug, Subcommand)]
enum WithoutTorch {
    #[command(subcommand)]
    Zoo(zoo::Files),
    #[command(subcommand)]
    Ckpt(ckpt::Ckpt),
    Config(config::ConfigCommand),
    Launch(launch::Launch),
    Merge(merge::Merge),
}

impl WithoutTorch {
    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Zoo(command) => command.run(),
            Self::Ckpt(command) => command.run(),
            Self::Config(command) => command.run(),
            Self::Launch(command) => command.run(),
            Self::Merge(command) => command.run(),
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if !is_known(arguments.get(1..).unwrap_or_default()) {
        return start_torch(arguments);
    }
    mmcv_cli::start_logging();
    ExitCode::from(mmcv_cli::run(arguments, |arguments: Arguments| arguments.command.run(), &failure::TEXTS))
}

/// Whether the arguments begin with a command of this program.
fn is_known(arguments: &[OsString]) -> bool {
    if matches!(arguments, [only] if only == "--version" || only == "-V") {
        return true;
    }
    let mut command = &Arguments::command();
    let mut names = arguments.iter();
    while command.has_subcommands() {
        match names.next().and_then(|name| command.find_subcommand(name)) {
            Some(subcommand) => command = subcommand,
            None => return false,
        }
    }
    true
}

/// The variable of glibc, which reads it before the first line of a program.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Lets glibc put tensors into pages of 2 MB, with which passes and training steps are 10 to 25 % faster, where the system gives them
/// to programs that ask. `None` if they are off, or the user has set the variable.
fn huge_pages() -> Option<&'static str> {
    if std::env::var_os(TUNABLES).is_some() {
        return None;
    }
    let modes = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok()?;
    modes.contains("[madvise]").then_some("glibc.malloc.hugetlb=1")
}

/// Replaces this process by `mmcv-torch` with the same arguments; it returns only if that fails.
fn start_torch(arguments: Vec<OsString>) -> ExitCode {
    let program = match std::env::current_exe() {
        Ok(program) => program.with_file_name("mmcv-torch"),
        Err(_) => PathBuf::from("mmcv-torch"),
    };
    let mut arguments = arguments.into_iter();
    let mut command = Command::new(&program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    if let Some(tunables) = huge_pages() {
        command.env(TUNABLES, tunables);
    }
    let error = command.args(arguments).exec();
    let failure = Failure::Text(format!(
        "cannot start {}: {error}: it comes with `mmcv` and has to lie beside it",
        mmcv_cli::output::display(&program)
    ));
    ExitCode::from(mmcv_cli::fail(&failure, &failure::TEXTS))
}
