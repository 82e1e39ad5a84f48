//! Networks in int8 for mmcv-rs: quantized by `mmcv quantize`, with crops of a photo.

use std::process::Command;

use anyhow::Result;

use super::case::{Case, SIZE};
use super::engine::{Dtype, Engine};
use super::{NETWORKS, Network, Setting};
use crate::process::{run, stage};
use crate::workspace::root;

/// The file of a network, beside its weights.
pub(super) const FILE: &str = "int8.safetensors";

/// The number of crops; the peers get as many.
const CROPS: u32 = 128;

/// Quantizes the networks that these cases measure in int8.
pub(super) fn quantize(setting: &Setting, cases: &[Case]) -> Result<()> {
    for network in NETWORKS {
        if cases.iter().any(|case| case.network == network && needs_file(case)) {
            stage(format_args!("Quantizing {}", network.title));
            run(&mut command(setting, network))?;
        }
    }
    Ok(())
}

fn needs_file(case: &Case) -> bool {
    case.contenders.iter().any(|contender| contender.engine == Engine::Mmcv && contender.dtype == Dtype::Int8)
}

fn command(setting: &Setting, network: Network) -> Command {
    let folder = setting.network_folder(network);
    let mut command = Command::new(&setting.mmcv);
    command.arg("quantize").arg(network.path()).arg("--checkpoint").arg(folder.join("weights.pth"));
    command.arg("--calibrate").arg(root().join("tests/data/chelsea.png"));
    command.args(["--crops", &CROPS.to_string()]).arg("--out").arg(folder.join(FILE));
    // Those of ImageNet.
    command.arg("--cfg-options").arg(format!("preprocess.crop_size={SIZE}")).args([
        "preprocess.resize_edge=256",
        "preprocess.mean=[123.675,116.28,103.53]",
        "preprocess.std=[58.395,57.12,57.375]",
    ]);
    command
}
