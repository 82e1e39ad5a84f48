//! `VGG`. Reference: mmpretrain/models/backbones/vgg.py; Simonyan and Zisserman, Very Deep Convolutional Networks for
//! Large-Scale Image Recognition (2014).

use std::ops::Range;

use mmcv_bricks::{ConvBias, ConvModule, ConvModuleConfig};
use mmcv_layers::activation::{ReLU, ReLUConfig};
use mmcv_layers::drop::DropoutConfig;
use mmcv_layers::pool::{MaxPool, MaxPoolConfig};
use mmcv_layers::{
    Builder, Error, Forward, InitCfg, KeyMapping, Layer, LayerConfig, Linear, LinearConfig, Module, ModuleExt, Output,
    Parts, Registry, Result, Sequential, Size, run_child,
};
use mmcv_registry::{Config, Dict, config, dict};
use tch::Tensor;

use crate::backbone::{Backbone, check_frozen_stages, check_out_indices, evaluate_batch_norms, freeze, last, rows};

/// Table 1 of the paper: depth, and the number of convolutions in each of the five stages; three linear layers follow.
const STAGES: [(i64, [usize; 5]); 4] =
    [(11, [1, 1, 2, 2, 2]), (13, [2, 2, 2, 2, 2]), (16, [2, 2, 3, 3, 3]), (19, [2, 2, 4, 4, 4])];
/// Channels of each stage.
const CHANNELS: [i64; 5] = [64, 128, 256, 512, 512];
/// Height and width of the last stage's output for images of 224 x 224, and the outputs of the hidden linear layers.
const LAST_SIZE: i64 = 7;
const HIDDEN: i64 = 4096;

/// Arguments of `VGG`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "VGG", layer = VGG)]
pub struct VGGConfig {
    /// Number of layers with weights: 11, 13, 16 or 19.
    pub depth: i64,
    /// Number of classes; the network has no classifier if this is not positive.
    #[config(default = -1)]
    pub num_classes: i64,
    /// Number of stages, 1 to 5.
    #[config(default = 5)]
    pub num_stages: i64,
    /// Dilation of the convolutions of each stage, in pixels.
    #[config(default = vec![1, 1, 1, 1, 1])]
    pub dilations: Vec<i64>,
    /// The stages to return, from 0; null for the last one, or for the scores alone if there is a classifier.
    #[config(default = None)]
    pub out_indices: Option<Vec<i64>>,
    /// The number of frozen stages; -1 for none.
    #[config(default = -1)]
    pub frozen_stages: i64,
    /// The convolutions; null for `Conv2d`.
    #[config(default = None)]
    pub conv_cfg: Option<Dict>,
    /// The normalizations; null for none.
    #[config(default = None)]
    pub norm_cfg: Option<Dict>,
    /// The activations.
    #[config(default = Some(dict! { type: "ReLU" }))]
    pub act_cfg: Option<Dict>,
    /// Whether batch norms stay in evaluation mode in training.
    #[config(default = false)]
    pub norm_eval: bool,
    /// Whether a pooling window that starts inside the map may end outside.
    #[config(default = false)]
    pub ceil_mode: bool,
    /// Whether the last stage ends with pooling.
    #[config(default = true)]
    pub with_last_pool: bool,
    /// Initialization rules.
    #[config(default = Config::List(vec![
                config! { type: "Kaiming", layer: ["Conv2d"] },
                config! { type: "Constant", val: 1.0, layer: ["_BatchNorm"] },
                config! { type: "Normal", std: 0.01, layer: ["Linear"] },
            ]))]
    pub init_cfg: Config,
}

/// VGG: stages of 3x3 convolutions that end with pooling, and an optional classifier.
///
/// Shapes: input `[N, 3, H, W]`; output of stage `i`, from 0, `[N, 64 * 2^i, H / 2^(i+1), W / 2^(i+1)]`, with at most 512
/// channels. With a classifier: input `[N, 3, 224, 224]`, last output `[N, num_classes]`. State: `features.*`,
/// `classifier.*`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::VGGConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let network = VGGConfig::new(11).build()?;
/// let features = network.forward(&Tensor::zeros([1, 3, 64, 64], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(features.size(), [1, 512, 2, 2]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct VGG {
    features: Sequential,
    /// The modules of each stage in `features`.
    stages: Vec<Range<usize>>,
    classifier: Option<Sequential>,
    out_indices: Vec<i64>,
    frozen_stages: i64,
    norm_eval: bool,
    init_cfg: InitCfg,
}

/// Checks the arguments; returns the number of convolutions in each stage, and the stages to return.
fn check(config: &VGGConfig) -> Result<(&'static [usize], Vec<i64>)> {
    let VGGConfig { depth, num_stages, dilations, out_indices, .. } = config;
    let Some((_, stages)) = STAGES.iter().find(|(known, _)| known == depth) else {
        let known = STAGES.map(|(known, _)| known.to_string()).join(", ");
        return Err(Error::argument("depth", depth, format!("expected one of {known}")));
    };
    let count = usize::try_from(*num_stages).unwrap_or(0);
    let counts = match stages.get(..count) {
        Some(counts) if count > 0 => counts,
        _ => return Err(Error::argument("num_stages", num_stages, "expected 1 to 5")),
    };
    if dilations.len() != counts.len() {
        let reason = format!("expected {num_stages} of them, as many as num_stages");
        return Err(Error::argument("dilations", format!("{dilations:?}"), reason));
    }
    // By default the last of five stages, or the scores, which count as a stage.
    let out_indices = match out_indices {
        Some(indices) => indices.clone(),
        None if config.num_classes > 0 => vec![5],
        None => vec![4],
    };
    if out_indices.is_empty() {
        return Err(Error::argument("out_indices", "[]", "expected at least one stage"));
    }
    check_out_indices(&out_indices, num_stages + 1)?;
    check_frozen_stages(config.frozen_stages, *num_stages)?;
    Ok((counts, out_indices))
}

