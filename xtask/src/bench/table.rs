//! Tables in Markdown.

use super::case::{Kind, Measured, Outcome};
use super::engine::{Contender, Dtype, Engine};

/// The contender that the others are compared with.
pub(super) const BASELINE: Contender = Engine::Eager.f32();
/// The cell of something that was not measured.
const NOTHING: &str = "-";

impl Outcome {
    /// The result of a contender; `None` if it took no part or could not run.
    pub(super) fn measured(&self, contender: Contender) -> Option<Measured> {
        let index = self.case.contenders.iter().position(|other| *other == contender)?;
        self.results.get(index)?.as_ref().ok().copied()
    }

    /// The speed relative to PyTorch eager in f32.
    pub(super) fn speed(&self, contender: Contender) -> Option<f64> {
        Some(self.measured(BASELINE)?.time / self.measured(contender)?.time)
    }

    /// The speed of `contender` relative to the fastest engine that is not mmcv-rs.
    fn lead(&self, contender: Contender) -> Option<f64> {
        let time = self.measured(contender)?.time;
        let mut fastest: Option<f64> = None;
        for (other, result) in self.case.contenders.iter().zip(&self.results) {
            if let Ok(measured) = result
                && !other.engine.is_ours()
            {
                fastest = Some(measured.time.min(fastest.unwrap_or(f64::INFINITY)));
            }
        }
        Some(fastest? / time)
    }
}

/// A table of ratios, with a column for each engine but the baseline, and one for the fastest other engine.
pub(super) fn speeds(rows: &[&Outcome]) -> String {
    let mut contenders = contenders(rows);
    contenders.retain(|contender| *contender != BASELINE);
    let mut titles = titles(&contenders);
    titles.push("mmcv-rs against the fastest other".to_owned());
    let mut table = heading("network", &titles);
    for outcome in rows {
        let mut cells = Vec::new();
        for contender in &contenders {
            let cell = ratio(outcome.speed(*contender));
            cells.push(if *contender == Engine::Mmcv.f32() { format!("**{cell}**") } else { cell });
        }
        cells.push(ratio(outcome.lead(Engine::Mmcv.f32())));
        table.push_str(&line(&outcome.case.row(), &cells));
    }
    table
}

/// A table with a column for each contender.
pub(super) fn by_contender(rows: &[&Outcome], cell: fn(Measured) -> Option<String>) -> String {
    let contenders = contenders(rows);
    let growth = rows.iter().any(|outcome| outcome.case.kind == Kind::Growth);
    let mut table = heading(if growth { "input" } else { "network" }, &titles(&contenders));
    for outcome in rows {
        let mut cells = Vec::new();
        for contender in &contenders {
            cells.push(or_nothing(outcome.measured(*contender).and_then(cell)));
        }
        table.push_str(&line(&outcome.case.row(), &cells));
    }
    table
}

/// A table with a row for each contender.
pub(super) fn list(outcome: &Outcome) -> String {
    let mut titles = vec!["type", "milliseconds", "times as fast as PyTorch eager f32", "peak memory, MB"];
    if outcome.case.kind.has_scores() {
        titles.push("deviation");
    }
    let titles: Vec<String> = titles.into_iter().map(str::to_owned).collect();
    let mut table = heading("engine", &titles);
    for contender in &outcome.case.contenders {
        let measured = outcome.measured(*contender);
        let mut cells = vec![
            contender.dtype.name().to_owned(),
            or_nothing(measured.and_then(milliseconds)),
            ratio(outcome.speed(*contender)),
            or_nothing(measured.and_then(megabytes)),
        ];
        if outcome.case.kind.has_scores() {
            cells.push(or_nothing(measured.and_then(deviation)));
        }
        let title = Contender { dtype: Dtype::F32, ..*contender }.title();
        table.push_str(&line(&title, &cells));
    }
    table
}

pub(super) fn milliseconds(measured: Measured) -> Option<String> {
    Some(format!("{:.1}", measured.time))
}

/// Images per second, if the time is that of an image.
pub(super) fn images_per_second(measured: Measured) -> Option<String> {
    Some(format!("{:.1}", 1e3 / measured.time))
}

pub(super) fn seconds_until_ready(measured: Measured) -> Option<String> {
    Some(format!("{:.2}", measured.ready?))
}

pub(super) fn megabytes(measured: Measured) -> Option<String> {
    Some(format!("{:.0}", measured.memory? as f64 / 1e6))
}

pub(super) fn deviation(measured: Measured) -> Option<String> {
    Some(format!("{:.1e}", measured.deviation?))
}

/// The contenders that take part in any of these cases.
fn contenders(rows: &[&Outcome]) -> Vec<Contender> {
    let mut contenders = Vec::new();
    for outcome in rows {
        for contender in &outcome.case.contenders {
            if !contenders.contains(contender) {
                contenders.push(*contender);
            }
        }
    }
    contenders
}

fn titles(contenders: &[Contender]) -> Vec<String> {
    contenders.iter().map(|contender| contender.title()).collect()
}

/// The first two lines; the first column has the names of the rows.
pub(super) fn heading(first: &str, columns: &[String]) -> String {
    format!("{}| --- |{}\n", line(first, columns), " ---: |".repeat(columns.len()))
}

pub(super) fn line(name: &str, cells: &[String]) -> String {
    format!("| {name} | {} |\n", cells.join(" | "))
}

pub(super) fn ratio(value: Option<f64>) -> String {
    or_nothing(value.map(|value| format!("{value:.2}")))
}

pub(super) fn or_nothing(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| NOTHING.to_owned())
}
