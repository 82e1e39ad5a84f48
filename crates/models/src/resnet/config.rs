//! The arguments of `ResNet`, `ResNetV1c` and `ResNetV1d`, and what the other networks of the family have of them.

use mmcv_layers::{Error, Result};
use mmcv_registry::{Config, ConfigError, Dict, KeyPath, config, dict};

use super::block::Plugin;
use crate::backbone::{check_frozen_stages, check_out_indices, rules};

/// Which convolution of a bottleneck has the block's stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum Style {
    /// The 3x3 convolution.
    Pytorch,
    /// The first 1x1 convolution.
    Caffe,
}

/// Where in a bottleneck a plugin stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum Position {
    /// After the first convolution, with its norm and activation.
    AfterConv1,
    /// After the second convolution, with its norm and activation.
    AfterConv2,
    /// After the third convolution with its norm, before the addition.
    AfterConv3,
}

/// A layer that is put into the bottlenecks of a network, as in mmdetection.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct PluginConfig {
    /// The layer: its `in_channels` are given; `postfix` is added to its name.
    pub cfg: Dict,
    /// Where in a bottleneck: `after_conv1`, `after_conv2` or `after_conv3`.
    pub position: Position,
    /// Whether each stage has it; null for all.
    #[config(default = None)]
    pub stages: Option<Vec<bool>>,
}

/// Arguments that all networks of the family have.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct ResNetOptions {
    /// Channels of the input.
    #[config(default = 3)]
    pub in_channels: i64,
    /// Channels of the stem's output; null for `base_channels`.
    #[config(default = Some(64))]
    pub stem_channels: Option<i64>,
    /// Channels inside the blocks of the first stage; each stage has twice those of the one before.
    #[config(default = 64)]
    pub base_channels: i64,
    /// Channels that a block gives for each one inside; null for the block's own: 1 with two convolutions, 4 with
    /// three.
    #[config(default = None)]
    pub expansion: Option<i64>,
    /// Number of stages, 1 to 4.
    #[config(default = 4)]
    pub num_stages: i64,
    /// Stride of the first block of each stage.
    #[config(default = vec![1, 2, 2, 2])]
    pub strides: Vec<i64>,
    /// Distance of the elements of the 3x3 kernels of each stage, in pixels.
    #[config(default = vec![1, 1, 1, 1])]
    pub dilations: Vec<i64>,
    /// Whether the first block of a stage with dilation has half of it, as in mmsegmentation.
    #[config(default = false)]
    pub contract_dilation: bool,
    /// The dilation of each block of the last stage, in place of the stage's, as in mmsegmentation; null for none.
    #[config(default = None)]
    pub multi_grid: Option<Vec<i64>>,
    /// The stages that are given, from 0.
    #[config(default = vec![3])]
    pub out_indices: Vec<i64>,
    /// Whether the 3x3 convolution (`pytorch`) or the first 1x1 convolution (`caffe`) has the stride of a bottleneck.
    #[config(default = Style::Pytorch)]
    pub style: Style,
    /// Whether the stem has three 3x3 convolutions in place of one 7x7 convolution.
    #[config(default = false)]
    pub deep_stem: bool,
    /// Whether shortcuts with a stride are pooled, in place of a convolution with that stride.
    #[config(default = false)]
    pub avg_down: bool,
    /// The stages whose parameters are not trained: -1 for none, 0 for the stem, up to `num_stages`.
    #[config(default = -1)]
    pub frozen_stages: i64,
    /// The convolutions; null for `Conv2d`.
    #[config(default = None)]
    pub conv_cfg: Option<Dict>,
    /// The normalisations.
    #[config(default = dict! { type: "BN", requires_grad: true })]
    pub norm_cfg: Dict,
    /// Whether batch norms stay in evaluation mode in training.
    #[config(default = false)]
    pub norm_eval: bool,
    /// Accepted for the reference's configs, and without effect: there it saves memory in training and runs each block twice
    /// in a step, so that its batch norms update their statistics twice and count 2; outputs and gradients are the same.
    #[config(default = false)]
    pub with_cp: bool,
    /// Whether `init_weights` sets the last norm of each block to 0, so that the block changes nothing at first.
    #[config(default = true)]
    pub zero_init_residual: bool,
    /// Rules of initialisation.
    #[config(default = Config::List(vec![
                config! { type: "Kaiming", layer: ["Conv2d"] },
                config! { type: "Constant", val: 1, layer: ["_BatchNorm", "GroupNorm"] },
            ]))]
    pub init_cfg: Config,
    /// Probability with which the last block is left out for a sample in training, 0 to 1; it grows from 0 block by
    /// block.
    #[config(default = 0.0)]
    pub drop_path_rate: f64,
    /// Layers that are put into the bottlenecks, as in mmdetection; null for none.
    #[config(default = None)]
    pub plugins: Option<Vec<PluginConfig>>,
    /// The checkpoint that `init_weights` loads in place of the rules of `init_cfg`, as in mmdetection.
    #[config(default = None)]
    pub pretrained: Option<String>,
    /// Accepted as null for mmdetection's configs: there are no deformable convolutions here.
    #[config(default = Config::Null)]
    pub dcn: Config,
    /// Accepted for mmdetection's configs: the stages in which `dcn` would be used.
    #[config(default = vec![false, false, false, false])]
    pub stage_with_dcn: Vec<bool>,
}

