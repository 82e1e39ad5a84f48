//! Networks in int8 for mmcv-rs: quantized by `mmcv quantize`, with crops of a photo.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::case::Case;
use super::engine::{Dtype, Engine};
use super::{NETWORKS, Network, Setting};
use crate::process::{run, stage};
use crate::workspace::root;

/// The file of a network, beside its weights.
pub(super) const FILE: &str = "int8.safetensors";

/// The number of crops; the peers get as many.
const CROPS: u32 = 128;

/// How images become inputs: as for ImageNet.
const PREPROCESS: &str =
    "preprocess: {resize_edge: 256, crop_size: 224, mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375]}";

/// Quantizes the networks that these cases measure in int8.
pub(super) fn quantize(setting: &Setting, cases: &[Case]) -> Result<()> {
    for network in NETWORKS {
        if cases.iter().any(|case| case.network == network && needs_file(case)) {
            stage(format_args!("Quantizing {}", network.title));
            let recipe = setting.network_folder(network).join("int8.yaml");
            let text = recipe_of(network)?;
            fs::write(&recipe, text).with_context(|| format!("cannot write {}", recipe.display()))?;
            run(&mut command(setting, network, &recipe))?;
        }
    }
    Ok(())
}

fn needs_file(case: &Case) -> bool {
    case.contenders.iter().any(|contender| contender.engine == Engine::Mmcv && contender.dtype == Dtype::Int8)
}

/// The network with its preprocessing.
fn recipe_of(network: Network) -> Result<String> {
    let path = network.path();
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut recipe = format!("{PREPROCESS}\nmodel:\n");
    for line in text.lines() {
        recipe.push_str(&format!("  {line}\n"));
    }
    Ok(recipe)
}

fn command(setting: &Setting, network: Network, recipe: &Path) -> Command {
    let folder = setting.network_folder(network);
    let mut command = Command::new(&setting.mmcv);
    command.arg("quantize").arg(recipe).arg("--checkpoint").arg(folder.join("weights.pth"));
    command.arg("--calibrate").arg(root().join("tests/data/chelsea.png"));
    command.args(["--crops", &CROPS.to_string()]).arg("--out").arg(folder.join(FILE));
    command
}
