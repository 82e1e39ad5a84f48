//! `ImageClassifier`. Reference: mmpretrain/models/classifiers/image.py.

use mmcv_layers::{
    Builder, Error, Forward, InitCfg, KeyMapping, Layer, Module, Output, Parts, Registry, Result, call_child,
};
use mmcv_registry::{Config, Dict, config};
use tch::Tensor;

use crate::training_part::TrainingPart;

/// Arguments of `ImageClassifier`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ImageClassifier", layer = ImageClassifier)]
pub struct ImageClassifierConfig {
    /// The backbone.
    pub backbone: Dict,
    /// The layer that reduces the backbone's stages to one vector per image, or a list of layers; null for none.
    #[config(default = Config::Null)]
    pub neck: Config,
    /// The layer that turns the vector into a score for each class; null to output the features.
    #[config(default = None)]
    pub head: Option<Dict>,
    /// The checkpoint that `init_weights` loads instead of applying the rules of `init_cfg`.
    #[config(default = None)]
    pub pretrained: Option<String>,
    /// Accepted for the reference's configs; it affects training only.
    #[config(default = Config::Null)]
    pub train_cfg: Config,
    /// Accepted for the reference's configs; [`Preprocess`](crate::Preprocess) prepares images.
    #[config(default = Config::Null)]
    pub data_preprocessor: Config,
    /// Initialization rules.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
}

/// A backbone, a neck and a head.
///
/// Shapes: input `[N, 3, H, W]`, output `[N, num_classes]`: scores before softmax. State: `backbone.*`, `head.*`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::{GlobalAveragePoolingConfig, ImageClassifierConfig, LinearClsHeadConfig, MobileNetV2Config};
/// use tch::{Device, Kind, Tensor};
///
/// let classifier = ImageClassifierConfig::new(MobileNetV2Config::new().with_widen_factor(0.25))
///     .with_neck(GlobalAveragePoolingConfig::new())
///     .with_head(LinearClsHeadConfig::new(10, 1280))
///     .build()?;
/// let scores = classifier.forward(&Tensor::zeros([2, 3, 64, 64], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(scores.size(), [2, 10]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct ImageClassifier {
    data_preprocessor: Option<TrainingPart>,
    backbone: Box<dyn Module>,
    neck: Option<Box<dyn Module>>,
    head: Option<Box<dyn Module>>,
    init_cfg: InitCfg,
}

impl Layer for ImageClassifier {
    const NAME: &'static str = "ImageClassifier";
    type Config = ImageClassifierConfig;
    type Module = Self;

    fn build(config: &ImageClassifierConfig, builder: &Builder<'_>) -> Result<Self> {
        let backbone = builder.key("backbone").model(&Config::Dict(config.backbone.clone()))?;
        let mut neck = None;
        if !config.neck.is_null() {
            neck = Some(builder.key("neck").model(&config.neck)?);
        }
        let mut head = None;
        if let Some(cfg) = &config.head {
            head = Some(builder.key("head").model(&Config::Dict(cfg.clone()))?);
        }
        let rules = match &config.pretrained {
            Some(checkpoint) => config! { type: "Pretrained", checkpoint: checkpoint.as_str() },
            None => config.init_cfg.clone(),
        };
        Ok(Self {
            data_preprocessor: TrainingPart::data_preprocessor(&config.data_preprocessor),
            backbone,
            neck,
            head,
            init_cfg: builder.init_cfg(&rules)?,
        })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Forward for ImageClassifier {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = self.call(&[input], &Dict::new())?;
        match output.into_vec().pop() {
            Some(last) => Ok(last),
            None => Err(Error::unsupported("the backbone returns no stage: set its out_indices")),
        }
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        let mut output = call_child("backbone", &*self.backbone, inputs, options)?;
        for (name, part) in [("neck", &self.neck), ("head", &self.head)] {
            if let Some(part) = part {
                let several = matches!(output, Output::Tensors(_));
                let tensors = output.into_vec();
                let references: Vec<&Tensor> = tensors.iter().collect();
                output = call_child(name, &**part, &references, &Dict::new())?;
                if several
                    && name == "neck"
                    && let Output::Tensor(single) = &output
                {
                    output = Output::Tensors(vec![single.shallow_clone()]);
                }
            }
        }
        Ok(output)
    }
}

impl Module for ImageClassifier {
    fn class(&self) -> &'static [&'static str] {
        &["ImageClassifier", "BaseClassifier"]
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

    /// The mappings of the backbone, whose classifier is the head here, and that of a file with the backbone only.
    fn key_mappings(&self) -> Vec<KeyMapping> {
        let head = match &self.head {
            Some(head) if Parts::of(&**head).children.iter().any(|(name, _)| name == "fc") => Some("head.fc."),
            _ => None,
        };
        let mut mappings = vec![KeyMapping::new("backbone").of_classifier("backbone.", head)];
        for mapping in self.backbone.key_mappings() {
            mappings.push(mapping.of_classifier("backbone.", head));
        }
        mappings
    }
}
