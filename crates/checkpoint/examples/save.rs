//! Saves a small network with the state of an optimizer: `cargo run -p mmcv-checkpoint --example save -- epoch_3.pth`.
//!
//! `resume.py` beside this file lets mmengine's runner resume the training from what is written.

use std::error::Error;

use mmcv_checkpoint::{SaveOptions, State, save_checkpoint};
use mmcv_layers::{ModuleExt, Sequential, build_conv_layer, build_norm_layer};
use mmcv_registry::{Config, config, dict};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: save FILE.pth")?;
    let conv = build_conv_layer(&Config::Null, &dict! { in_channels: 2, out_channels: 3, kernel_size: 3 })?;
    let (_, norm) = build_norm_layer(&config! { type: "BN" }, 3, "")?;
    let network = Sequential::new(vec![conv, norm]);

    // One momentum buffer for each parameter; the names stand for the parameters in both parts.
    let mut buffers = Vec::new();
    for (name, parameter) in network.named_parameters() {
        let momentum = parameter.f_ones_like()?;
        buffers.push((name, State::mapping([("momentum_buffer", State::from(momentum))])));
    }
    let names: Vec<&String> = buffers.iter().map(|(name, _)| name).collect();
    // PyTorch's SGD wants all of its options here.
    let groups = json!([{
        "lr": 0.05, "momentum": 0.9, "dampening": 0, "weight_decay": 0, "nesterov": false, "maximize": false,
        "foreach": null, "differentiable": false, "fused": null, "params": names,
    }]);
    let optimizer = State::mapping([("param_groups", State::from(groups)), ("state", State::Mapping(buffers))]);
    let meta = json!({ "epoch": 3, "iter": 12 }).as_object().cloned().unwrap_or_default();
    save_checkpoint(&network, &file, &SaveOptions { meta, optimizer: Some(optimizer), ..SaveOptions::default() })?;
    Ok(())
}
