//! Drawings: results beside an image as PNG, tables as SVG.

mod features;
pub(crate) mod svg;

use std::path::Path;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use anyhow::{Context, Result};
use image::{Rgb, RgbImage, imageops};

use mmcv_cli::output::{create_parent, display};

pub(crate) use features::{FeatureRow, write_features};

const THUMBNAIL_HEIGHT: u32 = 384;
const PANEL_WIDTH: u32 = 420;
const MARGIN: u32 = 24;
const BAR_HEIGHT: u32 = 14;
const TEXT_SIZE: f32 = 20.0;
/// The number of bars that the panel has room for.
const MAX_BARS: usize = 8;

const BACKGROUND: Rgb<u8> = Rgb([255, 255, 255]);
const TEXT_COLOR: Rgb<u8> = Rgb([33, 37, 41]);
const TRACK_COLOR: Rgb<u8> = Rgb([233, 236, 239]);
const BAR_COLOR: Rgb<u8> = Rgb([25, 113, 194]);

/// A bar with a label.
#[derive(Debug)]
pub(crate) struct Bar<'a> {
    pub(crate) label: &'a str,
    /// Between 0 and 1.
    pub(crate) fraction: f64,
}

/// The image at the height of the drawings, at most four times as wide as high.
pub(crate) fn thumbnail(image: &RgbImage) -> Result<RgbImage> {
    let width = u64::from(image.width()) * u64::from(THUMBNAIL_HEIGHT) / u64::from(image.height().max(1));
    let width = u32::try_from(width)?.clamp(1, 4 * THUMBNAIL_HEIGHT);
    Ok(imageops::resize(image, width, THUMBNAIL_HEIGHT, imageops::FilterType::Triangle))
}

/// Writes a PNG with a [`thumbnail`] on the left and at most eight bars on the right. Creates its folder.
pub(crate) fn write_bars(file: &Path, thumbnail: &RgbImage, bars: &[Bar<'_>]) -> Result<()> {
    let font = FontRef::try_from_slice(dejavu::sans::regular())?;
    let width = thumbnail.width();
    let mut canvas = RgbImage::from_pixel(width + PANEL_WIDTH, THUMBNAIL_HEIGHT, BACKGROUND);
    imageops::replace(&mut canvas, thumbnail, 0, 0);

    let count = bars.len().clamp(1, MAX_BARS);
    let row = (THUMBNAIL_HEIGHT - 2 * MARGIN) / u32::try_from(count)?;
    let left = width + MARGIN;
    let length = PANEL_WIDTH - 2 * MARGIN;
    for (rank, bar) in (0..).zip(bars.iter().take(count)) {
        let top = MARGIN + rank * row;
        let percent = format!("{:.1} %", 100.0 * bar.fraction);
        let percent_width = text_width(&font, &percent);
        let label = truncated(&font, bar.label, length as f32 - percent_width - 12.0);
        draw_text(&mut canvas, &font, left as f32, top as f32, &label);
        draw_text(&mut canvas, &font, (left + length) as f32 - percent_width, top as f32, &percent);
        let bar_top = top + TEXT_SIZE as u32 + 6;
        fill(&mut canvas, left, bar_top, length, TRACK_COLOR);
        let filled = (f64::from(length) * bar.fraction.clamp(0.0, 1.0)).round() as u32;
        fill(&mut canvas, left, bar_top, filled, BAR_COLOR);
    }
    save(file, &canvas)
}

/// Writes a PNG. Creates its folder.
fn save(file: &Path, canvas: &RgbImage) -> Result<()> {
    create_parent(file)?;
    mmcv_pth::replace_file(file, |temporary| {
        let saved = canvas.save_with_format(temporary, image::ImageFormat::Png);
        saved.with_context(|| format!("cannot write {}", display(file)))
    })
}

/// Fills a rectangle of the height of a bar.
fn fill(canvas: &mut RgbImage, left: u32, top: u32, length: u32, color: Rgb<u8>) {
    for y in top..(top + BAR_HEIGHT).min(canvas.height()) {
        for x in left..(left + length).min(canvas.width()) {
            canvas.put_pixel(x, y, color);
        }
    }
}

fn text_width(font: &FontRef<'_>, text: &str) -> f32 {
    let font = font.as_scaled(PxScale::from(TEXT_SIZE));
    text.chars().map(|character| font.h_advance(font.glyph_id(character))).sum()
}

/// The text, shortened with an ellipsis if it is wider than `room`.
fn truncated(font: &FontRef<'_>, text: &str, room: f32) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let mut shown = text.to_owned();
    while text_width(font, &shown) > room && characters.pop().is_some() {
        shown = characters.iter().collect();
        shown.push('…');
    }
    shown
}

/// Draws one line of text with its top left corner at `(left, top)`.
fn draw_text(canvas: &mut RgbImage, font: &FontRef<'_>, left: f32, top: f32, text: &str) {
    let scaled = font.as_scaled(PxScale::from(TEXT_SIZE));
    let baseline = top + scaled.ascent();
    let mut cursor = left;
    for character in text.chars() {
        let glyph = scaled.glyph_id(character).with_scale_and_position(TEXT_SIZE, point(cursor, baseline));
        cursor += scaled.h_advance(glyph.id);
        let Some(outline) = font.outline_glyph(glyph) else { continue };
        let bounds = outline.px_bounds();
        outline.draw(|x, y, coverage| {
            let (x, y) = (bounds.min.x + x as f32, bounds.min.y + y as f32);
            if x >= 0.0
                && y >= 0.0
                && let Some(pixel) = canvas.get_pixel_mut_checked(x as u32, y as u32)
            {
                blend(pixel, coverage);
            }
        });
    }
}

/// Mixes the color of text into a pixel.
fn blend(pixel: &mut Rgb<u8>, coverage: f32) {
    for (below, above) in pixel.0.iter_mut().zip(TEXT_COLOR.0) {
        let (from, to) = (f32::from(*below), f32::from(above));
        *below = (from + (to - from) * coverage) as u8;
    }
}
