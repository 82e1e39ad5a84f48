//! The arguments of `ResNet`, `ResNetV1c`, `ResNetV1d` and `ResNet_CIFAR`, and those that the other networks of the family share.

use mmcv_layers::{Error, Result};
use mmcv_registry::{Config, ConfigError, Dict, KeyPath, config, dict};

use super::block::Plugin;
use crate::backbone::{check_frozen_stages, check_out_indices, rules};

/// The convolution of a bottleneck that has the block's stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum ResNetStyle {
    /// The 3x3 convolution.
    Pytorch,
    /// The first 1x1 convolution.
    Caffe,
}

/// The position of a plugin in a bottleneck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum PluginPosition {
    /// After the first convolution, with its norm and activation.
    AfterConv1,
    /// After the second convolution, with its norm and activation.
    AfterConv2,
    /// After the third convolution with its norm, before the addition.
    AfterConv3,
}

/// A layer inserted into the bottlenecks of a network, as in mmdetection.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct PluginConfig {
    /// The layer, without its `in_channels`; `postfix` is appended to its name.
    pub cfg: Dict,
    /// The position in a bottleneck: `after_conv1`, `after_conv2` or `after_conv3`.
    pub position: PluginPosition,
    /// One flag per stage: whether it has the plugin; null for all stages.
    #[config(default = None)]
    pub stages: Option<Vec<bool>>,
}

/// Arguments that all networks of the family share.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct ResNetOptions {
    /// Channels of the input.
    #[config(default = 3)]
    pub in_channels: i64,
    /// Channels of the stem's output; null for `base_channels`.
    #[config(default = Some(64))]
    pub stem_channels: Option<i64>,
    /// Inner channels of the first stage's blocks; each stage has twice as many as the one before.
    #[config(default = 64)]
    pub base_channels: i64,
    /// Ratio of a block's output channels to its inner channels. Null: 1 for `BasicBlock`, 4 for `Bottleneck`.
    #[config(default = None)]
    pub expansion: Option<i64>,
    /// Number of stages, 1 to 4.
    #[config(default = 4)]
    pub num_stages: i64,
    /// Stride of the first block of each stage.
    #[config(default = vec![1, 2, 2, 2])]
    pub strides: Vec<i64>,
    /// Dilation of the 3x3 convolutions of each stage, in pixels.
    #[config(default = vec![1, 1, 1, 1])]
    pub dilations: Vec<i64>,
    /// Whether the first block of a stage with dilation has half the dilation, as in mmsegmentation.
    #[config(default = false)]
    pub contract_dilation: bool,
    /// The dilation of each block of the last stage, as in mmsegmentation; null for the stage's dilation.
    #[config(default = None)]
    pub multi_grid: Option<Vec<i64>>,
    /// The stages to return, from 0.
    #[config(default = vec![3])]
    pub out_indices: Vec<i64>,
    /// The convolution with a bottleneck's stride: the 3x3 convolution (`pytorch`) or the first 1x1 convolution (`caffe`).
    #[config(default = ResNetStyle::Pytorch)]
    pub style: ResNetStyle,
    /// Whether the stem has three 3x3 convolutions rather than one 7x7 convolution.
    #[config(default = false)]
    pub deep_stem: bool,
    /// Whether shortcuts are downsampled by pooling rather than by a convolution with a stride.
    #[config(default = false)]
    pub avg_down: bool,
    /// The number of frozen stages: -1 for none, 0 for the stem, up to `num_stages`.
    #[config(default = -1)]
    pub frozen_stages: i64,
    /// The convolutions; null for `Conv2d`.
    #[config(default = None)]
    pub conv_cfg: Option<Dict>,
    /// The normalizations.
    #[config(default = dict! { type: "BN", requires_grad: true })]
    pub norm_cfg: Dict,
    /// Whether batch norms stay in evaluation mode in training.
    #[config(default = false)]
    pub norm_eval: bool,
    /// Accepted for the reference's configs, and without effect. In the reference it saves memory in training by running
    /// each block twice in a step, so that its batch norms update their statistics twice; outputs and gradients are the
    /// same.
    #[config(default = false)]
    pub with_cp: bool,
    /// Whether `init_weights` sets the last norm of each block to 0, so that the block changes nothing at first.
    #[config(default = true)]
    pub zero_init_residual: bool,
    /// Initialization rules.
    #[config(default = Config::List(vec![
                config! { type: "Kaiming", layer: ["Conv2d"] },
                config! { type: "Constant", val: 1, layer: ["_BatchNorm", "GroupNorm"] },
            ]))]
    pub init_cfg: Config,
    /// Probability, 0 to 1, of skipping the last block for a sample in training; it grows from 0 block by block.
    #[config(default = 0.0)]
    pub drop_path_rate: f64,
    /// Layers inserted into the bottlenecks, as in mmdetection; null for none.
    #[config(default = None)]
    pub plugins: Option<Vec<PluginConfig>>,
    /// The checkpoint that `init_weights` loads instead of applying the rules of `init_cfg`, as in mmdetection.
    #[config(default = None)]
    pub pretrained: Option<String>,
    /// Must be null; accepted for mmdetection's configs. Deformable convolutions are not supported.
    #[config(default = Config::Null)]
    pub dcn: Config,
    /// Accepted for mmdetection's configs: the stages that use `dcn`.
    #[config(default = vec![false, false, false, false])]
    pub stage_with_dcn: Vec<bool>,
}

/// Arguments of `ResNet`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ResNet", layer = super::ResNet)]
pub struct ResNetConfig {
    /// Number of layers: 18, 34, 50, 101 or 152.
    pub depth: i64,
    /// The arguments that all networks of the family share.
    #[config(flatten)]
    pub options: ResNetOptions,
}

