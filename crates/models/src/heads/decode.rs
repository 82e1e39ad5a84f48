//! What the heads of segmentation networks share. Reference: `BaseDecodeHead` in mmseg/models/decode_heads/decode_head.py.

use mmcv_bricks::{ConvModule, ConvModuleConfig};
use mmcv_layers::explain::python;
use mmcv_layers::upsample::Interpolation;
use mmcv_layers::{Builder, Error, Forward, InitCfg, LayerConfig, Module, Parts, Result, Size, Training, run_child};
use mmcv_registry::{Config, ConfigError, Dict, FromConfig, KeyPath, config, dict};
use tch::Tensor;

use crate::resize::resize;
use crate::resnet::at_least_one;
use crate::training_part::TrainingPart;

/// Arguments that all heads of segmentation networks share.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct DecodeHeadOptions {
    /// Number of outputs per pixel: `num_classes`, or 1 for two classes; null for `num_classes`.
    #[config(default = None)]
    pub out_channels: Option<i64>,
    /// Accepted for the reference's configs: the score from which a pixel belongs to the class, with one output.
    #[config(default = None)]
    pub threshold: Option<f64>,
    /// Probability of setting a channel to 0 before the last convolution in training; 0 or less for none.
    #[config(default = 0.1)]
    pub dropout_ratio: f64,
    /// The convolutions, except the last one; null for `Conv2d`.
    #[config(default = None)]
    pub conv_cfg: Option<Dict>,
    /// The normalizations; null for none.
    #[config(default = None)]
    pub norm_cfg: Option<Dict>,
    /// The activations; null for none.
    #[config(default = Some(dict! { type: "ReLU" }))]
    pub act_cfg: Option<Dict>,
    /// The input that is used, from 0, or from -1 backward; with `resize_concat` a list of them.
    #[config(default = OneOrMore::One(-1))]
    pub in_index: OneOrMore,
    /// How several inputs become one: `resize_concat`; null to use one of them.
    #[config(default = None)]
    pub input_transform: Option<InputTransform>,
    /// Accepted for the reference's configs; the forward pass returns scores.
    #[config(default = config! { type: "CrossEntropyLoss", use_sigmoid: false, loss_weight: 1.0 })]
    pub loss_decode: Config,
    /// Accepted for the reference's configs: the label of pixels that the loss ignores.
    #[config(default = Some(255))]
    pub ignore_index: Option<i64>,
    /// Accepted for the reference's configs: the choice of the pixels of the loss.
    #[config(default = Config::Null)]
    pub sampler: Config,
    /// Whether interpolation aligns the centers of the corner pixels.
    #[config(default = false)]
    pub align_corners: bool,
    /// Initialization rules.
    #[config(default = config! { type: "Normal", std: 0.01, override: { name: "conv_seg" } })]
    pub init_cfg: Config,
}

/// How a head turns several inputs into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum InputTransform {
    /// The inputs in `in_index`, interpolated to the size of the first of them and concatenated.
    ResizeConcat,
    /// The inputs in `in_index` as a list, which only other heads take.
    MultipleSelect,
}

/// One integer, or a list of integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OneOrMore {
    /// One integer.
    One(i64),
    /// A list.
    More(Vec<i64>),
}

impl From<i64> for OneOrMore {
    fn from(number: i64) -> Self {
        Self::One(number)
    }
}

impl<const N: usize> From<[i64; N]> for OneOrMore {
    fn from(numbers: [i64; N]) -> Self {
        Self::More(numbers.to_vec())
    }
}

impl FromConfig for OneOrMore {
    fn expected() -> String {
        "an integer or a list of integers".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Int(number) => Ok(Self::One(*number)),
            Config::List(_) | Config::Tuple(_) => Vec::from_config(value, path).map(Self::More),
            _ => Err(ConfigError::wrong_type(path, Self::expected(), value)),
        }
    }

    fn to_config(&self) -> Config {
        match self {
            Self::One(number) => Config::Int(*number),
            Self::More(numbers) => numbers.clone().into(),
        }
    }
}

