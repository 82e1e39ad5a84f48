//! `ImageClassifier`, `GlobalAveragePooling`, `LinearClsHead`, `MultiLabelLinearClsHead`. Reference: mmpretrain/models.

use std::any::Any;

use mmcv_layers::pool::AdaptiveAvgPool;
use mmcv_layers::{
    Builder, Error, InitCfg, KeyMapping, Layer, Linear, LinearConfig, Module, Output, Parts, Registry, Result, Size,
    call_child, run_child,
};
use mmcv_registry::{Config, Dict, KeyPath, config};
use tch::Tensor;

use crate::backbone::rows;
use crate::training_part::TrainingPart;

/// Arguments of `ImageClassifier`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ImageClassifier", layer = ImageClassifier)]
pub struct ImageClassifierConfig {
    /// The backbone.
    pub backbone: Dict,
    /// What reduces the backbone's stages to one vector per image, or a list of such steps; null for none.
    #[config(default = Config::Null)]
    pub neck: Config,
    /// What turns the vector into a score for each class; null to give the features.
    #[config(default = None)]
    pub head: Option<Dict>,
    /// The checkpoint that `init_weights` loads in place of the rules of `init_cfg`.
    #[config(default = None)]
    pub pretrained: Option<String>,
    /// Accepted for the reference's configs; it concerns training alone.
    #[config(default = Config::Null)]
    pub train_cfg: Config,
    /// Accepted for the reference's configs; pictures are prepared by [`Preprocess`](crate::Preprocess).
    #[config(default = Config::Null)]
    pub data_preprocessor: Config,
    /// Rules of initialisation.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
}

/// A backbone, a neck and a head.
///
/// Shapes: input `[N, 3, H, W]`, output `[N, num_classes]`: scores before softmax. State: `backbone.*`, `head.*`.
#[derive(Debug)]
pub struct ImageClassifier {
    data_preprocessor: Option<TrainingPart>,
    backbone: Box<dyn Module>,
    neck: Option<Box<dyn Module>>,
    head: Option<Box<dyn Module>>,
    init_cfg: InitCfg,
}

impl ImageClassifier {
    /// Builds the parts; `builder`'s path is where the config stands.
    ///
    /// # Errors
    /// Where a part cannot be built.
    pub fn new(builder: &Builder<'_>, config: &ImageClassifierConfig) -> Result<Self> {
        let built = |key: &str, cfg: &Config| builder.at(|path| path.key(key)).model(cfg);
        let part = |key: &str, cfg: &Dict| built(key, &Config::Dict(cfg.clone()));
        let rules = match &config.pretrained {
            Some(checkpoint) => config! { type: "Pretrained", checkpoint: checkpoint.as_str() },
            None => config.init_cfg.clone(),
        };
        Ok(Self {
            data_preprocessor: TrainingPart::data_preprocessor(&config.data_preprocessor),
            backbone: part("backbone", &config.backbone)?,
            neck: if config.neck.is_null() { None } else { Some(built("neck", &config.neck)?) },
            head: config.head.as_ref().map(|cfg| part("head", cfg)).transpose()?,
            init_cfg: InitCfg::decode(&rules, &builder.path.key("init_cfg"))?,
        })
    }
}

impl Layer for ImageClassifier {
    const NAME: &'static str = "ImageClassifier";
    type Config = ImageClassifierConfig;
    type Module = Self;

