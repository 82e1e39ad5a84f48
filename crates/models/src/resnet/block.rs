//! The residual blocks: [`BasicBlock`] and [`Bottleneck`]. Figures 2 and 5 of the paper.
//!
//! Reference: mmpretrain/models/backbones/resnet.py; the plugins are mmdetection's.

use mmcv_layers::{Builder, Error, Forward, InitCfg, Module, Parts, Result, Sequential};
use mmcv_registry::{Config, Dict, FromConfig, dict};
use tch::Tensor;

use super::config::{PluginPosition, ResNetStyle};
use super::parts::{ConvNorm, Kernel, Shortcut, norm};

/// A plugin of the blocks of one stage.
#[derive(Debug, Clone)]
pub(crate) struct Plugin {
    /// Its number in the network's config.
    pub index: usize,
    pub cfg: Dict,
    pub position: PluginPosition,
}

/// The arguments of one block.
#[derive(Debug, Clone)]
pub(crate) struct BlockConfig<'a> {
    pub in_channels: i64,
    pub out_channels: i64,
    /// Ratio of the output channels to the inner channels.
    pub expansion: i64,
    pub stride: i64,
    pub dilation: i64,
    pub style: ResNetStyle,
    pub conv_cfg: Option<&'a Dict>,
    pub norm_cfg: &'a Dict,
    pub drop_path_rate: f64,
    /// The block's plugins, those after the first convolution first.
    pub plugins: &'a [Plugin],
    pub init_cfg: &'a Config,
    /// Whether it is the first block of its stage.
    pub first: bool,
}

/// A block of a stage.
pub(crate) trait Block: Module {
    /// The norm before the addition: if its weight is 0, the block returns its input.
    fn last_norm(&self) -> Option<&dyn Module>;
}

/// A kind of block, with the arguments that the blocks of a stage share beyond [`BlockConfig`].
pub(crate) trait BlockKind {
    /// Builds a block around its shortcut's `downsample`.
    fn build(
        &self,
        builder: &Builder<'_>,
        config: &BlockConfig<'_>,
        downsample: Option<Sequential>,
    ) -> Result<Box<dyn Block>>;
}

/// Two 3x3 convolutions. State: `conv1.*`, `bn1.*`, `conv2.*`, `bn2.*`, `downsample.*`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BasicBlock;

/// A 1x1 convolution to fewer channels, a 3x3 convolution, and a 1x1 convolution to more channels. State: `conv1.*`,
/// `bn1.*`, `conv2.*`, `bn2.*`, `conv3.*`, `bn3.*`, `downsample.*`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bottleneck;

impl BasicBlock {
    /// Ratio of the output channels to the inner channels.
    pub(crate) const EXPANSION: i64 = 1;
}

impl Bottleneck {
    /// Ratio of the output channels to the inner channels.
    pub(crate) const EXPANSION: i64 = 4;
}

impl BlockKind for BasicBlock {
    fn build(
        &self,
        builder: &Builder<'_>,
        config: &BlockConfig<'_>,
        downsample: Option<Sequential>,
    ) -> Result<Box<dyn Block>> {
        if config.expansion != Self::EXPANSION {
            return Err(Error::argument("expansion", config.expansion, "expected 1, the only one of a BasicBlock"));
        }
        if !config.plugins.is_empty() {
            let reason = "a BasicBlock has none: expected null, or a depth whose blocks are bottlenecks";
            return Err(Error::argument("plugins", "some", reason));
        }
        let BlockConfig { in_channels, out_channels, stride, dilation, .. } = *config;
        let convs = [
            Kernel { stride, dilation, ..Kernel::new(3, in_channels, out_channels) },
            Kernel::new(3, out_channels, out_channels),
        ];
        let class = &["BasicBlock", "BaseModule"];
        Ok(Box::new(ResidualBlock::new(class, builder, config, &convs, downsample)?))
    }
}

impl BlockKind for Bottleneck {
    fn build(
        &self,
        builder: &Builder<'_>,
        config: &BlockConfig<'_>,
        downsample: Option<Sequential>,
    ) -> Result<Box<dyn Block>> {
        let class = &["Bottleneck", "BaseModule"];
        let inside = config.inside();
        Ok(Box::new(ResidualBlock::bottleneck(class, builder, config, (inside, 1), downsample)?))
    }
}

impl BlockConfig<'_> {
    /// The inner channels of a bottleneck.
    pub(crate) fn inside(&self) -> i64 {
        self.out_channels.checked_div(self.expansion).unwrap_or(0)
    }

    /// The strides of the first and of the second convolution of a bottleneck.
    pub(crate) fn strides(&self) -> (i64, i64) {
        match self.style {
            ResNetStyle::Pytorch => (1, self.stride),
            ResNetStyle::Caffe => (self.stride, 1),
        }
    }
}

