//! `FPN`. Reference: mmdet/models/necks/fpn.py; Lin et al., Feature Pyramid Networks for Object Detection (2017).

use std::ops::Range;

use mmcv_bricks::ConvModuleConfig;
use mmcv_layers::containers::Children;
use mmcv_layers::upsample::{Interpolation, ScaleFactor, Upsample, UpsampleConfig};
use mmcv_layers::{
    Builder, Error, Forward, InitCfg, Layer, LayerConfig, Module, Output, Registry, Result, Size, no_options, run_child,
};
use mmcv_registry::{Config, ConfigError, Dict, FromConfig, KeyPath, config};
use tch::Tensor;

use crate::plain_list::PlainList;
use crate::resize::resize;
use crate::resnet::at_least_one;

/// Limit on the outputs: each level has half the resolution of the one before, so more are a mistake.
const MOST_OUTS: i64 = 64;

/// Arguments of `FPN`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "FPN", layer = FPN)]
pub struct FPNConfig {
    /// Channels of each input, the input with the highest resolution first.
    pub in_channels: Vec<i64>,
    /// Channels of every output.
    pub out_channels: i64,
    /// Number of outputs. Those beyond the levels of the inputs have half the resolution of the one before.
    pub num_outs: i64,
    /// The first input that is used, from 0.
    #[config(default = 0)]
    pub start_level: i64,
    /// The last input that is used, from 0; -1 for the last one. Only with the last one there are further outputs.
    #[config(default = -1)]
    pub end_level: i64,
    /// The source of further outputs: false to pool the last output, `on_input`, `on_lateral` or `on_output` for
    /// convolutions that start there; true is `on_input`.
    #[config(default = ExtraConvs::Pooling)]
    pub add_extra_convs: ExtraConvs,
    /// Whether a ReLU precedes the extra convolutions, except the first one.
    #[config(default = false)]
    pub relu_before_extra_convs: bool,
    /// Whether the 1x1 convolutions at the inputs have no norm.
    #[config(default = false)]
    pub no_norm_on_lateral: bool,
    /// The convolutions; null for `Conv2d`.
    #[config(default = None)]
    pub conv_cfg: Option<Dict>,
    /// The normalizations; null for none.
    #[config(default = None)]
    pub norm_cfg: Option<Dict>,
    /// The activations; null for none.
    #[config(default = None)]
    pub act_cfg: Option<Dict>,
    /// The interpolation from one level to the level above.
    #[config(default = FPNUpsampleConfig::new())]
    pub upsample_cfg: FPNUpsampleConfig,
    /// Initialization rules.
    #[config(default = config! { type: "Xavier", layer: "Conv2d", distribution: "uniform" })]
    pub init_cfg: Config,
}

/// The interpolation from one level of `FPN` to the level above.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct FPNUpsampleConfig {
    /// The interpolation: `nearest` or `bilinear`.
    #[config(default = Interpolation::Nearest)]
    pub mode: Interpolation,
    /// Factor by which a level grows; null for the size of the level above.
    #[config(default = None)]
    pub scale_factor: Option<ScaleFactor>,
    /// Whether to align the centers of the corner pixels; only for `bilinear`.
    #[config(default = None)]
    pub align_corners: Option<bool>,
}

/// The source of the outputs of `FPN` beyond the levels of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraConvs {
    /// The last output, whose every second pixel is taken; without convolutions.
    Pooling,
    /// The last input that is used.
    OnInput,
    /// The last level before its 3x3 convolution.
    OnLateral,
    /// The last output.
    OnOutput,
}

impl FromConfig for ExtraConvs {
    fn expected() -> String {
        "true, false, \"on_input\", \"on_lateral\" or \"on_output\"".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Bool(false) => return Ok(Self::Pooling),
            Config::Bool(true) => return Ok(Self::OnInput),
            _ => {}
        }
        match value.as_str() {
            Some("on_input") => Ok(Self::OnInput),
            Some("on_lateral") => Ok(Self::OnLateral),
            Some("on_output") => Ok(Self::OnOutput),
            _ => Err(ConfigError::wrong_type(path, Self::expected(), value)),
        }
    }

    fn to_config(&self) -> Config {
        match self {
            Self::Pooling => Config::Bool(false),
            Self::OnInput => "on_input".into(),
            Self::OnLateral => "on_lateral".into(),
            Self::OnOutput => "on_output".into(),
        }
    }
}

