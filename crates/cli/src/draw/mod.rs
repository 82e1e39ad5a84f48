//! Pictures: reading them, and drawing the result of a classification or feature maps beside them.

mod container;
mod damage;
mod exif;
mod features;
mod jpeg;
mod read;
#[cfg(test)]
mod tests;

use std::path::Path;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use anyhow::{Context, Result};
use image::{Rgb, RgbImage, imageops};
use tch::Tensor;

use crate::commands::{Prediction, make_folder_of};

pub(crate) use features::write_features;
pub(crate) use read::{MOST_PIXELS, ReadOptions, read};

const PHOTO_HEIGHT: u32 = 384;
const PANEL_WIDTH: u32 = 420;
const MARGIN: u32 = 24;
const BAR_HEIGHT: u32 = 14;
const TEXT_SIZE: f32 = 20.0;
/// Classes that the panel has room for.
const MOST_ROWS: usize = 8;

const BACKGROUND: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb<u8> = Rgb([33, 37, 41]);
const TRACK: Rgb<u8> = Rgb([233, 236, 239]);
const FILL: Rgb<u8> = Rgb([25, 113, 194]);

/// The pixels as a tensor of shape `[height, width, 3]`, 8 bits.
pub(crate) fn pixels(photo: &RgbImage) -> Result<Tensor> {
    let (width, height) = (i64::from(photo.width()), i64::from(photo.height()));
    Ok(Tensor::f_from_slice(photo.as_raw())?.f_view([height, width, 3])?)
}

/// The photo at the height of the drawings, and not wider than four times that.
pub(crate) fn scaled(photo: &RgbImage) -> Result<RgbImage> {
    let width = u64::from(photo.width()) * u64::from(PHOTO_HEIGHT) / u64::from(photo.height().max(1));
    let width = u32::try_from(width)?.clamp(1, 4 * PHOTO_HEIGHT);
    Ok(imageops::resize(photo, width, PHOTO_HEIGHT, imageops::FilterType::Triangle))
}

/// Writes a PNG; its folder is made where it is missing.
fn save(file: &Path, canvas: &RgbImage) -> Result<()> {
    make_folder_of(file)?;
    mmcv_pth::replace_file(file, |temporary| {
        let saved = canvas.save_with_format(temporary, image::ImageFormat::Png);
        saved.with_context(|| format!("cannot write {}", file.display()))
    })
}

/// Writes a PNG with the [`scaled`] photo on the left and its best classes, eight at most, with bars on the right.
pub(crate) fn write(file: &Path, photo: &RgbImage, predictions: &[Prediction]) -> Result<()> {
    let font = FontRef::try_from_slice(dejavu::sans::regular())?;
    let width = photo.width();
    let mut canvas = RgbImage::from_pixel(width + PANEL_WIDTH, PHOTO_HEIGHT, BACKGROUND);
    imageops::replace(&mut canvas, photo, 0, 0);

    // The best classes, as many as there is room for.
    let count = predictions.len().clamp(1, MOST_ROWS);
    let row = (PHOTO_HEIGHT - 2 * MARGIN) / u32::try_from(count)?;
    let left = width + MARGIN;
    let length = PANEL_WIDTH - 2 * MARGIN;
    for (rank, prediction) in (0..).zip(predictions.iter().take(count)) {
        let top = MARGIN + rank * row;
        let percent = format!("{:.1} %", 100.0 * prediction.score);
        let room = length as f32 - text_width(&font, &percent) - 12.0;
        draw_text(&mut canvas, &font, left as f32, top as f32, &shortened(&font, &prediction.class, room));
        draw_text(&mut canvas, &font, (left + length) as f32 - text_width(&font, &percent), top as f32, &percent);
        let bar_top = top + TEXT_SIZE as u32 + 6;
        fill(&mut canvas, left, bar_top, length, TRACK);
        fill(&mut canvas, left, bar_top, (f64::from(length) * prediction.score.clamp(0.0, 1.0)).round() as u32, FILL);
    }
    save(file, &canvas)
}

fn fill(canvas: &mut RgbImage, left: u32, top: u32, length: u32, colour: Rgb<u8>) {
    for y in top..(top + BAR_HEIGHT).min(canvas.height()) {
        for x in left..(left + length).min(canvas.width()) {
            canvas.put_pixel(x, y, colour);
        }
    }
}

fn text_width(font: &FontRef<'_>, text: &str) -> f32 {
    let font = font.as_scaled(PxScale::from(TEXT_SIZE));
    text.chars().map(|character| font.h_advance(font.glyph_id(character))).sum()
}

/// The text, or as much of its beginning as there is room for.
fn shortened(font: &FontRef<'_>, text: &str, room: f32) -> String {
    let mut shown = text.to_owned();
    while text_width(font, &shown) > room && !shown.is_empty() {
        let kept = shown.trim_end_matches('…').chars().count().saturating_sub(1);
        shown = shown.chars().take(kept).chain(['…']).collect();
        if kept == 0 {
            break;
        }
    }
    shown
}

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
                let blend =
                    |below: u8, above: u8| (f32::from(below) + (f32::from(above) - f32::from(below)) * coverage) as u8;
                let (Rgb(below), Rgb(above)) = (*pixel, INK);
                *pixel = Rgb([blend(below[0], above[0]), blend(below[1], above[1]), blend(below[2], above[2])]);
            }
        });
    }
}
