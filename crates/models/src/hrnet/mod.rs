//! [`HRNet`]. Reference: mmpretrain/models/backbones/hrnet.py; Sun et al., High-Resolution Representations for Labeling
//! Pixels and Regions (2019).

mod config;
mod fuse_scales;
mod module;
mod parts;

use mmcv_layers::activation::{ReLU, ReLUConfig};
use mmcv_layers::containers::Children;
use mmcv_layers::{
    Builder, Forward, InitCfg, KeyMapping, Layer, Module, ModuleExt, Output, Parts, Registry, Result, Sequential,
    call_child, run_child,
};
use mmcv_registry::Dict;
use tch::Tensor;

use crate::backbone::{Backbone, evaluate_batch_norms, last, rules};
use crate::plain_list::PlainList;
use crate::resnet::{BasicBlock, BlockKind, Bottleneck, ConvNorm, Kernel, ResLayer, StageConfig, norm};

pub use config::{HRBlock, HRNetConfig, HRNetExtra, HRStageConfig, HRUpsampleConfig};
pub use fuse_scales::{HRFuseScales, HRFuseScalesConfig};
use module::HRStage;
use parts::conv_norm;

/// Channels of the stem.
const STEM_CHANNELS: i64 = 64;

impl HRBlock {
    fn kind(self) -> &'static dyn BlockKind {
        match self {
            Self::Basic => &BasicBlock,
            Self::Bottleneck => &Bottleneck,
        }
    }

    fn expansion(self) -> i64 {
        match self {
            Self::Basic => BasicBlock::EXPANSION,
            Self::Bottleneck => Bottleneck::EXPANSION,
        }
    }
}

/// HRNet: branches of several resolutions that run in parallel and exchange features after each module.
///
/// Shapes: input `[N, in_channels, H, W]`; output `i`, from 0, `[N, C_i, H / 2^(i+2), W / 2^(i+2)]` with the channels
/// `C_i` of the fourth stage's branches. `H` and `W` are multiples of 32. State: `conv1.*`, `bn1.*`, `conv2.*`, `bn2.*`,
/// `layer1.*`, `transition1.*`, `stage2.*`, ... `stage4.*`.
///
/// ```no_run
/// use mmcv_layers::{LayerConfig, Module};
/// use mmcv_models::{Backbone, HRNetConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let network = HRNetConfig::new().with_arch("w18").build()?;
/// let branches = network.stages(&Tensor::zeros([1, 3, 64, 64], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(branches.len(), 4);
/// assert_eq!(branches[0].size(), [1, 18, 16, 16]);
/// assert_eq!(branches[3].size(), [1, 144, 2, 2]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct HRNet {
    conv1: ConvNorm,
    conv2: ConvNorm,
    relu: ReLU,
    layer1: ResLayer,
    /// Each transition, with the stage after it.
    stages: Vec<(PlainList, HRStage)>,
    norm_eval: bool,
    init_cfg: InitCfg,
}

/// One of the two convolutions of the stem, each of which halves the resolution.
fn stem_conv(builder: &Builder<'_>, config: &HRNetConfig, number: usize, inputs: i64) -> Result<ConvNorm> {
    let kernel = Kernel { stride: 2, ..Kernel::new(3, inputs, STEM_CHANNELS) };
    let norm = norm(builder, &config.norm_cfg, STEM_CHANNELS, number)?;
    ConvNorm::new(number, &kernel, builder, config.conv_cfg.as_ref(), norm)
}

/// The layers between two stages: they adapt the channels of each branch, and create new branches from the last one.
fn transition(builder: &Builder<'_>, config: &HRNetConfig, before: &[i64], after: &[i64]) -> Result<PlainList> {
    let mut layers = Children::default();
    let last = before.last().copied().unwrap_or(0);
    for (index, &channels) in after.iter().enumerate() {
        layers.push(match before.get(index) {
            Some(&same) if same == channels => Box::new(mmcv_layers::Identity::default()),
            Some(&other) => Box::new(conv_norm(builder, config, &Kernel::new(3, other, channels), Some(true))?),
            None => {
                let mut halvings = Sequential::default();
                for step in before.len()..=index {
                    let outputs = if step == index { channels } else { last };
                    let kernel = Kernel { stride: 2, ..Kernel::new(3, last, outputs) };
                    halvings.push(conv_norm(builder, config, &kernel, Some(true))?);
                }
                Box::new(halvings)
            }
        });
    }
    Ok(PlainList::new(layers))
}

