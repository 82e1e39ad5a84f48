//! `mmcv config`: reads configs as mmengine does, and prints them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use mmcv_pyconfig::{Config, LoadOptions, Place, load, load_each};
use mmcv_registry::load_options;
use similar::TextDiff;

use crate::Failure;
use crate::output::{display, lossy, print, print_bytes};

/// Reads configs, `.py`, YAML or JSON, with their bases, as mmengine's `Config.fromfile` does, without Python.
///
/// Nothing in a file is executed: the part of Python that configs are written in is evaluated, within limits on steps and
/// memory. Configs of other packages, `mmdet::...`, are found in the folders of MMCV_CONFIG_PATH.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv config configs/resnet/resnet50_8xb32_in1k.py
  mmcv config resnet50_8xb32_in1k.py --json
  mmcv config resnet50_8xb32_in1k.py --cfg-options model.backbone.depth=18 --yaml
  mmcv config resnet50_8xb32_in1k.py --origin model.backbone.depth
  mmcv config a.py --diff b.py
  mmcv config configs/*.py --typed")]
pub struct ConfigCommand {
    /// The configs.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Prints JSON, as `json.dumps(cfg.to_dict())` in Python does.
    #[arg(long)]
    json: bool,
    /// Prints JSON that keeps Python's types: {\"__tuple__\": [...]}, {\"__set__\": [...]}, {\"__dict__\": [[key, value], ...]},
    /// {\"__float__\": \"inf\"}.
    #[arg(long)]
    typed: bool,
    /// Prints YAML.
    #[arg(long, conflicts_with_all = ["json", "typed", "python"])]
    yaml: bool,
    /// Prints Python, which is the default.
    #[arg(long, conflicts_with_all = ["json", "typed"])]
    python: bool,
    /// Overrides values, as mmengine's tools do: KEY.KEY=VALUE.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    cfg_options: Vec<String>,
    /// Prints the lines in which another config differs.
    #[arg(long, value_name = "OTHER", conflicts_with_all = ["json", "typed", "yaml", "origin"])]
    diff: Option<PathBuf>,
    /// Prints the file and the line that set a value, such as model.backbone.depth, and what it replaced.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["typed", "yaml"])]
    origin: Option<String>,
    /// A Python's site-packages folder, in which the configs of installed packages are found. Nothing is imported.
    #[arg(long, value_name = "FOLDER")]
    python_path: Option<PathBuf>,
}

impl ConfigCommand {
    pub fn run(self) -> Result<(), Failure> {
        if let [file] = self.files.as_slice() {
            let config = self.load(file)?;
            let text = self.text(&config)?;
            return if self.is_json() { print_bytes(text.as_bytes()) } else { print(&text) };
        }
        self.print_each()
    }

    /// Prints a line of JSON for each of several configs.
    fn print_each(&self) -> Result<(), Failure> {
        let mut failures = 0;
        let mut outcome = Ok(());
        let line = |file: &Path, config: Result<Config, mmcv_pyconfig::Error>| {
            let (key, text) = match config.and_then(|config| self.line(&config)) {
                Ok(text) => ("config", text),
                Err(error) => ("error", serde_json::json!(error.to_string()).to_string()),
            };
            (key == "error", format!("{{\"file\": {}, \"{key}\": {text}}}\n", serde_json::json!(lossy(file))))
        };
        load_each(&self.files, &self.options(), line, |(is_error, line)| {
            failures += usize::from(is_error);
            if outcome.is_ok() {
                outcome = print_bytes(line.as_bytes());
            }
        });
        outcome?;
        if failures > 0 {
            return Err(Failure::Text(format!("{failures} of {} configs could not be read", self.files.len())));
        }
        Ok(())
    }

    fn is_json(&self) -> bool {
        self.json || self.typed
    }

    fn options(&self) -> LoadOptions {
        let mut options = load_options();
        options.package_path.extend(self.python_path.clone());
        options.cfg_options.clone_from(&self.cfg_options);
        options
    }

    fn load(&self, file: &Path) -> Result<Config> {
        Ok(load(file, &self.options())?)
    }

    /// One config as JSON, for a list of several.
    fn line(&self, config: &Config) -> Result<String, mmcv_pyconfig::Error> {
        if self.typed { config.to_typed_json() } else { config.to_json() }
    }

    /// One config as the arguments ask for it.
    fn text(&self, config: &Config) -> Result<String> {
        if let Some(key) = &self.origin {
            return origin(config, key, self.json);
        }
        if let Some(other) = &self.diff {
            let other = self.load(other)?;
            return Ok(difference(&config.to_python()?, &other.to_python()?));
        }
        if self.is_json() {
            return Ok(self.line(config)? + "\n");
        }
        Ok(if self.yaml { config.to_yaml()? } else { config.to_python()? })
    }
}

/// Where a value was written, and what it replaced.
fn origin(config: &Config, key: &str, json: bool) -> Result<String> {
    config.find(key).with_context(|| format!("the config has no value at {key}"))?;
    let place = config.place(key);
    let mut places: Vec<&Place> = Vec::new();
    let mut current = place;
    while let Some(place) = current {
        places.push(place);
        current = place.replaced.as_deref();
    }
    if json {
        let list: Vec<_> =
            places.iter().map(|place| serde_json::json!({ "file": lossy(&place.file), "line": place.line })).collect();
        return Ok(format!("{}\n", serde_json::json!({ "key": key, "places": list })));
    }
    let Some((last, replaced)) = places.split_first() else {
        return Err(anyhow!("{key}: it was computed, or is from a YAML or JSON file"));
    };
    let mut text = format!("{key}: {}:{}\n", display(&last.file), last.line);
    for place in replaced {
        text.push_str(&format!("  replaces the value of {}:{}\n", display(&place.file), place.line));
    }
    Ok(text)
}

/// The lines that differ, with `-` and `+`, and three equal lines around them.
fn difference(left: &str, right: &str) -> String {
    let difference = TextDiff::from_lines(left, right);
    let mut text = String::new();
    for group in difference.grouped_ops(3) {
        for operation in group {
            for change in difference.iter_changes(&operation) {
                text.push_str(&format!("{}{change}", change.tag()));
            }
        }
    }
    text
}
