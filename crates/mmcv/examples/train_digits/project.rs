//! Configs of OpenMMLab projects: what the example needs of them, under its own names.

use anyhow::{Context, Result, ensure};
use mmcv::registry::{Config, Dict};

/// The example's own keys, and where a project's config has their values.
const KEYS: [(&str, &[&str]); 5] = [
    ("seed", &["randomness", "seed"]),
    ("clip_grad", &["optim_wrapper", "clip_grad"]),
    ("accumulative_counts", &["optim_wrapper", "accumulative_counts"]),
    ("max_epochs", &["train_cfg", "max_epochs"]),
    ("batch_size", &["train_dataloader", "batch_size"]),
];

/// Whether this is the config of a project.
pub fn is_one(config: &Config) -> bool {
    config.get("optim_wrapper").is_some()
}

/// The same as a config of the example: the network, SGD, the schedule, the number of epochs and images, the seed. What else a
/// project's config says, about data, hooks and runtime, is ignored.
pub fn to_own(config: &Config) -> Result<Config> {
    let mut own = Dict::new();
    own.insert("model", config.get("model").context("model: a project's config has the network here")?.clone());
    own.insert("sgd", only(find(config, &["optim_wrapper", "optimizer"])?, "optim_wrapper.optimizer", "SGD")?);
    if let Some(scheduler) = config.get("param_scheduler") {
        let mut schedule = only(single(scheduler)?, "param_scheduler", "MultiStepLR")?;
        for key in ["by_epoch", "begin", "end"] {
            schedule.remove(key);
        }
        own.insert("multi_step_lr", schedule);
    }
    // mmengine's values are the names of two implementations.
    let implementation = config.get("sync_bn").and_then(Config::as_str);
    if implementation.is_some() {
        own.insert("sync_bn", true);
    }
    if find(config, &["optim_wrapper", "type"]).ok().and_then(Config::as_str) == Some("AmpOptimWrapper") {
        own.insert("amp", true);
    }
    for (name, path) in KEYS {
        if let Ok(value) = find(config, path) {
            own.insert(name, value.clone());
        }
    }
    Ok(Config::Dict(own))
}

/// The value at `path`.
fn find<'a>(config: &'a Config, path: &[&str]) -> Result<&'a Config> {
    let mut value = config;
    for key in path {
        value = value.get(key).with_context(|| format!("{}: missing", path.join(".")))?;
    }
    Ok(value)
}

/// The only element of a list, or what is no list.
fn single(config: &Config) -> Result<&Config> {
    match config {
        Config::List(list) => match list.as_slice() {
            [only] => Ok(only),
            _ => anyhow::bail!("param_scheduler: {} schedules, and the example can follow one", list.len()),
        },
        other => Ok(other),
    }
}

/// The arguments of a dict with this `type`.
fn only(config: &Config, key: &str, wanted: &str) -> Result<Dict> {
    let mut arguments = config.as_dict().with_context(|| format!("{key}: expected a dict"))?.clone();
    let found = arguments.remove("type").unwrap_or(Config::Null);
    ensure!(found.as_str() == Some(wanted), "{key}.type: {found}: the example has only {wanted}");
    Ok(arguments)
}
