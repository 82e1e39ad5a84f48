//! Images in batches: the arguments, files and folders, and running a network on them.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use image::RgbImage;
use mmcv_cli::Failure;
use mmcv_cli::output::display;
use mmcv_models::{ExifOrientation, Preprocess};
use tch::{Device, Tensor};

use crate::draw;
use crate::failure::TEXTS;
use crate::image::{MAX_PIXELS, ReadOptions, read, to_tensor};

/// File extensions of the images in folders.
const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];

/// The default number of images in one forward pass, but for a network that is fused for the CPU.
pub(crate) const BATCH_SIZE: usize = 8;

/// The arguments for images.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// Images (PNG, JPEG, WebP or BMP), or folders, which are searched recursively.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// The number of images in one forward pass [default: 8; 1 for a network that is fused for the CPU].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: Option<u16>,
    /// The maximum number of pixels of an image. Larger images are refused before memory is allocated for them.
    #[arg(long, value_name = "N", default_value_t = MAX_PIXELS, value_parser = clap::value_parser!(u64).range(1..))]
    max_pixels: u64,
}

/// An image file.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: PathBuf,
    /// The path inside the folder that was named on the command line, or the file name.
    relative: PathBuf,
}

/// How images become inputs.
#[derive(Clone, Copy)]
pub(crate) struct Preparation<'a> {
    pub(crate) preprocess: &'a Preprocess,
    /// The device of the network.
    pub(crate) device: Device,
    /// Whether results are drawn beside the images.
    pub(crate) draws: bool,
}

/// The outputs for one image.
pub(crate) struct ImageOutput<'a> {
    /// The index of the image among the sources.
    pub(crate) index: usize,
    pub(crate) source: &'a Source,
    /// The image at the size of drawings, if [`Preparation::draws`].
    pub(crate) thumbnail: Option<&'a RgbImage>,
    /// `[1, ...]` each.
    pub(crate) outputs: Vec<Tensor>,
}

/// Runs a network on inputs of shape `[N, 3, H, W]`, in several threads at once.
pub(crate) type SharedForward<'a> = Arc<dyn Fn(&Tensor) -> Result<Vec<Tensor>> + Send + Sync + 'a>;

/// What a command does with batches of inputs and with the outputs for each image.
pub(crate) trait BatchRunner<'a> {
    /// Runs the network on inputs of shape `[N, 3, H, W]`.
    fn forward(&mut self, input: &Tensor) -> Result<Vec<Tensor>>;

    /// The same for several threads, if the network is for several.
    fn shared(&self) -> Option<SharedForward<'a>> {
        None
    }

    /// Handles the outputs for one image.
    fn handle(&mut self, output: ImageOutput<'_>) -> Result<()>;
}

/// An image that is ready for the network.
struct Prepared<'a> {
    index: usize,
    source: &'a Source,
    /// `[1, 3, H, W]`.
    input: Tensor,
    thumbnail: Option<RgbImage>,
}

/// Consecutive images, read by one thread.
#[derive(Default)]
struct Chunk<'a> {
    /// Images of one size each.
    batches: Vec<Batch<'a>>,
    /// Why others could not be read.
    unreadable: Vec<anyhow::Error>,
}

/// Images of one size.
struct Batch<'a> {
    images: Vec<Prepared<'a>>,
    /// The outputs for all images, if the thread that read the images runs the network too.
    outputs: Option<Result<Vec<Tensor>>>,
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

    /// [`image_sources`] of the arguments.
    pub(crate) fn sources(&self) -> Result<Vec<Source>> {
        image_sources(&self.images)
    }

    /// Runs a network on all images, in batches. All cores read images, and run the network if that is for several threads. If there
    /// are several images, those that cannot be read are skipped with a warning.
    pub(crate) fn run<'a>(
        &self,
        sources: &'a [Source],
        batch_size: usize,
        preparation: Preparation<'_>,
        runner: &mut impl BatchRunner<'a>,
    ) -> Result<ReadCounts> {
        let _guard = tch::no_grad_guard();
        let bar = mmcv_cli::progress::items(sources.len(), "images");
        let shared = runner.shared();
        let indexed: Vec<_> = sources.iter().enumerate().collect();
        let chunks: Vec<_> = indexed.chunks(batch_size).collect();
        let count = cores().min(chunks.len());
        let mut unreadable = 0;
        thread::scope(|scope| {
            let mut receivers = Vec::new();
            for first in 0..count {
                // A thread is at most one chunk ahead, so that memory does not grow with the number of images.
                let (sender, receiver) = sync_channel(1);
                let (chunks, forward) = (chunks.iter().skip(first).step_by(count), shared.clone());
                scope.spawn(move || self.prepare_all(chunks, preparation, forward, &sender));
                receivers.push(receiver);
            }
            for receiver in receivers.iter().cycle().take(chunks.len()) {
                let chunk = receiver.recv().context("a thread that reads images has ended")?;
                for error in chunk.unreadable {
                    if sources.len() == 1 {
                        return Err(error);
                    }
                    bar.suspend(|| log::warn!("{}", Failure::from(error).describe(&TEXTS)));
                    unreadable += 1;
                }
                for batch in chunk.batches {
                    bar.inc(batch.images.len() as u64);
                    finish(batch, preparation.device, runner)?;
                }
            }
            Ok(())
        })?;
        bar.finish_and_clear();
        ensure!(unreadable < sources.len(), "none of the {} images could be read", sources.len());
        Ok(ReadCounts { unreadable, total: sources.len() })
    }

    /// Sends chunks of images when they are ready, until nobody wants more.
    fn prepare_all<'a: 'b, 'b>(
        &self,
        chunks: impl Iterator<Item = &'b &'b [(usize, &'a Source)]>,
        preparation: Preparation<'_>,
        forward: Option<SharedForward<'_>>,
        sender: &SyncSender<Chunk<'a>>,
    ) {
        let _guard = tch::no_grad_guard();
        // For this thread: those that run the network have theirs already.
        tch::set_num_threads(1);
        for images in chunks {
            let mut chunk = self.prepare_chunk(images, preparation);
            if let Some(forward) = &forward {
                for Batch { images, outputs } in &mut chunk.batches {
                    *outputs = Some(joined(images, preparation.device).and_then(|input| forward(&input)));
                }
            }
            if sender.send(chunk).is_err() {
                return;
            }
        }
    }

    fn prepare_chunk<'a>(&self, images: &[(usize, &'a Source)], preparation: Preparation<'_>) -> Chunk<'a> {
        let mut chunk = Chunk::default();
        for &(index, source) in images {
            match self.prepare(index, source, preparation).with_context(|| display(&source.file)) {
                Ok(prepared) => chunk.add(prepared),
                Err(error) => chunk.unreadable.push(error),
            }
        }
        chunk
    }

    /// Reads and preprocesses an image. The decoded image is dropped before the next one is read.
    fn prepare<'a>(&self, index: usize, source: &'a Source, preparation: Preparation<'_>) -> Result<Prepared<'a>> {
        let apply_orientation = preparation.preprocess.exif == ExifOrientation::Apply;
        let image = read(&source.file, ReadOptions { apply_orientation, max_pixels: self.max_pixels })?;
        let thumbnail = if preparation.draws { Some(draw::thumbnail(&image)?) } else { None };
        let pixels = to_tensor(&image)?;
        drop(image);
        Ok(Prepared { index, source, input: preparation.preprocess.apply(&pixels)?, thumbnail })
    }
}

