//! [`ResLayer`]: the blocks of one stage. Reference: `ResLayer` in mmpretrain/models/backbones/resnet.py.

use mmcv_layers::pool::AvgPool2d;
use mmcv_layers::{Builder, Forward, InitCfg, Module, Parts, Result, Sequential, run_child};
use mmcv_registry::{Config, Dict};
use tch::Tensor;

use super::block::{Block, BlockConfig, BlockKind, Plugin};
use super::config::ResNetStyle;
use super::parts::{Kernel, norm};

/// When the shortcut of a stage's first block is downsampled by pooling rather than by a convolution with a stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AvgDown {
    /// Never.
    No,
    /// If the stage has a stride.
    WithStride,
    /// Always.
    Always,
}

/// The arguments of a stage.
#[derive(Debug, Clone)]
pub(crate) struct StageConfig<'a> {
    pub in_channels: i64,
    pub out_channels: i64,
    pub expansion: i64,
    /// The stride of the first block.
    pub stride: i64,
    /// One for each block, like `drop_path_rates`.
    pub dilations: Vec<i64>,
    pub style: ResNetStyle,
    pub avg_down: AvgDown,
    pub conv_cfg: Option<&'a Dict>,
    pub norm_cfg: &'a Dict,
    /// One for each block: their number is the number of blocks.
    pub drop_path_rates: Vec<f64>,
    pub plugins: Vec<Plugin>,
    pub block_init_cfg: Config,
}

impl<'a> StageConfig<'a> {
    /// A stage of `blocks` blocks, with the reference's defaults.
    pub(crate) fn new(blocks: usize, in_channels: i64, out_channels: i64, expansion: i64, norm_cfg: &'a Dict) -> Self {
        Self {
            in_channels,
            out_channels,
            expansion,
            stride: 1,
            dilations: vec![1; blocks],
            style: ResNetStyle::Pytorch,
            avg_down: AvgDown::No,
            conv_cfg: None,
            norm_cfg,
            drop_path_rates: vec![0.0; blocks],
            plugins: Vec::new(),
            block_init_cfg: Config::Null,
        }
    }

    /// The arguments of one block.
    fn block(&self, index: usize, drop_path_rate: f64) -> BlockConfig<'_> {
        let first = index == 0;
        BlockConfig {
            in_channels: if first { self.in_channels } else { self.out_channels },
            out_channels: self.out_channels,
            expansion: self.expansion,
            stride: if first { self.stride } else { 1 },
            dilation: self.dilations.get(index).copied().unwrap_or(1),
            style: self.style,
            conv_cfg: self.conv_cfg,
            norm_cfg: self.norm_cfg,
            drop_path_rate,
            plugins: &self.plugins,
            init_cfg: &self.block_init_cfg,
            first,
        }
    }

    /// The layers that bring the first block's input to the size of its output; `None` if it has that size.
    fn downsample(&self, builder: &Builder<'_>) -> Result<Option<Sequential>> {
        if self.stride == 1 && self.in_channels == self.out_channels {
            return Ok(None);
        }
        let mut layers: Vec<Box<dyn Module>> = Vec::new();
        let mut kernel = Kernel { stride: self.stride, ..Kernel::new(1, self.in_channels, self.out_channels) };
        if self.avg_down == AvgDown::Always || (self.avg_down == AvgDown::WithStride && self.stride != 1) {
            kernel.stride = 1;
            layers.push(Box::new(AvgPool2d {
                kernel_size: self.stride,
                stride: self.stride,
                padding: 0,
                ceil_mode: true,
                count_include_pad: false,
            }));
        }
        layers.push(kernel.build(builder, self.conv_cfg)?);
        layers.push(norm(builder, self.norm_cfg, self.out_channels, "")?.1);
        Ok(Some(Sequential::new(layers)))
    }
}

/// The blocks of one stage, in sequence. State: `0.*`, `1.*`, ...
#[derive(Debug)]
pub(crate) struct ResLayer {
    blocks: Vec<Box<dyn Block>>,
    /// The reference's class, and rules of initialization if it has them.
    class: &'static [&'static str],
    init_cfg: Option<InitCfg>,
}

impl ResLayer {
    /// Builds the blocks.
    pub(crate) fn new(builder: &Builder<'_>, kind: &dyn BlockKind, config: &StageConfig<'_>) -> Result<Self> {
        let mut downsample = config.downsample(builder)?;
        let mut blocks = Vec::new();
        for (index, rate) in config.drop_path_rates.iter().enumerate() {
            blocks.push(kind.build(builder, &config.block(index, *rate), downsample.take())?);
        }
        Ok(Self { blocks, class: &["ResLayer", "Sequential"], init_cfg: None })
    }

    /// The same stage as another class of the reference, which initializes its blocks.
    pub(crate) fn with_class(self, class: &'static [&'static str]) -> Self {
        Self { class, init_cfg: Some(InitCfg::default()), ..self }
    }

    /// The blocks in order.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &dyn Block> {
        self.blocks.iter().map(|block| &**block)
    }
}

impl Forward for ResLayer {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut output = input.shallow_clone();
        for (index, block) in self.blocks.iter().enumerate() {
            output = run_child(index, &**block as &dyn Module, &output)?;
        }
        Ok(output)
    }
}

impl Module for ResLayer {
    fn class(&self) -> &'static [&'static str] {
        self.class
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg = self.init_cfg.as_ref();
        for (index, block) in self.blocks.iter().enumerate() {
            parts.child(index.to_string(), &**block as &dyn Module);
        }
    }
}
