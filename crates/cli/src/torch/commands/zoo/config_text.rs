//! The config of a model zoo name as YAML, laid out for readers.

use mmcv_models::ZooEntry;
use mmcv_registry::Config;

/// The longest line.
const MAX_WIDTH: usize = 120;

/// The config file of a model zoo name.
pub(super) fn recipe_text(entry: &ZooEntry) -> String {
    let mut text = format!("# {}: the weights of {}.\n", entry.network, entry.name);
    if entry.partial {
        text.push_str("# They may lack the classifier, and are for `mmcv features` and for training.\n");
    }
    text.push_str("# Written by `mmcv zoo configs` from model_zoo/networks.yaml.\n");
    write_block(&mut text, &entry.config, 0);
    text
}

/// A value in YAML's flow style, on one line.
pub(super) fn flow(value: &Config) -> String {
    match value {
        Config::Dict(dict) => {
            let pairs: Vec<String> = dict.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Config::List(items) | Config::Tuple(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Config::Str(text) if needs_no_quotes(text) => text.clone(),
        // JSON cannot express them.
        Config::Float(number) if !number.is_finite() => value.to_string(),
        other => other.to_json(),
    }
}

/// Writes a dict with one line per key. Inner dicts become blocks at the top level and where they are too long for a line.
fn write_block(text: &mut String, value: &Config, depth: usize) {
    let Config::Dict(dict) = value else { return };
    let indent = "  ".repeat(depth);
    for (key, value) in dict.iter() {
        let line = format!("{indent}{key}: {}\n", flow(value));
        if value.as_dict().is_some() && (depth == 0 || line.len() > MAX_WIDTH) {
            text.push_str(&format!("{indent}{key}:\n"));
            write_block(text, value, depth + 1);
        } else {
            text.push_str(&line);
        }
    }
}

/// Whether a plain YAML scalar with this text is read as that text, and not as a number or a keyword.
fn needs_no_quotes(text: &str) -> bool {
    let is_plain_character = |character: char| character.is_ascii_alphanumeric() || "_-./:".contains(character);
    if !text.chars().all(is_plain_character) {
        return false;
    }
    match Config::from_yaml(&format!("x: {text}")) {
        Ok(config) => config.get("x").and_then(Config::as_str) == Some(text),
        Err(_) => false,
    }
}