/// The arguments of a head that have no default.
#[derive(Debug, Clone, Copy)]
pub(super) struct Channels<'a> {
    pub in_channels: &'a OneOrMore,
    pub channels: i64,
    pub num_classes: i64,
}

/// The inputs that a head uses.
#[derive(Debug)]
enum Inputs {
    One(i64),
    Concatenated(Vec<i64>),
}

/// The parts that all heads have: the choice of inputs, and the last convolution.
#[derive(Debug)]
pub(super) struct DecodeHead {
    inputs: Inputs,
    align_corners: bool,
    ignore_index: Option<i64>,
    loss_decode: Option<TrainingPart>,
    conv_seg: Box<dyn Module>,
    dropout: Option<Dropout2d>,
    init_cfg: InitCfg,
    /// Channels of the map that the inputs become.
    pub in_channels: i64,
}

impl DecodeHead {
    pub(super) fn new(builder: &Builder<'_>, channels: Channels<'_>, options: &DecodeHeadOptions) -> Result<Self> {
        let Channels { in_channels, channels, num_classes } = channels;
        let (inputs, in_channels) = check_inputs(in_channels, options)?;
        at_least_one(&KeyPath::root().key("channels"), channels)?;
        at_least_one(&KeyPath::root().key("num_classes"), num_classes)?;
        let out_channels = options.out_channels.unwrap_or(num_classes);
        if out_channels != num_classes && out_channels != 1 {
            let reason = format!("expected num_classes, {num_classes}, or 1 for two classes");
            return Err(Error::argument("out_channels", out_channels, reason));
        }
        let dropout = match options.dropout_ratio {
            ratio if ratio <= 0.0 => None,
            ratio if ratio <= 1.0 => Some(Dropout2d { ratio, training: Training::default() }),
            ratio => return Err(Error::argument("dropout_ratio", ratio, "expected at most 1")),
        };
        let arguments = dict! { in_channels: channels, out_channels: out_channels, kernel_size: 1 };
        Ok(Self {
            inputs,
            align_corners: options.align_corners,
            ignore_index: options.ignore_index,
            loss_decode: TrainingPart::segmentation_loss(&options.loss_decode),
            conv_seg: builder.conv(&Config::Null, &arguments)?,
            dropout,
            init_cfg: builder
                .init_cfg(&options.init_cfg)?
                .by_default(options.init_cfg == DecodeHeadOptions::new().init_cfg),
            in_channels,
        })
    }

    /// The map that the inputs become.
    pub(super) fn select(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let indices = match &self.inputs {
            Inputs::One(index) => return Ok(input_at(inputs, *index)?.shallow_clone()),
            Inputs::Concatenated(indices) => indices,
        };
        let mut maps: Vec<Tensor> = Vec::new();
        for index in indices {
            let input = input_at(inputs, *index)?;
            maps.push(match maps.first() {
                Some(first) => self.resize(input, first)?,
                None => self.resize(input, input)?,
            });
        }
        Ok(Tensor::f_cat(&maps, 1)?)
    }

    /// Interpolates to the spatial size of `like`.
    pub(super) fn resize(&self, input: &Tensor, like: &Tensor) -> Result<Tensor> {
        resize(input, like, Interpolation::Bilinear, Some(self.align_corners))
    }

    /// The scores of the classes for each pixel.
    pub(super) fn classify(&self, features: &Tensor) -> Result<Tensor> {
        let dropped;
        let features = match &self.dropout {
            Some(dropout) => {
                dropped = run_child("dropout", dropout, features)?;
                &dropped
            }
            None => features,
        };
        run_child("conv_seg", &*self.conv_seg, features)
    }

