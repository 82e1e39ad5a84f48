//! `mmcv merge`: the results of several shards in one file.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::Failure;
use crate::output::{Stdout, create_parent, display, stdout_failure};
use crate::parts::{PartError, Parts, merge};

/// Merges the parts that `predict` and `features` wrote with --list and --shard: one record for each entry of the list, in its order.
///
/// Missing shards, parts of different runs, and parts that are incomplete or were changed are errors, which say what to run. The file
/// does not depend on the number of shards. Memory does not grow with the list.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv merge results/part-*.jsonl --output results.jsonl
  mmcv merge results/part-*.jsonl | gzip > results.jsonl.gz")]
pub struct Merge {
    /// The parts, in any order. Beside each lies the file PART.run, which was written with it.
    #[arg(required = true, value_name = "PART")]
    parts: Vec<PathBuf>,
    /// The file that is written; it gets its name once it is complete. `-` is stdout.
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

impl Merge {
    pub fn run(&self) -> Result<(), Failure> {
        let parts = Parts::open(&self.parts).map_err(anyhow::Error::from)?;
        if self.output.as_os_str() == "-" {
            let mut stdout = BufWriter::with_capacity(1 << 16, Stdout::lock());
            merge(&parts, &mut stdout, Path::new("stdout")).map_err(anyhow::Error::from)?;
            stdout.flush().map_err(stdout_failure)?;
        } else {
            self.write(&parts)?;
        }
        let entries = parts.entries();
        if parts.errors() > 0 {
            log::warn!("{} of {entries} records have an error in place of a result", parts.errors());
        }
        Ok(())
    }

    fn write(&self, parts: &Parts) -> Result<()> {
        if parts.contain(&self.output) {
            return Err(PartError::OutputIsPart { file: display(&self.output) }.into());
        }
        create_parent(&self.output)?;
        mmcv_pth::replace_file(&self.output, |temporary| write_to(parts, temporary, &self.output))
    }
}

fn write_to(parts: &Parts, temporary: &Path, name: &Path) -> Result<()> {
    let file = std::fs::OpenOptions::new().write(true).open(temporary)?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    merge(parts, &mut writer, name)?;
    writer.flush()?;
    Ok(())
}