/// Arguments of `ResNetV1c`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ResNetV1c", layer = super::ResNetV1c)]
pub struct ResNetV1cConfig {
    /// Number of layers: 18, 34, 50, 101 or 152.
    pub depth: i64,
    /// The arguments that all networks of the family share.
    #[config(flatten(deep_stem = true), without(deep_stem, avg_down))]
    pub options: ResNetOptions,
}

/// Arguments of `ResNetV1d`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ResNetV1d", layer = super::ResNetV1d)]
pub struct ResNetV1dConfig {
    /// Number of layers: 18, 34, 50, 101 or 152.
    pub depth: i64,
    /// The arguments that all networks of the family share.
    #[config(flatten(deep_stem = true, avg_down = true), without(deep_stem, avg_down))]
    pub options: ResNetOptions,
}

/// Arguments of `ResNet_CIFAR`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ResNet_CIFAR", layer = super::ResNetCifar)]
pub struct ResNetCifarConfig {
    /// Number of layers: 18, 34, 50, 101 or 152.
    pub depth: i64,
    /// The arguments that all networks of the family share; `deep_stem` must be false.
    #[config(flatten)]
    pub options: ResNetOptions,
}

impl ResNetOptions {
    /// Checks the arguments of a network with `stages` stages.
    pub(crate) fn check(&self, stages: usize) -> Result<()> {
        for (name, value) in [
            ("in_channels", self.in_channels),
            ("stem_channels", self.stem_channels()),
            ("base_channels", self.base_channels),
            ("expansion", self.expansion.unwrap_or(1)),
        ] {
            at_least_one(&KeyPath::root().key(name), value)?;
        }
        for (name, values) in [("strides", &self.strides), ("dilations", &self.dilations)] {
            let path = KeyPath::root().key(name);
            if values.len() != stages {
                let reason = format!("expected {stages} integers, one for each stage");
                return Err(ConfigError::invalid(&path, format!("{values:?}"), reason).into());
            }
            for (index, value) in values.iter().enumerate() {
                at_least_one(&path.index(index), *value)?;
            }
        }
        let stages = i64::try_from(stages).unwrap_or(i64::MAX);
        if self.out_indices.is_empty() {
            let reason = format!("expected at least one of the stages from 0 to {}", stages - 1);
            return Err(Error::argument("out_indices", "[]", reason));
        }
        check_out_indices(&self.out_indices, stages)?;
        check_frozen_stages(self.frozen_stages, stages)?;
        if !(0.0..=1.0).contains(&self.drop_path_rate) {
            return Err(Error::argument("drop_path_rate", self.drop_path_rate, "expected a number between 0 and 1"));
        }
        if !self.dcn.is_null() {
            let reason = "deformable convolutions are not supported: expected null";
            return Err(Error::argument("dcn", &self.dcn, reason));
        }
        Ok(())
    }

    /// Channels of the stem's output.
    pub(crate) fn stem_channels(&self) -> i64 {
        self.stem_channels.unwrap_or(self.base_channels)
    }

    /// The dilation of each block of a stage.
    pub(crate) fn block_dilations(&self, blocks: usize, dilation: i64, is_last: bool) -> Result<Vec<i64>> {
        if is_last && let Some(grid) = &self.multi_grid {
            let path = KeyPath::root().key("multi_grid");
            let Some(dilations) = grid.get(..blocks) else {
                let reason = format!("expected {blocks} integers, one for each block of the last stage");
                return Err(ConfigError::invalid(&path, format!("{grid:?}"), reason).into());
            };
            for (index, dilation) in dilations.iter().enumerate() {
                at_least_one(&path.index(index), *dilation)?;
            }
            return Ok(dilations.to_vec());
        }
        let mut dilations = vec![dilation; blocks];
        if self.contract_dilation
            && dilation > 1
            && let Some(first) = dilations.first_mut()
        {
            *first = dilation / 2;
        }
        Ok(dilations)
    }

    /// The rules of initialization: those of `init_cfg`, or the rule that loads `pretrained`.
    pub(crate) fn rules(&self) -> Result<Config> {
        rules(&self.init_cfg, &Self::new().init_cfg, self.pretrained.as_deref())
    }

    /// The plugins of each of `stages` stages, in the order of their positions.
    pub(crate) fn plugins(&self, stages: usize) -> Result<Vec<Vec<Plugin>>> {
        let mut plugins_by_stage = vec![Vec::new(); stages];
        for (index, PluginConfig { cfg, position, stages: flags }) in self.plugins.iter().flatten().enumerate() {
            let flags = match flags {
                None => vec![true; stages],
                Some(flags) if flags.len() == stages => flags.clone(),
                Some(flags) => {
                    let path = KeyPath::root().key("plugins").index(index).key("stages");
                    let reason = format!("expected {stages} times true or false, one for each stage");
                    return Err(ConfigError::invalid(&path, format!("{flags:?}"), reason).into());
                }
            };
            for (plugins, has_plugin) in plugins_by_stage.iter_mut().zip(flags) {
                if has_plugin {
                    plugins.push(Plugin { index, cfg: cfg.clone(), position: *position });
                }
            }
        }
        for plugins in &mut plugins_by_stage {
            plugins.sort_by_key(|plugin| plugin.position as usize);
        }
        Ok(plugins_by_stage)
    }
}

/// Checks a value such as a number of channels or a stride.
pub(crate) fn at_least_one(path: &KeyPath, value: i64) -> Result<()> {
    if value >= 1 {
        return Ok(());
    }
    Err(ConfigError::invalid(path, value, "expected at least 1").into())
}
