//! The page with the results.

use super::case::{Kind, Measured, Outcome};
use super::engine::{Contender, ENGINES, Engine};
use super::{Setting, machine};

/// With what the others are compared.
pub(super) const BASELINE: Contender = Engine::Eager.f32();

impl Outcome {
    /// What was measured of a contender; `None` where it took no part or could not run.
    pub(super) fn measured(&self, contender: Contender) -> Option<Measured> {
        let index = self.case.contenders.iter().position(|other| *other == contender)?;
        self.results.get(index)?.as_ref().ok().copied()
    }

    /// How many times as fast as PyTorch eager with 32 bits it is.
    pub(super) fn speed(&self, contender: Contender) -> Option<f64> {
        Some(self.measured(BASELINE)?.time / self.measured(contender)?.time)
    }

    /// How many times as fast as the fastest engine that is not ours `contender` is.
    fn lead(&self, contender: Contender) -> Option<f64> {
        let own = self.measured(contender)?.time;
        let others = self.case.contenders.iter().filter(|other| !other.engine.is_ours());
        let fastest =
            others.filter_map(|other| self.measured(*other)).map(|measured| measured.time).reduce(f64::min)?;
        Some(fastest / own)
    }
}

/// The page in Markdown.
pub(super) fn write(setting: &Setting, outcomes: &[Outcome]) -> String {
    let of = |kind: Kind| outcomes.iter().filter(move |outcome| outcome.case.kind == kind).collect::<Vec<_>>();
    let mut page = format!(
        "# Benchmarks\n\n`cargo xtask bench` has measured this:\n\n{}\nEvery engine is a process of its own with the same \
         network (`xtask/src/bench/networks`), the same weights and a random input of 224 x 224 pixels. All of a row are \
         loaded, and then take turns in random order, one pass at a time, so that what else the machine does concerns all of \
         them. Times are medians. Compare ratios: times are of this machine.\n\n\
         ![How many times as fast as PyTorch eager](benchmarks.svg)\n",
        machine::describe(setting)
    );
    let inference = of(Kind::Inference);
    for (batch, title) in [(1, "one image"), (8, "eight images")] {
        let rows: Vec<&Outcome> = inference.iter().copied().filter(|outcome| outcome.case.batch == batch).collect();
        if !rows.is_empty() {
            page.push_str(&format!(
                "\n## Inference, f32, {title}\n\nTimes as fast as PyTorch eager:\n\n{}",
                speeds(&rows)
            ));
            page.push_str(&format!(
                "\nMilliseconds:\n\n{}",
                by_engine(&rows, |outcome, contender| {
                    outcome.measured(contender).map(|measured| format!("{:.1}", measured.time))
                })
            ));
        }
    }
    for (kind, title) in [
        (Kind::Bf16, "Inference, bf16"),
        (Kind::Training, "A step of training"),
        (Kind::StartUp, "Start-up: from the start of the process to its first output"),
    ] {
        for outcome in of(kind) {
            page.push_str(&format!(
                "\n## {title}\n\n{}, batch {}.{}\n\n{}",
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
            "\n## Peak memory, one image\n\nMB of each process, loading included:\n\n{}",
            by_engine(&single, |outcome, contender| {
                outcome.measured(contender)?.memory.map(|bytes| format!("{:.0}", bytes as f64 / 1e6))
            })
        ));
    }
    page.push_str(&failures(outcomes));
    page
}

/// What a section says beyond its title.
fn note(kind: Kind) -> &'static str {
    match kind {
        Kind::Inference => "",
        Kind::Bf16 => " PyTorch eager computes in bf16 by autocast.",
        Kind::Training => " Forward pass, cross entropy, backward pass, and SGD with momentum and weight decay.",
        Kind::StartUp => {
            " The network is built from its config, its weights are loaded from a checkpoint file, and one image is \
             classified; Python does the same with mmpretrain."
        }
    }
}

/// A table of ratios, a column for each engine but the baseline, and how the best of the others compares.
fn speeds(rows: &[&Outcome]) -> String {
    let engines: Vec<Contender> = engines(rows).into_iter().filter(|contender| *contender != BASELINE).collect();
    let mut lines = vec![heading(
        engines.iter().map(|contender| contender.engine.title()).chain(["mmcv-rs against the fastest other"]),
    )];
    for outcome in rows {
        let cells = engines.iter().map(|contender| {
            let cell = cell(outcome.speed(*contender).map(|speed| format!("{speed:.2}")));
            if *contender == Engine::Mmcv.f32() { format!("**{cell}**") } else { cell }
        });
        let lead = cell(outcome.lead(Engine::Mmcv.f32()).map(|lead| format!("{lead:.2}")));
        lines.push(line(outcome.case.network.title, cells.chain([lead])));
    }
    lines.concat()
}

/// A table with a column for each engine.
fn by_engine(rows: &[&Outcome], value: impl Fn(&Outcome, Contender) -> Option<String>) -> String {
    let engines = engines(rows);
    let mut lines = vec![heading(engines.iter().map(|contender| contender.engine.title()))];
    for outcome in rows {
        lines.push(line(outcome.case.network.title, engines.iter().map(|contender| cell(value(outcome, *contender)))));
    }
    lines.concat()
}

/// The engines that take part in any of these, with 32 bits.
fn engines(rows: &[&Outcome]) -> Vec<Contender> {
    let takes_part = |contender: &Contender| rows.iter().any(|outcome| outcome.case.contenders.contains(contender));
    ENGINES.into_iter().map(Engine::f32).filter(takes_part).collect()
}

/// A table with a line for each contender.
fn list(outcome: &Outcome) -> String {
    let mut lines =
        vec!["| engine | type | milliseconds | times as fast as PyTorch eager f32 | peak memory, MB |\n| --- | --- | ---: | ---: | ---: |\n".to_owned()];
    for contender in &outcome.case.contenders {
        let measured = outcome.measured(*contender);
        let cells = [
            contender.dtype.name().to_owned(),
            cell(measured.map(|measured| format!("{:.1}", measured.time))),
            cell(outcome.speed(*contender).map(|speed| format!("{speed:.2}"))),
            cell(measured.and_then(|measured| measured.memory).map(|bytes| format!("{:.0}", bytes as f64 / 1e6))),
        ];
        lines.push(line(contender.engine.title(), cells.into_iter()));
    }
    lines.concat()
}

/// What could not be measured, and why.
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

fn heading<'a>(columns: impl Iterator<Item = &'a str> + Clone) -> String {
    let rule = " ---: |".repeat(columns.clone().count());
    format!("{}| --- |{rule}\n", line("network", columns.map(str::to_owned)))
}

fn line(name: &str, cells: impl Iterator<Item = String>) -> String {
    format!("| {name} | {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

fn cell(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}
