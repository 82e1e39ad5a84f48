//! [`ResNet`], `ResNetV1c`, `ResNetV1d` and `ResNet_CIFAR`. He et al., Deep Residual Learning for Image Recognition (2015);
//! He et al., Bag of Tricks for Image Classification with Convolutional Neural Networks (2018).
//!
//! Reference: mmpretrain/models/backbones/resnet.py, resnet_cifar.py. The other networks of the family differ in their blocks: they make a
//! [`Plan`] of their stages, from which [`ResNet::assemble`] builds the network.

mod block;
mod config;
mod detectron2;
mod parts;
mod stage;
mod stem;

use std::sync::Once;

use mmcv_layers::{
    Builder, Error, Forward, InitCfg, KeyMapping, Layer, Module, Output, Parts, Registry, Result, init, observe,
    run_child,
};
use mmcv_registry::{Config, Dict};
use tch::{Device, Kind, Tensor};

use crate::backbone::{Backbone, evaluate_batch_norms, freeze, last};

use block::Plugin;
pub(crate) use block::{BasicBlock, Block, BlockConfig, BlockKind, Bottleneck, ResidualBlock};
pub(crate) use config::at_least_one;
pub use config::{
    PluginConfig, PluginPosition, ResNetCifarConfig, ResNetConfig, ResNetOptions, ResNetStyle, ResNetV1cConfig,
    ResNetV1dConfig,
};
pub(crate) use parts::{ConvNorm, Kernel, Shortcut, norm};
pub(crate) use stage::{AvgDown, ResLayer, StageConfig};
use stem::Stem;
pub(crate) use stem::StemKind;

/// Table 1 of the paper: depth, and the number of blocks in each stage. From 50 layers on, the blocks are bottlenecks.
const BLOCKS: [(i64, [usize; 4]); 5] =
    [(18, [2, 2, 2, 2]), (34, [3, 4, 6, 3]), (50, [3, 4, 6, 3]), (101, [3, 4, 23, 3]), (152, [3, 8, 36, 3])];

/// The smallest depth with bottlenecks.
const FIRST_WITH_BOTTLENECKS: i64 = 50;

/// The number of blocks in each stage of a network whose depth is in the paper's table and at least `least`.
pub(crate) fn blocks(depth: i64, least: i64) -> Result<[usize; 4]> {
    let mut known_depths = Vec::new();
    for (known, blocks) in BLOCKS {
        if known < least {
            continue;
        }
        if known == depth {
            return Ok(blocks);
        }
        known_depths.push(known.to_string());
    }
    Err(Error::argument("depth", depth, format!("expected one of {}", known_depths.join(", "))))
}

/// One stage of a [`Plan`].
pub(crate) struct StagePlan {
    pub kind: Box<dyn BlockKind>,
    pub blocks: usize,
    pub out_channels: i64,
    pub expansion: i64,
}

/// The description of a network of the family.
pub(crate) struct Plan<'a> {
    /// The reference's class.
    pub class: &'static [&'static str],
    /// The class of the stages, if they initialize their blocks.
    pub stage_class: Option<&'static [&'static str]>,
    pub options: &'a ResNetOptions,
    pub stem: StemKind,
    pub avg_down: AvgDown,
    /// All stages of the paper; `num_stages` of them are built.
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

    /// The probabilities of skipping blocks: they grow linearly over all stages of the paper.
    fn drop_path_rates(&self) -> Result<impl Iterator<Item = f64> + use<>> {
        let blocks: usize = self.stages.iter().map(|stage| stage.blocks).sum();
        let steps = i64::try_from(blocks).unwrap_or(i64::MAX);
        let rates = Tensor::f_linspace(0.0, self.options.drop_path_rate, steps, (Kind::Float, Device::Cpu))?;
        Ok(Vec::<f32>::try_from(&rates)?.into_iter().map(f64::from))
    }
}

