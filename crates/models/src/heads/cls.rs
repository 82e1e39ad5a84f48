//! `ClsHead` and `LinearClsHead`, and the same for images that may have several classes: `MultiLabelClsHead`,
//! `MultiLabelLinearClsHead`. Reference: mmpretrain/models/heads.

use mmcv_layers::{
    Builder, Error, Forward, InitCfg, Layer, Linear, LinearConfig, Module, ModuleExt, Output, Parts, Result,
};
use mmcv_registry::{Config, Dict, config};
use tch::Tensor;

use crate::training_part::TrainingPart;

/// Arguments of `ClsHead`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ClsHead", layer = ClsHead)]
pub struct ClsHeadConfig {
    /// Accepted for the reference's configs; the forward pass returns scores.
    #[config(default = config! { type: "CrossEntropyLoss", loss_weight: 1.0 })]
    pub loss: Config,
    /// Accepted for the reference's configs.
    #[config(default = Config::List(vec![Config::Int(1)]))]
    pub topk: Config,
    /// Accepted for the reference's configs.
    #[config(default = false)]
    pub cal_acc: bool,
    /// Initialization rules.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
}

/// Returns its last input, for backbones that output scores, such as `VGG` with `num_classes`: `ClsHead`, and
/// `MultiLabelClsHead`, which differs in training only.
///
/// Shapes: any inputs, output the same as the last input.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::ClsHeadConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let head = ClsHeadConfig::new().build()?;
/// let scores = head.forward(&Tensor::zeros([2, 10], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(scores.size(), [2, 10]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct ClsHead {
    class: &'static [&'static str],
    loss_module: Option<TrainingPart>,
    init_cfg: InitCfg,
}

impl ClsHead {
    fn of_class(
        builder: &Builder<'_>,
        class: &'static [&'static str],
        loss: &Config,
        init_cfg: &Config,
    ) -> Result<Self> {
        Ok(Self { class, loss_module: TrainingPart::loss(loss)?, init_cfg: builder.init_cfg(init_cfg)? })
    }
}

impl Layer for ClsHead {
    const NAME: &'static str = "ClsHead";
    type Config = ClsHeadConfig;
    type Module = Self;

    fn build(config: &ClsHeadConfig, builder: &Builder<'_>) -> Result<Self> {
        Self::of_class(builder, &["ClsHead", "BaseModule"], &config.loss, &config.init_cfg)
    }
}

/// Arguments of `MultiLabelClsHead`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "MultiLabelClsHead", layer = MultiLabelClsHead)]
pub struct MultiLabelClsHeadConfig {
    /// Accepted for the reference's configs; the forward pass returns scores.
    #[config(default = config! { type: "CrossEntropyLoss", use_sigmoid: true })]
    pub loss: Config,
    /// Accepted for the reference's configs: the score from which a class is predicted.
    #[config(default = None)]
    pub thr: Option<f64>,
    /// Accepted for the reference's configs: the number of classes that are predicted.
    #[config(default = None)]
    pub topk: Option<i64>,
    /// Initialization rules.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
}

/// The type `MultiLabelClsHead`: a [`ClsHead`] for images that may have several classes.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::MultiLabelClsHeadConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let head = MultiLabelClsHeadConfig::new().build()?;
/// let scores = head.forward(&Tensor::zeros([2, 10], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(scores.size(), [2, 10]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub enum MultiLabelClsHead {}

impl Layer for MultiLabelClsHead {
    const NAME: &'static str = "MultiLabelClsHead";
    type Config = MultiLabelClsHeadConfig;
    type Module = ClsHead;

    fn build(config: &MultiLabelClsHeadConfig, builder: &Builder<'_>) -> Result<ClsHead> {
        ClsHead::of_class(builder, &["MultiLabelClsHead", "BaseModule"], &config.loss, &config.init_cfg)
    }
}

impl Forward for ClsHead {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.shallow_clone())
    }

    fn call(&self, inputs: &[&Tensor], _options: &Dict) -> Result<Output> {
        self.forward(last_input(inputs)?).map(Output::Tensor)
    }
}

impl Module for ClsHead {
    fn class(&self) -> &'static [&'static str] {
        self.class
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        if let Some(loss) = &self.loss_module {
            parts.child("loss_module", loss);
        }
    }
}

/// The last of the stages that are passed to a head.
pub(super) fn last_input<'a>(inputs: &[&'a Tensor]) -> Result<&'a Tensor> {
    match inputs.last() {
        Some(last) => Ok(last),
        None => Err(Error::input("at least one input", "none")),
    }
}

