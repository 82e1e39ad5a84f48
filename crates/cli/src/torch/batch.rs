//! Images in batches: the arguments, files and folders, and running a network on them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

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

/// The arguments for images.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// Images (PNG, JPEG, WebP or BMP), or folders, which are searched recursively.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// The number of images in one forward pass.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch_size: u16,
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

/// What a command does with batches of inputs and with the outputs for each image.
pub(crate) trait BatchRunner {
    /// Runs the network on inputs of shape `[N, 3, H, W]`.
    fn forward(&mut self, input: &Tensor) -> Result<Vec<Tensor>>;

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

/// Numbers of images.
#[must_use]
pub(crate) struct ReadCounts {
    unreadable: usize,
    total: usize,
}

impl ImageArgs {
    /// The images; those of a folder are sorted by name.
    pub(crate) fn sources(&self) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        for image in &self.images {
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

    /// Runs a network on all images, in batches. If there are several images, those that cannot be read are skipped with a
    /// warning.
    pub(crate) fn run(
        &self,
        sources: &[Source],
        preparation: Preparation<'_>,
        runner: &mut impl BatchRunner,
    ) -> Result<ReadCounts> {
        let _guard = tch::no_grad_guard();
        let bar = mmcv_cli::progress::items(sources.len(), "images");
        let indexed: Vec<_> = sources.iter().enumerate().collect();
        let mut unreadable = 0;
        for chunk in indexed.chunks(usize::from(self.batch_size)) {
            let mut batch = Vec::new();
            for &(index, source) in chunk {
                match self.prepare(index, source, preparation).with_context(|| display(&source.file)) {
                    Ok(prepared) => batch.push(prepared),
                    Err(error) if sources.len() == 1 => return Err(error),
                    Err(error) => {
                        bar.suspend(|| log::warn!("{}", Failure::from(error).describe(&TEXTS)));
                        unreadable += 1;
                    }
                }
            }
            // Without a crop size, only consecutive images of the same size share a batch.
            for batch in batch.chunk_by(|left, right| left.input.size() == right.input.size()) {
                run_batch(batch, preparation.device, runner)?;
                bar.inc(batch.len() as u64);
            }
        }
        bar.finish_and_clear();
        ensure!(unreadable < sources.len(), "none of the {} images could be read", sources.len());
        Ok(ReadCounts { unreadable, total: sources.len() })
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

/// Runs a network on images of the same size.
fn run_batch(batch: &[Prepared<'_>], device: Device, runner: &mut impl BatchRunner) -> Result<()> {
    let Some(first) = batch.first() else { return Ok(()) };
    let outputs = forward(batch, device, runner).with_context(|| display(&first.source.file))?;
    for (row, prepared) in (0..).zip(batch) {
        let Prepared { index, source, thumbnail, .. } = prepared;
        let outputs = outputs.iter().map(|output| output.f_narrow(0, row, 1)).collect::<Result<_, _>>()?;
        let output = ImageOutput { index: *index, source, thumbnail: thumbnail.as_ref(), outputs };
        runner.handle(output).with_context(|| display(&source.file))?;
    }
    Ok(())
}

fn forward(batch: &[Prepared<'_>], device: Device, runner: &mut impl BatchRunner) -> Result<Vec<Tensor>> {
    let inputs: Vec<&Tensor> = batch.iter().map(|prepared| &prepared.input).collect();
    let input = Tensor::f_cat(&inputs, 0)?.f_to_device(device)?;
    runner.forward(&input)
}

impl ReadCounts {
    /// Returns an error if an image could not be read.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.unreadable == 0, "{} of {} images could not be read", self.unreadable, self.total);
        Ok(())
    }
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
