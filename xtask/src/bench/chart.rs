//! The bar chart: how many times as fast as PyTorch eager.

use std::fmt::Write;

use super::case::{Kind, Outcome};
use super::engine::{ENGINES, Engine};
use super::report::BASELINE;

const MARGIN: f64 = 16.0;
/// Where the bars begin: the names of the networks are to the left.
const LEFT: f64 = 170.0;
/// The longest bar.
const WIDTH: f64 = 520.0;
/// Height of one bar with the space after it.
const BAR: f64 = 13.0;
/// Space between two networks.
const GAP: f64 = 12.0;
/// Room for a title or the names of the colours.
const TITLE: f64 = 28.0;

/// The colour of an engine's bars: ours stand out.
fn colour(engine: Engine) -> &'static str {
    match engine {
        Engine::Mmcv => "#d1495b",
        Engine::MmcvEager => "#eaa9b2",
        Engine::Eager => "#222222",
        Engine::Torchscript => "#9fb8ad",
        Engine::Compile => "#5d8a72",
        Engine::Onnxruntime => "#7d9cc0",
        Engine::Openvino => "#3f5f8a",
    }
}

/// Draws the inference with 32 bits, one block for each number of pictures.
pub(super) fn draw(outcomes: &[Outcome]) -> String {
    let rows: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.case.kind == Kind::Inference).collect();
    let engines: Vec<Engine> = ENGINES.into_iter().filter(|engine| engine.f32() != BASELINE).collect();
    let speeds = rows.iter().flat_map(|row| engines.iter().filter_map(|engine| row.speed(engine.f32())));
    let scale = WIDTH / speeds.fold(1.0, f64::max);
    let (mut body, mut top) = (String::new(), MARGIN + TITLE);
    legend(&mut body, &engines);
    let mut batch = 0;
    for row in rows {
        if row.case.batch != batch {
            batch = row.case.batch;
            top += TITLE;
            let pictures = if batch == 1 { "one image".to_owned() } else { format!("{batch} pictures") };
            text(&mut body, MARGIN, top - 8.0, "start", &format!("{pictures}, f32"));
        }
        let shown: Vec<(Engine, f64)> =
            engines.iter().filter_map(|&engine| Some((engine, row.speed(engine.f32())?))).collect();
        let middle = top + shown.len() as f64 * BAR / 2.0 + 4.0;
        text(&mut body, LEFT - 8.0, middle, "end", row.case.network.title);
        for (engine, speed) in shown {
            let (length, height) = (speed * scale, BAR - 2.0);
            let _ = writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"{height}\" fill=\"{}\"/>",
                colour(engine)
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
        colour(BASELINE.engine)
    )
}

/// What the colours mean.
fn legend(body: &mut String, engines: &[Engine]) {
    text(body, MARGIN, MARGIN + 2.0, "start", "Times as fast as PyTorch eager (the dashed line)");
    let mut left = MARGIN;
    for engine in engines {
        let _ = writeln!(
            body,
            "<rect x=\"{left:.0}\" y=\"{:.0}\" width=\"10\" height=\"10\" fill=\"{}\"/>",
            MARGIN + 12.0,
            colour(*engine)
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
    use crate::bench::case::{Case, Measured};

    #[test]
    fn each_engine_that_ran_has_a_bar() {
        let case = Case::new(NETWORKS[0], 1, Kind::Inference, &[Engine::Mmcv, Engine::Eager, Engine::Openvino]);
        let ran = |time| Ok(Measured { time, memory: None });
        let outcome = Outcome { case, results: vec![ran(25.0), ran(50.0), Err("no such file".to_owned())] };
        let svg = draw(&[outcome]);
        assert_eq!(svg.matches(colour(Engine::Mmcv)).count(), 2, "one in the legend, one bar");
        assert_eq!(svg.matches(colour(Engine::Openvino)).count(), 1, "it did not run");
        assert!(svg.contains(">2.00<") && svg.contains(">ResNet-50<"));
    }
}
