//! What the commands that take pictures have in common: files, folders and batches.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use image::RgbImage;
use mmcv_models::{ExifOrientation, Preprocess};
use tch::{Device, Tensor};

use super::{Failure, name};
use crate::picture::{MOST_PIXELS, ReadOptions};
use crate::{picture, progress};

/// What the names of pictures in folders end with.
const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];

/// The arguments for pictures.
#[derive(Debug, Args)]
pub(super) struct Pictures {
    /// The pictures, PNG, JPEG, WebP or BMP; of a folder all that are in it, at any depth.
    #[arg(required = true, value_name = "PICTURE")]
    images: Vec<PathBuf>,
    /// How many pictures run through the network at once.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: u16,
    /// The most pixels of an image that is decoded; larger ones are refused before memory is taken for them.
    #[arg(long, value_name = "N", default_value_t = MOST_PIXELS, value_parser = clap::value_parser!(u64).range(1..))]
    max_pixels: u64,
}

/// A picture, and what its results are called.
#[derive(Debug)]
pub(super) struct Source {
    /// Where it is.
    pub(super) file: PathBuf,
    /// Where it is in the folder that was given, or its file name.
    name: PathBuf,
}

impl Pictures {
    /// The pictures, those of a folder in the order of their names.
    pub(super) fn sources(&self) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        for image in &self.images {
            if !image.is_dir() {
                let own_name = image.file_name().unwrap_or_default().into();
                sources.push(Source { file: image.clone(), name: own_name });
                continue;
            }
            let before = sources.len();
            walk(image, image, &mut sources).with_context(|| format!("{}: cannot read the folder", name(image)))?;
            ensure!(
                sources.len() > before,
                "{}: the folder has no pictures: expected files that end with {}",
                name(image),
                EXTENSIONS.map(|extension| format!(".{extension}")).join(", ")
            );
        }
        Ok(sources)
    }

    /// How many pictures run through the network at once.
    pub(super) fn batch_size(&self) -> u16 {
        self.batch_size
    }

    /// Runs the network on all pictures, batch by batch, and hands each with its number, its small form where
    /// `for_drawings`, and its outputs, `[1, ...]`, to `each`. Of several pictures those that cannot be read are left out,
    /// with a warning; what is returned then fails.
    pub(super) fn run(
        &self,
        sources: &[Source],
        preparation: Preparation<'_>,
        forward: impl Fn(&Tensor) -> Result<Vec<Tensor>>,
        mut each: impl FnMut(usize, &Source, Option<&RgbImage>, Vec<Tensor>) -> Result<()>,
    ) -> Result<AllRead> {
        let _guard = tch::no_grad_guard();
        let bar = progress::pictures(sources.len());
        let numbered: Vec<_> = sources.iter().enumerate().collect();
        let mut unreadable = 0;
        for sources in numbered.chunks(usize::from(self.batch_size)) {
            let mut batch = Vec::new();
            for &(number, source) in sources {
                match self.prepare(number, source, preparation).with_context(|| name(&source.file)) {
                    Ok(prepared) => batch.push(prepared),
                    Err(error) if numbered.len() == 1 => return Err(error),
                    Err(error) => {
                        bar.suspend(|| log::warn!("{}", Failure::from(error)));
                        unreadable += 1;
                    }
                }
            }
            // Where pictures are not cut to one size, only neighbours of the same size run together.
            for batch in batch.chunk_by(|left, right| left.input.size() == right.input.size()) {
                let inputs: Vec<&Tensor> = batch.iter().map(|prepared| &prepared.input).collect();
                let named = || batch.first().map_or_else(String::new, |prepared| name(&prepared.source.file));
                let outputs = Tensor::f_cat(&inputs, 0)?.f_to_device(preparation.device).map_err(anyhow::Error::from);
                let outputs = outputs.and_then(|input| forward(&input)).with_context(named)?;
                for (index, Prepared { number, source, small, .. }) in (0..).zip(batch) {
                    let own: Vec<Tensor> =
                        outputs.iter().map(|output| output.f_narrow(0, index, 1)).collect::<Result<_, _>>()?;
                    each(*number, source, small.as_ref(), own).with_context(|| name(&source.file))?;
                    bar.inc(1);
                }
            }
        }
        bar.finish_and_clear();
        ensure!(unreadable < sources.len(), "none of the {} pictures can be read", sources.len());
        Ok(AllRead { unreadable, of: sources.len() })
    }

    /// Reads a picture and prepares it. What was decoded is gone when the next one is read.
    fn prepare<'a>(&self, number: usize, source: &'a Source, preparation: Preparation<'_>) -> Result<Prepared<'a>> {
        let turn = preparation.preprocess.exif == ExifOrientation::Apply;
        let photo = picture::read(&source.file, ReadOptions { turn, most_pixels: self.max_pixels })?;
        let small = if preparation.for_drawings { Some(picture::scaled(&photo)?) } else { None };
        let pixels = picture::pixels(&photo)?;
        drop(photo);
        Ok(Prepared { number, source, input: preparation.preprocess.apply(&pixels)?, small })
    }
}

/// How pictures are prepared.
#[derive(Clone, Copy)]
pub(super) struct Preparation<'a> {
    pub(super) preprocess: &'a Preprocess,
    /// Where the network is.
    pub(super) device: Device,
    /// Whether something is drawn of each picture.
    pub(super) for_drawings: bool,
}

/// A picture that is ready for the network.
struct Prepared<'a> {
    number: usize,
    source: &'a Source,
    /// `[1, 3, height, width]`.
    input: Tensor,
    /// As large as it is in drawings.
    small: Option<RgbImage>,
}

/// Whether all pictures were read: for after the results of those that were.
#[must_use]
pub(super) struct AllRead {
    unreadable: usize,
    of: usize,
}

impl AllRead {
    /// Fails where a picture was left out.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(self.unreadable == 0, "{} of {} pictures cannot be read", self.unreadable, self.of);
        Ok(())
    }
}

/// The pictures in a folder and in those inside it. Links to folders are not followed: they may lead in a circle.
fn walk(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let file = entry.path();
        if entry.file_type()?.is_dir() {
            walk(root, &file, sources)?;
            continue;
        }
        let is_picture = file
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)));
        if is_picture && file.is_file() {
            let name = file.strip_prefix(root).unwrap_or(&file).to_owned();
            sources.push(Source { file, name });
        }
    }
    Ok(())
}

/// Where a result of each picture is written: `out` itself for a single picture, else files in the folder `out` that are
/// called as the pictures, with another extension.
///
/// Fails where two results would be written to one file.
pub(super) fn outputs(out: &Path, sources: &[Source], extension: &str) -> Result<Vec<PathBuf>> {
    if let [_] = sources
        && !out.is_dir()
    {
        return Ok(vec![out.to_owned()]);
    }
    let files: Vec<PathBuf> = sources.iter().map(|source| out.join(source.name.with_extension(extension))).collect();
    let mut seen = HashSet::new();
    match files.iter().find(|file| !seen.insert(*file)) {
        Some(file) => bail!("{}: several of the pictures would be written to it: give them one by one", name(file)),
        None => Ok(files),
    }
}

/// Makes the folder of a file.
pub(crate) fn make_folder_of(file: &Path) -> Result<()> {
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", name(folder)))
        }
        None => Ok(()),
    }
}
