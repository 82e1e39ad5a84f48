//! The page `docs/benchmarks.md`.

use super::case::{Kind, Outcome, images};
use super::table::{
    by_contender, deviation, images_per_second, list, megabytes, milliseconds, seconds_until_ready, speeds,
};
use super::{Setting, machine};

/// The page in Markdown, with more sections.
pub(super) fn write(setting: &Setting, outcomes: &[Outcome], sections: &[String]) -> String {
    let mut page = format!(
        "# Benchmarks\n\nResults of `cargo xtask bench`:\n\n{}\nEvery engine runs in its own process with the same network \
         (`xtask/src/bench/networks`), the same weights and a random input of 224 x 224 pixels. All engines of a row are \
         loaded, and then take turns in random order, one pass at a time, so that other load affects all of them alike. \
         Times are medians{}. Compare ratios, because times depend on the machine. All engines may \
         use pages of 2 MB (`GLIBC_TUNABLES`). ncnn takes one image at a time. A deviation is the largest difference from the scores of PyTorch eager in f32, relative to the largest score, on \
         random crops of `tests/data/chelsea.png`.\n\n\
         ![How many times as fast as PyTorch eager](benchmarks.svg)\n",
        machine::describe(setting),
        spread(outcomes)
    );
    let inference = of_kind(outcomes, Kind::Inference);
    for batch in [1, 8] {
        let rows: Vec<&Outcome> = inference.iter().copied().filter(|outcome| outcome.case.batch == batch).collect();
        if !rows.is_empty() {
            let tables = [
                ("Times as fast as PyTorch eager", speeds(&rows)),
                ("Milliseconds", by_contender(&rows, milliseconds)),
                ("Deviation", by_contender(&rows, deviation)),
            ];
            page.push_str(&section(&format!("Inference, f32, {}", images(batch)), "", &tables));
        }
    }
    for outcome in of_kind(outcomes, Kind::Bf16) {
        page.push_str(&single("Inference, bf16", outcome));
    }
    for kind in [Kind::Int8, Kind::Throughput, Kind::Load, Kind::Growth] {
        page.push_str(&several(outcomes, kind));
    }
    for (kind, title) in [
        (Kind::Training, "A step of training"),
        (Kind::StartUp, "Start-up: from the start of the process to its first output"),
    ] {
        for outcome in of_kind(outcomes, kind) {
            page.push_str(&single(title, outcome));
        }
    }
    for section in sections {
        page.push_str(section);
    }
    let rows: Vec<&Outcome> = inference.into_iter().filter(|outcome| outcome.case.batch == 1).collect();
    if !rows.is_empty() {
        let tables = [("MB of each process, including loading", by_contender(&rows, megabytes))];
        page.push_str(&section("Peak memory, one image", "", &tables));
    }
    page.push_str(&failures(outcomes));
    page
}

/// How far the times of an engine lie apart.
fn spread(outcomes: &[Outcome]) -> String {
    let mut spreads: Vec<f64> =
        outcomes.iter().flat_map(|outcome| outcome.results.iter().flatten()).map(|measured| measured.spread).collect();
    spreads.sort_by(f64::total_cmp);
    let (Some(typical), Some(widest)) = (spreads.get(spreads.len() / 2), spreads.last()) else { return String::new() };
    format!(
        ", whose quartiles are typically {:.0} % of the median apart, at most {:.0} %",
        100.0 * typical,
        100.0 * widest
    )
}

/// The section of a case that has its own table.
fn single(title: &str, outcome: &Outcome) -> String {
    let (network, batch) = (outcome.case.network.title, outcome.case.batch);
    format!("\n## {title}\n\n{network}, batch size {batch}. {}\n\n{}", note(outcome.case.kind), list(outcome))
}

/// The section of all cases of a kind, if there are any.
fn several(outcomes: &[Outcome], kind: Kind) -> String {
    let rows = of_kind(outcomes, kind);
    if rows.is_empty() {
        return String::new();
    }
    let times = ("Milliseconds", by_contender(&rows, milliseconds));
    let deviations = ("Deviation", by_contender(&rows, deviation));
    let memory = ("Peak memory of all its processes, MB", by_contender(&rows, megabytes));
    let (title, tables) = match kind {
        Kind::Int8 => ("Inference, int8", vec![times, deviations]),
        Kind::Throughput => ("Throughput", vec![("Images per second", by_contender(&rows, images_per_second)), memory]),
        Kind::Load => ("Beside a busy program", vec![times]),
        Kind::Growth => {
            let ready =
                ("Seconds from the start of the process to its first output", by_contender(&rows, seconds_until_ready));
            ("Growth with the number and the size of images", vec![times, ready, memory, deviations])
        }
        Kind::Inference | Kind::Bf16 | Kind::Training | Kind::StartUp => return String::new(),
    };
    section(title, note(kind), &tables)
}

fn section(title: &str, note: &str, tables: &[(&str, String)]) -> String {
    let mut text = format!("\n## {title}\n");
    if !note.is_empty() {
        text.push_str(&format!("\n{note}\n"));
    }
    for (title, table) in tables {
        text.push_str(&format!("\n{title}:\n\n{table}"));
    }
    text
}

/// The note of a section.
fn note(kind: Kind) -> &'static str {
    match kind {
        Kind::Inference => "",
        Kind::Bf16 => {
            "PyTorch eager uses autocast for bf16, and ncnn only stores numbers in bf16. On a processor without instructions \
             for bf16, mmcv-rs and OpenVINO compute in f32, as the deviations show."
        }
        Kind::Int8 => {
            "OpenVINO's networks are quantized by NNCF (mixed preset), those of ONNX Runtime by its static quantization \
             (QDQ, by channels), both with 96 crops for calibration and without training. The weights are random, so the \
             deviations say nothing about the accuracy of trained networks."
        }
        Kind::Throughput => {
            "One image in a pass. All threads work on one pass at a time, or there is a process with one thread for each \
             thread, or an engine runs several passes at once in one process: mmcv-rs in a stream for each thread, OpenVINO in \
             its throughput mode."
        }
        Kind::Growth => "ResNet-50. The engines of a row are loaded one after another.",
        Kind::Load => {
            "One image, while another program keeps one core busy; with streams, the time of many images divided by their number."
        }
        Kind::Training => {
            "Forward pass, cross entropy, backward pass, and SGD with momentum and weight decay. With channels last, weights and \
             images have the channels of a pixel side by side; bf16 is autocast. PyTorch's optimizer is the fused one, too."
        }
        Kind::StartUp => {
            "The network is built from its config, its weights are loaded from a checkpoint file, and one image is \
             classified; Python does the same with mmpretrain."
        }
    }
}

/// The outcomes of one kind of case.
fn of_kind(outcomes: &[Outcome], kind: Kind) -> Vec<&Outcome> {
    outcomes.iter().filter(|outcome| outcome.case.kind == kind).collect()
}

/// The contenders that could not run, and why.
fn failures(outcomes: &[Outcome]) -> String {
    let mut lines = Vec::new();
    for Outcome { case, results } in outcomes {
        for (contender, result) in case.contenders.iter().zip(results) {
            if let Err(reason) = result {
                let reason = reason.replace('`', "'");
                lines.push(format!("- {}, {}: `{reason}`\n", case.title(), contender.title()));
            }
        }
    }
    if lines.is_empty() { String::new() } else { format!("\n## What did not run here\n\n{}", lines.concat()) }
}
