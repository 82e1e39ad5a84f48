//! Building a network and loading its weights.

use std::collections::HashSet;
use std::io::Write;

use anyhow::{Context, Result, bail};
use mmcv_checkpoint::{CheckpointFile, Difference, LoadReport, open_checkpoint_with};
use mmcv_cli::format::plural;
use mmcv_cli::progress::ByteProgress;
use mmcv_layers::{Module, ModuleExt, Parts, init, join_path, named_modules, observe};
use mmcv_models::CheckpointConfig;
use mmcv_registry::Config;
use mmcv_zoo::FetchOptions;

use super::{CheckpointArgs, Weights};

impl Weights {
    /// Builds a network, loads its weights, and moves it to the device in evaluation mode. Casts and removed prefixes are
    /// reported on stderr.
    ///
    /// Returns an error if a tensor keeps its random value, which would make all results meaningless; `consequence` ends its
    /// message.
    pub(crate) fn load(
        &self,
        checkpoint: Option<&CheckpointConfig>,
        build: impl FnOnce() -> mmcv_layers::Result<Box<dyn Module>>,
        consequence: &str,
    ) -> Result<(Box<dyn Module>, LoadReport)> {
        let (network, report) = match checkpoint {
            Some(checkpoint) => {
                let (network, report, _) = self.checkpoint.load(checkpoint, build)?;
                (network, report)
            }
            None => load_pretrained(build)?,
        };
        // The library logs a warning about an incomplete checkpoint.
        if report.is_complete() && report.is_converted() {
            let _ = writeln!(std::io::stderr(), "weights: {report}");
        }
        check_complete(&report, consequence)?;
        let device = self.device();
        network.to_device(device).with_context(|| format!("cannot use the device {device:?}"))?;
        network.train(false);
        Ok((network, report))
    }
}

/// Returns an error if a tensor of the network keeps its random value; `consequence` ends its message.
pub(crate) fn check_complete(report: &LoadReport, consequence: &str) -> Result<()> {
    let Some(first) = report.unset.iter().min() else { return Ok(()) };
    let count = plural(report.unset.len(), "tensor");
    let types = types_of(report, first);
    bail!("the weights have no value for {count} of the network, such as {first}{types}, {consequence}")
}

/// The types and shapes of a tensor in parentheses, if they differ between network and file.
fn types_of(report: &LoadReport, name: &str) -> String {
    for Difference { name: mismatched, expected, found, .. } in &report.mismatched {
        if mismatched == name {
            return format!(" ({expected} in the network, {found} in the file)");
        }
    }
    String::new()
}

impl CheckpointArgs {
    /// Builds a network and loads weights into it. Also returns the file of the weights. A download has a progress bar.
    pub(crate) fn load(
        &self,
        checkpoint: &CheckpointConfig,
        build: impl FnOnce() -> mmcv_layers::Result<Box<dyn Module>>,
    ) -> Result<(Box<dyn Module>, LoadReport, CheckpointFile)> {
        // A strict checkpoint sets every value, so none have to be drawn.
        let (network, pretrained) =
            if checkpoint.strict { (init::without_draws(build)?, HashSet::new()) } else { initialize(build)? };
        let bar = ByteProgress::new();
        let show = |progress| bar.show(progress);
        let fetch = FetchOptions { progress: Some(&show), ..self.verification.options() };
        let file = open_checkpoint_with(&checkpoint.source, &fetch, self.unknown_classes.policy())?;
        drop(bar);
        let mut report = file.load_into(&*network, &checkpoint.options()?)?;
        report.unset.retain(|name| !pretrained.contains(name));
        Ok((network, report, file))
    }
}

/// Builds a network whose weights are loaded by its own `init_cfg`.
fn load_pretrained(
    build: impl FnOnce() -> mmcv_layers::Result<Box<dyn Module>>,
) -> Result<(Box<dyn Module>, LoadReport)> {
    // Errors in the network take precedence over missing weights.
    let (network, loaded) = initialize(build)?;
    if loaded.is_empty() && !network.state_dict().is_empty() {
        bail!("there are no weights: use --checkpoint, or set `checkpoint: {{source: ...}}` in the config");
    }
    let mut report = LoadReport { written: true, ..LoadReport::default() };
    for (path, module) in named_modules(&*network) {
        let Parts { parameters, buffers, .. } = Parts::of(module);
        for (local_name, _) in &parameters {
            if loaded.contains(&join_path(&path, local_name)) {
                report.parameters += 1;
            }
        }
        for (local_name, _) in parameters.iter().chain(&buffers) {
            let name = join_path(&path, local_name);
            if loaded.contains(&name) {
                report.loaded.push(name);
            } else if !module.may_be_absent(local_name) {
                report.unset.push(name);
            }
        }
    }
    report.missing.clone_from(&report.unset);
    Ok((network, report))
}

/// Builds a network, and initializes it if its `init_cfg` loads weights. Also returns the names of the loaded tensors.
fn initialize(
    build: impl FnOnce() -> mmcv_layers::Result<Box<dyn Module>>,
) -> Result<(Box<dyn Module>, HashSet<String>)> {
    let network = build()?;
    let mut loaded = HashSet::new();
    if !has_pretrained_rule(&*network) {
        return Ok((network, loaded));
    }
    let (result, log) = observe::observe(|| network.init_weights());
    result?;
    for (name, tensor) in network.state_dict() {
        if let Some(initial) = log.initial(&tensor)
            && initial.values == observe::LOADED
        {
            loaded.insert(name);
        }
    }
    Ok((network, loaded))
}

fn has_pretrained_rule(network: &dyn Module) -> bool {
    for (_, module) in named_modules(network) {
        if let Some(rules) = module.init_cfg()
            && is_pretrained(rules.config())
        {
            return true;
        }
    }
    false
}

/// Whether a rule of `init_cfg`, or one nested in it, loads weights.
fn is_pretrained(rules: &Config) -> bool {
    match rules {
        Config::List(rules) | Config::Tuple(rules) => rules.iter().any(is_pretrained),
        Config::Dict(rule) => {
            if let Some(Config::Str(name)) = rule.get("type")
                && name.contains("Pretrained")
            {
                return true;
            }
            match rule.get("override") {
                Some(nested) => is_pretrained(nested),
                None => false,
            }
        }
        _ => false,
    }
}
