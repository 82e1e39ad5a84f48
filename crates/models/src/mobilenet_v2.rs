//! `MobileNetV2`. Reference: mmpretrain/models/backbones/mobilenet_v2.py; Sandler et al., MobileNetV2: Inverted Residuals
//! and Linear Bottlenecks (2018).

use mmcv_bricks::{ConvModule, ConvModuleConfig};
use mmcv_layers::{
    Builder, Error, Forward, InitCfg, KeyMapping, Layer, LayerConfig, Module, ModuleExt, Output, Parts, Registry,
    Result, Sequential, run_child,
};
use mmcv_registry::{Config, ConfigError, Dict, KeyPath, config, dict};
use tch::Tensor;

use crate::backbone::{
    Backbone, check_frozen_stages, check_out_indices, evaluate_batch_norms, freeze, last, rules, stop_gradients,
};

/// Table 2 of the paper: expansion factor, output channels, blocks.
const STAGES: [(i64, i64, usize); 7] =
    [(1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)];
/// The same table: stride of the first block.
const STRIDES: [i64; 7] = [1, 2, 2, 2, 1, 2, 1];
/// Channels of the first and of the last convolution.
const STEM_CHANNELS: i64 = 32;
const LAST_CHANNELS: i64 = 1280;

/// Arguments of `MobileNetV2`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "MobileNetV2", layer = MobileNetV2)]
pub struct MobileNetV2Config {
    /// Factor applied to the channels of each layer.
    #[config(default = 1.0)]
    pub widen_factor: f64,
    /// The stages to return: 0 to 6, or 7 for the last convolution.
    #[config(default = vec![7])]
    pub out_indices: Vec<i64>,
    /// The number of frozen stages: -1 for none, 0 for the first convolution, up to 7.
    #[config(default = -1)]
    pub frozen_stages: i64,
    /// The convolutions; null for `Conv2d`.
    #[config(default = None)]
    pub conv_cfg: Option<Dict>,
    /// The normalizations.
    #[config(default = Some(dict! { type: "BN" }))]
    pub norm_cfg: Option<Dict>,
    /// The activations.
    #[config(default = Some(dict! { type: "ReLU6" }))]
    pub act_cfg: Option<Dict>,
    /// Whether batch norms stay in evaluation mode in training.
    #[config(default = false)]
    pub norm_eval: bool,
    /// Accepted for the reference's configs, and without effect. In the reference it saves memory in training by running
    /// each block twice in a step, so that its batch norms update their statistics twice; outputs and gradients are the
    /// same.
    #[config(default = false)]
    pub with_cp: bool,
    /// Initialization rules.
    #[config(default = Config::List(vec![
                config! { type: "Kaiming", layer: ["Conv2d"] },
                config! { type: "Constant", val: 1, layer: ["_BatchNorm", "GroupNorm"] },
            ]))]
    pub init_cfg: Config,
    /// The checkpoint that `init_weights` loads instead of applying the rules of `init_cfg`, as in mmdetection.
    #[config(default = None)]
    pub pretrained: Option<String>,
    /// Stride of the first block of each stage, 1 or 2, as in mmsegmentation.
    #[config(default = STRIDES.to_vec())]
    pub strides: Vec<i64>,
    /// Dilation of the 3x3 convolution of the first block of each stage in pixels, as in mmsegmentation.
    #[config(default = vec![1; STAGES.len()])]
    pub dilations: Vec<i64>,
    /// Whether the network ends with a 1x1 convolution; mmsegmentation's does not.
    #[config(default = true)]
    pub last_conv: bool,
}

/// MobileNetV2 without a classifier.
///
/// Shapes: input `[N, 3, H, W]`, last output `[N, 1280, H / 32, W / 32]`, with more channels if `widen_factor` exceeds 1.
/// State: `conv1.*`, `layer1.*` to `layer7.*`, `conv2.*`, which `last_conv: false` omits.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::MobileNetV2Config;
/// use tch::{Device, Kind, Tensor};
///
/// let network = MobileNetV2Config::new().with_widen_factor(0.5).build()?;
/// let features = network.forward(&Tensor::zeros([1, 3, 64, 64], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(features.size(), [1, 1280, 2, 2]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct MobileNetV2 {
    conv1: ConvModule,
    layers: Vec<Sequential>,
    conv2: Option<ConvModule>,
    out_indices: Vec<i64>,
    frozen_stages: i64,
    norm_eval: bool,
    init_cfg: InitCfg,
}

impl MobileNetV2 {
    /// Freezes the first stages; their batch norms use the running statistics.
    fn freeze(&self) {
        if self.frozen_stages >= 0 {
            stop_gradients(&self.conv1);
        }
        for layer in self.layers.iter().take(usize::try_from(self.frozen_stages).unwrap_or(0)) {
            freeze(layer);
        }
    }
}