impl<'a> Chunk<'a> {
    /// Without a crop size, only consecutive images of the same size share a batch.
    fn add(&mut self, prepared: Prepared<'a>) {
        if let Some(Batch { images, .. }) = self.batches.last_mut()
            && images.first().is_some_and(|first| first.input.size() == prepared.input.size())
        {
            images.push(prepared);
        } else {
            self.batches.push(Batch { images: vec![prepared], outputs: None });
        }
    }
}

/// Runs the network on a batch, unless that was done, and handles the outputs.
fn finish<'a>(batch: Batch<'_>, device: Device, runner: &mut impl BatchRunner<'a>) -> Result<()> {
    let Batch { images, outputs } = batch;
    let Some(first) = images.first() else { return Ok(()) };
    let outputs = match outputs {
        Some(outputs) => outputs,
        None => joined(&images, device).and_then(|input| runner.forward(&input)),
    }
    .with_context(|| display(&first.source.file))?;
    for (row, prepared) in (0..).zip(&images) {
        let Prepared { index, source, thumbnail, .. } = prepared;
        let outputs = outputs.iter().map(|output| output.f_narrow(0, row, 1)).collect::<Result<_, _>>()?;
        let output = ImageOutput { index: *index, source, thumbnail: thumbnail.as_ref(), outputs };
        runner.handle(output).with_context(|| display(&source.file))?;
    }
    Ok(())
}

/// The inputs of all images in one tensor.
fn joined(images: &[Prepared<'_>], device: Device) -> Result<Tensor> {
    let inputs: Vec<&Tensor> = images.iter().map(|prepared| &prepared.input).collect();
    Ok(Tensor::f_cat(&inputs, 0)?.f_to_device(device)?)
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

/// The images; those of a folder are sorted by name.
pub(crate) fn image_sources(images: &[PathBuf]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for image in images {
        if !image.is_dir() {
            let relative = image.file_name().unwrap_or_default().into();
            sources.push(Source { file: image.clone(), relative });
            continue;
        }
        let before = sources.len();
        collect_images(image, image, &mut sources)
            .with_context(|| format!("{}: cannot read the folder", display(image)))?;
        if sources.len() == before {
            let extensions = EXTENSIONS.map(|extension| format!(".{extension}")).join(", ");
            bail!("{}: the folder contains no images: expected {extensions}", display(image));
        }
    }
    Ok(sources)
}

/// Collects the images below a folder. Symbolic links to folders are not followed, since they may form a cycle.
fn collect_images(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let file = entry.path();
        if entry.file_type()?.is_dir() {
            collect_images(root, &file, sources)?;
        } else if has_image_extension(&file) && file.is_file() {
            let relative = file.strip_prefix(root).unwrap_or(&file).to_owned();
            sources.push(Source { file, relative });
        }
    }
    Ok(())
}

fn has_image_extension(file: &Path) -> bool {
    let Some(extension) = file.extension() else { return false };
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// The output file for each image: `out` itself for a single image, otherwise a file in the folder `out` with the name of the
/// image and another extension.
///
/// Returns an error if two images have the same output file.
pub(crate) fn output_files(out: &Path, sources: &[Source], extension: &str) -> Result<Vec<PathBuf>> {
    if sources.len() == 1 && !out.is_dir() {
        return Ok(vec![out.to_owned()]);
    }
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    for source in sources {
        let file = out.join(source.relative.with_extension(extension));
        if !seen.insert(file.clone()) {
            bail!("{}: several images would be written to this file: process them one by one", display(&file));
        }
        files.push(file);
    }
    Ok(files)
}
