//! `mmcv bench --profile`: where the time goes.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use mmcv_fuse::{Fused, Timing};
use mmcv_layers::observe::{Call, observe};
use mmcv_layers::{Module, named_modules};
use serde_json::{Value, json};
use tch::Tensor;

use super::statistics::median;
use crate::commands::network::shapes;
use crate::commands::table::table;

/// The share of the time from which on a module without multiply-adds gets a line of the table.
const WORTH: f64 = 0.005;

/// The parts of a forward pass in the order in which they run, and how long each takes.
#[derive(Debug)]
pub(super) struct Profile {
    parts: Vec<Part>,
    /// Whether the parts are operators of a fused network; else they are modules.
    fused: bool,
}

/// A module without its children, or an operator.
#[derive(Debug)]
struct Part {
    /// The module, or the one that the operator is part of.
    name: String,
    /// The class, or the operator.
    class: String,
    /// The shapes of the outputs, or the kernel.
    outputs: String,
    milliseconds: f64,
    multiply_adds: u64,
}

impl Profile {
    /// Of the modules of `network`, which `forward` runs as a child without a name: medians of several runs.
    pub(super) fn of_modules(network: &dyn Module, runs: u32, forward: impl Fn() -> Result<()>) -> Result<Self> {
        let mut passes: Vec<Vec<Call>> = Vec::new();
        for _ in 0..runs {
            let (done, log) = observe(&forward);
            done?;
            passes.push(log.calls);
        }
        let classes: HashMap<String, &str> =
            named_modules(network).into_iter().map(|(name, module)| (name, module.name())).collect();
        let part = |(index, call): (usize, &Call)| {
            let milliseconds = |time: Duration| 1e3 * time.as_secs_f64();
            let times: Vec<f64> =
                passes.iter().filter_map(|calls| calls.get(index)).map(|call| milliseconds(call.own_time)).collect();
            Part {
                name: call.module.clone(),
                class: classes.get(&call.module).copied().unwrap_or_default().to_owned(),
                outputs: shapes(&call.outputs),
                milliseconds: median(&times),
                multiply_adds: call.multiply_adds,
            }
        };
        Ok(Self { parts: passes.first().into_iter().flatten().enumerate().map(part).collect(), fused: false })
    }

    /// Of the operators of a fused network, in the same way.
    pub(super) fn of_operators(network: &Fused, runs: u32, input: &Tensor) -> Result<Self> {
        let passes = (0..runs).map(|_| network.profile(&[input])).collect::<Result<Vec<_>, _>>()?;
        let part = |(index, timing): (usize, &Timing)| {
            let times: Vec<f64> =
                passes.iter().filter_map(|pass| pass.get(index)).map(|timing| timing.milliseconds).collect();
            Part {
                name: timing.module.clone(),
                class: timing.operator.clone(),
                outputs: timing.kernel.clone(),
                milliseconds: median(&times),
                multiply_adds: 0,
            }
        };
        Ok(Self { parts: passes.first().into_iter().flatten().enumerate().map(part).collect(), fused: true })
    }

    fn total(&self) -> f64 {
        self.parts.iter().map(|part| part.milliseconds).sum()
    }

    /// A table of all parts, and one of all classes.
    pub(super) fn report(&self) -> String {
        let share = |milliseconds: f64| format!("{:.1} %", 100.0 * milliseconds / self.total());
        let [class, outputs, speed] =
            if self.fused { ["operator", "kernel", ""] } else { ["class", "output", "GFLOP/s"] };
        let mut parts = vec![["layer", class, outputs, "ms", "share", speed].map(str::to_owned)];
        // Modules that hand on to their children do no work worth a line.
        let worth = |part: &&Part| self.fused || part.multiply_adds > 0 || part.milliseconds >= WORTH * self.total();
        parts.extend(self.parts.iter().filter(worth).map(|part| {
            let name = if part.name.is_empty() { "(the whole)" } else { &part.name };
            let speed = 2e-6 * part.multiply_adds as f64 / part.milliseconds;
            [
                name.to_owned(),
                part.class.clone(),
                part.outputs.clone(),
                format!("{:.3}", part.milliseconds),
                share(part.milliseconds),
                if part.multiply_adds > 0 { format!("{speed:.1}") } else { String::new() },
            ]
        }));
        let mut classes = vec![[class, "calls", "ms", "share"].map(str::to_owned)];
        classes.extend(self.classes().into_iter().map(|(class, calls, milliseconds)| {
            [class.to_owned(), calls.to_string(), format!("{milliseconds:.3}"), share(milliseconds)]
        }));
        classes.push(["sum".to_owned(), self.parts.len().to_string(), format!("{:.3}", self.total()), String::new()]);
        format!("{}\n{}", table(&parts, 3), table(&classes, 1))
    }

    /// Each class with the number of its calls and their time; the slowest first.
    fn classes(&self) -> Vec<(&str, usize, f64)> {
        let mut classes: Vec<(&str, usize, f64)> = Vec::new();
        for part in &self.parts {
            match classes.iter_mut().find(|(class, ..)| *class == part.class) {
                Some((_, calls, milliseconds)) => {
                    *calls += 1;
                    *milliseconds += part.milliseconds;
                }
                None => classes.push((&part.class, 1, part.milliseconds)),
            }
        }
        classes.sort_by(|(.., one), (.., other)| other.total_cmp(one));
        classes
    }

    pub(super) fn to_json(&self) -> Value {
        let part = |part: &Part| {
            if self.fused {
                return json!({
                    "name": part.name,
                    "operator": part.class,
                    "kernel": part.outputs,
                    "ms": part.milliseconds,
                });
            }
            json!({
                "name": part.name,
                "class": part.class,
                "outputs": part.outputs,
                "ms": part.milliseconds,
                "multiply_adds": part.multiply_adds,
            })
        };
        self.parts.iter().map(part).collect()
    }
}