/// A residual network without a classifier: a stem, and stages of blocks that add to their input.
///
/// Shapes: input `[N, in_channels, H, W]`; output of stage `i`, from 0, `[N, base_channels * expansion * 2^i,
/// H / 2^(i+2), W / 2^(i+2)]` with the default strides. State: `conv1.*` and the norm `bn1.*`, or `stem.*`; `layer1.*` to
/// `layer4.*`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::{ResNetConfig, ResNetOptions};
/// use tch::{Device, Kind, Tensor};
///
/// let options = ResNetOptions::new().with_base_channels(16).with_stem_channels(16);
/// let network = ResNetConfig::new(18).with_options(options).build()?;
/// let features = network.forward(&Tensor::zeros([1, 3, 64, 64], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(features.size(), [1, 128, 2, 2]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
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
    fn of_class(
        class: &'static [&'static str],
        builder: &Builder<'_>,
        depth: i64,
        options: &ResNetOptions,
    ) -> Result<Self> {
        Self::assemble(builder, &plan_of_depth(class, depth, options)?)
    }

    /// Builds the network of a plan.
    pub(crate) fn assemble(builder: &Builder<'_>, plan: &Plan<'_>) -> Result<Self> {
        let options = plan.options;
        let most = plan.stages.len();
        let num_stages = match usize::try_from(options.num_stages) {
            Ok(number) if (1..=most).contains(&number) => number,
            _ => return Err(Error::argument("num_stages", options.num_stages, format!("expected 1 to {most}"))),
        };
        options.check(num_stages)?;
        let plugins = options.plugins(num_stages)?;
        let init_cfg =
            builder.init_cfg(&options.rules()?)?.by_default(options.init_cfg == ResNetOptions::new().init_cfg);
        let stem = Stem::new(builder, plan.stem, options)?;
        let stages = build_stages(builder, plan, plugins)?;
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

    /// Freezes the first stages.
    fn freeze(&self) {
        if self.frozen_stages >= 0 {
            self.stem.freeze();
        }
        for stage in self.stages.iter().take(usize::try_from(self.frozen_stages).unwrap_or(0)) {
            freeze(stage);
        }
    }

    /// Sets the last norm of each block to 0.
    fn zero_last_norms(&self) -> Result<()> {
        static OVERWRITTEN: Once = Once::new();
        if matches!(self.init_cfg.config(), Config::List(rules) | Config::Tuple(rules) if rules.iter().any(is_pretrained))
        {
            OVERWRITTEN.call_once(|| {
                log::warn!(
                    "zero_init_residual sets the last norms of blocks to 0 after `Pretrained` in a list of rules, as in \
                     mmpretrain; use the rule alone, or zero_init_residual: false"
                );
            });
        }
        for stage in &self.stages {
            for block in stage.blocks() {
                if let Some(norm) = block.last_norm() {
                    init::constant_init(norm, 0.0, 0.0)?;
                }
            }
        }
        Ok(())
    }
}

/// The plan of a network with the blocks of the paper.
fn plan_of_depth<'a>(class: &'static [&'static str], depth: i64, options: &'a ResNetOptions) -> Result<Plan<'a>> {
    let blocks = blocks(depth, 0)?;
    if depth < FIRST_WITH_BOTTLENECKS {
        return Ok(Plan::new(class, options, blocks, &BasicBlock, BasicBlock::EXPANSION));
    }
    Ok(Plan::new(class, options, blocks, &Bottleneck, Bottleneck::EXPANSION))
}

/// Builds the stages of a plan, as many as there are lists of plugins.
fn build_stages(builder: &Builder<'_>, plan: &Plan<'_>, plugins: Vec<Vec<Plugin>>) -> Result<Vec<ResLayer>> {
    let options = plan.options;
    let num_stages = plugins.len();
    let mut rates = plan.drop_path_rates()?;
    let mut in_channels = options.stem_channels();
    let mut stages = Vec::new();
    let geometry = options.strides.iter().zip(&options.dilations).zip(plugins);
    for (index, (stage, ((&stride, &dilation), plugins))) in plan.stages.iter().zip(geometry).enumerate() {
        let is_last = index + 1 == num_stages;
        let config = StageConfig {
            stride,
            dilations: options.block_dilations(stage.blocks, dilation, is_last)?,
            style: options.style,
            avg_down: plan.avg_down,
            conv_cfg: options.conv_cfg.as_ref(),
            drop_path_rates: rates.by_ref().take(stage.blocks).collect(),
            plugins,
            ..StageConfig::new(stage.blocks, in_channels, stage.out_channels, stage.expansion, &options.norm_cfg)
        };
        let mut layer = ResLayer::new(builder, &*stage.kind, &config)?;
        if let Some(class) = plan.stage_class {
            layer = layer.with_class(class);
        }
        stages.push(layer);
        in_channels = stage.out_channels;
    }
    Ok(stages)
}

impl Layer for ResNet {
    const NAME: &'static str = "ResNet";
    type Config = ResNetConfig;
    type Module = Self;

