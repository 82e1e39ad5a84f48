//! The bar chart: how many times as fast as PyTorch eager.

use std::fmt::Write;

use super::case::{Kind, Outcome, images};
use super::engine::{ENGINES, Engine};
use super::table::BASELINE;

const MARGIN: f64 = 16.0;
/// Where the bars begin: the names of the networks are to the left.
const LEFT: f64 = 170.0;
/// The longest bar.
const WIDTH: f64 = 520.0;
/// Height of one bar with the space after it.
const BAR: f64 = 13.0;
/// Space between two networks.
const GAP: f64 = 12.0;
/// Room for a title or the legend.
const TITLE: f64 = 28.0;

/// The color of an engine's bars: ours stand out.
fn color(engine: Engine) -> &'static str {
    match engine {
        Engine::Mmcv => "#d1495b",
        Engine::MmcvEager => "#eaa9b2",
        Engine::Eager => "#222222",
        Engine::Torchscript => "#9fb8ad",
        Engine::Compile => "#5d8a72",
        Engine::Onnxruntime => "#7d9cc0",
        Engine::Openvino => "#3f5f8a",
        Engine::Ncnn => "#c9a227",
        Engine::Mnn => "#8c6d1f",
    }
}

/// Draws the f32 inference, with one block for each batch size.
pub(super) fn draw(outcomes: &[Outcome]) -> String {
    let rows: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.case.kind == Kind::Inference).collect();
    let scale = WIDTH / fastest(&rows);
    let (mut body, mut top) = (String::new(), MARGIN + TITLE);
    legend(&mut body);
    let mut batch = 0;
    for row in rows {
        if row.case.batch != batch {
            batch = row.case.batch;
            top += TITLE;
            text(&mut body, MARGIN, top - 8.0, "start", &format!("{}, f32", images(batch)));
        }
        let shown = speeds(row);
        let middle = top + shown.len() as f64 * BAR / 2.0 + 4.0;
        text(&mut body, LEFT - 8.0, middle, "end", row.case.network.title);
        for (engine, speed) in shown {
            let (length, height) = (speed * scale, BAR - 2.0);
            let _ = writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"{height}\" fill=\"{}\"/>",
                color(engine)
            );
            text(&mut body, LEFT + length + 4.0, top + BAR - 4.0, "start", &format!("{speed:.2}"));
            top += BAR;
        }
        top += GAP;
    }
    let (width, one) = (LEFT + WIDTH + 60.0, LEFT + scale);
    let height = top + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#222\">\n\
         <title>How many times as fast as PyTorch eager</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}\
         <line x1=\"{one:.1}\" y1=\"{:.1}\" x2=\"{one:.1}\" y2=\"{top:.1}\" stroke=\"{}\" stroke-dasharray=\"3 3\"/>\n</svg>\n",
        MARGIN + TITLE,
        color(BASELINE.engine)
    )
}

/// The engines that ran in a case, but the baseline, and how many times as fast they are.
fn speeds(row: &Outcome) -> Vec<(Engine, f64)> {
    let mut speeds = Vec::new();
    for engine in ENGINES {
        if engine.f32() != BASELINE
            && let Some(speed) = row.speed(engine.f32())
        {
            speeds.push((engine, speed));
        }
    }
    speeds
}

/// The largest ratio in the chart, at least 1.
fn fastest(rows: &[&Outcome]) -> f64 {
    let mut fastest = 1.0_f64;
    for row in rows {
        for (_, speed) in speeds(row) {
            fastest = fastest.max(speed);
        }
    }
    fastest
}

/// Names the engines beside their colors.
fn legend(body: &mut String) {
    text(body, MARGIN, MARGIN + 2.0, "start", "Times as fast as PyTorch eager (the dashed line)");
    let mut left = MARGIN;
    for engine in ENGINES {
        if engine.f32() == BASELINE {
            continue;
        }
        let _ = writeln!(
            body,
            "<rect x=\"{left:.0}\" y=\"{:.0}\" width=\"10\" height=\"10\" fill=\"{}\"/>",
            MARGIN + 12.0,
            color(engine)
        );
        text(body, left + 14.0, MARGIN + 21.0, "start", engine.title());
        left += 36.0 + 6.2 * engine.title().len() as f64;
    }
}

fn text(body: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let _ = writeln!(body, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::NETWORKS;
    use crate::bench::case::{Case, Measured, SIZE};

    #[test]
    fn each_engine_that_ran_has_a_bar() {
        let case = Case::new(NETWORKS[0], Kind::Inference, (1, SIZE), &[Engine::Mmcv, Engine::Eager, Engine::Openvino]);
        let ran = |time| Ok(Measured::new(&[time]));
        let outcome = Outcome { case, results: vec![ran(25.0), ran(50.0), Err("no such file".to_owned())] };
        let svg = draw(&[outcome]);
        assert_eq!(svg.matches(color(Engine::Mmcv)).count(), 2, "one in the legend, one bar");
        assert_eq!(svg.matches(color(Engine::Openvino)).count(), 1, "it did not run");
        assert!(svg.contains(">2.00<") && svg.contains(">ResNet-50<"));
    }
}
