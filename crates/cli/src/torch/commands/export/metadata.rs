//! What an exported file says about itself.

use std::fs::File;

use anyhow::{Context, Result};
use mmcv_cli::output::display;
use mmcv_models::Recipe;
use mmcv_registry::{Config, FromConfig};
use mmcv_zoo::Digest;

use crate::network::{Loaded, LoadedCheckpoint};

/// Where the network is from: its config, its dict in JSON, its weights, and its preprocessing in JSON.
pub(super) fn of_network(config: &str, loaded: &Loaded, preprocess_in_graph: bool) -> Result<Vec<(String, String)>> {
    let mut entries = vec![("config", mmcv_zoo::redact(config)), ("model", loaded.model.to_json())];
    if let Some(checkpoint) = &loaded.checkpoint {
        entries.push(("checkpoint", mmcv_zoo::redact(&checkpoint.source)));
        entries.push(("checkpoint_sha256", digests(checkpoint)?));
    }
    if let Some(preprocess) = loaded.preprocess() {
        entries.push(("preprocess", preprocess.to_config().to_json()));
        entries.push(("preprocess_in_graph", preprocess_in_graph.to_string()));
    }
    Ok(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// The class names in JSON, if the outputs are as many scores.
pub(super) fn class_names(loaded: &Loaded, outputs: &[Vec<Option<i64>>]) -> Option<String> {
    let recipe: &Recipe = loaded.recipe.as_ref()?;
    let [shape] = outputs else { return None };
    let scores = usize::try_from((*shape.get(1)?)?).ok()?;
    let in_checkpoint = loaded.checkpoint.as_ref().and_then(|checkpoint| checkpoint.report.classes.as_deref());
    match recipe.class_names(scores, in_checkpoint) {
        Ok(names) => Some(Config::from(names?.to_vec()).to_json()),
        Err(error) => {
            log::warn!("the file has no class names: {error}");
            None
        }
    }
}

/// The SHA-256 of the file; for several files, a line for each with its name.
fn digests(checkpoint: &LoadedCheckpoint) -> Result<String> {
    let paths = checkpoint.file.paths();
    let mut lines = Vec::new();
    for path in &paths {
        let digest = File::open(path).and_then(Digest::of_reader);
        let digest = digest.with_context(|| format!("cannot read {}", display(path)))?;
        match path.file_name() {
            Some(name) if paths.len() > 1 => lines.push(format!("{digest}  {}", name.to_string_lossy())),
            _ => lines.push(digest.to_string()),
        }
    }
    Ok(lines.join("\n"))
}
