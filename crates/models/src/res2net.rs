//! `Res2Net`: a [`ResNet`] with a hierarchy of convolutions inside its bottlenecks. Gao et al., Res2Net: A New
//! Multi-scale Backbone Architecture (2019).
//!
//! Reference: mmpretrain/models/backbones/res2net.py.

use mmcv_layers::pool::AvgPool2d;
use mmcv_layers::{
    Builder, Error, Forward, InitCfg, Layer, Module, ModuleExt, ModuleList, Parts, Registry, Result, Sequential,
    run_child,
};
use mmcv_registry::{Config, KeyPath};
use tch::Tensor;

use crate::resnet::{
    AvgDown, Block, BlockConfig, BlockKind, Bottleneck, ConvNorm, Kernel, Plan, ResNet, ResNetOptions, Shortcut,
    at_least_one, blocks, norm,
};

/// Table 1 of the paper: 50, 101 and 152 layers, with the stages of ResNet.
const LEAST_DEPTH: i64 = 50;

/// Arguments of `Res2Net`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "Res2Net", layer = Res2Net)]
pub struct Res2NetConfig {
    /// Number of layers: 50, 101 or 152.
    pub depth: i64,
    /// Groups of channels in a block, at least 2: the output of each is added to the input of the next.
    #[config(default = 4)]
    pub scales: i64,
    /// Channels of each group in the first stage.
    #[config(default = 26)]
    pub base_width: i64,
    /// The arguments that all networks of the family share.
    #[config(flatten(deep_stem = true, avg_down = true, init_cfg = Config::Null))]
    pub options: ResNetOptions,
}

/// The kind of Res2Net's blocks.
#[derive(Debug, Clone, Copy)]
struct Bottle2neckKind {
    scales: usize,
    base_width: i64,
    base_channels: i64,
}

/// A bottleneck that splits its channels into scales. Figure 2 of the paper. State: `conv1.*`, `bn1.*`, `conv3.*`, `bn3.*`,
/// `downsample.*`, `convs.*`, `bns.*`.
#[derive(Debug)]
struct Bottle2neck {
    conv1: ConvNorm,
    conv3: ConvNorm,
    shortcut: Shortcut,
    /// In the first block of a stage: the pooling that downsamples the last scale.
    pool: Option<AvgPool2d>,
    convs: ModuleList,
    bns: ModuleList,
    width: i64,
    init_cfg: InitCfg,
}

impl BlockKind for Bottle2neckKind {
    fn build(
        &self,
        builder: &Builder<'_>,
        config: &BlockConfig<'_>,
        downsample: Option<Sequential>,
    ) -> Result<Box<dyn Block>> {
        // The reference builds a whole plain bottleneck first and replaces its parts: the draws are the same.
        drop(Bottleneck.build(builder, config, None)?);
        let width = (config.inside() as f64 * (self.base_width as f64 / self.base_channels as f64)).floor() as i64;
        let scales = i64::try_from(self.scales).unwrap_or(i64::MAX);
        let all = width.saturating_mul(scales);
        let (first, second) = config.strides();
        let norm1 = norm(builder, config.norm_cfg, all, 1)?;
        let norm3 = norm(builder, config.norm_cfg, config.out_channels, 3)?;
        let kernel = Kernel { stride: first, ..Kernel::new(1, config.in_channels, all) };
        let conv1 = ConvNorm::new(1, &kernel, builder, config.conv_cfg, norm1)?;
        let pool = AvgPool2d { kernel_size: 3, stride: second, padding: 1, ceil_mode: false, count_include_pad: true };
        let (mut convs, mut bns) = (Vec::new(), Vec::new());
        for number in 1..scales {
            let kernel = Kernel { stride: second, dilation: config.dilation, ..Kernel::new(3, width, width) };
            convs.push(kernel.build(builder, config.conv_cfg)?);
            bns.push(norm(builder, config.norm_cfg, width, number)?.1);
        }
        let conv3 = ConvNorm::new(3, &Kernel::new(1, all, config.out_channels), builder, config.conv_cfg, norm3)?;
        Ok(Box::new(Bottle2neck {
            conv1,
            conv3,
            shortcut: Shortcut::new(config.drop_path_rate, downsample),
            pool: if config.first { Some(pool) } else { None },
            convs: ModuleList::new(convs),
            bns: ModuleList::new(bns),
            width,
            init_cfg: InitCfg::default(),
        }))
    }
}

