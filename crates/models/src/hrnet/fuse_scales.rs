//! [`HRFuseScales`]. Reference: mmpretrain/models/necks/hr_fuse.py; the classifier of Wang et al., Deep High-Resolution
//! Representation Learning for Visual Recognition (2019), figure 10.

use mmcv_bricks::{Bias, ConvModule, ConvModuleConfig};
use mmcv_layers::containers::Children;
use mmcv_layers::{
    Builder, Error, InitCfg, Layer, Module, Output, Parts, Registry, Result, Size, no_options, run_child,
};
use mmcv_registry::{Config, Dict, config, dict};
use tch::Tensor;

use super::parts::PlainList;
use super::{Bottleneck, ResLayer, StageConfig};

/// Channels to which those of each branch are brought.
const CHANNELS: [i64; 4] = [128, 256, 512, 1024];

/// Arguments of `HRFuseScales`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "HRFuseScales", layer = HRFuseScales)]
pub struct HRFuseScalesConfig {
    /// Channels of each branch, up to four of them.
    pub in_channels: Vec<i64>,
    /// Channels of the output.
    #[config(default = 2048)]
    pub out_channels: i64,
    /// The normalisations after the convolutions that halve, and after the last one.
    #[config(default = dict! { type: "BN", momentum: 0.1 })]
    pub norm_cfg: Dict,
    /// Rules of initialisation.
    #[config(default = config! { type: "Normal", layer: "Linear", std: 0.01 })]
    pub init_cfg: Config,
}

/// Brings the branches of [`HRNet`](super::HRNet) together at the lowest resolution.
///
/// Shapes: inputs `[N, in_channels[i], H / 2^i, W / 2^i]`, output `[N, out_channels, H / 8, W / 8]` of four. State:
/// `increase_layers.*`, `downsample_layers.*`, `final_layer.*`.
#[derive(Debug)]
pub struct HRFuseScales {
    increase_layers: PlainList,
    downsample_layers: PlainList,
    final_layer: ConvModule,
    init_cfg: InitCfg,
}

impl HRFuseScales {
    /// Builds the layers; `builder`'s path is where the config stands.
    ///
    /// # Errors
    /// Where there are not one to four branches, or a part cannot be built.
    pub fn new(builder: &Builder<'_>, config: &HRFuseScalesConfig) -> Result<Self> {
        let in_channels = &config.in_channels;
        if in_channels.is_empty() || in_channels.len() > CHANNELS.len() {
            let error =
                Error::argument("in_channels", format!("{in_channels:?}"), "expected the channels of 1 to 4 branches");
            return Err(error.below(&builder.path));
        }
        let batch_norm = dict! { type: "BN" };
        let mut increase_layers = Children::default();
        for (inputs, outputs) in in_channels.iter().zip(CHANNELS) {
            let stage = StageConfig::new(1, *inputs, outputs, Bottleneck::EXPANSION, &batch_norm);
            increase_layers.push(Box::new(ResLayer::new(builder, &Bottleneck, &stage)?));
        }
        let conv = |inputs, outputs, size: i64| {
            let config = ConvModuleConfig {
                stride: Size::All(if size == 3 { 2 } else { 1 }),
                padding: (size / 2).into(),
                bias: Bias::Given(false),
                norm_cfg: Some(config.norm_cfg.clone()),
                ..ConvModuleConfig::new(inputs, outputs, Size::All(size))
            };
            ConvModule::new(builder, &config)
        };
        let mut downsample_layers = Children::default();
        for (inputs, outputs) in CHANNELS.iter().zip(CHANNELS.iter().skip(1)).take(in_channels.len() - 1) {
            downsample_layers.push(Box::new(conv(*inputs, *outputs, 3)?));
        }
        let final_layer = conv(CHANNELS.last().copied().unwrap_or(0), config.out_channels, 1)?;
        let init_cfg = InitCfg::decode(&config.init_cfg, &builder.path.key("init_cfg"))?
            .by_default(config.init_cfg == HRFuseScalesConfig::new(Vec::new()).init_cfg);
        Ok(Self {
            increase_layers: PlainList(increase_layers),
            downsample_layers: PlainList(downsample_layers),
            final_layer,
            init_cfg,
        })
    }

    fn run(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let branches = self.increase_layers.0.iter().count();
        if inputs.len() != branches {
            return Err(Error::input(format!("{branches} inputs, one for each of in_channels"), inputs.len()));
        }
        let mut sum: Option<Tensor> = None;
        let halvings = std::iter::once(None).chain(self.downsample_layers.0.iter().map(Some));
        for (((name, increase), halve), input) in self.increase_layers.0.iter().zip(halvings).zip(inputs) {
            let halved = match (sum, halve) {
                (Some(sum), Some((name, halve))) => Some(run_child(format!("downsample_layers.{name}"), halve, &sum)?),
                _ => None,
            };
            let increased = run_child(format!("increase_layers.{name}"), increase, input)?;
            sum = Some(match halved {
                Some(halved) => halved.f_add(&increased)?,
                None => increased,
            });
        }
        let sum = sum.ok_or_else(|| Error::input("at least one input", "none"))?;
        run_child("final_layer", &self.final_layer, &sum)
    }
}

impl Layer for HRFuseScales {
    const NAME: &'static str = "HRFuseScales";
    type Config = HRFuseScalesConfig;
    type Module = Self;

    fn build(config: &HRFuseScalesConfig, builder: &Builder<'_>) -> Result<Self> {
        Self::new(builder, config)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Module for HRFuseScales {
    fn class(&self) -> &'static [&'static str] {
        &["HRFuseScales", "BaseModule"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.run(&[input])
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        no_options(self.name(), options)?;
        Ok(Output::Tensors(vec![self.run(inputs)?]))
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        parts.child("increase_layers", &self.increase_layers);
        parts.child("downsample_layers", &self.downsample_layers);
        parts.child("final_layer", &self.final_layer);
    }
}