    pub(super) fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        if let Some(loss) = &self.loss_decode {
            parts.child("loss_decode", loss);
        }
        parts.child("conv_seg", &*self.conv_seg);
        if let Some(dropout) = &self.dropout {
            parts.child("dropout", dropout);
        }
    }

    pub(super) fn extra_repr(&self) -> String {
        let transform = match self.inputs {
            Inputs::One(_) => "None",
            Inputs::Concatenated(_) => "resize_concat",
        };
        let (ignored, aligned) = (Config::from(self.ignore_index), self.align_corners);
        format!(
            "input_transform={transform}, ignore_index={}, align_corners={}",
            python::value(ignored),
            python::value(aligned)
        )
    }
}

/// Checks that `in_channels` and `in_index` fit `input_transform`; returns the inputs and the sum of their channels.
fn check_inputs(in_channels: &OneOrMore, options: &DecodeHeadOptions) -> Result<(Inputs, i64)> {
    let path = KeyPath::root().key("in_channels");
    match (options.input_transform, in_channels, &options.in_index) {
        (None, OneOrMore::One(channels), OneOrMore::One(index)) => {
            at_least_one(&path, *channels)?;
            Ok((Inputs::One(*index), *channels))
        }
        (None, ..) => {
            let reason = "expected one integer each for in_channels and in_index, or input_transform: resize_concat";
            let found = format!("{} with in_index {}", in_channels.to_config(), options.in_index.to_config());
            Err(Error::argument("in_channels", found, reason))
        }
        (Some(InputTransform::ResizeConcat), OneOrMore::More(channels), OneOrMore::More(indices))
            if channels.len() == indices.len() && !indices.is_empty() =>
        {
            let mut sum = 0_i64;
            for (index, channels) in channels.iter().enumerate() {
                at_least_one(&path.index(index), *channels)?;
                sum = sum.saturating_add(*channels);
            }
            Ok((Inputs::Concatenated(indices.clone()), sum))
        }
        (Some(InputTransform::ResizeConcat), ..) => {
            let reason = "expected lists of the same length for in_channels and in_index, as input_transform is \
                          resize_concat";
            let found = format!("{} with in_index {}", in_channels.to_config(), options.in_index.to_config());
            Err(Error::argument("in_channels", found, reason))
        }
        (Some(InputTransform::MultipleSelect), ..) => {
            let reason = "this head takes one map: expected null or resize_concat";
            Err(Error::argument("input_transform", "multiple_select", reason))
        }
    }
}

/// The input of a number from 0, or from -1 backward.
fn input_at<'a>(inputs: &[&'a Tensor], index: i64) -> Result<&'a Tensor> {
    let count = i64::try_from(inputs.len()).unwrap_or(i64::MAX);
    let position = if index < 0 { index.saturating_add(count) } else { index };
    let input = usize::try_from(position).ok().and_then(|position| inputs.get(position));
    match input {
        Some(input) => Ok(input),
        None => Err(Error::argument("in_index", index, format!("expected one of the {count} inputs"))),
    }
}

/// A `ConvModule` with the head's convolutions, norms and activations; kernels of `size` pixels keep the size of the map.
pub(super) fn conv_module(
    builder: &Builder<'_>,
    options: &DecodeHeadOptions,
    (inputs, outputs): (i64, i64),
    size: i64,
    dilation: i64,
) -> Result<ConvModule> {
    let config = ConvModuleConfig {
        padding: (size / 2).saturating_mul(dilation).into(),
        dilation: Size::All(dilation),
        conv_cfg: options.conv_cfg.clone(),
        norm_cfg: options.norm_cfg.clone(),
        act_cfg: options.act_cfg.clone(),
        ..ConvModuleConfig::new(inputs, outputs, size)
    };
    config.build_with(builder)
}

/// `torch.nn.Dropout2d`: sets whole channels to 0 in training.
#[derive(Debug)]
struct Dropout2d {
    ratio: f64,
    training: Training,
}

impl Forward for Dropout2d {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_feature_dropout(self.ratio, self.training.get())?)
    }
}

impl Module for Dropout2d {
    fn class(&self) -> &'static [&'static str] {
        &["Dropout2d", "_DropoutNd"]
    }

    fn extra_repr(&self) -> String {
        format!("p={}, inplace=False", python::value(self.ratio))
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.training(&self.training);
    }
}
