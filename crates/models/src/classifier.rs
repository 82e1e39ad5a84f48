//! `ImageClassifier`, `GlobalAveragePooling`, `LinearClsHead`, `MultiLabelLinearClsHead`. Reference: mmpretrain/models.

use std::any::Any;

use mmcv_layers::pool::AdaptiveAvgPool;
use mmcv_layers::{
    Arguments, Builder, Error, InitCfg, KeyDialect, Linear, LinearConfig, Module, Output, Parts, Result, Size,
    call_child, run_child,
};
use mmcv_registry::{Config, Dict, KeyPath, config, config_struct};
use tch::Tensor;

use crate::backbone::rows;
use crate::training_part::TrainingPart;

config_struct! {
    /// Arguments of `ImageClassifier`.
    pub struct ImageClassifierConfig {
        required {
            /// The backbone.
            backbone: Dict,
        }
        optional {
            /// What reduces the backbone's stages to one vector per image, or a list of such steps; null for none.
            neck: Config = Config::Null,
            /// What turns the vector into a score for each class; null to give the features.
            head: Option<Dict> = None,
            /// The checkpoint that `init_weights` loads in place of the rules of `init_cfg`.
            pretrained: Option<String> = None,
            /// Accepted for the reference's configs; it concerns training alone.
            train_cfg: Config = Config::Null,
            /// Accepted for the reference's configs; pictures are prepared by [`Preprocess`](crate::Preprocess).
            data_preprocessor: Config = Config::Null,
            /// Rules of initialisation.
            init_cfg: Config = Config::Null,
        }
    }
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

    fn init_cfg(&self) -> Option<&InitCfg> {
        Some(&self.init_cfg)
    }

    fn init_weights(&self) -> Result<()> {
        self.init_cfg.init_weights(self)
    }

    /// Those of the backbone, whose classifier is the head here; and a backbone alone.
    fn key_dialects(&self) -> Vec<KeyDialect> {
        let linear = self.head.as_ref().is_some_and(|head| (&**head as &dyn Any).is::<LinearClsHead>());
        let head = linear.then_some("head.fc.");
        let dialects = std::iter::once(KeyDialect::new("backbone")).chain(self.backbone.key_dialects());
        dialects.map(|dialect| dialect.of_classifier("backbone.", head)).collect()
    }
}

config_struct! {
    /// Arguments of `GlobalAveragePooling`.
    pub struct GlobalAveragePoolingConfig {
        optional {
            /// Spatial dimensions of the input: 1, 2 or 3.
            dim: i64 = 2,
        }
    }
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

config_struct! {
    /// Arguments of `ClsHead`.
    pub struct ClsHeadConfig {
        optional {
            /// Accepted for the reference's configs; the forward pass gives scores.
            loss: Config = config! { type: "CrossEntropyLoss", loss_weight: 1.0 },
            /// Accepted for the reference's configs.
            topk: Config = Config::List(vec![Config::Int(1)]),
            /// Accepted for the reference's configs.
            cal_acc: bool = false,
            /// Rules of initialisation.
            init_cfg: Config = Config::Null,
        }
    }
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
        if let Some(loss) = &self.loss_module {
            parts.child("loss_module", loss);
        }
    }

    fn init_cfg(&self) -> Option<&InitCfg> {
        Some(&self.init_cfg)
    }

    fn init_weights(&self) -> Result<()> {
        self.init_cfg.init_weights(self)
    }
}

/// The last of the stages that a head is given.
fn last_input<'a>(inputs: &[&'a Tensor]) -> Result<&'a Tensor> {
    inputs.last().copied().ok_or_else(|| Error::input("at least one input", "none"))
}

config_struct! {
    /// Arguments of `LinearClsHead`.
    pub struct LinearClsHeadConfig {
        required {
            /// Number of classes.
            num_classes: i64,
            /// Size of the vector that the neck gives.
            in_channels: i64,
        }
        optional {
            /// Rules of initialisation.
            init_cfg: Config = config! { type: "Normal", layer: "Linear", std: 0.01 },
            /// Accepted for the reference's configs; the forward pass gives scores.
            loss: Config = config! { type: "CrossEntropyLoss", loss_weight: 1.0 },
            /// Accepted for the reference's configs.
            topk: Config = Config::List(vec![Config::Int(1)]),
            /// Accepted for the reference's configs.
            cal_acc: bool = false,
        }
    }
}

config_struct! {
    /// Arguments of `MultiLabelLinearClsHead`.
    pub struct MultiLabelLinearClsHeadConfig {
        required {
            /// Number of classes.
            num_classes: i64,
            /// Size of the vector that the neck gives.
            in_channels: i64,
        }
        optional {
            /// Accepted for the reference's configs; the forward pass gives scores.
            loss: Config = config! { type: "CrossEntropyLoss", use_sigmoid: true },
            /// Accepted for the reference's configs: the score from which a class is predicted.
            thr: Option<f64> = None,
            /// Accepted for the reference's configs: the number of classes that are predicted.
            topk: Option<i64> = None,
            /// Rules of initialisation.
            init_cfg: Config = config! { type: "Normal", layer: "Linear", std: 0.01 },
        }
    }
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
        if let Some(loss) = &self.loss_module {
            parts.child("loss_module", loss);
        }
        parts.child("fc", &self.fc);
    }

    fn init_cfg(&self) -> Option<&InitCfg> {
        Some(&self.init_cfg)
    }

    fn init_weights(&self) -> Result<()> {
        self.init_cfg.init_weights(self)
    }
}

/// Builds `ImageClassifier` from a dict.
pub(crate) fn build(arguments: &Arguments<'_>) -> Result<Box<dyn Module>> {
    let config = arguments.decode::<ImageClassifierConfig>()?;
    Ok(Box::new(ImageClassifier::new(&arguments.here(), &config)?))
}