impl Bottle2neck {
    /// Runs the scales in order: each convolution except the first takes the sum of its scale and the previous output; in
    /// the first block of a stage, its scale alone. The last scale is not convolved.
    fn scales(&self, input: &Tensor) -> Result<Tensor> {
        let mut scales = input.f_split(self.width, 1)?.into_iter();
        let mut outputs: Vec<Tensor> = Vec::new();
        for (index, (conv, bn)) in self.convs.iter().zip(self.bns.iter()).enumerate() {
            let Some(mut scale) = scales.next() else { break };
            if self.pool.is_none()
                && let Some(previous) = outputs.last()
            {
                scale = previous.f_add(&scale)?;
            }
            let output = run_child(format!("convs.{index}"), conv, &scale.f_contiguous()?)?;
            let output = run_child(format!("bns.{index}"), bn, &output)?;
            outputs.push(self.shortcut.activate(&output)?);
        }
        if let Some(last) = scales.next() {
            outputs.push(match &self.pool {
                Some(pool) => self.run_child(pool, &last)?,
                None => last,
            });
        }
        Ok(Tensor::f_cat(&outputs, 1)?)
    }
}

impl Block for Bottle2neck {
    fn last_norm(&self) -> Option<&dyn Module> {
        Some(self.conv3.norm())
    }
}

impl Forward for Bottle2neck {
    /// As in the reference, `drop_path` exists and is not run.
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = self.shortcut.activate(&self.conv1.forward(input)?)?;
        let output = self.conv3.forward(&self.scales(&output)?)?;
        self.shortcut.add(input, output)
    }
}

impl Module for Bottle2neck {
    fn class(&self) -> &'static [&'static str] {
        &["Bottle2neck", "Bottleneck"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.property("norm1", self.conv1.norm());
        parts.property("norm3", self.conv3.norm());
        parts.init_cfg(&self.init_cfg);
        self.conv1.parts(parts);
        self.conv3.parts(parts);
        self.shortcut.parts(parts);
        if let Some(pool) = &self.pool {
            parts.child("pool", pool);
        }
        parts.child("convs", &self.convs);
        parts.child("bns", &self.bns);
    }
}

/// The type `Res2Net`: a [`ResNet`] with a hierarchy of convolutions inside its bottlenecks.
///
/// ```no_run
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::Res2NetConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let network = Res2NetConfig::new(50).with_scales(4).with_base_width(26).build()?;
/// let features = network.forward(&Tensor::zeros([1, 3, 224, 224], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(features.size(), [1, 2048, 7, 7]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub enum Res2Net {}

impl Layer for Res2Net {
    const NAME: &'static str = "Res2Net";
    type Config = Res2NetConfig;
    type Module = ResNet;

    fn build(config: &Res2NetConfig, builder: &Builder<'_>) -> Result<ResNet> {
        let Res2NetConfig { depth, scales, base_width, options } = config;
        let scales = match usize::try_from(*scales) {
            Ok(scales @ 2..) => scales,
            _ => return Err(Error::argument("scales", scales, "expected at least 2: one scale is a ResNet")),
        };
        for (name, value) in [("base_width", *base_width), ("base_channels", options.base_channels)] {
            at_least_one(&KeyPath::root().key(name), value)?;
        }
        if options.plugins.is_some() {
            return Err(Error::argument("plugins", "some", "Res2Net has no plugins: expected null"));
        }
        let kind = Bottle2neckKind { scales, base_width: *base_width, base_channels: options.base_channels };
        let blocks = blocks(*depth, LEAST_DEPTH)?;
        let mut plan = Plan::new(&["Res2Net", "ResNet"], options, blocks, &kind, Bottleneck::EXPANSION);
        plan.stage_class = Some(&["Res2Layer", "Sequential"]);
        if options.avg_down {
            plan.avg_down = AvgDown::Always;
        }
        ResNet::assemble(builder, &plan)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}
