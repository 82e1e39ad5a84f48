//! Feature maps beside an image: one row for each stage, with the channels that vary most.

use std::path::Path;

use ab_glyph::FontRef;
use anyhow::Result;
use image::{Rgb, RgbImage, imageops};
use tch::{Kind, Tensor};

use super::{BACKGROUND, MARGIN, TEXT_SIZE, draw_text, save};

/// Pixels of the longer side of a channel.
const TILE: u32 = 96;
const GAP: u32 = 6;
/// Channels in a row.
const COLUMNS: u32 = 8;
/// The colors of small to large activations, which are interpolated.
const COLORS: [[f64; 3]; 4] = [[20.0, 24.0, 64.0], [25.0, 113.0, 194.0], [240.0, 190.0, 70.0], [255.0, 250.0, 225.0]];

/// The feature maps of a stage.
#[derive(Debug)]
pub(crate) struct FeatureRow<'a> {
    pub(crate) name: &'a str,
    /// `[C, H, W]`; a tensor of another rank is not drawn.
    pub(crate) maps: &'a Tensor,
}

/// Writes a PNG with a [`thumbnail`](super::thumbnail) on the left and a row for each stage on the right. Creates its folder.
pub(crate) fn write_features(file: &Path, thumbnail: &RgbImage, rows: &[FeatureRow<'_>]) -> Result<()> {
    let font = FontRef::try_from_slice(dejavu::sans::regular())?;
    let rows: Vec<&FeatureRow<'_>> = rows.iter().filter(|row| row.maps.dim() == 3).collect();
    let (label_height, tile_step) = (TEXT_SIZE as u32 + 8, TILE + GAP);
    let height = u32::try_from(rows.len())? * (label_height + tile_step) + 2 * MARGIN;
    let left = thumbnail.width() + MARGIN;
    let width = left + COLUMNS * tile_step + MARGIN;
    let mut canvas = RgbImage::from_pixel(width, height.max(thumbnail.height()), BACKGROUND);
    imageops::replace(&mut canvas, thumbnail, 0, 0);
    let mut top = MARGIN;
    for FeatureRow { name, maps } in rows {
        draw_text(&mut canvas, &font, left as f32, top as f32, &format!("{name}  {:?}", maps.size()));
        for (column, tile) in (0..).zip(tiles(maps)?) {
            let (x, y) = (left + column * tile_step, top + label_height);
            imageops::replace(&mut canvas, &tile, i64::from(x), i64::from(y));
        }
        top += label_height + tile_step;
    }
    save(file, &canvas)
}

/// The channels of `maps`, `[C, H, W]`, with the largest variance, in their order.
fn tiles(maps: &Tensor) -> Result<Vec<RgbImage>> {
    let (channels, height, width) = maps.size3()?;
    let pixels = maps.f_detach()?.f_to_kind(Kind::Double)?.f_view([channels, height * width])?;
    let centered = pixels.f_sub(&pixels.f_mean_dim(1, true, Kind::Double)?)?;
    let variance = centered.f_square()?.f_sum_dim_intlist(1, false, Kind::Double)?;
    let (_, best) = variance.f_topk(i64::from(COLUMNS).min(channels), 0, true, true)?;
    let mut channels = Vec::<i64>::try_from(&best)?;
    channels.sort_unstable();
    let mut tiles = Vec::new();
    for channel in channels {
        tiles.push(tile(&pixels.f_select(0, channel)?, height, width)?);
    }
    Ok(tiles)
}

/// One channel, with its values spread over the colors.
fn tile(pixels: &Tensor, height: i64, width: i64) -> Result<RgbImage> {
    let values = Vec::<f64>::try_from(pixels)?;
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = if most > least { most - least } else { 1.0 };
    let mut colors = values.into_iter().map(|value| color((value - least) / range));
    let (width, height) = (u32::try_from(width)?, u32::try_from(height)?);
    let tile = RgbImage::from_fn(width, height, |_, _| colors.next().unwrap_or(BACKGROUND));
    let longer = width.max(height).max(1);
    let (tile_width, tile_height) = ((width * TILE / longer).max(1), (height * TILE / longer).max(1));
    Ok(imageops::resize(&tile, tile_width, tile_height, imageops::FilterType::Nearest))
}

/// The color of a value between 0 and 1.
fn color(value: f64) -> Rgb<u8> {
    let position = value.clamp(0.0, 1.0) * (COLORS.len() - 1) as f64;
    let index = position as usize;
    let below = COLORS[index.min(COLORS.len() - 1)];
    let above = COLORS[(index + 1).min(COLORS.len() - 1)];
    let mut mixed = [0; 3];
    for channel in 0..3 {
        mixed[channel] = (below[channel] + (above[channel] - below[channel]) * position.fract()).round() as u8;
    }
    Rgb(mixed)
}
