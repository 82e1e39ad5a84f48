//! The stem.

use mmcv_bricks::ConvModuleConfig;
use mmcv_layers::activation::{ReLU, ReLUConfig};
use mmcv_layers::pool::{MaxPool, MaxPoolConfig};
use mmcv_layers::{Builder, LayerConfig, Module, Parts, Result, Sequential, Size, run_child};
use tch::Tensor;

use super::config::ResNetOptions;
use super::parts::{ConvNorm, Kernel, norm};
use crate::backbone::{freeze, stop_gradients};

/// The kinds of stem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StemKind {
    /// A 7x7 convolution with stride 2 and a pooling, as in the paper.
    Seven,
    /// Three 3x3 convolutions and a pooling.
    Deep,
    /// A 3x3 convolution with stride 2, without pooling.
    Three,
    /// A 3x3 convolution with stride 1, without pooling.
    Cifar,
}

/// The layers before the first stage.
#[derive(Debug)]
pub(super) struct Stem {
    convs: Convs,
    maxpool: Option<MaxPool>,
}

#[derive(Debug)]
enum Convs {
    One(ConvNorm, ReLU),
    Deep(Sequential),
}

impl Stem {
    /// Builds the stem.
    pub(super) fn new(builder: &Builder<'_>, kind: StemKind, options: &ResNetOptions) -> Result<Self> {
        let convs = match kind {
            StemKind::Seven => single(builder, options, 7, 2)?,
            StemKind::Three => single(builder, options, 3, 2)?,
            StemKind::Cifar => single(builder, options, 3, 1)?,
            StemKind::Deep => Convs::Deep(deep(builder, options)?),
        };
        let pooling =
            MaxPoolConfig { stride: Some(Size::All(2)), padding: Size::All(1), ..MaxPoolConfig::new(Size::All(3)) };
        let maxpool = match kind {
            StemKind::Seven | StemKind::Deep => Some(MaxPool::new(2, &pooling)?),
            StemKind::Three | StemKind::Cifar => None,
        };
        Ok(Self { convs, maxpool })
    }

    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = match &self.convs {
            Convs::One(conv, relu) => run_child("relu", relu, &conv.forward(input)?)?,
            Convs::Deep(stem) => run_child("stem", stem, input)?,
        };
        match &self.maxpool {
            Some(maxpool) => run_child("maxpool", maxpool, &output),
            None => Ok(output),
        }
    }

    pub(super) fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        match &self.convs {
            Convs::One(conv, relu) => {
                conv.parts(parts);
                parts.child("relu", relu);
            }
            Convs::Deep(stem) => parts.child("stem", stem),
        }
        if let Some(maxpool) = &self.maxpool {
            parts.child("maxpool", maxpool);
        }
    }

    /// The norm of the only convolution.
    pub(super) fn norm(&self) -> Option<&dyn Module> {
        match &self.convs {
            Convs::One(conv, _) => Some(conv.norm()),
            Convs::Deep(_) => None,
        }
    }

    /// Pairs of mmdetection's prefixes and ours for the parts of a deep stem, whose convolutions, norms and activations
    /// are one sequence there. Empty for a single convolution, which has the same names.
    pub(super) fn mmdet_names(&self) -> Vec<(String, String)> {
        let Convs::Deep(stem) = &self.convs else { return Vec::new() };
        let mut pairs = Vec::new();
        for (index, conv) in stem.iter().enumerate() {
            for (name, _) in Parts::of(conv).children {
                pairs.push((format!("stem.{}.", pairs.len()), format!("stem.{index}.{name}.")));
            }
        }
        pairs
    }

    /// Freezes the stem.
    pub(super) fn freeze(&self) {
        match &self.convs {
            Convs::One(conv, _) => {
                stop_gradients(conv.conv());
                freeze(conv.norm());
            }
            Convs::Deep(stem) => freeze(stem),
        }
    }
}

/// One convolution of `size` x `size` pixels.
fn single(builder: &Builder<'_>, options: &ResNetOptions, size: i64, stride: i64) -> Result<Convs> {
    let stem_channels = options.stem_channels();
    let kernel = Kernel { stride, ..Kernel::new(size, options.in_channels, stem_channels) };
    let norm = norm(builder, &options.norm_cfg, stem_channels, 1)?;
    let conv = ConvNorm::new(1, &kernel, builder, options.conv_cfg.as_ref(), norm)?;
    Ok(Convs::One(conv, ReLU(ReLUConfig { inplace: true })))
}

/// Three 3x3 convolutions: the first one has the stride, and the last one all channels.
fn deep(builder: &Builder<'_>, options: &ResNetOptions) -> Result<Sequential> {
    let ResNetOptions { in_channels, conv_cfg, norm_cfg, .. } = options;
    let stem_channels = options.stem_channels();
    let half = stem_channels / 2;
    let mut stem = Sequential::default();
    for (inputs, outputs, stride) in [(*in_channels, half, 2), (half, half, 1), (half, stem_channels, 1)] {
        let config = ConvModuleConfig {
            stride: Size::All(stride),
            padding: 1.into(),
            conv_cfg: conv_cfg.clone(),
            norm_cfg: Some(norm_cfg.clone()),
            ..ConvModuleConfig::new(inputs, outputs, Size::All(3))
        };
        stem.push(config.build_with(builder)?);
    }
    Ok(stem)
}
