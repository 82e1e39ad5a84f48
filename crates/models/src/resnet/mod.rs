//! [`ResNet`], `ResNetV1c` and `ResNetV1d`. He et al., Deep Residual Learning for Image Recognition (2015); He et al., Bag
//! of Tricks for Image Classification with Convolutional Neural Networks (2018).
//!
//! Reference: mmpretrain/models/backbones/resnet.py. The other networks of the family are the same with other blocks: they
//! make a [`Plan`] of their stages, and have neither a loop nor a forward pass of their own.

mod block;
mod config;
mod detectron2;
mod parts;
mod stage;
mod stem;

use std::sync::Once;

use mmcv_layers::{
    Builder, Error, InitCfg, KeyMapping, Layer, Module, Output, Parts, Registry, Result, init, observe, run_child,
};
use mmcv_registry::{Config, Dict};
use tch::{Device, Kind, Tensor};

use crate::backbone::{Backbone, evaluate_batch_norms, freeze, last};

pub(crate) use block::{BasicBlock, Block, BlockConfig, BlockKind, Bottleneck, ResidualBlock};
pub(crate) use config::at_least_one;
pub use config::{PluginConfig, Position, ResNetConfig, ResNetOptions, ResNetV1cConfig, ResNetV1dConfig, Style};
pub(crate) use parts::{ConvNorm, Kernel, Shortcut, norm};
pub(crate) use stage::{AvgDown, ResLayer, StageConfig};
use stem::Stem;
pub(crate) use stem::StemKind;

/// Table 1 of the paper: depth, and the number of blocks in each stage. From 50 layers on the blocks are bottlenecks.
const BLOCKS: [(i64, [usize; 4]); 5] =
    [(18, [2, 2, 2, 2]), (34, [3, 4, 6, 3]), (50, [3, 4, 6, 3]), (101, [3, 4, 23, 3]), (152, [3, 8, 36, 3])];

/// The smallest depth with bottlenecks.
const FIRST_WITH_BOTTLENECKS: i64 = 50;

/// The number of blocks in each stage of a network that exists in the depths of the paper's table from `least` on.
pub(crate) fn blocks(depth: i64, least: i64) -> Result<[usize; 4]> {
    let depths = || BLOCKS.iter().filter(|(depth, _)| *depth >= least);
    match depths().find(|(known, _)| *known == depth) {
        Some((_, blocks)) => Ok(*blocks),
        None => {
            let known: Vec<String> = depths().map(|(known, _)| known.to_string()).collect();
            Err(Error::argument("depth", depth, format!("expected one of {}", known.join(", "))))
        }
    }
}

/// One stage of a [`Plan`].
pub(crate) struct StagePlan {
    pub kind: Box<dyn BlockKind>,
    pub blocks: usize,
    pub out_channels: i64,
    pub expansion: i64,
}

/// What a network of the family is built from.
pub(crate) struct Plan<'a> {
    /// The reference's class.
    pub class: &'static [&'static str],
    /// That of the stages, where they are asked for their own initialisation.
    pub stage_class: Option<&'static [&'static str]>,
    pub options: &'a ResNetOptions,
    pub stem: StemKind,
    pub avg_down: AvgDown,
    /// As many as the paper has; fewer are built where `num_stages` says so.
    pub stages: Vec<StagePlan>,
}

impl<'a> Plan<'a> {
    /// Four stages of blocks of one kind, each with twice the channels of the one before.
    pub(crate) fn new<K: BlockKind + Clone + 'static>(
        class: &'static [&'static str],
        options: &'a ResNetOptions,
        blocks: [usize; 4],
        kind: &K,
        expansion: i64,
    ) -> Self {
        let expansion = options.expansion.unwrap_or(expansion);
        let mut out_channels = options.base_channels.saturating_mul(expansion);
        let mut stages = Vec::new();
        for blocks in blocks {
            stages.push(StagePlan { kind: Box::new(kind.clone()), blocks, out_channels, expansion });
            out_channels = out_channels.saturating_mul(2);
        }
        let avg_down = if options.avg_down { AvgDown::WithStride } else { AvgDown::No };
        let stem = if options.deep_stem { StemKind::Deep } else { StemKind::Seven };
        Self { class, stage_class: None, options, stem, avg_down, stages }
    }

    /// The probabilities with which blocks are left out: they grow linearly over all stages of the paper.
    fn drop_path_rates(&self) -> Result<impl Iterator<Item = f64> + use<>> {
        let blocks: usize = self.stages.iter().map(|stage| stage.blocks).sum();
        let steps = i64::try_from(blocks).unwrap_or(i64::MAX);
        let rates = Tensor::f_linspace(0.0, self.options.drop_path_rate, steps, (Kind::Float, Device::Cpu))?;
        Ok(Vec::<f32>::try_from(&rates)?.into_iter().map(f64::from))
    }
}

