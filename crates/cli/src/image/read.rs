//! Reading an image: only a whole one, not too large, turned upright.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage};

use super::{container, exif, jpeg};

/// The most pixels of an image, where nothing else is said: 512 MiB in RGB.
pub(crate) const MOST_PIXELS: u64 = (512 << 20) / 3;
/// Bytes of the largest file that is read.
const LARGEST_FILE: u64 = 1 << 30;
/// Bytes that a decoder may take for each pixel: four channels of 32 bits.
const BYTES_PER_PIXEL: u64 = 16;
/// Bytes that a decoder may take beside the pixels.
const BYTES_BESIDE: u64 = 64 << 20;

/// How images are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadOptions {
    /// Whether an image is turned as its EXIF metadata says.
    pub(crate) turn: bool,
    /// The most pixels that are decoded.
    pub(crate) most_pixels: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { turn: true, most_pixels: MOST_PIXELS }
    }
}

/// Reads an image as RGB with 8 bits; transparency is dropped. A file that is cut or damaged is an error.
pub(crate) fn read(file: &Path, options: ReadOptions) -> Result<RgbImage> {
    let bytes = read_file(file).context("cannot read the image")?;
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format()?;
    let format = reader.format().context("cannot read the image: expected PNG, JPEG, WebP or BMP")?;
    decode(reader, format, &bytes, options)
        .with_context(|| format!("cannot read the image: expected a whole {format:?}"))
}

/// All of a file. Opening something else, such as a pipe, might never end.
fn read_file(file: &Path) -> Result<Vec<u8>> {
    let metadata = std::fs::metadata(file)?;
    ensure!(metadata.is_file(), "it is no regular file, but a folder, a pipe or a device");
    let most = format!("it has over {LARGEST_FILE} bytes, the most that are read");
    ensure!(metadata.len() <= LARGEST_FILE, most);
    let mut bytes = Vec::new();
    // It may grow while it is read.
    File::open(file)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= LARGEST_FILE, most);
    Ok(bytes)
}

fn decode(
    mut reader: ImageReader<Cursor<&Vec<u8>>>,
    format: ImageFormat,
    bytes: &[u8],
    options: ReadOptions,
) -> Result<RgbImage> {
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(options.most_pixels.saturating_mul(BYTES_PER_PIXEL).saturating_add(BYTES_BESIDE));
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| explained(error, options))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > options.most_pixels {
        let most = options.most_pixels;
        bail!(
            "it has {width} x {height} = {pixels} pixels, and at most {most} are decoded: --max-pixels sets the limit"
        );
    }
    let metadata = match format {
        ImageFormat::Jpeg => jpeg::check(bytes)?,
        ImageFormat::Png => container::check_png(bytes)?,
        ImageFormat::WebP => container::check_webp(bytes)?,
        _ => None,
    };
    let mut image = DynamicImage::ImageRgb8(
        DynamicImage::from_decoder(decoder).map_err(|error| explained(error, options))?.into_rgb8(),
    );
    if options.turn {
        image.apply_orientation(metadata.and_then(exif::orientation).unwrap_or(Orientation::NoTransforms));
    }
    Ok(image.into_rgb8())
}

/// The same error; where it is about memory, with the limit.
fn explained(error: ImageError, options: ReadOptions) -> anyhow::Error {
    match error {
        ImageError::Limits(error) => anyhow::Error::from(error)
            .context(format!("it needs more memory than {} pixels: --max-pixels sets the limit", options.most_pixels)),
        error => error.into(),
    }
}
