//! Defaults of other libraries' networks that differ from those of mmpretrain's networks of the same name.
//!
//! References: mmdet/models/backbones, mmseg/models/backbones, mmpose/models/backbones.

use mmcv_registry::{Config, Dict, config};

/// mmdetection: all stages are returned, batch norms stay in evaluation mode, and MobileNetV2 counts its stages from 1.
pub(crate) fn mmdet(name: &str, arguments: &mut Dict) {
    match name {
        "ResNet" | "ResNetV1d" | "ResNeXt" | "Res2Net" => {
            arguments.set_default("out_indices", [0, 1, 2, 3]);
            arguments.set_default("stem_channels", Config::Null);
            arguments.set_default("norm_eval", true);
        }
        "RegNet" => {
            arguments.set_default("out_indices", [0, 1, 2, 3]);
            arguments.set_default("norm_eval", true);
        }
        "HRNet" => arguments.set_default("norm_eval", true),
        "MobileNetV2" => {
            arguments.set_default("out_indices", [1, 2, 4, 7]);
            count_from_zero(arguments);
        }
        _ => {}
    }
    one_group(name, arguments);
}

/// mmsegmentation: all stages are returned, and its MobileNetV2 lacks the last convolution.
pub(crate) fn mmseg(name: &str, arguments: &mut Dict) {
    match name {
        "ResNet" | "ResNetV1c" | "ResNetV1d" | "ResNeXt" => arguments.set_default("out_indices", [0, 1, 2, 3]),
        "MobileNetV2" => {
            arguments.set_default("out_indices", [1, 2, 4, 6]);
            arguments.set_default("last_conv", false);
        }
        _ => {}
    }
    one_group(name, arguments);
}

/// mmpose: HRNet outputs the branch with the highest resolution, and draws its convolutions from a narrow normal
/// distribution.
pub(crate) fn mmpose(name: &str, arguments: &mut Dict) {
    if name == "HRNet" {
        arguments.set_default("multiscale_output", false);
        arguments.set_default(
            "init_cfg",
            Config::List(vec![
                config! { type: "Normal", std: 0.001, layer: ["Conv2d"] },
                config! { type: "Constant", val: 1, layer: ["_BatchNorm", "GroupNorm"] },
            ]),
        );
    }
}

/// ResNeXt has one group by default in both libraries, and 32 in mmpretrain.
fn one_group(name: &str, arguments: &mut Dict) {
    if name == "ResNeXt" {
        arguments.set_default("groups", 1);
    }
}

/// Renumbers stages from 1 to our numbers from 0. Other values than lists of integers are left to the network's check.
fn count_from_zero(arguments: &mut Dict) {
    let Some(Config::List(stages) | Config::Tuple(stages)) = arguments.get_mut("out_indices") else { return };
    for stage in stages {
        if let Config::Int(index) = stage {
            *index = index.saturating_sub(1);
        }
    }
}