/// A residual network without classifier: a stem, and stages of blocks that add to what they are given.
///
/// Shapes: input `[N, in_channels, H, W]`; stage `i`, from 0, gives `[N, base_channels * expansion * 2^i, H / 2^(i+2), W /
/// 2^(i+2)]` with the default strides. State: `conv1.*` and the norm `bn1.*`, or `stem.*`; `layer1.*` to `layer4.*`.
#[derive(Debug)]
pub struct ResNet {
    class: &'static [&'static str],
    pub(crate) key_mappings: Vec<KeyMapping>,
    stem: Stem,
    stages: Vec<ResLayer>,
    out_indices: Vec<i64>,
    frozen_stages: i64,
    norm_eval: bool,
    zero_init_residual: bool,
    init_cfg: InitCfg,
}

impl ResNet {
    /// Builds `ResNet`; `builder`'s path is where the config stands.
    ///
    /// # Errors
    /// Where there is no such depth, an argument is out of range, or a part cannot be built.
    pub fn new(builder: &Builder<'_>, config: &ResNetConfig) -> Result<Self> {
        Self::of_class(&["ResNet", "BaseBackbone"], builder, config.depth, &config.options)
    }

    /// Builds `ResNetV1c`: the stem has three 3x3 convolutions.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn new_v1c(builder: &Builder<'_>, config: &ResNetV1cConfig) -> Result<Self> {
        Self::of_class(&["ResNetV1c", "ResNet"], builder, config.depth, &config.options)
    }

    /// Builds `ResNetV1d`: the stem has three 3x3 convolutions, and shortcuts are pooled.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn new_v1d(builder: &Builder<'_>, config: &ResNetV1dConfig) -> Result<Self> {
        Self::of_class(&["ResNetV1d", "ResNet"], builder, config.depth, &config.options)
    }

    fn of_class(
        class: &'static [&'static str],
        builder: &Builder<'_>,
        depth: i64,
        options: &ResNetOptions,
    ) -> Result<Self> {
        let blocks = blocks(depth, 0).map_err(|error| error.below(&builder.path))?;
        Self::assemble(
            builder,
            &if depth < FIRST_WITH_BOTTLENECKS {
                Plan::new(class, options, blocks, &BasicBlock, BasicBlock::EXPANSION)
            } else {
                Plan::new(class, options, blocks, &Bottleneck, Bottleneck::EXPANSION)
            },
        )
    }

    /// Builds the network that is planned.
    pub(crate) fn assemble(builder: &Builder<'_>, plan: &Plan<'_>) -> Result<Self> {
        let own = |error: Error| error.below(&builder.path);
        let options = plan.options;
        let most = i64::try_from(plan.stages.len()).unwrap_or(i64::MAX);
        let num_stages = match usize::try_from(options.num_stages) {
            Ok(number @ 1..) if options.num_stages <= most => number,
            _ => return Err(own(Error::argument("num_stages", options.num_stages, format!("expected 1 to {most}")))),
        };
        options.check(num_stages).map_err(own)?;
        let plugins = options.plugins(num_stages).map_err(own)?;
        let init_cfg = InitCfg::decode(&options.rules().map_err(own)?, &builder.path.key("init_cfg"))?
            .by_default(options.init_cfg == ResNetOptions::new().init_cfg);
        let stem = Stem::new(builder, plan.stem, options)?;
        let mut rates = plan.drop_path_rates()?;
        let mut in_channels = options.stem_channels();
        let mut stages = Vec::new();
        let geometry = options.strides.iter().zip(&options.dilations).zip(plugins);
        for (index, (stage, ((&stride, &dilation), plugins))) in plan.stages.iter().zip(geometry).enumerate() {
            let is_last = index + 1 == num_stages;
            let config = StageConfig {
                stride,
                dilations: options.dilations_of(stage.blocks, dilation, is_last).map_err(own)?,
                style: options.style,
                avg_down: plan.avg_down,
                conv_cfg: options.conv_cfg.as_ref(),
                drop_path_rates: rates.by_ref().take(stage.blocks).collect(),
                plugins,
                ..StageConfig::new(stage.blocks, in_channels, stage.out_channels, stage.expansion, &options.norm_cfg)
            };
            let layer = ResLayer::new(builder, &*stage.kind, &config)?;
            stages.push(match plan.stage_class {
                Some(class) => layer.with_class(class),
                None => layer,
            });
            in_channels = stage.out_channels;
        }
        let network = Self {
            class: plan.class,
            key_mappings: key_mappings(plan.class, &stem, &stages),
            stem,
            stages,
            out_indices: options.out_indices.clone(),
            frozen_stages: options.frozen_stages,
            norm_eval: options.norm_eval,
            zero_init_residual: options.zero_init_residual,
            init_cfg,
        };
        network.freeze();
        Ok(network)
    }

    /// Stops the training of the first stages.
    fn freeze(&self) {
        if self.frozen_stages >= 0 {
            self.stem.freeze();
        }
        for stage in self.stages.iter().take(usize::try_from(self.frozen_stages).unwrap_or(0)) {
            freeze(stage);
        }
    }

    /// Sets the last norm of each block to 0.
    fn silence_blocks(&self) -> Result<()> {
        static OVERWRITTEN: Once = Once::new();
        if matches!(self.init_cfg.config(), Config::List(rules) if rules.iter().any(is_pretrained)) {
            OVERWRITTEN.call_once(|| {
                log::warn!(
                    "zero_init_residual sets the last norms of blocks to 0 after `Pretrained` in a list of rules, as in \
                     mmpretrain; give the rule alone, or zero_init_residual: false"
                );
            });
        }
        let norms = self.stages.iter().flat_map(ResLayer::blocks).filter_map(Block::last_norm);
        observe::because(
            || "zero_init_residual".to_owned(),
            || norms.into_iter().try_for_each(|norm| init::constant_init(norm, 0.0, 0.0)),
        )
    }
}