/// [`BasicBlock`], [`Bottleneck`] and ResNeXt's bottleneck: convolutions in sequence.
#[derive(Debug)]
pub(crate) struct ResidualBlock {
    class: &'static [&'static str],
    layers: Vec<ConvNorm>,
    shortcut: Shortcut,
    init_cfg: InitCfg,
}

impl ResidualBlock {
    /// The norms, the convolutions and the plugins, in the reference's order.
    fn new(
        class: &'static [&'static str],
        builder: &Builder<'_>,
        config: &BlockConfig<'_>,
        convs: &[Kernel],
        downsample: Option<Sequential>,
    ) -> Result<Self> {
        let mut norms = Vec::new();
        for (index, conv) in convs.iter().enumerate() {
            norms.push(norm(builder, config.norm_cfg, conv.out_channels, index + 1)?);
        }
        let mut layers = Vec::new();
        for (index, (conv, norm)) in convs.iter().zip(norms).enumerate() {
            layers.push(ConvNorm::new(index + 1, conv, builder, config.conv_cfg, norm)?);
        }
        let shortcut = Shortcut::new(config.drop_path_rate, downsample);
        let init_cfg = builder.init_cfg(config.init_cfg)?.by_default(true);
        let mut block = Self { class, layers, shortcut, init_cfg };
        for plugin in config.plugins {
            block.add_plugin(builder, plugin)?;
        }
        Ok(block)
    }

    fn add_plugin(&mut self, builder: &Builder<'_>, plugin: &Plugin) -> Result<()> {
        let position = plugin.position as usize;
        let Some(layer) = self.layers.get(position) else { return Ok(()) };
        let arguments = dict! { in_channels: layer.out_channels };
        let builder = builder.at(|path| path.key("plugins").index(plugin.index).key("cfg"));
        let mut cfg = plugin.cfg.clone();
        let postfix = match cfg.remove("postfix") {
            None => String::new(),
            Some(Config::Int(number)) => number.to_string(),
            Some(word) => String::from_config(&word, &builder.path.key("postfix"))?,
        };
        let (name, built) = builder.plugin(&cfg.into(), &postfix, &arguments)?;
        if self.attribute(&name).is_some() {
            let reason = format!("the block already has a part named {name:?}: expected another postfix");
            return Err(Error::argument("postfix", format!("{postfix:?}"), reason).below(&builder.path));
        }
        if let Some(layer) = self.layers.get_mut(position) {
            layer.plugins.push((name, built));
        }
        Ok(())
    }

    /// A bottleneck with `inside` inner channels in `groups` groups.
    pub(crate) fn bottleneck(
        class: &'static [&'static str],
        builder: &Builder<'_>,
        config: &BlockConfig<'_>,
        (inside, groups): (i64, i64),
        downsample: Option<Sequential>,
    ) -> Result<Self> {
        let (first, second) = config.strides();
        let convs = [
            Kernel { stride: first, ..Kernel::new(1, config.in_channels, inside) },
            Kernel { stride: second, dilation: config.dilation, groups, ..Kernel::new(3, inside, inside) },
            Kernel::new(1, inside, config.out_channels),
        ];
        Self::new(class, builder, config, &convs, downsample)
    }
}

impl Block for ResidualBlock {
    fn last_norm(&self) -> Option<&dyn Module> {
        self.layers.last().map(ConvNorm::norm)
    }
}

impl Forward for ResidualBlock {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut output = input.shallow_clone();
        for (index, layer) in self.layers.iter().enumerate() {
            output = layer.forward(&output)?;
            if index + 1 < self.layers.len() {
                output = self.shortcut.activate(&output)?;
            }
            output = layer.run_plugins(output)?;
        }
        self.shortcut.add(input, self.shortcut.drop_path(&output)?)
    }
}

impl Module for ResidualBlock {
    fn class(&self) -> &'static [&'static str] {
        self.class
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        for (index, layer) in self.layers.iter().enumerate() {
            parts.property(format!("norm{}", index + 1), layer.norm());
        }
        parts.init_cfg(&self.init_cfg);
        for layer in &self.layers {
            layer.parts(parts);
        }
        self.shortcut.parts(parts);
        for layer in &self.layers {
            for (name, plugin) in &layer.plugins {
                parts.child(name.as_str(), &**plugin);
            }
        }
    }
}
