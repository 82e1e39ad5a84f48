//! Reading an image file: size limits, decoding, orientation.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage};

use super::{container, exif, jpeg};

/// The default limit of pixels: 512 MiB in RGB.
pub(crate) const MAX_PIXELS: u64 = (512 << 20) / 3;
/// The maximum size of a file in bytes.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// Bytes that a decoder may allocate for each pixel: four channels of 32 bits.
const BYTES_PER_PIXEL: u64 = 16;
/// Bytes that a decoder may allocate beyond the pixels.
const EXTRA_BYTES: u64 = 64 << 20;

/// How images are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadOptions {
    /// Whether the EXIF orientation is applied.
    pub(crate) apply_orientation: bool,
    /// The maximum number of pixels.
    pub(crate) max_pixels: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { apply_orientation: true, max_pixels: MAX_PIXELS }
    }
}

/// Reads an image as RGB with 8 bits; transparency is dropped.
///
/// Returns an error if the file is truncated, corrupt or too large.
pub(crate) fn read(file: &Path, options: ReadOptions) -> Result<RgbImage> {
    let bytes = read_file(file).context("cannot read the image")?;
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format()?;
    let format = reader.format().context("cannot read the image: expected PNG, JPEG, WebP or BMP")?;
    decode(reader, format, &bytes, options)
        .with_context(|| format!("cannot read the image: expected a complete {format:?}"))
}

/// The content of a regular file. Others, such as pipes, are refused: opening them may block.
fn read_file(file: &Path) -> Result<Vec<u8>> {
    let metadata = std::fs::metadata(file)?;
    ensure!(metadata.is_file(), "it is not a regular file, but a folder, a pipe or a device");
    ensure!(metadata.len() <= MAX_FILE_BYTES, "it is larger than {MAX_FILE_BYTES} bytes");
    let mut bytes = Vec::new();
    // The file may grow while it is read.
    File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= MAX_FILE_BYTES, "it is larger than {MAX_FILE_BYTES} bytes");
    Ok(bytes)
}

fn decode(
    mut reader: ImageReader<Cursor<&Vec<u8>>>,
    format: ImageFormat,
    bytes: &[u8],
    options: ReadOptions,
) -> Result<RgbImage> {
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(options.max_pixels.saturating_mul(BYTES_PER_PIXEL).saturating_add(EXTRA_BYTES));
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| explain(error, options))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > options.max_pixels {
        let max = options.max_pixels;
        bail!("it has {width} x {height} = {pixels} pixels, more than the limit of {max}: --max-pixels sets the limit");
    }
    let metadata = match format {
        ImageFormat::Jpeg => jpeg::check(bytes)?,
        ImageFormat::Png => container::check_png(bytes)?,
        ImageFormat::WebP => container::check_webp(bytes)?,
        _ => None,
    };
    let decoded = DynamicImage::from_decoder(decoder).map_err(|error| explain(error, options))?;
    let mut image = DynamicImage::ImageRgb8(decoded.into_rgb8());
    if let Some(metadata) = metadata
        && options.apply_orientation
        && let Some(orientation) = exif::orientation(metadata)
    {
        image.apply_orientation(orientation);
    }
    Ok(image.into_rgb8())
}

/// Adds the limit to an error about memory.
fn explain(error: ImageError, options: ReadOptions) -> anyhow::Error {
    match error {
        ImageError::Limits(error) => anyhow::Error::from(error)
            .context(format!("it needs more memory than {} pixels: --max-pixels sets the limit", options.max_pixels)),
        error => error.into(),
    }
}
