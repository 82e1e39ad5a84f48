//! Feature maps beside the photo: a row for each stage, with the channels that vary most.

use std::path::Path;

use ab_glyph::FontRef;
use anyhow::Result;
use image::{Rgb, RgbImage, imageops};
use tch::{Kind, Tensor};

use super::{BACKGROUND, MARGIN, TEXT_SIZE, draw_text, save};
use crate::commands::Stage;

/// Pixels of the longer side of a channel's picture.
const TILE: u32 = 96;
const GAP: u32 = 6;
/// Channels of a row.
const COLUMNS: u32 = 8;
/// Colours of small and large activations, and of those between them.
const COLOURS: [[f64; 3]; 4] = [[20.0, 24.0, 64.0], [25.0, 113.0, 194.0], [240.0, 190.0, 70.0], [255.0, 250.0, 225.0]];

/// Writes a PNG with the photo ([`scaled`](super::scaled)) on the left, and for each stage with pixels a row of its most varied channels.
pub(crate) fn write_features(file: &Path, photo: &RgbImage, stages: &[Stage]) -> Result<()> {
    let font = FontRef::try_from_slice(dejavu::sans::regular())?;
    let rows: Vec<&Stage> = stages.iter().filter(|stage| stage.tensor.dim() == 3).collect();
    let (label, row) = (TEXT_SIZE as u32 + 8, TILE + GAP);
    let height = (u32::try_from(rows.len())? * (label + row) + 2 * MARGIN).max(photo.height());
    let left = photo.width() + MARGIN;
    let mut canvas = RgbImage::from_pixel(left + COLUMNS * row + MARGIN, height, BACKGROUND);
    imageops::replace(&mut canvas, photo, 0, 0);
    let mut top = MARGIN;
    for Stage { name, tensor } in rows {
        let title = format!("{name}  {:?}", tensor.size());
        draw_text(&mut canvas, &font, left as f32, top as f32, &title);
        for (column, tile) in (0..).zip(tiles(tensor)?) {
            imageops::replace(&mut canvas, &tile, i64::from(left + column * row), i64::from(top + label));
        }
        top += label + row;
    }
    save(file, &canvas)
}

/// The channels of a stage, `[C, H, W]`, with the largest variance, in their order.
fn tiles(stage: &Tensor) -> Result<Vec<RgbImage>> {
    let (channels, height, width) = stage.size3()?;
    let pixels = stage.f_detach()?.f_to_kind(Kind::Double)?.f_view([channels, height * width])?;
    let variance = pixels.f_sub(&pixels.f_mean_dim(1, true, Kind::Double)?)?.f_square()?.f_sum_dim_intlist(
        1,
        false,
        Kind::Double,
    )?;
    let (_, best) = variance.f_topk(i64::from(COLUMNS).min(channels), 0, true, true)?;
    let mut channels = Vec::<i64>::try_from(&best)?;
    channels.sort_unstable();
    channels.into_iter().map(|channel| tile(&pixels.f_select(0, channel)?, height, width)).collect()
}

/// One channel, its values spread over the colours.
fn tile(pixels: &Tensor, height: i64, width: i64) -> Result<RgbImage> {
    let values = Vec::<f64>::try_from(pixels)?;
    let (least, most) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(*value), most.max(*value)));
    let range = if most > least { most - least } else { 1.0 };
    let mut colours = values.into_iter().map(|value| colour((value - least) / range));
    let (width, height) = (u32::try_from(width)?, u32::try_from(height)?);
    let tile = RgbImage::from_fn(width, height, |_, _| colours.next().unwrap_or(BACKGROUND));
    let longer = width.max(height).max(1);
    let size = |side: u32| (side * TILE / longer).max(1);
    Ok(imageops::resize(&tile, size(width), size(height), imageops::FilterType::Nearest))
}

/// A colour for a value from 0 to 1.
fn colour(value: f64) -> Rgb<u8> {
    let at = value.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f64;
    let pair = COLOURS.get(at as usize).zip(COLOURS.get(at as usize + 1));
    let (below, above) = pair.unwrap_or((&COLOURS[COLOURS.len() - 1], &COLOURS[COLOURS.len() - 1]));
    let mut mixed = [0; 3];
    for (channel, (below, above)) in mixed.iter_mut().zip(below.iter().zip(above)) {
        *channel = (below + (above - below) * at.fract()).round() as u8;
    }
    Rgb(mixed)
}
