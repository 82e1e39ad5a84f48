//! [`HRFuseScales`]. Reference: mmpretrain/models/necks/hr_fuse.py; the classifier of Wang et al., Deep High-Resolution
//! Representation Learning for Visual Recognition (2019), figure 10.

use mmcv_bricks::{ConvBias, ConvModule, ConvModuleConfig};
use mmcv_layers::containers::Children;
use mmcv_layers::{
    Builder, Error, Forward, InitCfg, Layer, LayerConfig, Module, ModuleExt, Output, Registry, Result, Size,
    no_options, run_child,
};
use mmcv_registry::{Config, Dict, config, dict};
use tch::Tensor;

use super::{Bottleneck, ResLayer, StageConfig};
use crate::plain_list::PlainList;

/// Channels to which each branch is expanded.
const CHANNELS: [i64; 4] = [128, 256, 512, 1024];

/// Arguments of `HRFuseScales`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "HRFuseScales", layer = HRFuseScales)]
pub struct HRFuseScalesConfig {
    /// Channels of each branch, for 1 to 4 branches; as in the reference, the last layer takes those of a fourth branch.
    pub in_channels: Vec<i64>,
    /// Channels of the output.
    #[config(default = 2048)]
    pub out_channels: i64,
    /// The normalizations after the downsampling convolutions, and after the last one.
    #[config(default = dict! { type: "BN", momentum: 0.1 })]
    pub norm_cfg: Dict,
    /// Initialization rules.
    #[config(default = config! { type: "Normal", layer: "Linear", std: 0.01 })]
    pub init_cfg: Config,
}

/// Fuses the branches of [`HRNet`](super::HRNet) at the lowest resolution.
///
/// Shapes: inputs `[N, in_channels[i], H / 2^i, W / 2^i]`, output `[N, out_channels, H / 8, W / 8]` for four branches.
/// State: `increase_layers.*`, `downsample_layers.*`, `final_layer.*`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::HRFuseScalesConfig;
/// use mmcv_registry::Dict;
/// use tch::{Device, Kind, Tensor};
///
/// let channels = [18, 36, 72, 144];
/// let neck = HRFuseScalesConfig::new(channels.to_vec()).build()?;
/// let mut branches = Vec::new();
/// for (channels, size) in channels.into_iter().zip([16, 8, 4, 2]) {
///     branches.push(Tensor::zeros([1, channels, size, size], (Kind::Float, Device::Cpu)));
/// }
/// let branches: Vec<&Tensor> = branches.iter().collect();
/// let fused = neck.call(&branches, &Dict::new())?.single()?;
/// assert_eq!(fused.size(), [1, 2048, 2, 2]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Module)]
pub struct HRFuseScales {
    #[module(child)]
    increase_layers: PlainList,
    #[module(child)]
    downsample_layers: PlainList,
    #[module(child)]
    final_layer: ConvModule,
    init_cfg: InitCfg,
}

impl HRFuseScales {
    fn run(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let branches = self.increase_layers.iter().count();
        if inputs.len() != branches {
            return Err(Error::input(format!("{branches} inputs, one for each of in_channels"), inputs.len()));
        }
        let mut sum: Option<Tensor> = None;
        let mut downsample_layers = self.downsample_layers.iter();
        for ((name, increase), input) in self.increase_layers.iter().zip(inputs) {
            // From the second branch on, the sum is first brought to the resolution of the branch.
            if let Some(higher) = &sum
                && let Some((name, downsample)) = downsample_layers.next()
            {
                sum = Some(run_child(format!("downsample_layers.{name}"), downsample, higher)?);
            }
            let increased = run_child(format!("increase_layers.{name}"), increase, input)?;
            sum = Some(match sum {
                Some(sum) => sum.f_add(&increased)?,
                None => increased,
            });
        }
        match sum {
            Some(sum) => self.run_child(&self.final_layer, &sum),
            None => Err(Error::input("at least one input", "none")),
        }
    }
}

/// A convolution of 3x3 pixels, which halves the resolution, or of 1x1 pixels.
fn conv(
    builder: &Builder<'_>,
    config: &HRFuseScalesConfig,
    inputs: i64,
    outputs: i64,
    size: i64,
) -> Result<ConvModule> {
    let config = ConvModuleConfig {
        stride: Size::All(if size == 3 { 2 } else { 1 }),
        padding: (size / 2).into(),
        bias: ConvBias::Fixed(false),
        norm_cfg: Some(config.norm_cfg.clone()),
        ..ConvModuleConfig::new(inputs, outputs, Size::All(size))
    };
    config.build_with(builder)
}

impl Layer for HRFuseScales {
    const NAME: &'static str = "HRFuseScales";
    type Config = HRFuseScalesConfig;
    type Module = Self;

    fn build(config: &HRFuseScalesConfig, builder: &Builder<'_>) -> Result<Self> {
        let in_channels = &config.in_channels;
        if in_channels.is_empty() || in_channels.len() > CHANNELS.len() {
            let reason = "expected the channels of 1 to 4 branches";
            return Err(Error::argument("in_channels", format!("{in_channels:?}"), reason));
        }
        let batch_norm = dict! { type: "BN" };
        let mut increase_layers = Children::default();
        for (inputs, outputs) in in_channels.iter().zip(CHANNELS) {
            let stage = StageConfig::new(1, *inputs, outputs, Bottleneck::EXPANSION, &batch_norm);
            increase_layers.push(Box::new(ResLayer::new(builder, &Bottleneck, &stage)?));
        }
        let mut downsample_layers = Children::default();
        for pair in CHANNELS.windows(2).take(in_channels.len() - 1) {
            if let [inputs, outputs] = pair {
                downsample_layers.push(Box::new(conv(builder, config, *inputs, *outputs, 3)?));
            }
        }
        let [.., last_channels] = CHANNELS;
        let final_layer = conv(builder, config, last_channels, config.out_channels, 1)?;
        let init_cfg = builder
            .init_cfg(&config.init_cfg)?
            .by_default(config.init_cfg == HRFuseScalesConfig::new(Vec::new()).init_cfg);
        Ok(Self {
            increase_layers: PlainList::new(increase_layers),
            downsample_layers: PlainList::new(downsample_layers),
            final_layer,
            init_cfg,
        })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Forward for HRFuseScales {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.run(&[input])
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        no_options(options)?;
        Ok(Output::Tensors(vec![self.run(inputs)?]))
    }
}
