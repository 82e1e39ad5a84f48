//! The images of files and folders, and the files that results are written to.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mmcv_cli::output::display;

/// File extensions of the images in folders.
const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];

/// An image file.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: PathBuf,
    /// The path inside the folder that was named on the command line, or the file name.
    relative: PathBuf,
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