/// Arguments of `ResNet`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ResNet", layer = super::ResNet)]
pub struct ResNetConfig {
    /// Number of layers: 18, 34, 50, 101 or 152.
    pub depth: i64,
    /// The arguments that several types have.
    #[config(flatten)]
    pub options: ResNetOptions,
}

/// Arguments of `ResNetV1c`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ResNetV1c", layer = super::ResNetV1c)]
pub struct ResNetV1cConfig {
    /// Number of layers: 18, 34, 50, 101 or 152.
    pub depth: i64,
    /// The arguments that several types have.
    #[config(flatten(deep_stem = true), without(deep_stem, avg_down))]
    pub options: ResNetOptions,
}

/// Arguments of `ResNetV1d`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ResNetV1d", layer = super::ResNetV1d)]
pub struct ResNetV1dConfig {
    /// Number of layers: 18, 34, 50, 101 or 152.
    pub depth: i64,
    /// The arguments that several types have.
    #[config(flatten(deep_stem = true, avg_down = true), without(deep_stem, avg_down))]
    pub options: ResNetOptions,
}

impl ResNetOptions {
    /// Checks the arguments of a network that has `stages` stages.
    pub(crate) fn check(&self, stages: usize) -> Result<()> {
        let channels = [
            ("in_channels", self.in_channels),
            ("stem_channels", self.stem_channels()),
            ("base_channels", self.base_channels),
        ];
        let channels = channels.into_iter().chain(self.expansion.map(|expansion| ("expansion", expansion)));
        for (name, value) in channels {
            at_least_one(&KeyPath::root().key(name), value)?;
        }
        for (name, values) in [("strides", &self.strides), ("dilations", &self.dilations)] {
            let path = KeyPath::root().key(name);
            if values.len() != stages {
                let reason = format!("expected {stages} integers, one for each stage");
                return Err(ConfigError::invalid(&path, format!("{values:?}"), reason).into());
            }
            values.iter().enumerate().try_for_each(|(index, value)| at_least_one(&path.index(index), *value))?;
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

    /// The dilation of each of the blocks of a stage, which is the last one or not.
    pub(crate) fn dilations_of(&self, blocks: usize, dilation: i64, is_last: bool) -> Result<Vec<i64>> {
        if let (Some(grid), true) = (&self.multi_grid, is_last) {
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
        if let (Some(first), true) = (dilations.first_mut(), self.contract_dilation && dilation > 1) {
            *first = dilation / 2;
        }
        Ok(dilations)
    }

    /// The rules of initialisation: those of `init_cfg`, or the loading of `pretrained`.
    pub(crate) fn rules(&self) -> Result<Config> {
        rules(&self.init_cfg, &Self::new().init_cfg, self.pretrained.as_deref())
    }

    /// The plugins of each of so many stages, in the order of their positions.
    pub(crate) fn plugins(&self, stages: usize) -> Result<Vec<Vec<Plugin>>> {
        let mut of_stages = vec![Vec::new(); stages];
        for (index, PluginConfig { cfg, position, stages: wanted }) in self.plugins.iter().flatten().enumerate() {
            if let Some(wrong) = wanted.as_ref().filter(|wanted| wanted.len() != stages) {
                let path = KeyPath::root().key("plugins").index(index).key("stages");
                let reason = format!("expected {stages} times true or false, one for each stage");
                return Err(ConfigError::invalid(&path, format!("{wrong:?}"), reason).into());
            }
            for (stage, plugins) in of_stages.iter_mut().enumerate() {
                if wanted.as_ref().is_none_or(|wanted| wanted.get(stage) == Some(&true)) {
                    plugins.push(Plugin { index, cfg: cfg.clone(), position: *position });
                }
            }
        }
        of_stages.iter_mut().for_each(|plugins| plugins.sort_by_key(|plugin| plugin.position as usize));
        Ok(of_stages)
    }
}

/// Checks a number of channels, a stride or the like.
pub(crate) fn at_least_one(path: &KeyPath, value: i64) -> Result<()> {
    if value >= 1 {
        return Ok(());
    }
    Err(ConfigError::invalid(path, value, "expected at least 1").into())
}