    fn build(config: &ResNetConfig, builder: &Builder<'_>) -> Result<Self> {
        Self::of_class(&["ResNet", "BaseBackbone"], builder, config.depth, &config.options)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

/// The type `ResNetV1c`: a [`ResNet`] whose stem has three 3x3 convolutions.
///
/// ```no_run
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::ResNetV1cConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let network = ResNetV1cConfig::new(50).build()?;
/// let features = network.forward(&Tensor::zeros([1, 3, 224, 224], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(features.size(), [1, 2048, 7, 7]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub enum ResNetV1c {}

impl Layer for ResNetV1c {
    const NAME: &'static str = "ResNetV1c";
    type Config = ResNetV1cConfig;
    type Module = ResNet;

    fn build(config: &ResNetV1cConfig, builder: &Builder<'_>) -> Result<ResNet> {
        ResNet::of_class(&["ResNetV1c", "ResNet"], builder, config.depth, &config.options)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

/// The type `ResNetV1d`: a `ResNetV1c` whose shortcuts are downsampled by pooling.
///
/// ```no_run
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::ResNetV1dConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let network = ResNetV1dConfig::new(50).build()?;
/// let features = network.forward(&Tensor::zeros([1, 3, 224, 224], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(features.size(), [1, 2048, 7, 7]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub enum ResNetV1d {}

impl Layer for ResNetV1d {
    const NAME: &'static str = "ResNetV1d";
    type Config = ResNetV1dConfig;
    type Module = ResNet;

    fn build(config: &ResNetV1dConfig, builder: &Builder<'_>) -> Result<ResNet> {
        ResNet::of_class(&["ResNetV1d", "ResNet"], builder, config.depth, &config.options)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

/// The type `ResNet_CIFAR`: a [`ResNet`] for small images, whose stem is one 3x3 convolution with stride 1.
///
/// Shapes: input `[N, in_channels, H, W]`; output of stage `i`, from 0, `[N, base_channels * expansion * 2^i, H / 2^i,
/// W / 2^i]`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::{ResNetCifarConfig, ResNetOptions};
/// use tch::{Device, Kind, Tensor};
///
/// let options = ResNetOptions::new().with_base_channels(16).with_stem_channels(16);
/// let network = ResNetCifarConfig::new(18).with_options(options).build()?;
/// let features = network.forward(&Tensor::zeros([1, 3, 32, 32], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(features.size(), [1, 128, 4, 4]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub enum ResNetCifar {}

impl Layer for ResNetCifar {
    const NAME: &'static str = "ResNet_CIFAR";
    type Config = ResNetCifarConfig;
    type Module = ResNet;

    fn build(config: &ResNetCifarConfig, builder: &Builder<'_>) -> Result<ResNet> {
        if config.options.deep_stem {
            let reason = "expected false: the stem of ResNet_CIFAR is one 3x3 convolution";
            return Err(Error::argument("deep_stem", true, reason));
        }
        let plan = plan_of_depth(&["ResNet_CIFAR", "ResNet"], config.depth, &config.options)?;
        ResNet::assemble(builder, &Plan { stem: StemKind::Cifar, ..plan })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Backbone for ResNet {
    fn stages(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        let mut output = self.stem.forward(input)?;
        let mut outputs = Vec::new();
        for (index, stage) in (0..).zip(&self.stages) {
            output = run_child(format!("layer{}", index + 1), stage, &output)?;
            if self.out_indices.contains(&index) {
                outputs.push(output.shallow_clone());
            }
        }
        Ok(outputs)
    }
}

impl Forward for ResNet {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        last(self.stages(input)?)
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        self.call_stages(inputs, options)
    }
}

impl Module for ResNet {
    fn class(&self) -> &'static [&'static str] {
        self.class
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
        if self.zero_init_residual && !loaded {
            observe::because(|| "zero_init_residual".to_owned(), || self.zero_last_norms())?;
        }
        Ok(())
    }

    fn key_mappings(&self) -> Vec<KeyMapping> {
        self.key_mappings.clone()
    }
}

/// torchvision uses the same names, with a classifier besides; so do mmdetection's weights of networks that torchvision
/// lacks or names differently. mmdetection lists the parts of a deep stem in one sequence.
fn key_mappings(class: &[&str], stem: &Stem, stages: &[ResLayer]) -> Vec<KeyMapping> {
    if class.first() == Some(&ResNetCifar::NAME) {
        return vec![KeyMapping::new("torchvision").with_head("fc.")];
    }
    let deep_stem = stem.mmdet_names();
    let library = match (class, deep_stem.is_empty()) {
        (["ResNet" | "ResNeXt", ..], _) => "torchvision",
        (_, true) => "mmdet",
        (_, false) => "mmpretrain",
    };
    let mut mappings = vec![KeyMapping::new(library).with_head("fc.")];
    if !deep_stem.is_empty() {
        mappings.push(KeyMapping::new("mmdet").with_head("fc.").with(deep_stem));
    } else if library == "torchvision" {
        mappings.push(detectron2::dialect(stages));
    }
    mappings
}

fn is_pretrained(rule: &Config) -> bool {
    rule.get("type") == Some(&"Pretrained".into())
}
