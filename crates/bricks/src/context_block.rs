//! `ContextBlock`. Reference: mmcv/cnn/bricks/context_block.py; Cao et al., GCNet (2019).

use mmcv_layers::activation::{ReLU, ReLUConfig, Softmax};
use mmcv_layers::conv::{Conv, ConvConfig};
use mmcv_layers::explain::elements;
use mmcv_layers::init::{self, Distribution, FanMode, Nonlinearity};
use mmcv_layers::norm::LayerNormConfig;
use mmcv_layers::observe::of_size;
use mmcv_layers::pool::AdaptiveAvgPool;
use mmcv_layers::{Builder, Error, Forward, Layer, LayerConfig, Module, ModuleExt, Parts, Result, Sequential, Size};
use mmcv_registry::Config;
use tch::Tensor;

/// Arguments of `ContextBlock`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ContextBlock", layer = ContextBlock)]
pub struct ContextBlockConfig {
    /// Channels of the input.
    pub in_channels: i64,
    /// Ratio of the inner convolutions' channels to `in_channels`.
    pub ratio: f64,
    /// How the context of all pixels is pooled: `att` (weighted by attention) or `avg` (their mean).
    #[config(default = "att".to_owned())]
    pub pooling_type: String,
    /// How the context changes the input: `channel_add`, `channel_mul`, or both.
    #[config(default = vec!["channel_add".to_owned()])]
    pub fusion_types: Vec<String>,
}

/// Shifts and scales each channel by values computed from the context of all pixels.
///
/// Shapes: input `[N, in_channels, H, W]`, output the same. State: `conv_mask.*`, `channel_add_conv.*`,
/// `channel_mul_conv.*`.
///
/// ```
/// use mmcv_bricks::ContextBlockConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let block = ContextBlockConfig::new(16, 0.25).build()?;
/// let output = block.forward(&Tensor::zeros([2, 16, 8, 8], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(output.size(), [2, 16, 8, 8]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct ContextBlock {
    pooling: Pooling,
    channel_add_conv: Option<Sequential>,
    channel_mul_conv: Option<Sequential>,
}

/// How the context is pooled.
#[derive(Debug)]
enum Pooling {
    Attention { conv_mask: Conv, softmax: Softmax },
    Average(AdaptiveAvgPool),
}

impl ContextBlock {
    /// One value for each channel: `[N, C, 1, 1]`.
    fn context(&self, input: &Tensor) -> Result<Tensor> {
        let dims = of_size(input, |shape| shape.len())?;
        if dims != 4 {
            return Err(Error::input("4D input", format!("{dims}D input {:?}", input.size())));
        }
        let (conv_mask, softmax) = match &self.pooling {
            Pooling::Attention { conv_mask, softmax } => (conv_mask, softmax),
            Pooling::Average(pool) => return self.run_child(pool, input),
        };
        let pixels = input.f_flatten(2, -1)?.f_unsqueeze(1)?;
        let mask = self.run_child(conv_mask, input)?.f_flatten(2, -1)?;
        let mask = self.run_child(softmax, &mask)?.f_unsqueeze(-1)?;
        Ok(pixels.f_matmul(&mask)?.f_transpose(1, 2)?)
    }
}

impl Layer for ContextBlock {
    const NAME: &'static str = "ContextBlock";
    type Config = ContextBlockConfig;
    type Module = Self;

    fn build(config: &ContextBlockConfig, _: &Builder<'_>) -> Result<Self> {
        let ContextBlockConfig { in_channels, ratio, pooling_type, fusion_types } = config;
        for fusion in fusion_types {
            if !matches!(fusion.as_str(), "channel_add" | "channel_mul") {
                let reason = "expected \"channel_add\" and \"channel_mul\"";
                return Err(Error::argument("fusion_types", format!("{fusion:?}"), reason));
            }
        }
        if fusion_types.is_empty() {
            return Err(Error::argument(
                "fusion_types",
                "none",
                "expected at least one of \"channel_add\", \"channel_mul\"",
            ));
        }
        let pooling = match pooling_type.as_str() {
            "att" => Pooling::Attention { conv_mask: pointwise(*in_channels, 1)?, softmax: Softmax { dim: 2 } },
            "avg" => Pooling::Average(AdaptiveAvgPool::new(2, Size::All(1))?),
            other => return Err(Error::argument("pooling_type", format!("{other:?}"), "expected \"att\" or \"avg\"")),
        };
        let planes = (*in_channels as f64 * ratio) as i64;
        let mut channel_add_conv = None;
        if fusion_types.iter().any(|fusion| fusion == "channel_add") {
            channel_add_conv = Some(bottleneck(*in_channels, planes)?);
        }
        let mut channel_mul_conv = None;
        if fusion_types.iter().any(|fusion| fusion == "channel_mul") {
            channel_mul_conv = Some(bottleneck(*in_channels, planes)?);
        }
        if let Pooling::Attention { conv_mask, .. } = &pooling {
            init::kaiming_init(conv_mask, FanMode::FanIn, Nonlinearity::Relu, 0.0, Distribution::Normal)?;
        }
        for convs in [&channel_add_conv, &channel_mul_conv].into_iter().flatten() {
            if let Some(last) = convs.iter().last() {
                init::constant_init(last, 0.0, 0.0)?;
            }
        }
        Ok(Self { pooling, channel_add_conv, channel_mul_conv })
    }
}

impl Forward for ContextBlock {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let context = self.context(input)?;
        let mut output = input.shallow_clone();
        if let Some(convs) = &self.channel_mul_conv {
            let factor = self.run_child(convs, &context)?;
            output = output.f_mul(&factor.f_sigmoid()?)?;
        }
        if let Some(convs) = &self.channel_add_conv {
            let summand = self.run_child(convs, &context)?;
            output = output.f_add(&summand)?;
        }
        Ok(output)
    }
}

impl Module for ContextBlock {
    fn class(&self) -> &'static [&'static str] {
        &["ContextBlock", "Module"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        match &self.pooling {
            Pooling::Attention { conv_mask, softmax } => {
                parts.child("conv_mask", conv_mask);
                parts.child("softmax", softmax);
            }
            Pooling::Average(pool) => parts.child("avg_pool", pool),
        }
        for (name, convs) in
            [("channel_add_conv", &self.channel_add_conv), ("channel_mul_conv", &self.channel_mul_conv)]
        {
            if let Some(convs) = convs {
                parts.child(name, convs);
            }
        }
    }

    /// With attention: the product of all pixels and their weights.
    fn multiply_adds(&self, inputs: &[Vec<i64>], _outputs: &[Vec<i64>]) -> u64 {
        match self.pooling {
            Pooling::Attention { .. } => elements(inputs),
            Pooling::Average(_) => 0,
        }
    }
}

/// Two convolutions, to `planes` channels and back, with a layer norm between them.
fn bottleneck(channels: i64, planes: i64) -> Result<Sequential> {
    Ok(Sequential::new(vec![
        Box::new(pointwise(channels, planes)?),
        Box::new(LayerNormConfig::new().with_normalized_shape(Size::Each(vec![planes, 1, 1])).build()?),
        Box::new(ReLU(ReLUConfig { inplace: true })),
        Box::new(pointwise(planes, channels)?),
    ]))
}

fn pointwise(inputs: i64, outputs: i64) -> Result<Conv> {
    Conv::new(2, &ConvConfig::new(inputs, outputs, Size::All(1)))
}