impl MobileNetV2Config {
    fn check(&self) -> Result<()> {
        let stages: i64 = if self.last_conv { 8 } else { 7 };
        check_out_indices(&self.out_indices, stages)?;
        check_frozen_stages(self.frozen_stages, stages - 1)?;
        if !self.widen_factor.is_finite() {
            return Err(Error::argument("widen_factor", self.widen_factor, "expected a finite number"));
        }
        for (name, values) in [("strides", &self.strides), ("dilations", &self.dilations)] {
            let path = KeyPath::root().key(name);
            if values.len() != STAGES.len() {
                let reason = format!("expected {} integers, one for each stage", STAGES.len());
                return Err(ConfigError::invalid(&path, format!("{values:?}"), reason).into());
            }
            for (index, value) in values.iter().enumerate() {
                if *value < 1 || (name == "strides" && *value > 2) {
                    let reason = if name == "strides" { "expected 1 or 2" } else { "expected at least 1" };
                    return Err(ConfigError::invalid(&path.index(index), value, reason).into());
                }
            }
        }
        Ok(())
    }
}

impl Layer for MobileNetV2 {
    const NAME: &'static str = "MobileNetV2";
    type Config = MobileNetV2Config;
    type Module = Self;

    fn build(config: &MobileNetV2Config, builder: &Builder<'_>) -> Result<Self> {
        config.check()?;
        let MobileNetV2Config { widen_factor, frozen_stages, norm_eval, .. } = *config;
        let conv_modules = ConvModules { builder, config };
        let mut channels = make_divisible(STEM_CHANNELS as f64 * widen_factor, 8);
        let conv1 = conv_modules.build(3, channels, Kernel { stride: 2, ..Kernel::new(3) }, true)?;
        let mut layers = Vec::new();
        let geometry = config.strides.iter().zip(&config.dilations);
        for ((expansion, out_channels, blocks), (&first_stride, &first_dilation)) in STAGES.into_iter().zip(geometry) {
            let out_channels = make_divisible(out_channels as f64 * widen_factor, 8);
            let mut layer = Sequential::default();
            for block in 0..blocks {
                let (stride, dilation) = if block == 0 { (first_stride, first_dilation) } else { (1, 1) };
                let kernel = Kernel { stride, dilation, ..Kernel::new(3) };
                layer.push(InvertedResidual::new(&conv_modules, channels, out_channels, kernel, expansion)?);
                channels = out_channels;
            }
            layers.push(layer);
        }
        let mut conv2 = None;
        if config.last_conv {
            let last_channels = (LAST_CHANNELS as f64 * widen_factor.max(1.0)) as i64;
            conv2 = Some(conv_modules.build(channels, last_channels, Kernel::new(1), true)?);
        }
        let rules = rules(&config.init_cfg, &MobileNetV2Config::new().init_cfg, config.pretrained.as_deref())?;
        let init_cfg = builder.init_cfg(&rules)?.by_default(config.init_cfg == MobileNetV2Config::new().init_cfg);
        let out_indices = config.out_indices.clone();
        Ok(Self { conv1, layers, conv2, out_indices, frozen_stages, norm_eval, init_cfg })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Backbone for MobileNetV2 {
    fn stages(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        let mut output = self.run_child(&self.conv1, input)?;
        let mut stages = Vec::new();
        for (index, layer) in (0..).zip(&self.layers) {
            output = run_child(format!("layer{}", index + 1), layer, &output)?;
            if self.out_indices.contains(&index) {
                stages.push(output.shallow_clone());
            }
        }
        if let Some(conv2) = &self.conv2 {
            output = self.run_child(conv2, &output)?;
            if self.out_indices.contains(&7) {
                stages.push(output);
            }
        }
        Ok(stages)
    }
}

impl Forward for MobileNetV2 {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        last(self.stages(input)?)
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        self.call_stages(inputs, options)
    }
}

impl Module for MobileNetV2 {
    fn class(&self) -> &'static [&'static str] {
        &["MobileNetV2", "BaseBackbone"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        parts.child("conv1", &self.conv1);
        for (index, layer) in self.layers.iter().enumerate() {
            parts.child(format!("layer{}", index + 1), layer);
        }
        if let Some(conv2) = &self.conv2 {
            parts.child("conv2", conv2);
        }
    }

    fn after_train(&self, training: bool) {
        self.freeze();
        if training && self.norm_eval {
            evaluate_batch_norms(self);
        }
    }

    fn key_mappings(&self) -> Vec<KeyMapping> {
        vec![torchvision()]
    }
}

/// torchvision numbers all blocks in one list, `features`. A convolution and its norm are `0` and `1` of a list; the last
/// convolution of a block and its norm are items of the block's list instead.
fn torchvision() -> KeyMapping {
    let mut pairs = Vec::from(conv_and_norm("features.0", "conv1"));
    let mut position = 1;
    for (stage, (expansion, _, blocks)) in (1..).zip(STAGES) {
        let last = if expansion == 1 { 1 } else { 2 };
        for block in 0..blocks {
            let (theirs, ours) = (format!("features.{position}.conv"), format!("layer{stage}.{block}.conv"));
            for conv in 0..last {
                pairs.extend(conv_and_norm(&format!("{theirs}.{conv}"), &format!("{ours}.{conv}")));
            }
            pairs.push((format!("{theirs}.{last}."), format!("{ours}.{last}.conv.")));
            pairs.push((format!("{theirs}.{}.", last + 1), format!("{ours}.{last}.bn.")));
            position += 1;
        }
    }
    pairs.extend(conv_and_norm(&format!("features.{position}"), "conv2"));
    KeyMapping::new("torchvision").with_head("classifier.1.").with(pairs)
}

/// The prefixes of a convolution and its norm: torchvision's and ours.
fn conv_and_norm(theirs: &str, ours: &str) -> [(String, String); 2] {
    [(format!("{theirs}.0."), format!("{ours}.conv.")), (format!("{theirs}.1."), format!("{ours}.bn."))]
}

/// An expansion, a depthwise convolution and a projection, with a shortcut if input and output have the same shape.
/// Figure 4 of the paper.
#[derive(Debug, Module)]
#[module(class("InvertedResidual", "BaseModule"))]
struct InvertedResidual {
    #[module(child)]
    conv: Sequential,
    shortcut: bool,
}

impl InvertedResidual {
    /// Builds a block whose depthwise convolution has the stride and dilation of `kernel`.
    fn new(parts: &ConvModules<'_>, inputs: i64, outputs: i64, kernel: Kernel, expansion: i64) -> Result<Self> {
        let hidden = inputs.saturating_mul(expansion);
        let shortcut = kernel.stride == 1 && inputs == outputs;
        let mut conv = Sequential::default();
        if expansion != 1 {
            conv.push(parts.build(inputs, hidden, Kernel::new(1), true)?);
        }
        conv.push(parts.build(hidden, hidden, Kernel { groups: hidden, ..kernel }, true)?);
        conv.push(parts.build(hidden, outputs, Kernel::new(1), false)?);
        Ok(Self { conv, shortcut })
    }
}

impl Forward for InvertedResidual {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = self.run_child(&self.conv, input)?;
        if self.shortcut { Ok(input.f_add(&output)?) } else { Ok(output) }
    }
}