/// Brings all stages of a backbone to the same number of channels, and adds each to the one with twice its resolution.
///
/// Shapes: inputs `[N, in_channels[i], H_i, W_i]`; outputs `[N, out_channels, H_i, W_i]` for the inputs from
/// `start_level` to `end_level`, then outputs with half the resolution of the one before. State: `lateral_convs.*`,
/// `fpn_convs.*`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::FPNConfig;
/// use mmcv_registry::Dict;
/// use tch::{Device, Kind, Tensor};
///
/// let neck = FPNConfig::new(vec![16, 32], 8, 3).build()?;
/// let stage = |channels, size| Tensor::zeros([1, channels, size, size], (Kind::Float, Device::Cpu));
/// let outputs = neck.call(&[&stage(16, 20), &stage(32, 10)], &Dict::new())?;
/// assert_eq!(outputs.shapes(), [[1, 8, 20, 20], [1, 8, 10, 10], [1, 8, 5, 5]]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Module)]
pub struct FPN {
    #[module(child)]
    lateral_convs: PlainList,
    #[module(child)]
    fpn_convs: PlainList,
    /// The number of inputs.
    num_ins: usize,
    /// The inputs that are used.
    levels: Range<usize>,
    /// The outputs beyond the levels of the inputs.
    extra_levels: usize,
    add_extra_convs: ExtraConvs,
    relu_before_extra_convs: bool,
    upsample_cfg: FPNUpsampleConfig,
    init_cfg: InitCfg,
}

impl FPNConfig {
    /// Checks the arguments; returns the inputs that are used, and the number of further outputs.
    fn levels(&self) -> Result<(Range<usize>, usize)> {
        let Self { in_channels, num_outs, start_level, end_level, .. } = self;
        for (index, channels) in in_channels.iter().enumerate() {
            at_least_one(&KeyPath::root().key("in_channels").index(index), *channels)?;
        }
        at_least_one(&KeyPath::root().key("out_channels"), self.out_channels)?;
        let num_ins = i64::try_from(in_channels.len()).unwrap_or(i64::MAX);
        if num_ins == 0 {
            return Err(Error::argument("in_channels", "[]", "expected the channels of at least one input"));
        }
        if !(0..num_ins).contains(start_level) {
            let reason = format!("expected 0 to {}, one of the inputs", num_ins - 1);
            return Err(Error::argument("start_level", start_level, reason));
        }
        let last = if *end_level == -1 { num_ins - 1 } else { *end_level };
        if !(*start_level..num_ins).contains(&last) {
            let reason = format!("expected {start_level} to {}, or -1 for the last input", num_ins - 1);
            return Err(Error::argument("end_level", end_level, reason));
        }
        let used = last - start_level + 1;
        if last < num_ins - 1 && *num_outs != used {
            let reason = format!("expected {used}: there are further outputs only if end_level is the last input");
            return Err(Error::argument("num_outs", num_outs, reason));
        }
        if !(used..=MOST_OUTS).contains(num_outs) {
            let reason =
                format!("expected at least {used}, the number of inputs that are used, and at most {MOST_OUTS}");
            return Err(Error::argument("num_outs", num_outs, reason));
        }
        let [start, used, extra] =
            [*start_level, used, num_outs - used].map(|number| usize::try_from(number).unwrap_or(0));
        Ok((start..start + used, extra))
    }
}

/// One of the 3x3 convolutions; those with stride 2 are the extra ones.
fn fpn_conv(builder: &Builder<'_>, config: &FPNConfig, in_channels: i64, stride: i64) -> Result<Box<dyn Module>> {
    let conv = ConvModuleConfig {
        stride: Size::All(stride),
        padding: 1.into(),
        norm_cfg: config.norm_cfg.clone(),
        ..conv_module(config, in_channels, 3)
    };
    Ok(Box::new(conv.build_with(builder)?))
}

/// The 1x1 convolution of an input.
fn lateral_conv(builder: &Builder<'_>, config: &FPNConfig, in_channels: i64) -> Result<Box<dyn Module>> {
    let mut conv = conv_module(config, in_channels, 1);
    if !config.no_norm_on_lateral {
        conv.norm_cfg = config.norm_cfg.clone();
    }
    Ok(Box::new(conv.build_with(builder)?))
}

/// What the convolutions have in common.
fn conv_module(config: &FPNConfig, in_channels: i64, size: i64) -> ConvModuleConfig {
    ConvModuleConfig {
        conv_cfg: config.conv_cfg.clone(),
        act_cfg: config.act_cfg.clone(),
        inplace: false,
        ..ConvModuleConfig::new(in_channels, config.out_channels, Size::All(size))
    }
}

impl Layer for FPN {
    const NAME: &'static str = "FPN";
    type Config = FPNConfig;
    type Module = Self;

