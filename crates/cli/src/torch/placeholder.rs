//! Placeholders in the reference's configs: `init_cfg=dict(type='Pretrained', checkpoint='')`, to be set by the user.

use mmcv_registry::{Config, Dict, KeyPath};

/// The config at `path` without the rules that load a checkpoint whose name is empty; logs a warning about each.
pub(crate) fn without_placeholders(config: &Config, path: &KeyPath) -> Config {
    match config {
        Config::Dict(dict) if is_placeholder(dict) => {
            log::warn!(
                "{path}.checkpoint is empty, so no weights are loaded; set it with --cfg-options {path}.checkpoint=FILE"
            );
            Config::Null
        }
        Config::Dict(dict) => {
            let mut kept = Dict::new();
            for (key, value) in dict.iter() {
                kept.insert(key, without_placeholders(value, &path.key(key)));
            }
            Config::Dict(kept)
        }
        Config::List(items) | Config::Tuple(items) => {
            let mut kept = Vec::new();
            for (index, item) in items.iter().enumerate() {
                let value = without_placeholders(item, &path.index(index));
                if !value.is_null() || item.is_null() {
                    kept.push(value);
                }
            }
            Config::List(kept)
        }
        other => other.clone(),
    }
}

fn is_placeholder(rule: &Dict) -> bool {
    let name = rule.get("type").and_then(Config::as_str);
    let checkpoint = rule.get("checkpoint").and_then(Config::as_str);
    matches!(name, Some("Pretrained" | "PretrainedInit")) && checkpoint == Some("")
}
