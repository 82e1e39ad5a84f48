//! `AlexNet`. Reference: mmpretrain/models/backbones/alexnet.py; Krizhevsky, One weird trick for parallelizing convolutional
//! neural networks (2014).

use mmcv_layers::activation::{ReLU, ReLUConfig};
use mmcv_layers::conv::{Conv, ConvConfig, Padding};
use mmcv_layers::drop::DropoutConfig;
use mmcv_layers::pool::{MaxPool, MaxPoolConfig};
use mmcv_layers::{
    Builder, Forward, InitCfg, KeyMapping, Layer, LayerConfig, Linear, LinearConfig, Module, ModuleExt, Output, Parts,
    Result, Sequential, Size,
};
use mmcv_registry::{Config, Dict};
use tch::Tensor;

use crate::backbone::{Backbone, last};

/// The convolutions: input and output channels, kernel size, stride, padding, and whether a pooling follows.
const CONVOLUTIONS: [(i64, i64, i64, i64, i64, bool); 5] = [
    (3, 64, 11, 4, 2, true),
    (64, 192, 5, 1, 2, true),
    (192, 384, 3, 1, 1, false),
    (384, 256, 3, 1, 1, false),
    (256, 256, 3, 1, 1, true),
];
/// Inputs of the classifier: the last channels times the pixels of the last map for images of 224 x 224.
const FEATURES: i64 = 256 * 6 * 6;
const HIDDEN: i64 = 4096;

/// Arguments of `AlexNet`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "AlexNet", layer = AlexNet)]
pub struct AlexNetConfig {
    /// Number of classes; the network has no classifier if this is not positive.
    #[config(default = -1)]
    pub num_classes: i64,
}

/// AlexNet: five convolutions with pooling between them, and an optional classifier.
///
/// Shapes: input `[N, 3, H, W]`, output `[N, 256, H', W']` with about `H / 32` by `W / 32` pixels. With a classifier:
/// input `[N, 3, 224, 224]`, output `[N, num_classes]`. State: `features.*`, `classifier.*`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::AlexNetConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let network = AlexNetConfig::new().build()?;
/// let features = network.forward(&Tensor::zeros([1, 3, 224, 224], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(features.size(), [1, 256, 6, 6]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct AlexNet {
    features: Sequential,
    classifier: Option<Sequential>,
    init_cfg: InitCfg,
}

fn classifier(num_classes: i64) -> Result<Sequential> {
    let mut layers = Sequential::default();
    for inputs in [FEATURES, HIDDEN] {
        layers.push(DropoutConfig::new().build()?);
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
        let classifier = if config.num_classes > 0 { Some(classifier(config.num_classes)?) } else { None };
        Ok(Self { features, classifier, init_cfg: InitCfg::default() })
    }
}

impl Backbone for AlexNet {
    fn stages(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        let mut output = self.run_child(&self.features, input)?;
        if let Some(classifier) = &self.classifier {
            output = self.run_child(classifier, &output.f_flatten(1, -1)?)?;
        }
        Ok(vec![output])
    }
}

impl Forward for AlexNet {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        last(self.stages(input)?)
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        self.call_stages(inputs, options)
    }
}

impl Module for AlexNet {
    fn class(&self) -> &'static [&'static str] {
        &["AlexNet", "BaseBackbone"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        parts.child("features", &self.features);
        if let Some(classifier) = &self.classifier {
            parts.child("classifier", classifier);
        }
    }

    /// torchvision uses the same names.
    fn key_mappings(&self) -> Vec<KeyMapping> {
        let mut torchvision = KeyMapping::new("torchvision");
        if self.classifier.is_none() {
            torchvision = torchvision.with_head("classifier.");
        }
        vec![torchvision]
    }
}