impl Layer for HRNet {
    const NAME: &'static str = "HRNet";
    type Config = HRNetConfig;
    type Module = Self;

    fn build(config: &HRNetConfig, builder: &Builder<'_>) -> Result<Self> {
        let extra = config.stages()?;
        let conv1 = stem_conv(builder, config, 1, config.in_channels)?;
        let conv2 = stem_conv(builder, config, 2, STEM_CHANNELS)?;
        let first = &extra.stage1;
        let mut channels = first.widths();
        // The reference builds this stage with its defaults, whatever the convolutions and norms of the config.
        let batch_norm = HRNetConfig::new().norm_cfg;
        let (blocks, width) = (first.blocks(0), channels.first().copied().unwrap_or(0));
        let stage = StageConfig::new(blocks, STEM_CHANNELS, width, first.block.expansion(), &batch_norm);
        let layer1 = ResLayer::new(builder, first.block.kind(), &stage)?;
        let mut stages = Vec::new();
        for (index, stage) in [&extra.stage2, &extra.stage3, &extra.stage4].into_iter().enumerate() {
            let widths = stage.widths();
            let transition = transition(builder, config, &channels, &widths)?;
            let multiscale = index < 2 || stage.multiscale_output.unwrap_or(config.multiscale_output);
            stages.push((transition, HRStage::new(builder, config, stage, &extra.upsample, multiscale)?));
            channels = widths;
        }
        let rules = rules(&config.init_cfg, &HRNetConfig::new().init_cfg, config.pretrained.as_deref())?;
        let init_cfg = builder.init_cfg(&rules)?.by_default(config.init_cfg == HRNetConfig::new().init_cfg);
        let relu = ReLU(ReLUConfig { inplace: true });
        Ok(Self { conv1, conv2, relu, layer1, stages, norm_eval: config.norm_eval, init_cfg })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Backbone for HRNet {
    /// The branches of the last stage.
    fn stages(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        let mut output = input.shallow_clone();
        for conv in [&self.conv1, &self.conv2] {
            output = self.run_child(&self.relu, &conv.forward(&output)?)?;
        }
        let mut branches = vec![self.run_child(&self.layer1, &output)?];
        for (index, (transition, stage)) in self.stages.iter().enumerate() {
            let mut inputs = Vec::new();
            for (branch, (name, layer)) in transition.iter().enumerate() {
                let Some(source) = branches.get(branch).or(branches.last()) else { continue };
                inputs.push(run_child(format!("transition{}.{name}", index + 1), layer, source)?);
            }
            let inputs: Vec<&Tensor> = inputs.iter().collect();
            branches = call_child(format!("stage{}", index + 2), stage, &inputs, &Dict::new())?.into_vec();
        }
        Ok(branches)
    }
}

impl Forward for HRNet {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        last(self.stages(input)?)
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        self.call_stages(inputs, options)
    }
}

impl Module for HRNet {
    fn class(&self) -> &'static [&'static str] {
        &["HRNet", "BaseModule"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.property("norm1", self.conv1.norm());
        parts.property("norm2", self.conv2.norm());
        parts.init_cfg(&self.init_cfg);
        self.conv1.parts(parts);
        self.conv2.parts(parts);
        parts.child("relu", &self.relu);
        parts.child("layer1", &self.layer1);
        for (index, (transition, stage)) in self.stages.iter().enumerate() {
            parts.child(format!("transition{}", index + 1), transition);
            parts.child(format!("stage{}", index + 2), stage);
        }
    }

    fn after_train(&self, training: bool) {
        if training && self.norm_eval {
            evaluate_batch_norms(self);
        }
    }

    /// The paper's authors use the same names; their classifiers have additional tensors.
    fn key_mappings(&self) -> Vec<KeyMapping> {
        let mut msra = KeyMapping::new("msra");
        for head in ["classifier.", "incre_modules.", "downsamp_modules.", "final_layer."] {
            msra = msra.with_head(head);
        }
        vec![msra]
    }
}
