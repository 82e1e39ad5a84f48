//! `AlexNet`. Reference: mmpretrain/models/backbones/alexnet.py; Krizhevsky, One weird trick for parallelizing convolutional
//! neural networks (2014).

use mmcv_layers::activation::{ReLU, ReLUConfig};
use mmcv_layers::conv::{Conv, ConvConfig, Padding};
use mmcv_layers::drop::{Dropout, DropoutConfig};
use mmcv_layers::pool::{MaxPool, MaxPoolConfig};
use mmcv_layers::{
    Builder, InitCfg, KeyMapping, Layer, Linear, LinearConfig, Module, Output, Parts, Result, Sequential, Size,
    run_child,
};
use mmcv_registry::{Config, Dict};
use tch::Tensor;

use crate::backbone::{Backbone, last};

/// The convolutions: input and output channels, size of the kernel, stride, padding, and whether pooling follows.
const CONVOLUTIONS: [(i64, i64, i64, i64, i64, bool); 5] = [
    (3, 64, 11, 4, 2, true),
    (64, 192, 5, 1, 2, true),
    (192, 384, 3, 1, 1, false),
    (384, 256, 3, 1, 1, false),
    (256, 256, 3, 1, 1, true),
];
/// What the classifier takes: the last channels, and the pixels of their sides for pictures of 224 x 224.
const FEATURES: i64 = 256 * 6 * 6;
const HIDDEN: i64 = 4096;

/// Arguments of `AlexNet`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "AlexNet", layer = AlexNet)]
pub struct AlexNetConfig {
    /// Number of classes; not positive for a network without classifier.
    #[config(default = -1)]
    pub num_classes: i64,
}

/// Five convolutions with pooling between them, and perhaps a classifier.
///
/// Shapes: input `[N, 3, H, W]`; output `[N, 256, H / 32, W / 32]` about, or with a classifier, which takes pictures of
/// 224 x 224, `[N, num_classes]`. State: `features.*`, `classifier.*`.
#[derive(Debug)]
pub struct AlexNet {
    features: Sequential,
    classifier: Option<Sequential>,
    init_cfg: InitCfg,
}

impl AlexNet {
    /// Builds the network.
    ///
    /// # Errors
    /// Where there are more classes than memory.
    pub fn new(config: &AlexNetConfig) -> Result<Self> {
        let mut features = Sequential::default();
        for (inputs, outputs, kernel, stride, padding, pools) in CONVOLUTIONS {
            let config = ConvConfig {
                stride: Size::All(stride),
                padding: Padding::Size(Size::All(padding)),
                ..ConvConfig::new(inputs, outputs, Size::All(kernel))
            };
            features.push(Conv::new(2, &config)?);
            features.push(ReLU(ReLUConfig { inplace: true }));
            if pools {
                let config = MaxPoolConfig { stride: Some(Size::All(2)), ..MaxPoolConfig::new(Size::All(3)) };
                features.push(MaxPool::new(2, &config)?);
            }
        }
        let classifier = (config.num_classes > 0).then(|| classifier(config.num_classes)).transpose()?;
        Ok(Self { features, classifier, init_cfg: InitCfg::default() })
    }
}

fn classifier(num_classes: i64) -> Result<Sequential> {
    let mut layers = Sequential::default();
    for inputs in [FEATURES, HIDDEN] {
        layers.push(Dropout::new(&DropoutConfig::new())?);
        layers.push(Linear::new(&LinearConfig::new(inputs, HIDDEN))?);
        layers.push(ReLU(ReLUConfig { inplace: true }));
    }
    layers.push(Linear::new(&LinearConfig::new(HIDDEN, num_classes))?);
    Ok(layers)
}

impl Layer for AlexNet {
    const NAME: &'static str = "AlexNet";
    type Config = AlexNetConfig;
    type Module = Self;

    fn build(config: &AlexNetConfig, _: &Builder<'_>) -> Result<Self> {
        Self::new(config)
    }
}

impl Backbone for AlexNet {
    fn stages(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        let mut output = run_child("features", &self.features, input)?;
        if let Some(classifier) = &self.classifier {
            output = run_child("classifier", classifier, &output.f_flatten(1, -1)?)?;
        }
        Ok(vec![output])
    }
}

impl Module for AlexNet {
    fn class(&self) -> &'static [&'static str] {
        &["AlexNet", "BaseBackbone"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        last(self.stages(input)?)
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        self.call_stages(inputs, options)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        parts.child("features", &self.features);
        if let Some(classifier) = &self.classifier {
            parts.child("classifier", classifier);
        }
    }

    /// torchvision's names are the same.
    fn key_mappings(&self) -> Vec<KeyMapping> {
        let dialect = KeyMapping::new("torchvision");
        vec![if self.classifier.is_some() { dialect } else { dialect.with_head("classifier.") }]
    }
}
