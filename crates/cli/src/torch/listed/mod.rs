//! Predictions and features of the images of a list, of which several processes may share the work.
//!
//! Numbers do not depend on the number of shards: consecutive images of the list are computed together, the same ones in any shard, and
//! whether the network is fused does not depend on how many there are.

mod args;
mod settings;
mod sink;

use std::path::Path;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use mmcv_cli::list::{Blocks, Entry, Record};
use mmcv_cli::progress::ListProgressBar;
use serde::Serialize;
use tch::Tensor;

use crate::batch::{BatchNetwork, FileOf, Outcome, Preparation, for_each};
use crate::failure::one_line;
use sink::{ReaderGone, Sink};

pub(crate) use args::{ListArgs, Listed, Target};
pub(crate) use settings::Settings;

/// What a command does with the outputs for each image of a list.
pub(crate) trait Recorder<'a>: BatchNetwork<'a> {
    /// What is in the record of an image.
    type Result: Serialize;

    /// The result for one image, from outputs `[1, ...]`.
    fn result(&self, outputs: &[Tensor]) -> Result<Self::Result>;
}

impl Listed {
    /// Runs a network on the images of the shard, in blocks of `block` images of the list. `threads` threads read images.
    pub(crate) fn run<'a>(
        &self,
        target: Target,
        block: u64,
        threads: usize,
        preparation: Preparation<'_>,
        recorder: &mut impl Recorder<'a>,
    ) -> Result<()> {
        let Target { mut sink, earlier } = target;
        let blocks = Blocks::start(&self.source, self.shard, block, earlier)?;
        let progress = blocks.progress();
        let bar = ListProgressBar::new(progress.size);
        let has_fixed_size = preparation.preprocess.output_size().is_some();
        let mut list_error = None;
        let entries = blocks.map_while(|block| match block {
            Ok(entries) => Some(entries),
            Err(error) => {
                list_error = Some(error);
                None
            }
        });
        let file: FileOf<Entry> = path;
        let done = for_each(threads, entries, file, preparation, recorder, |recorder, entry, outcome| {
            let written = write(&mut sink, recorder, &entry, outcome, has_fixed_size);
            if written.is_err() {
                // The list may be one that does not end.
                progress.stop.store(true, Ordering::Relaxed);
            }
            bar.set(progress.position.load(Ordering::Relaxed), sink.counts().0);
            written
        });
        bar.finish();
        match done {
            Err(error) if error.is::<ReaderGone>() => return Ok(()),
            done => done?,
        }
        if let Some(error) = list_error {
            return Err(error.into());
        }
        let end = progress.end.get().context("the list was not read to its end")?;
        let (records, errors) = sink.counts();
        sink.finish(end)?;
        if errors > 0 {
            log::warn!("{errors} of {records} records have an error in place of a result");
        }
        Ok(())
    }
}

fn path(entry: &Entry) -> Result<&Path, &str> {
    match &entry.item {
        Ok(item) => Ok(&item.path),
        Err(reason) => Err(reason),
    }
}

/// Writes the record of an image.
///
/// Returns an error if the network failed, unless that may be because of the size of the image.
fn write<'a, R: Recorder<'a>>(
    sink: &mut Sink,
    recorder: &R,
    entry: &Entry,
    outcome: Outcome,
    has_fixed_size: bool,
) -> Result<()> {
    let (result, reason);
    let record = match outcome {
        Outcome::Done(output) => {
            result = recorder.result(&output.outputs).with_context(|| name(entry))?;
            Record::new(entry, Ok(&result))
        }
        Outcome::Failed(error) if has_fixed_size => return Err(error.context(name(entry))),
        Outcome::Unreadable(error) | Outcome::Failed(error) => {
            reason = one_line(&error);
            Record::new(entry, Err(&reason))
        }
    };
    sink.write(&record.line()?, record.is_error())
}

fn name(entry: &Entry) -> String {
    match &entry.item {
        Ok(item) => mmcv_cli::output::display(&item.path),
        Err(_) => format!("entry {} of the list", entry.index),
    }
}
