//! Where networks of other libraries have other defaults than mmpretrain's of the same name.
//!
//! References: mmdet/models/backbones, mmseg/models/backbones.

use mmcv_registry::{Config, Dict, dict};

/// What networks have in mmdetection: all stages are given, and batch norms stay in evaluation mode.
pub(crate) fn mmdet(name: &str) -> Dict {
    match name {
        "ResNet" | "ResNetV1d" | "ResNeXt" | "Res2Net" => {
            dict! { out_indices: [0, 1, 2, 3], stem_channels: Config::Null, norm_eval: true }
        }
        "RegNet" => dict! { out_indices: [0, 1, 2, 3], norm_eval: true },
        "HRNet" => dict! { norm_eval: true },
        "MobileNetV2" => dict! { out_indices: [1, 2, 4, 7] },
        _ => Dict::new(),
    }
}

/// What networks have in mmsegmentation: all stages are given.
pub(crate) fn mmseg(name: &str) -> Dict {
    match name {
        "ResNet" | "ResNetV1c" | "ResNetV1d" | "ResNeXt" => {
            dict! { out_indices: [0, 1, 2, 3] }
        }
        "MobileNetV2" => dict! { out_indices: [1, 2, 4, 6] },
        _ => Dict::new(),
    }
}