    fn build(config: &FPNConfig, builder: &Builder<'_>) -> Result<Self> {
        let (levels, extra_levels) = config.levels()?;
        let (mut lateral_convs, mut fpn_convs) = (Children::default(), Children::default());
        let mut last_channels = config.out_channels;
        for channels in config.in_channels.get(levels.clone()).unwrap_or_default() {
            lateral_convs.push(lateral_conv(builder, config, *channels)?);
            fpn_convs.push(fpn_conv(builder, config, config.out_channels, 1)?);
            last_channels = *channels;
        }
        if config.add_extra_convs != ExtraConvs::Pooling {
            for index in 0..extra_levels {
                let from_input = index == 0 && config.add_extra_convs == ExtraConvs::OnInput;
                let channels = if from_input { last_channels } else { config.out_channels };
                fpn_convs.push(fpn_conv(builder, config, channels, 2)?);
            }
        }
        let default = FPNConfig::new(Vec::new(), 1, 1).init_cfg;
        Ok(Self {
            lateral_convs: PlainList::new(lateral_convs),
            fpn_convs: PlainList::new(fpn_convs),
            num_ins: config.in_channels.len(),
            levels,
            extra_levels,
            add_extra_convs: config.add_extra_convs,
            relu_before_extra_convs: config.relu_before_extra_convs,
            upsample_cfg: config.upsample_cfg.clone(),
            init_cfg: builder.init_cfg(&config.init_cfg)?.by_default(config.init_cfg == default),
        })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl FPN {
    fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        if inputs.len() != self.num_ins {
            return Err(Error::input(format!("{} inputs, one for each of in_channels", self.num_ins), inputs.len()));
        }
        let used = inputs.get(self.levels.clone()).unwrap_or_default();
        let merged = self.merge(used)?;
        let mut outputs = Vec::new();
        let mut fpn_convs = self.fpn_convs.iter();
        for (level, (name, conv)) in merged.iter().zip(fpn_convs.by_ref()) {
            outputs.push(run_child(format!("fpn_convs.{name}"), conv, level)?);
        }
        let (Some(input), Some(lateral), Some(output)) = (used.last(), merged.last(), outputs.last()) else {
            return Err(Error::input("at least one input", "none"));
        };
        let mut source = match self.add_extra_convs {
            ExtraConvs::OnInput => input.shallow_clone(),
            ExtraConvs::OnLateral => lateral.shallow_clone(),
            ExtraConvs::Pooling | ExtraConvs::OnOutput => output.shallow_clone(),
        };
        for index in 0..self.extra_levels {
            if self.relu_before_extra_convs && self.add_extra_convs != ExtraConvs::Pooling && index > 0 {
                source = source.f_relu()?;
            }
            source = match fpn_convs.next() {
                Some((name, conv)) => run_child(format!("fpn_convs.{name}"), conv, &source)?,
                None => source.f_max_pool2d([1, 1], [2, 2], [0, 0], [1, 1], false)?,
            };
            outputs.push(source.shallow_clone());
        }
        Ok(outputs)
    }

    /// The levels before their 3x3 convolutions: each is the sum of its input and the interpolated level below.
    fn merge(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let mut laterals = Vec::new();
        for ((name, conv), input) in self.lateral_convs.iter().zip(inputs) {
            laterals.push(run_child(format!("lateral_convs.{name}"), conv, input)?);
        }
        let mut merged: Vec<Tensor> = Vec::new();
        for lateral in laterals.into_iter().rev() {
            merged.push(match merged.last() {
                Some(below) => lateral.f_add(&self.upsample(below, &lateral)?)?,
                None => lateral,
            });
        }
        merged.reverse();
        Ok(merged)
    }

    /// The level `below`, interpolated to the size of `level` or by the factor of the config.
    fn upsample(&self, below: &Tensor, level: &Tensor) -> Result<Tensor> {
        let FPNUpsampleConfig { mode, scale_factor, align_corners } = &self.upsample_cfg;
        let upsampled = match scale_factor {
            None => resize(below, level, *mode, *align_corners),
            Some(factor) => {
                let (scale_factor, align_corners) = (Some(factor.clone()), *align_corners);
                let config = UpsampleConfig { scale_factor, align_corners, ..UpsampleConfig::new() };
                Upsample::new(*mode, &config)?.forward(below)
            }
        };
        upsampled.map_err(|error| error.below(&KeyPath::root().key("upsample_cfg")))
    }
}

impl Forward for FPN {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Output::Tensors(self.run(&[input])?).single()
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        no_options(options)?;
        self.run(inputs).map(Output::Tensors)
    }
}
