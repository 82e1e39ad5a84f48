//! The plot of a training run: losses on the left, accuracy on the right.

use std::path::Path;

use anyhow::{Context, Result};
use image::RgbImage;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;

use super::trainer::Epoch;

const SIZE: (u32, u32) = (1000, 400);
const FONT: &str = "DejaVu Sans";
const BLUE: RGBColor = RGBColor(25, 113, 194);
const ORANGE: RGBColor = RGBColor(232, 89, 12);

type Panel<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Curve<'a> = (&'a str, RGBColor, fn(&Epoch) -> f64);

/// Writes a PNG of the losses and the accuracy of all epochs.
pub fn write(file: &Path, history: &[Epoch]) -> Result<()> {
    register_font(FONT, FontStyle::Normal, dejavu::sans::regular()).ok().context("the font cannot be read")?;
    let mut pixels = vec![0; 3 * SIZE.0 as usize * SIZE.1 as usize];
    let canvas = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
    canvas.fill(&WHITE)?;
    let (left, right) = canvas.split_horizontally(SIZE.0 / 2);
    let losses: [Curve<'_>; 2] =
        [("training", BLUE, |epoch| epoch.train_loss), ("test", ORANGE, |epoch| epoch.test_loss)];
    let highest = history.iter().flat_map(|epoch| [epoch.train_loss, epoch.test_loss]).fold(0.1, f64::max);
    draw(&left, "Cross entropy", history, (0.0, 1.05 * highest), &losses)?;
    let lowest = history.iter().map(|epoch| 100.0 * epoch.test_accuracy).fold(90.0, f64::min);
    draw(
        &right,
        "Test accuracy in %",
        history,
        (lowest - 1.0, 100.5),
        &[("", ORANGE, |epoch| 100.0 * epoch.test_accuracy)],
    )?;
    canvas.present()?;
    drop((canvas, left, right));
    let plot = RgbImage::from_raw(SIZE.0, SIZE.1, pixels).context("the plot has a wrong size")?;
    plot.save_with_format(file, image::ImageFormat::Png).with_context(|| format!("cannot write {}", file.display()))
}

/// Draws curves over the epochs, with a legend if there are several.
fn draw(
    panel: &Panel<'_>,
    title: &str,
    history: &[Epoch],
    (low, high): (f64, f64),
    curves: &[Curve<'_>],
) -> Result<()> {
    let last = history.last().map_or(1, |epoch| epoch.epoch);
    let mut chart = ChartBuilder::on(panel)
        .caption(title, (FONT, 18))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(1..last.max(2), low..high)?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .label_style((FONT, 13))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(233, 236, 239))
        .draw()?;
    for (name, color, value) in curves {
        let points = || history.iter().map(|epoch| (epoch.epoch, value(epoch)));
        chart
            .draw_series(LineSeries::new(points(), color.stroke_width(2)).point_size(3))?
            .label(*name)
            .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    if curves.len() > 1 {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .label_font((FONT, 13))
            .background_style(WHITE)
            .border_style(TRANSPARENT)
            .draw()?;
    }
    Ok(())
}