/// One of the 3x3 convolutions.
fn conv(
    builder: &Builder<'_>,
    config: &VGGConfig,
    in_channels: i64,
    out_channels: i64,
    dilation: i64,
) -> Result<ConvModule> {
    let config = ConvModuleConfig {
        dilation: Size::All(dilation),
        padding: dilation.into(),
        bias: ConvBias::Fixed(true),
        conv_cfg: config.conv_cfg.clone(),
        norm_cfg: config.norm_cfg.clone(),
        act_cfg: config.act_cfg.clone(),
        ..ConvModuleConfig::new(in_channels, out_channels, Size::All(3))
    };
    config.build_with(builder)
}

/// The three linear layers.
fn classifier(num_classes: i64) -> Result<Sequential> {
    let [.., last_channels] = CHANNELS;
    let mut layers = Sequential::default();
    for inputs in [last_channels * LAST_SIZE * LAST_SIZE, HIDDEN] {
        layers.push(Linear::new(&LinearConfig::new(inputs, HIDDEN))?);
        layers.push(ReLU(ReLUConfig { inplace: true }));
        layers.push(DropoutConfig::new().build()?);
    }
    layers.push(Linear::new(&LinearConfig::new(HIDDEN, num_classes))?);
    Ok(layers)
}

impl Layer for VGG {
    const NAME: &'static str = "VGG";
    type Config = VGGConfig;
    type Module = Self;

    fn build(config: &VGGConfig, builder: &Builder<'_>) -> Result<Self> {
        let (counts, out_indices) = check(config)?;
        let mut features = Sequential::default();
        let mut stages: Vec<Range<usize>> = Vec::new();
        let (mut in_channels, mut length) = (3, 0);
        for ((&blocks, &dilation), channels) in counts.iter().zip(&config.dilations).zip(CHANNELS) {
            for _ in 0..blocks {
                features.push(conv(builder, config, in_channels, channels, dilation)?);
                in_channels = channels;
            }
            let pool = MaxPoolConfig {
                stride: Some(Size::All(2)),
                ceil_mode: config.ceil_mode,
                ..MaxPoolConfig::new(Size::All(2))
            };
            let is_last = stages.len() + 1 == counts.len();
            let with_pool = !is_last || config.with_last_pool;
            if with_pool {
                features.push(MaxPool::new(2, &pool)?);
            }
            let end = length + blocks + usize::from(with_pool);
            stages.push(length..end);
            length = end;
        }
        let classifier = if config.num_classes > 0 { Some(classifier(config.num_classes)?) } else { None };
        Ok(Self {
            features,
            stages,
            classifier,
            out_indices,
            frozen_stages: config.frozen_stages,
            norm_eval: config.norm_eval,
            init_cfg: builder
                .init_cfg(&config.init_cfg)?
                .by_default(config.init_cfg == VGGConfig::new(config.depth).init_cfg),
        })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Backbone for VGG {
    /// The stages in `out_indices`, and the scores if there is a classifier.
    fn stages(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        let mut output = input.shallow_clone();
        let mut outputs = Vec::new();
        let mut layers = self.features.iter().enumerate();
        for (index, stage) in (0..).zip(&self.stages) {
            for (position, layer) in layers.by_ref().take(stage.len()) {
                output = run_child(format!("features.{position}"), layer, &output)?;
            }
            if self.out_indices.contains(&index) {
                outputs.push(output.shallow_clone());
            }
        }
        if let Some(classifier) = &self.classifier {
            outputs.push(self.run_child(classifier, &rows(&output)?)?);
        }
        Ok(outputs)
    }
}

impl Forward for VGG {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        last(self.stages(input)?)
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        self.call_stages(inputs, options)
    }
}

impl Module for VGG {
    fn class(&self) -> &'static [&'static str] {
        &["VGG", "BaseBackbone"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        parts.child("features", &self.features);
        if let Some(classifier) = &self.classifier {
            parts.child("classifier", classifier);
        }
    }

    fn after_train(&self, training: bool) {
        let frozen = usize::try_from(self.frozen_stages).unwrap_or(0);
        let layers: usize = self.stages.iter().take(frozen).map(ExactSizeIterator::len).sum();
        for layer in self.features.iter().take(layers) {
            freeze(layer);
        }
        if training && self.norm_eval {
            evaluate_batch_norms(self);
        }
    }

    /// torchvision and `mmcv.cnn` list convolutions, norms and activations in one sequence.
    fn key_mappings(&self) -> Vec<KeyMapping> {
        let (mut pairs, mut position) = (Vec::new(), 0);
        for (index, layer) in self.features.iter().enumerate() {
            // The items of their list that correspond to this module; a pooling is one, too.
            for (child, _) in Parts::of(layer).children {
                if child != "activate" {
                    pairs.push((format!("features.{position}."), format!("features.{index}.{child}.")));
                }
                position += 1;
            }
            position += usize::from(layer.downcast_ref::<MaxPool>().is_some());
        }
        let mut torchvision = KeyMapping::new("torchvision").with(pairs);
        if self.classifier.is_none() {
            torchvision = torchvision.with_head("classifier.");
        }
        vec![torchvision]
    }
}