/// Arguments of `LinearClsHead`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "LinearClsHead", layer = LinearClsHead)]
pub struct LinearClsHeadConfig {
    /// Number of classes.
    pub num_classes: i64,
    /// Length of the vector that the neck outputs.
    pub in_channels: i64,
    /// Initialization rules.
    #[config(default = config! { type: "Normal", layer: "Linear", std: 0.01 })]
    pub init_cfg: Config,
    /// Accepted for the reference's configs; the forward pass returns scores.
    #[config(default = config! { type: "CrossEntropyLoss", loss_weight: 1.0 })]
    pub loss: Config,
    /// Accepted for the reference's configs.
    #[config(default = Config::List(vec![Config::Int(1)]))]
    pub topk: Config,
    /// Accepted for the reference's configs.
    #[config(default = false)]
    pub cal_acc: bool,
}

/// Arguments of `MultiLabelLinearClsHead`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "MultiLabelLinearClsHead", layer = MultiLabelLinearClsHead)]
pub struct MultiLabelLinearClsHeadConfig {
    /// Number of classes.
    pub num_classes: i64,
    /// Length of the vector that the neck outputs.
    pub in_channels: i64,
    /// Accepted for the reference's configs; the forward pass returns scores.
    #[config(default = config! { type: "CrossEntropyLoss", use_sigmoid: true })]
    pub loss: Config,
    /// Accepted for the reference's configs: the score from which a class is predicted.
    #[config(default = None)]
    pub thr: Option<f64>,
    /// Accepted for the reference's configs: the number of classes that are predicted.
    #[config(default = None)]
    pub topk: Option<i64>,
    /// Initialization rules.
    #[config(default = config! { type: "Normal", layer: "Linear", std: 0.01 })]
    pub init_cfg: Config,
}

/// A linear layer applied to its last input: `LinearClsHead`, and `MultiLabelLinearClsHead`, which differs in training
/// only.
///
/// Shapes: input `[N, in_channels]`, output `[N, num_classes]`. State: `fc.weight`, `fc.bias`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::LinearClsHeadConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let head = LinearClsHeadConfig::new(10, 64).build()?;
/// let scores = head.forward(&Tensor::zeros([2, 64], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(scores.size(), [2, 10]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct LinearClsHead {
    class: &'static [&'static str],
    loss_module: Option<TrainingPart>,
    fc: Linear,
    init_cfg: InitCfg,
}

impl LinearClsHead {
    fn of_class(
        builder: &Builder<'_>,
        class: &'static [&'static str],
        (in_channels, num_classes): (i64, i64),
        loss: &Config,
        init_cfg: &Config,
    ) -> Result<Self> {
        if num_classes <= 0 {
            return Err(Error::argument("num_classes", num_classes, "expected a positive integer"));
        }
        if in_channels < 0 {
            return Err(Error::argument("in_channels", in_channels, "expected at least 0"));
        }
        Ok(Self {
            class,
            loss_module: TrainingPart::loss(loss)?,
            fc: Linear::new(&LinearConfig::new(in_channels, num_classes))?,
            init_cfg: builder
                .init_cfg(init_cfg)?
                .by_default(*init_cfg == LinearClsHeadConfig::new(num_classes, in_channels).init_cfg),
        })
    }
}

impl Layer for LinearClsHead {
    const NAME: &'static str = "LinearClsHead";
    type Config = LinearClsHeadConfig;
    type Module = Self;

    fn build(config: &LinearClsHeadConfig, builder: &Builder<'_>) -> Result<Self> {
        let LinearClsHeadConfig { num_classes, in_channels, init_cfg, loss, .. } = config;
        Self::of_class(builder, &["LinearClsHead", "ClsHead"], (*in_channels, *num_classes), loss, init_cfg)
    }
}

/// The type `MultiLabelLinearClsHead`: a [`LinearClsHead`] for images that may have several classes.
#[derive(Debug)]
pub enum MultiLabelLinearClsHead {}

impl Layer for MultiLabelLinearClsHead {
    const NAME: &'static str = "MultiLabelLinearClsHead";
    type Config = MultiLabelLinearClsHeadConfig;
    type Module = LinearClsHead;

    fn build(config: &MultiLabelLinearClsHeadConfig, builder: &Builder<'_>) -> Result<LinearClsHead> {
        let MultiLabelLinearClsHeadConfig { num_classes, in_channels, init_cfg, loss, .. } = config;
        let class = &["MultiLabelLinearClsHead", "MultiLabelClsHead"];
        LinearClsHead::of_class(builder, class, (*in_channels, *num_classes), loss, init_cfg)
    }
}

impl Forward for LinearClsHead {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.run_child(&self.fc, input)
    }

    fn call(&self, inputs: &[&Tensor], _options: &Dict) -> Result<Output> {
        self.forward(last_input(inputs)?).map(Output::Tensor)
    }
}

impl Module for LinearClsHead {
    fn class(&self) -> &'static [&'static str] {
        self.class
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        if let Some(loss) = &self.loss_module {
            parts.child("loss_module", loss);
        }
        parts.child("fc", &self.fc);
    }
}
