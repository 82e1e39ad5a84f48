//! The `mmcv` command with all its sub-commands, on libtorch: see `mmcv --help`. The program `mmcv` starts it for what needs
//! libtorch.

mod allocator;
mod args;
mod batch;
mod commands;
mod config;
mod crops;
mod draw;
mod failure;
mod image;
mod inference;
mod listed;
mod network;
mod origin;
mod placeholder;
mod quit;
mod weights;

use clap::Parser;

use commands::Command;

/// The CNN building blocks of MMCV, on libtorch.
#[derive(Debug, Parser)]
#[command(name = "mmcv", bin_name = "mmcv", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  mmcv predict model_zoo/configs/mobilenet_v2.yaml cat.jpg
  mmcv build model_zoo/configs/mobilenet_v2.yaml --input 1x3x224x224 --explain
  mmcv summary model_zoo/configs/mobilenet_v2.yaml --svg mobilenet_v2.svg
  mmcv layers ConvModule
  mmcv zoo fetch torchvision://mobilenet_v2
  mmcv ckpt inspect mobilenet_v2-b0353104.pth

Exit status: 0 success, 1 failure, 2 incorrect usage.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() {
    allocator::keep_freed_memory();
    mmcv_cli::start_logging();
    let status = mmcv_cli::run(std::env::args_os(), |arguments: Arguments| arguments.command.run(), &failure::TEXTS);
    quit::quit(status)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests fail by panicking")]

    use clap::{CommandFactory, Parser};

    use super::Arguments;

    /// The last `mmcv` command of an example, without pipes, redirections and remarks.
    fn arguments(example: &str) -> impl Iterator<Item = &str> {
        let command = example.rfind("mmcv ").map_or("", |start| &example[start..]);
        let end = ["  ", " && ", " | ", " > ", ")"].iter().filter_map(|end| command.find(end)).min();
        command[..end.unwrap_or(command.len())].split(' ')
    }

    fn check(command: &clap::Command, path: &str) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().filter_map(|line| line.strip_prefix("  "));
        let examples: Vec<_> = lines.filter(|line| line.contains("mmcv ")).collect();
        assert!(examples.iter().any(|example| example.contains(path)), "{path}: {help}");
        for example in examples {
            if let Err(error) = Arguments::try_parse_from(arguments(example)) {
                panic!("{path}: {example}: {error}");
            }
        }
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            check(sub, &format!("{path} {}", sub.get_name()));
        }
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        check(&Arguments::command(), "mmcv");
    }
}
