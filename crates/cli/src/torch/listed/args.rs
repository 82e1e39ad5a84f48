//! The arguments for lists of images.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use mmcv_cli::list::{Earlier, ListSource};
use mmcv_cli::output::display;
use mmcv_cli::parts::{Opened, Output, Part, Sidecar, Totals, output};
use mmcv_cli::shard::{Shard, ShardChoice};
use mmcv_zoo::redact;

use super::sink::Sink;

/// Arguments for a list in place of images.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Takes images from a list, in any number: one path in each line, or one JSON object with `path` and perhaps `id`. `-` is stdin.
    /// Each becomes a record, one line of JSON; an image that cannot be read becomes one with `error`.
    #[arg(long, value_name = "FILE", conflicts_with = "images")]
    list: Option<PathBuf>,
    /// Computes one share of the list, I from 0 to N-1. `auto` takes both from torchrun, `mmcv launch`, Slurm, Open MPI or AWS Batch;
    /// auto/N takes I from a Kubernetes indexed job, too.
    #[arg(long, value_name = "I/N", requires = "list", conflicts_with = "images")]
    shard: Option<ShardChoice>,
    /// The file for the records, which gets its name once it is complete; a folder for files part-00003-of-00008.jsonl; or a name with
    /// {shard} and {shards}, such as {shard:05} [default: stdout].
    #[arg(long, value_name = "FILE", requires = "list", conflicts_with = "images")]
    output: Option<PathBuf>,
    /// Leaves an output that is complete, and continues one that is not.
    #[arg(long, requires = "output", conflicts_with = "images")]
    resume: bool,
}

/// A list of images, and where the records are written to.
pub(crate) struct Listed {
    pub(super) source: ListSource,
    pub(super) shard: Shard,
    output: Output,
    /// The arguments of the command, for another shard of the same run.
    command: Vec<String>,
    resume: bool,
}

/// An output, and the records that it has from an earlier run.
pub(crate) struct Target {
    pub(super) sink: Sink,
    pub(super) earlier: Earlier,
}

impl ListArgs {
    /// Whether several processes share a machine, so that each takes the device with its number.
    pub(crate) fn is_auto(&self) -> bool {
        matches!(self.shard, Some(ShardChoice::Auto(_)))
    }

    /// The list, if there is one.
    pub(crate) fn read(&self) -> Result<Option<Listed>> {
        let Some(list) = &self.list else { return Ok(None) };
        let shard = match self.shard {
            Some(choice) => choice.resolve()?,
            None => Shard::WHOLE,
        };
        let pattern = self.output.as_deref().unwrap_or(Path::new("-"));
        let output = output(pattern, shard, self.is_auto())?;
        // A name without a number is for this shard alone.
        let is_own = shard.count > 1 && matches!(&output, Output::File(path) if path == pattern);
        let command = command_line(if is_own { Some(pattern) } else { None });
        Ok(Some(Listed { source: ListSource::new(list), shard, output, command, resume: self.resume }))
    }
}

impl Listed {
    /// Opens the output. Returns `None` if it is complete, which is reported on stderr.
    ///
    /// `settings` are what the records depend on besides the list; `block` images are computed together.
    pub(crate) fn open(&self, settings: BTreeMap<String, String>, block: u64) -> Result<Option<Target>> {
        let Output::File(path) = &self.output else {
            return Ok(Some(Target { sink: Sink::stdout(), earlier: Earlier::default() }));
        };
        let sidecar = Sidecar::new(self.shard, block, settings, self.command.clone());
        match Part::open(path, sidecar, self.resume)? {
            Opened::Open(part, earlier) => Ok(Some(Target { sink: Sink::Part(part), earlier })),
            Opened::Complete(totals) => {
                self.check_list(path, &totals)?;
                let Totals { records, errors, .. } = totals;
                // If stderr is closed, there is nowhere to report that.
                let _ = writeln!(
                    std::io::stderr(),
                    "{} is complete: {records} records, {errors} of them with an error",
                    display(path)
                );
                Ok(None)
            }
        }
    }

    /// Checks that a complete output is of this list.
    fn check_list(&self, path: &Path, totals: &Totals) -> Result<()> {
        let end = self.source.end()?;
        if (&end.sha256, end.entries) != (&totals.list_sha256, totals.entries) {
            anyhow::bail!(
                "--resume: {} is complete, and was written for another list, of {} entries; use another --output, or leave out --resume \
                 to replace it",
                display(path),
                totals.entries
            );
        }
        Ok(())
    }
}

/// The arguments of this command, without passwords; `FILE` in place of `own`, the output of this shard.
fn command_line(own: Option<&Path>) -> Vec<String> {
    let mut arguments = Vec::new();
    for argument in std::env::args_os().skip(1) {
        let text = argument.to_string_lossy();
        let is_own = own.is_some_and(|own| text.strip_prefix("--output=").unwrap_or(&text) == own.to_string_lossy());
        arguments.push(match is_own {
            true if text.starts_with("--output=") => "--output=FILE".to_owned(),
            true => "FILE".to_owned(),
            false if text.contains("://") => redact(&text),
            false => text.into_owned(),
        });
    }
    arguments
}
