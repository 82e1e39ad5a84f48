//! [`conv_norm`]: the part of transitions and exchanges.

use mmcv_layers::activation::{ReLU, ReLUConfig};
use mmcv_layers::{Builder, Result, Sequential};

use super::{HRNetConfig, Kernel, norm};

/// A convolution, a norm, and an optional activation, which works in place if `activation` is true.
pub(super) fn conv_norm(
    builder: &Builder<'_>,
    config: &HRNetConfig,
    kernel: &Kernel,
    activation: Option<bool>,
) -> Result<Sequential> {
    let conv = kernel.build(builder, config.conv_cfg.as_ref())?;
    let (_, norm) = norm(builder, &config.norm_cfg, kernel.out_channels, "")?;
    let mut layers = Sequential::new(vec![conv, norm]);
    if let Some(inplace) = activation {
        layers.push(ReLU(ReLUConfig { inplace }));
    }
    Ok(layers)
}