    fn build(config: &ImageClassifierConfig, builder: &Builder<'_>) -> Result<Self> {
        Self::new(builder, config)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Module for ImageClassifier {
    fn class(&self) -> &'static [&'static str] {
        &["ImageClassifier", "BaseClassifier"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = self.call(&[input], &Dict::new())?;
        output.into_vec().pop().ok_or_else(|| Error::unsupported("the backbone gives no stage: set its out_indices"))
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        let mut output = call_child("backbone", &*self.backbone, inputs, options)?;
        for (name, part) in [("neck", &self.neck), ("head", &self.head)] {
            if let Some(part) = part {
                let several = matches!(output, Output::Tensors(_));
                let tensors = output.into_vec();
                let references: Vec<&Tensor> = tensors.iter().collect();
                output = call_child(name, &**part, &references, &Dict::new())?;
                if let (true, "neck", Output::Tensor(single)) = (several, name, &output) {
                    output = Output::Tensors(vec![single.shallow_clone()]);
                }
            }
        }
        Ok(output)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        if let Some(preprocessor) = &self.data_preprocessor {
            parts.child("data_preprocessor", preprocessor);
        }
        parts.child("backbone", &*self.backbone);
        for (name, part) in [("neck", &self.neck), ("head", &self.head)] {
            if let Some(part) = part {
                parts.child(name, &**part);
            }
        }
    }

    /// Those of the backbone, whose classifier is the head here; and a backbone alone.
    fn key_mappings(&self) -> Vec<KeyMapping> {
        let linear = self.head.as_ref().is_some_and(|head| (&**head as &dyn Any).is::<LinearClsHead>());
        let head = linear.then_some("head.fc.");
        let dialects = std::iter::once(KeyMapping::new("backbone")).chain(self.backbone.key_mappings());
        dialects.map(|dialect| dialect.of_classifier("backbone.", head)).collect()
    }
}

/// Arguments of `GlobalAveragePooling`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "GlobalAveragePooling", layer = GlobalAveragePooling)]
pub struct GlobalAveragePoolingConfig {
    /// Spatial dimensions of the input: 1, 2 or 3.
    #[config(default = 2)]
    pub dim: i64,
}

/// The mean over all pixels, for one or several stages.
///
/// Shapes: input `[N, C, *]`, output `[N, C]`.
#[derive(Debug)]
pub struct GlobalAveragePooling {
    gap: AdaptiveAvgPool,
}

impl GlobalAveragePooling {
    /// A pooling over `dim` dimensions.
    ///
    /// # Errors
    /// Where `dim` is not 1, 2 or 3.
    pub fn new(config: &GlobalAveragePoolingConfig) -> Result<Self> {
        let gap = match config.dim {
            1 => AdaptiveAvgPool::new(1, Size::All(1))?,
            2 => AdaptiveAvgPool::new(2, Size::Each(vec![1; 2]))?,
            3 => AdaptiveAvgPool::new(3, Size::Each(vec![1; 3]))?,
            other => return Err(Error::argument("dim", other, "expected 1, 2 or 3")),
        };
        Ok(Self { gap })
    }
}

impl Layer for GlobalAveragePooling {
    const NAME: &'static str = "GlobalAveragePooling";
    type Config = GlobalAveragePoolingConfig;
    type Module = Self;

    fn build(config: &GlobalAveragePoolingConfig, _: &Builder<'_>) -> Result<Self> {
        Self::new(config)
    }
}

impl Module for GlobalAveragePooling {
    fn class(&self) -> &'static [&'static str] {
        &["GlobalAveragePooling", "Module"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let pooled = run_child("gap", &self.gap, input)?;
        rows(&pooled)
    }

    fn call(&self, inputs: &[&Tensor], _options: &Dict) -> Result<Output> {
        match inputs {
            [single] => self.forward(single).map(Output::Tensor),
            several => several.iter().map(|input| self.forward(input)).collect::<Result<_>>().map(Output::Tensors),
        }
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.child("gap", &self.gap);
    }

    fn has_init_weights(&self) -> bool {
        true
    }
}

/// Arguments of `ClsHead`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ClsHead", layer = ClsHead)]
pub struct ClsHeadConfig {
    /// Accepted for the reference's configs; the forward pass gives scores.
    #[config(default = config! { type: "CrossEntropyLoss", loss_weight: 1.0 })]
    pub loss: Config,
    /// Accepted for the reference's configs.
    #[config(default = Config::List(vec![Config::Int(1)]))]
    pub topk: Config,
    /// Accepted for the reference's configs.
    #[config(default = false)]
    pub cal_acc: bool,
    /// Rules of initialisation.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
}

/// The last of what it is given: for backbones that give scores themselves, such as `VGG` with `num_classes`.
///
/// Shapes: any input, and the output as the last input.
#[derive(Debug)]
pub struct ClsHead {
    loss_module: Option<TrainingPart>,
    init_cfg: InitCfg,
}

impl ClsHead {
    /// A head without weights.
    ///
    /// # Errors
    /// Where a rule of `init_cfg` or the loss is wrong.
    pub fn new(config: &ClsHeadConfig) -> Result<Self> {
        Ok(Self {
            loss_module: TrainingPart::loss(&config.loss)?,
            init_cfg: InitCfg::decode(&config.init_cfg, &KeyPath::root().key("init_cfg"))?,
        })
    }
}

impl Layer for ClsHead {
    const NAME: &'static str = "ClsHead";
    type Config = ClsHeadConfig;
    type Module = Self;

    fn build(config: &ClsHeadConfig, _: &Builder<'_>) -> Result<Self> {
        Self::new(config)
    }
}

impl Module for ClsHead {
    fn class(&self) -> &'static [&'static str] {
        &["ClsHead", "BaseModule"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.shallow_clone())
    }

    fn call(&self, inputs: &[&Tensor], _options: &Dict) -> Result<Output> {
        last_input(inputs).and_then(|last| self.forward(last)).map(Output::Tensor)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        if let Some(loss) = &self.loss_module {
            parts.child("loss_module", loss);
        }
    }
}

/// The last of the stages that a head is given.
fn last_input<'a>(inputs: &[&'a Tensor]) -> Result<&'a Tensor> {
    inputs.last().copied().ok_or_else(|| Error::input("at least one input", "none"))
}

