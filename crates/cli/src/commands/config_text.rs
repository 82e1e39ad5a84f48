//! A recipe as people write one: a line for each part.

use mmcv_models::ZooEntry;
use mmcv_registry::{Config, Dict};

/// The longest line of a file.
const WIDTH: usize = 120;

/// The config file of a name of the zoo.
pub(super) fn recipe_text(entry: &ZooEntry) -> String {
    let name = &entry.name;
    let mut text = format!("# {}: the weights of {name}.\n", entry.network);
    if entry.partial {
        text.push_str("# They may lack the classifier, and are for `mmcv features` and for training.\n");
    }
    text.push_str("# Written by `mmcv zoo configs` from model_zoo/networks.yaml.\n");
    block(&mut text, &entry.config, 0);
    text
}

/// A value on one line.
pub(super) fn flow(value: &Config) -> String {
    match value {
        Config::Dict(dict) => {
            let pairs: Vec<String> = dict.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Config::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Config::Str(text) if is_plain(text) => text.clone(),
        // JSON has no names for numbers that are not finite.
        Config::Float(number) if !number.is_finite() => value.to_string(),
        other => other.to_json(),
    }
}

/// A dict with a line for each key, and more where a value is too long for one.
fn block(text: &mut String, value: &Config, depth: usize) {
    let Config::Dict(dict) = value else { return };
    let indent = "  ".repeat(depth);
    for (key, value) in dict.iter() {
        let line = format!("{indent}{key}: {}\n", flow(value));
        match value {
            Config::Dict(inner) if depth == 0 || line.len() > WIDTH => {
                text.push_str(&format!("{indent}{key}:\n"));
                block(text, &Config::Dict(Dict::clone(inner)), depth + 1);
            }
            _ => text.push_str(&line),
        }
    }
}

/// Whether a text needs no quotes: letters, digits and what names, paths and URLs have; and it is no number or word of YAML.
fn is_plain(text: &str) -> bool {
    let usual = |character: char| character.is_ascii_alphanumeric() || "_-./:".contains(character);
    let quoted = format!("x: {text}");
    let read = Config::from_yaml(&quoted).ok().and_then(|config| config.get("x").cloned());
    text.chars().all(usual) && read.as_ref().and_then(Config::as_str) == Some(text)
}
