//! Images in batches: the arguments, files and folders, and running a network on them.

mod prepare;
mod sources;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::Args;
use mmcv_cli::Failure;
use mmcv_cli::ordered::in_order;
use mmcv_cli::output::display;
use mmcv_models::Preprocess;
use tch::{Device, Tensor};

use crate::failure::TEXTS;
use crate::image::MAX_PIXELS;
use prepare::Chunk;

pub(crate) use prepare::{ImageOutput, Outcome, Preparation};
pub(crate) use sources::{Source, image_sources, output_files};

/// The default number of images in one forward pass, but for a network that is fused for the CPU.
pub(crate) const BATCH_SIZE: usize = 8;

/// The arguments for images.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// Images (PNG, JPEG, WebP or BMP), or folders, which are searched recursively.
    #[arg(required_unless_present = "list", value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// The number of images in one forward pass [default: 8; 1 for a network that is fused for the CPU, and for a list on the CPU].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: Option<u16>,
    /// The maximum number of pixels of an image. Larger images are refused before memory is allocated for them.
    #[arg(long, value_name = "N", default_value_t = MAX_PIXELS, value_parser = clap::value_parser!(u64).range(1..))]
    max_pixels: u64,
}

/// Runs a network on inputs of shape `[N, 3, H, W]`, in several threads at once.
pub(crate) type SharedForward<'a> = Arc<dyn Fn(&Tensor) -> Result<Vec<Tensor>> + Send + Sync + 'a>;

/// A network for batches of images.
pub(crate) trait BatchNetwork<'a> {
    /// Runs the network on inputs of shape `[N, 3, H, W]`.
    fn forward(&mut self, input: &Tensor) -> Result<Vec<Tensor>>;

    /// The same for several threads, if the network is for several.
    fn shared(&self) -> Option<SharedForward<'a>> {
        None
    }
}

/// What a command does with the outputs for each image.
pub(crate) trait BatchRunner<'a>: BatchNetwork<'a> {
    /// Handles the outputs for one image, whose index among the sources is `index`.
    fn handle(&mut self, index: usize, source: &Source, output: ImageOutput) -> Result<()>;
}

/// Numbers of images.
#[must_use]
pub(crate) struct ReadCounts {
    unreadable: usize,
    total: usize,
}

impl ImageArgs {
    /// The number of images in one forward pass: that of the arguments, or `default`.
    pub(crate) fn batch_size(&self, default: usize) -> usize {
        self.batch_size.map_or(default, usize::from)
    }

    /// The maximum number of pixels of an image.
    pub(crate) fn max_pixels(&self) -> u64 {
        self.max_pixels
    }

    /// [`image_sources`] of the arguments.
    pub(crate) fn sources(&self) -> Result<Vec<Source>> {
        image_sources(&self.images)
    }

    /// How images become inputs.
    pub(crate) fn preparation<'a>(&self, preprocess: &'a Preprocess, device: Device, draws: bool) -> Preparation<'a> {
        Preparation { preprocess, device, draws, max_pixels: self.max_pixels }
    }

    /// Runs a network on all images, in batches. All cores read images, and run the network if that is for several threads. If there
    /// are several images, those that cannot be read are skipped with a warning.
    pub(crate) fn run<'a>(
        &self,
        sources: &[Source],
        batch_size: usize,
        preparation: Preparation<'_>,
        runner: &mut impl BatchRunner<'a>,
    ) -> Result<ReadCounts> {
        let bar = mmcv_cli::progress::items(sources.len(), "images");
        let indexed: Vec<_> = sources.iter().enumerate().collect();
        let chunks = indexed.chunks(batch_size).map(<[_]>::to_vec);
        let threads = cores().min(chunks.len());
        let mut unreadable = 0;
        let file: FileOf<(usize, &Source)> = |(_, source)| Ok(&source.file);
        for_each(threads, chunks, file, preparation, runner, |runner, (index, source), outcome| {
            let error = match outcome {
                Outcome::Done(output) => {
                    bar.inc(1);
                    return runner.handle(index, source, output).with_context(|| display(&source.file));
                }
                Outcome::Unreadable(error) => error.context(display(&source.file)),
                Outcome::Failed(error) => return Err(error.context(display(&source.file))),
            };
            if sources.len() == 1 {
                return Err(error);
            }
            bar.suspend(|| log::warn!("{}", Failure::from(error).describe(&TEXTS)));
            unreadable += 1;
            Ok(())
        })?;
        bar.finish_and_clear();
        ensure!(unreadable < sources.len(), "none of the {} images could be read", sources.len());
        Ok(ReadCounts { unreadable, total: sources.len() })
    }
}

/// The path of an image, or the reason that there is none.
pub(crate) type FileOf<T> = fn(&T) -> Result<&Path, &str>;

/// Runs a network on chunks of images, and calls `handle` for each image, in order. `threads` threads read images, and run the network
/// if that is for several threads. Memory does not grow with the number of chunks.
///
/// Returns the first error of `handle`.
pub(crate) fn for_each<'a, T: Send, R: BatchNetwork<'a>>(
    threads: usize,
    chunks: impl Iterator<Item = Vec<T>> + Send,
    file: FileOf<T>,
    preparation: Preparation<'_>,
    network: &mut R,
    mut handle: impl FnMut(&mut R, T, Outcome) -> Result<()>,
) -> Result<()> {
    let _guard = tch::no_grad_guard();
    let shared = network.shared();
    let work = |tags| prepare_chunk(tags, file, preparation, shared.as_ref());
    in_order(threads, chunks, work, |chunk| {
        for (tag, outcome) in chunk.finish(preparation.device, network)? {
            handle(network, tag, outcome)?;
        }
        Ok(())
    })
}

/// What one of several threads does.
fn prepare_chunk<T>(
    tags: Vec<T>,
    file: FileOf<T>,
    preparation: Preparation<'_>,
    shared: Option<&SharedForward<'_>>,
) -> Chunk<T> {
    let _guard = tch::no_grad_guard();
    // For this thread: those that run the network have theirs already.
    tch::set_num_threads(1);
    let mut chunk = Chunk::read(tags, file, preparation);
    if let Some(forward) = shared {
        chunk.forward(forward, preparation.device);
    }
    chunk
}

/// How many threads this process should use beside others on the machine: as many as the launcher says, or else all.
pub(crate) fn process_threads() -> usize {
    let cores = cores();
    match std::env::var("OMP_NUM_THREADS").unwrap_or_default().parse::<usize>() {
        Ok(threads @ 1..) => threads.min(cores),
        _ => cores,
    }
}

/// How many threads the machine runs at the same time.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

impl ReadCounts {
    /// Returns an error if an image could not be read.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.unreadable == 0, "{} of {} images could not be read", self.unreadable, self.total);
        Ok(())
    }
}