/// Arguments of `LinearClsHead`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "LinearClsHead", layer = LinearClsHead)]
pub struct LinearClsHeadConfig {
    /// Number of classes.
    pub num_classes: i64,
    /// Size of the vector that the neck gives.
    pub in_channels: i64,
    /// Rules of initialisation.
    #[config(default = config! { type: "Normal", layer: "Linear", std: 0.01 })]
    pub init_cfg: Config,
    /// Accepted for the reference's configs; the forward pass gives scores.
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
    /// Size of the vector that the neck gives.
    pub in_channels: i64,
    /// Accepted for the reference's configs; the forward pass gives scores.
    #[config(default = config! { type: "CrossEntropyLoss", use_sigmoid: true })]
    pub loss: Config,
    /// Accepted for the reference's configs: the score from which a class is predicted.
    #[config(default = None)]
    pub thr: Option<f64>,
    /// Accepted for the reference's configs: the number of classes that are predicted.
    #[config(default = None)]
    pub topk: Option<i64>,
    /// Rules of initialisation.
    #[config(default = config! { type: "Normal", layer: "Linear", std: 0.01 })]
    pub init_cfg: Config,
}

/// A linear layer on the last of the vectors that it is given: `LinearClsHead`, and `MultiLabelLinearClsHead`, which
/// differs in training alone.
///
/// Shapes: input `[N, in_channels]`, output `[N, num_classes]`. State: `fc.weight`, `fc.bias`.
#[derive(Debug)]
pub struct LinearClsHead {
    class: &'static [&'static str],
    loss_module: Option<TrainingPart>,
    fc: Linear,
    init_cfg: InitCfg,
}

impl LinearClsHead {
    /// A head with PyTorch's initial values.
    ///
    /// # Errors
    /// Where the number of classes is not positive, `in_channels` is negative, or a rule of `init_cfg` or the loss is wrong.
    pub fn new(config: &LinearClsHeadConfig) -> Result<Self> {
        let LinearClsHeadConfig { num_classes, in_channels, init_cfg, loss, .. } = config;
        Self::of_class(&["LinearClsHead", "ClsHead"], (*in_channels, *num_classes), loss, init_cfg)
    }

    /// The head of a classifier whose images may have several classes.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn new_multi_label(config: &MultiLabelLinearClsHeadConfig) -> Result<Self> {
        let MultiLabelLinearClsHeadConfig { num_classes, in_channels, init_cfg, loss, .. } = config;
        let class = &["MultiLabelLinearClsHead", "MultiLabelClsHead"];
        Self::of_class(class, (*in_channels, *num_classes), loss, init_cfg)
    }

    fn of_class(
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
            init_cfg: InitCfg::decode(init_cfg, &KeyPath::root().key("init_cfg"))?
                .by_default(*init_cfg == LinearClsHeadConfig::new(num_classes, in_channels).init_cfg),
        })
    }
}

impl Layer for LinearClsHead {
    const NAME: &'static str = "LinearClsHead";
    type Config = LinearClsHeadConfig;
    type Module = Self;

    fn build(config: &LinearClsHeadConfig, _: &Builder<'_>) -> Result<Self> {
        Self::new(config)
    }
}

/// The type `MultiLabelLinearClsHead`.
#[derive(Debug)]
pub enum MultiLabelLinearClsHead {}

impl Layer for MultiLabelLinearClsHead {
    const NAME: &'static str = "MultiLabelLinearClsHead";
    type Config = MultiLabelLinearClsHeadConfig;
    type Module = LinearClsHead;

    fn build(config: &MultiLabelLinearClsHeadConfig, _: &Builder<'_>) -> Result<LinearClsHead> {
        LinearClsHead::new_multi_label(config)
    }
}

impl Module for LinearClsHead {
    fn class(&self) -> &'static [&'static str] {
        self.class
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        run_child("fc", &self.fc, input)
    }

    fn call(&self, inputs: &[&Tensor], _options: &Dict) -> Result<Output> {
        last_input(inputs).and_then(|last| self.forward(last)).map(Output::Tensor)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        if let Some(loss) = &self.loss_module {
            parts.child("loss_module", loss);
        }
        parts.child("fc", &self.fc);
    }
}
