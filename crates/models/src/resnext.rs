//! `ResNeXt`: a [`ResNet`] with grouped convolutions in its bottlenecks. Xie et al., Aggregated Residual Transformations
//! for Deep Neural Networks (2017).
//!
//! Reference: mmpretrain/models/backbones/resnext.py.

use mmcv_layers::{Builder, Error, Layer, Registry, Result, Sequential};
use mmcv_registry::{Config, KeyPath};

use crate::resnet::{
    Block, BlockConfig, BlockKind, Bottleneck, Plan, ResNet, ResNetOptions, ResidualBlock, at_least_one, blocks,
};

/// Table 1 of the paper: 50, 101 and 152 layers, with the stages of ResNet.
const LEAST_DEPTH: i64 = 50;

/// Arguments of `ResNeXt`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ResNeXt", layer = ResNeXt)]
pub struct ResNeXtConfig {
    /// Number of layers: 50, 101 or 152.
    pub depth: i64,
    /// Groups of the 3x3 convolutions: 32 in `32x4d`.
    #[config(default = 32)]
    pub groups: i64,
    /// Channels of each group in the first stage: 4 in `32x4d`.
    #[config(default = 4)]
    pub width_per_group: i64,
    /// mmdetection's name of `width_per_group`; null if `width_per_group` is set.
    #[config(default = None)]
    pub base_width: Option<i64>,
    /// The arguments that all networks of the family share.
    #[config(flatten)]
    pub options: ResNetOptions,
}

/// A bottleneck whose 3x3 convolution has groups: the block of ResNeXt and RegNet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupedBottleneck {
    pub groups: i64,
    pub width_per_group: i64,
    /// The inner channels at which a group has `width_per_group` channels; the width of a group grows with them.
    pub base_channels: i64,
}

impl GroupedBottleneck {
    /// The inner channels of the block.
    fn inside(&self, config: &BlockConfig<'_>) -> Result<i64> {
        let plain = config.inside();
        if self.groups == 1 {
            return Ok(plain);
        }
        if plain % self.base_channels != 0 {
            let reason = format!("expected a divisor of the {plain} channels inside a block");
            return Err(Error::argument("base_channels", self.base_channels, reason));
        }
        Ok(self.groups.saturating_mul(self.width_per_group).saturating_mul(plain) / self.base_channels)
    }
}

impl BlockKind for GroupedBottleneck {
    fn build(
        &self,
        builder: &Builder<'_>,
        config: &BlockConfig<'_>,
        downsample: Option<Sequential>,
    ) -> Result<Box<dyn Block>> {
        let inside = self.inside(config)?;
        // The reference builds a whole plain bottleneck first and replaces its parts: the draws are the same.
        drop(Bottleneck.build(builder, config, None)?);
        let class = &["Bottleneck", "Bottleneck"];
        Ok(Box::new(ResidualBlock::bottleneck(class, builder, config, (inside, self.groups), downsample)?))
    }
}

/// The type `ResNeXt`: a [`ResNet`] with grouped convolutions in its bottlenecks.
///
/// ```no_run
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::ResNeXtConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let network = ResNeXtConfig::new(50).with_groups(32).with_width_per_group(4).build()?;
/// let features = network.forward(&Tensor::zeros([1, 3, 224, 224], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(features.size(), [1, 2048, 7, 7]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub enum ResNeXt {}

impl Layer for ResNeXt {
    const NAME: &'static str = "ResNeXt";
    type Config = ResNeXtConfig;
    type Module = ResNet;

    fn build(config: &ResNeXtConfig, builder: &Builder<'_>) -> Result<ResNet> {
        let ResNeXtConfig { depth, groups, width_per_group, base_width, options } = config;
        for (name, value) in [("groups", *groups), ("width_per_group", *width_per_group)] {
            at_least_one(&KeyPath::root().key(name), value)?;
        }
        let width_per_group = match base_width {
            Some(width) if *width_per_group != ResNeXtConfig::new(*depth).width_per_group => {
                let reason = "is mmdetection's name of width_per_group: expected one of the two";
                return Err(Error::conflict("base_width", width, reason));
            }
            Some(width) => *width,
            None => *width_per_group,
        };
        at_least_one(&KeyPath::root().key("base_width"), width_per_group)?;
        at_least_one(&KeyPath::root().key("base_channels"), options.base_channels)?;
        let kind = GroupedBottleneck { groups: *groups, width_per_group, base_channels: options.base_channels };
        let blocks = blocks(*depth, LEAST_DEPTH)?;
        ResNet::assemble(builder, &Plan::new(&["ResNeXt", "ResNet"], options, blocks, &kind, Bottleneck::EXPANSION))
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}
