//! `mmcv bench --profile`: the time of each layer.

use std::collections::HashMap;

use anyhow::Result;
use mmcv_cli::format::{shapes, table};
use mmcv_fuse::{Fused, Timing};
use mmcv_layers::observe::{Call, observe};
use mmcv_layers::{Module, named_modules};
use serde::Serialize;
use tch::Tensor;

use super::statistics::median;

/// The smallest share of the time for which a module without multiply-adds has a row in the table.
const MIN_SHARE: f64 = 0.005;

/// The parts of a forward pass in execution order, each with the median of its time over several passes.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Profile {
    /// The modules of a network.
    Modules(Vec<ModuleTime>),
    /// The operators of a fused network.
    Operators(Vec<OperatorTime>),
}

/// The time of a module, without its children.
#[derive(Debug, Serialize)]
pub(super) struct ModuleTime {
    name: String,
    class: String,
    /// The output shapes.
    outputs: String,
    ms: f64,
    multiply_adds: u64,
}

/// The time of an operator.
#[derive(Debug, Serialize)]
pub(super) struct OperatorTime {
    /// The module that the operator belongs to.
    name: String,
    operator: String,
    kernel: String,
    ms: f64,
}

impl Profile {
    /// Profiles the modules of `network`. `forward` runs it once, as a child without a name.
    pub(super) fn of_modules(network: &dyn Module, runs: u32, forward: impl Fn() -> Result<()>) -> Result<Self> {
        let mut passes: Vec<Vec<Call>> = Vec::new();
        for _ in 0..runs {
            let (result, log) = observe(&forward);
            result?;
            passes.push(log.calls);
        }
        let mut classes = HashMap::new();
        for (name, module) in named_modules(network) {
            classes.insert(name, module.name());
        }
        let mut modules = Vec::new();
        for (index, call) in passes.first().into_iter().flatten().enumerate() {
            modules.push(ModuleTime {
                name: call.module.clone(),
                class: classes.get(&call.module).copied().unwrap_or_default().to_owned(),
                outputs: shapes(&call.outputs),
                ms: median_at(&passes, index, |call| 1e3 * call.own_time.as_secs_f64()),
                multiply_adds: call.multiply_adds,
            });
        }
        Ok(Self::Modules(modules))
    }

    /// Profiles the operators of a fused network.
    pub(super) fn of_operators(network: &Fused, runs: u32, input: &Tensor) -> Result<Self> {
        let mut passes: Vec<Vec<Timing>> = Vec::new();
        for _ in 0..runs {
            passes.push(network.profile(&[input])?);
        }
        let mut operators = Vec::new();
        for (index, timing) in passes.first().into_iter().flatten().enumerate() {
            let ms = median_at(&passes, index, |timing| timing.milliseconds);
            let Timing { module, operator, kernel, .. } = timing.clone();
            operators.push(OperatorTime { name: module, operator, kernel, ms });
        }
        Ok(Self::Operators(operators))
    }

    /// A table of all parts, and one of all classes or operators.
    pub(super) fn report(&self) -> String {
        match self {
            Self::Modules(modules) => modules_report(modules),
            Self::Operators(operators) => operators_report(operators),
        }
    }
}

/// The median time of a part over all passes.
fn median_at<T>(passes: &[Vec<T>], index: usize, milliseconds: fn(&T) -> f64) -> f64 {
    let mut times = Vec::new();
    for pass in passes {
        if let Some(part) = pass.get(index) {
            times.push(milliseconds(part));
        }
    }
    median(&times)
}

fn modules_report(modules: &[ModuleTime]) -> String {
    let total: f64 = modules.iter().map(|module| module.ms).sum();
    let mut rows = vec![["layer", "class", "output", "ms", "share", "GFLOP/s"].map(str::to_owned)];
    let mut sums = Sums::default();
    for module in modules {
        sums.add(&module.class, module.ms);
        // Modules that only call their children take little time and have no multiply-adds.
        if module.multiply_adds == 0 && module.ms < MIN_SHARE * total {
            continue;
        }
        let speed = 2e-6 * module.multiply_adds as f64 / module.ms;
        rows.push([
            displayed_name(&module.name),
            module.class.clone(),
            module.outputs.clone(),
            format!("{:.3}", module.ms),
            percent(module.ms, total),
            if module.multiply_adds > 0 { format!("{speed:.1}") } else { String::new() },
        ]);
    }
    format!("{}\n{}", table(&rows, 3), sums.report("class"))
}

fn operators_report(operators: &[OperatorTime]) -> String {
    let total: f64 = operators.iter().map(|operator| operator.ms).sum();
    let mut rows = vec![["layer", "operator", "kernel", "ms", "share"].map(str::to_owned)];
    let mut sums = Sums::default();
    for operator in operators {
        sums.add(&operator.operator, operator.ms);
        rows.push([
            displayed_name(&operator.name),
            operator.operator.clone(),
            operator.kernel.clone(),
            format!("{:.3}", operator.ms),
            percent(operator.ms, total),
        ]);
    }
    format!("{}\n{}", table(&rows, 3), sums.report("operator"))
}

fn displayed_name(name: &str) -> String {
    if name.is_empty() { "(root)".to_owned() } else { name.to_owned() }
}

fn percent(milliseconds: f64, total: f64) -> String {
    format!("{:.1} %", 100.0 * milliseconds / total)
}

/// Calls and milliseconds of each class or operator.
#[derive(Default)]
struct Sums<'a>(Vec<(&'a str, usize, f64)>);

impl<'a> Sums<'a> {
    fn add(&mut self, class: &'a str, milliseconds: f64) {
        for (name, calls, sum) in &mut self.0 {
            if *name == class {
                *calls += 1;
                *sum += milliseconds;
                return;
            }
        }
        self.0.push((class, 1, milliseconds));
    }

    /// A table, the slowest first.
    fn report(mut self, title: &str) -> String {
        let calls: usize = self.0.iter().map(|(_, calls, _)| calls).sum();
        let total: f64 = self.0.iter().map(|(_, _, milliseconds)| milliseconds).sum();
        self.0.sort_by(|(.., left), (.., right)| right.total_cmp(left));
        let mut rows = vec![[title, "calls", "ms", "share"].map(str::to_owned)];
        for (class, calls, milliseconds) in self.0 {
            let (calls, share) = (calls.to_string(), percent(milliseconds, total));
            rows.push([class.to_owned(), calls, format!("{milliseconds:.3}"), share]);
        }
        rows.push(["sum".to_owned(), calls.to_string(), format!("{total:.3}"), String::new()]);
        table(&rows, 1)
    }
}