impl Layer for ResNet {
    const NAME: &'static str = "ResNet";
    type Config = ResNetConfig;
    type Module = Self;

    fn build(config: &ResNetConfig, builder: &Builder<'_>) -> Result<Self> {
        Self::new(builder, config)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

/// The type `ResNetV1c`.
#[derive(Debug)]
pub enum ResNetV1c {}

impl Layer for ResNetV1c {
    const NAME: &'static str = "ResNetV1c";
    type Config = ResNetV1cConfig;
    type Module = ResNet;

    fn build(config: &ResNetV1cConfig, builder: &Builder<'_>) -> Result<ResNet> {
        ResNet::new_v1c(builder, config)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

/// The type `ResNetV1d`.
#[derive(Debug)]
pub enum ResNetV1d {}

impl Layer for ResNetV1d {
    const NAME: &'static str = "ResNetV1d";
    type Config = ResNetV1dConfig;
    type Module = ResNet;

    fn build(config: &ResNetV1dConfig, builder: &Builder<'_>) -> Result<ResNet> {
        ResNet::new_v1d(builder, config)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Backbone for ResNet {
    fn stages(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        let mut output = self.stem.forward(input)?;
        let mut given = Vec::new();
        for (index, stage) in (0..).zip(&self.stages) {
            output = run_child(format!("layer{}", index + 1), stage, &output)?;
            if self.out_indices.contains(&index) {
                given.push(output.shallow_clone());
            }
        }
        Ok(given)
    }
}

impl Module for ResNet {
    fn class(&self) -> &'static [&'static str] {
        self.class
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        last(self.stages(input)?)
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        self.call_stages(inputs, options)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        if let Some(norm) = self.stem.norm() {
            parts.property("norm1", norm);
        }
        parts.init_cfg(&self.init_cfg);
        self.stem.parts(parts);
        for (index, stage) in self.stages.iter().enumerate() {
            parts.child(format!("layer{}", index + 1), stage);
        }
    }

    fn after_train(&self, training: bool) {
        self.freeze();
        if training && self.norm_eval {
            evaluate_batch_norms(self);
        }
    }

    fn init_weights(&self) -> Result<()> {
        let loaded = is_pretrained(self.init_cfg.config()) || self.init_cfg.is_loaded();
        self.init_cfg.init_weights(self)?;
        if self.zero_init_residual && !loaded { self.silence_blocks() } else { Ok(()) }
    }

    fn key_mappings(&self) -> Vec<KeyMapping> {
        self.key_mappings.clone()
    }
}

/// torchvision has the same names, and its classifier beside them; so have the weights for mmdetection of networks that
/// torchvision lacks or names otherwise. mmdetection has the parts of a deep stem in one row.
fn key_mappings(class: &[&str], stem: &Stem, stages: &[ResLayer]) -> Vec<KeyMapping> {
    let dialect = |name| KeyMapping::new(name).with_head("fc.");
    let row = stem.in_a_row();
    let same = match (class, row.is_empty()) {
        (["ResNet" | "ResNeXt", ..], _) => "torchvision",
        (_, true) => "mmdet",
        (_, false) => "mmpretrain",
    };
    let mut dialects = vec![dialect(same)];
    if !row.is_empty() {
        dialects.push(dialect("mmdet").with(row));
    } else if same == "torchvision" {
        dialects.push(detectron2::dialect(stages));
    }
    dialects
}

fn is_pretrained(rule: &Config) -> bool {
    rule.get("type").and_then(Config::as_str) == Some("Pretrained")
}