/// Builds the convolutions of this network, which share norm, activation and type.
struct ConvModules<'a> {
    builder: &'a Builder<'a>,
    config: &'a MobileNetV2Config,
}

/// A square kernel, padded so that only the stride makes the output smaller.
struct Kernel {
    size: i64,
    stride: i64,
    dilation: i64,
    groups: i64,
}

impl Kernel {
    /// A kernel with stride, dilation and groups 1.
    fn new(size: i64) -> Self {
        Self { size, stride: 1, dilation: 1, groups: 1 }
    }
}

impl ConvModules<'_> {
    fn build(&self, inputs: i64, outputs: i64, kernel: Kernel, activate: bool) -> Result<ConvModule> {
        let MobileNetV2Config { conv_cfg, norm_cfg, act_cfg, .. } = self.config;
        let config = ConvModuleConfig {
            stride: kernel.stride.into(),
            padding: (kernel.size / 2).saturating_mul(kernel.dilation).into(),
            dilation: kernel.dilation.into(),
            groups: kernel.groups,
            conv_cfg: conv_cfg.clone(),
            norm_cfg: norm_cfg.clone(),
            act_cfg: if activate { act_cfg.clone() } else { None },
            ..ConvModuleConfig::new(inputs, outputs, kernel.size)
        };
        config.build_with(self.builder)
    }
}

/// The multiple of `divisor` that is nearest to `value`, and not less than 0.9 of it.
///
/// Reference: mmpretrain/models/utils/make_divisible.py.
fn make_divisible(value: f64, divisor: i64) -> i64 {
    let nearest = ((value + divisor as f64 / 2.0) as i64 / divisor * divisor).max(divisor);
    if (nearest as f64) < 0.9 * value { nearest.saturating_add(divisor) } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::make_divisible;

    #[test]
    fn channels_are_multiples_and_lose_at_most_a_tenth() {
        assert_eq!(make_divisible(32.0 * 0.5, 8), 16);
        assert_eq!(make_divisible(32.0 * 0.35, 8), 16);
        assert_eq!(make_divisible(3.0, 8), 8);
        assert_eq!(make_divisible(16.0 * 1.4, 8), 24);
    }
}
