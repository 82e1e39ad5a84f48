//! What the commands that take pictures have in common: files, folders and batches.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use image::RgbImage;
use mmcv_models::Preprocess;
use tch::{Device, Tensor};

use super::Failure;
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
                let name = image.file_name().unwrap_or_default().into();
                sources.push(Source { file: image.clone(), name });
                continue;
            }
            let before = sources.len();
            walk(image, image, &mut sources).with_context(|| format!("{}: cannot read the folder", image.display()))?;
            ensure!(
                sources.len() > before,
                "{}: the folder has no pictures: expected files that end with {}",
                image.display(),
                EXTENSIONS.map(|extension| format!(".{extension}")).join(", ")
            );
        }
        Ok(sources)
    }

    /// How many pictures run through the network at once.
    pub(super) fn batch_size(&self) -> u16 {
        self.batch_size
    }

    /// Runs the network on all pictures, batch by batch, and hands each with its number and its outputs, `[1, ...]`, to `each`.
    /// Of several pictures those that cannot be read are left out, with a warning; what is returned then fails.
    pub(super) fn run(
        &self,
        sources: &[Source],
        preprocess: &Preprocess,
        device: Device,
        forward: impl Fn(&Tensor) -> Result<Vec<Tensor>>,
        mut each: impl FnMut(usize, &Source, &RgbImage, Vec<Tensor>) -> Result<()>,
    ) -> Result<AllRead> {
        let _guard = tch::no_grad_guard();
        let bar = progress::pictures(sources.len());
        let numbered: Vec<_> = sources.iter().enumerate().collect();
        let mut unreadable = 0;
        for sources in numbered.chunks(usize::from(self.batch_size)) {
            let mut batch = Vec::new();
            for &(number, source) in sources {
                let prepare = || {
                    let photo = picture::read(&source.file)?;
                    let pixels = picture::pixels(&photo)?;
                    Ok::<_, anyhow::Error>(((number, source), preprocess.apply(&pixels)?, photo))
                };
                match prepare().with_context(|| source.file.display().to_string()) {
                    Ok(prepared) => batch.push(prepared),
                    Err(error) if numbered.len() == 1 => return Err(error),
                    Err(error) => {
                        bar.suspend(|| log::warn!("{}", Failure::from(error)));
                        unreadable += 1;
                    }
                }
            }
            // Where pictures are not cut to one size, only neighbours of the same size run together.
            for batch in batch.chunk_by(|left, right| left.1.size() == right.1.size()) {
                let inputs: Vec<&Tensor> = batch.iter().map(|(_, input, _)| input).collect();
                let named =
                    || batch.first().map_or_else(String::new, |((_, source), ..)| source.file.display().to_string());
                let outputs = Tensor::f_cat(&inputs, 0)?.f_to_device(device).map_err(anyhow::Error::from);
                let outputs = outputs.and_then(|input| forward(&input)).with_context(named)?;
                for (index, ((number, source), _, photo)) in (0..).zip(batch) {
                    let own: Vec<Tensor> =
                        outputs.iter().map(|output| output.f_narrow(0, index, 1)).collect::<Result<_, _>>()?;
                    each(*number, source, photo, own).with_context(|| source.file.display().to_string())?;
                    bar.inc(1);
                }
            }
        }
        bar.finish_and_clear();
        ensure!(unreadable < sources.len(), "none of the {} pictures can be read", sources.len());
        Ok(AllRead { unreadable, of: sources.len() })
    }
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
        Some(file) => bail!("{}: several of the pictures would be written to it: give them one by one", file.display()),
        None => Ok(files),
    }
}

/// Makes the folder of a file.
pub(crate) fn make_folder_of(file: &Path) -> Result<()> {
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
        }
        None => Ok(()),
    }
}
