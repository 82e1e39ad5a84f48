//! The page `docs/benchmarks.md`.

use super::case::{Kind, Measured, Outcome};
use super::engine::{Contender, ENGINES, Engine};
use super::{Setting, machine};

/// The contender that the others are compared with.
pub(super) const BASELINE: Contender = Engine::Eager.f32();

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

/// The page in Markdown.
pub(super) fn write(setting: &Setting, outcomes: &[Outcome]) -> String {
    let mut page = format!(
        "# Benchmarks\n\nResults of `cargo xtask bench`:\n\n{}\nEvery engine runs in its own process with the same network \
         (`xtask/src/bench/networks`), the same weights and a random input of 224 x 224 pixels. All engines of a row are \
         loaded, and then take turns in random order, one pass at a time, so that other load affects all of them alike. \
         Times are medians. Compare ratios, because times depend on the machine.\n\n\
         ![How many times as fast as PyTorch eager](benchmarks.svg)\n",
        machine::describe(setting)
    );
    let inference = of_kind(outcomes, Kind::Inference);
    for (batch, title) in [(1, "one image"), (8, "eight images")] {
        let rows: Vec<&Outcome> = inference.iter().copied().filter(|outcome| outcome.case.batch == batch).collect();
        if !rows.is_empty() {
            page.push_str(&format!(
                "\n## Inference, f32, {title}\n\nTimes as fast as PyTorch eager:\n\n{}",
                speeds(&rows)
            ));
            page.push_str(&format!("\nMilliseconds:\n\n{}", by_engine(&rows, milliseconds)));
        }
    }
    for (kind, title) in [
        (Kind::Bf16, "Inference, bf16"),
        (Kind::Training, "A step of training"),
        (Kind::StartUp, "Start-up: from the start of the process to its first output"),
    ] {
        for outcome in of_kind(outcomes, kind) {
            page.push_str(&format!(
                "\n## {title}\n\n{}, batch size {}.{}\n\n{}",
                outcome.case.network.title,
                outcome.case.batch,
                note(kind),
                list(outcome)
            ));
        }
    }
    let single: Vec<&Outcome> = inference.into_iter().filter(|outcome| outcome.case.batch == 1).collect();
    if !single.is_empty() {
        page.push_str(&format!(
            "\n## Peak memory, one image\n\nMB of each process, including loading:\n\n{}",
            by_engine(&single, megabytes)
        ));
    }
    page.push_str(&failures(outcomes));
    page
}

/// The notes of a section.
fn note(kind: Kind) -> &'static str {
    match kind {
        Kind::Inference => "",
        Kind::Bf16 => " PyTorch eager uses autocast for bf16.",
        Kind::Training => " Forward pass, cross entropy, backward pass, and SGD with momentum and weight decay.",
        Kind::StartUp => {
            " The network is built from its config, its weights are loaded from a checkpoint file, and one image is \
             classified; Python does the same with mmpretrain."
        }
    }
}

/// The outcomes of one kind of case.
fn of_kind(outcomes: &[Outcome], kind: Kind) -> Vec<&Outcome> {
    outcomes.iter().filter(|outcome| outcome.case.kind == kind).collect()
}

/// A table of ratios, with a column for each engine but the baseline, and one for the fastest other engine.
fn speeds(rows: &[&Outcome]) -> String {
    let mut engines = engines(rows);
    engines.retain(|contender| *contender != BASELINE);
    let mut titles = titles(&engines);
    titles.push("mmcv-rs against the fastest other");
    let mut table = heading(&titles);
    for outcome in rows {
        let mut cells = Vec::new();
        for contender in &engines {
            let cell = ratio(outcome.speed(*contender));
            cells.push(if *contender == Engine::Mmcv.f32() { format!("**{cell}**") } else { cell });
        }
        cells.push(ratio(outcome.lead(Engine::Mmcv.f32())));
        table.push_str(&line(outcome.case.network.title, &cells));
    }
    table
}

/// A table with a column for each engine.
fn by_engine(rows: &[&Outcome], cell: fn(Option<Measured>) -> String) -> String {
    let engines = engines(rows);
    let mut table = heading(&titles(&engines));
    for outcome in rows {
        let cells: Vec<String> = engines.iter().map(|contender| cell(outcome.measured(*contender))).collect();
        table.push_str(&line(outcome.case.network.title, &cells));
    }
    table
}

/// The engines that take part in any of these cases, in f32.
fn engines(rows: &[&Outcome]) -> Vec<Contender> {
    let mut engines = ENGINES.map(Engine::f32).to_vec();
    engines.retain(|contender| rows.iter().any(|outcome| outcome.case.contenders.contains(contender)));
    engines
}

fn titles(contenders: &[Contender]) -> Vec<&'static str> {
    contenders.iter().map(|contender| contender.engine.title()).collect()
}

/// A table with a row for each contender.
fn list(outcome: &Outcome) -> String {
    let mut lines =
        vec!["| engine | type | milliseconds | times as fast as PyTorch eager f32 | peak memory, MB |\n| --- | --- | ---: | ---: | ---: |\n".to_owned()];
    for contender in &outcome.case.contenders {
        let measured = outcome.measured(*contender);
        let cells = [
            contender.dtype.name().to_owned(),
            milliseconds(measured),
            ratio(outcome.speed(*contender)),
            megabytes(measured),
        ];
        lines.push(line(contender.engine.title(), &cells));
    }
    lines.concat()
}

/// The contenders that could not run, and why.
fn failures(outcomes: &[Outcome]) -> String {
    let mut lines = Vec::new();
    for Outcome { case, results } in outcomes {
        for (contender, result) in case.contenders.iter().zip(results) {
            if let Err(reason) = result {
                let reason = reason.replace('`', "'");
                lines.push(format!(
                    "- {}, {} {}: `{reason}`\n",
                    case.title(),
                    contender.engine.title(),
                    contender.dtype.name()
                ));
            }
        }
    }
    if lines.is_empty() { String::new() } else { format!("\n## What did not run here\n\n{}", lines.concat()) }
}

fn heading(columns: &[&str]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    format!("{}| --- |{}\n", line("network", &columns), " ---: |".repeat(columns.len()))
}

fn line(name: &str, cells: &[String]) -> String {
    format!("| {name} | {} |\n", cells.join(" | "))
}

/// The cell of something that was not measured.
const NOTHING: &str = "-";

fn ratio(value: Option<f64>) -> String {
    match value {
        Some(value) => format!("{value:.2}"),
        None => NOTHING.to_owned(),
    }
}

fn milliseconds(measured: Option<Measured>) -> String {
    match measured {
        Some(measured) => format!("{:.1}", measured.time),
        None => NOTHING.to_owned(),
    }
}

fn megabytes(measured: Option<Measured>) -> String {
    match measured {
        Some(Measured { memory: Some(bytes), .. }) => format!("{:.0}", bytes as f64 / 1e6),
        _ => NOTHING.to_owned(),
    }
}
