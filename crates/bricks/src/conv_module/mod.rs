//! `ConvModule`. Reference: mmcv/cnn/bricks/conv_module.py.

mod config;

use std::sync::Once;

use mmcv_layers::init::{self, Distribution, FanMode, Nonlinearity};
use mmcv_layers::norm::BatchNorm;
use mmcv_layers::{
    Builder, Error, Forward, Layer, LayerConfig, Module, ModuleExt, Output, Parts, Registry, Result, Size, run_child,
    run_child_with,
};
use mmcv_registry::{Config, ConfigError, ConfigErrorKind, ConfigStruct, Dict, FromConfig, KeyPath, config, dict};
use tch::Tensor;

pub use config::{ConvBias, ConvModuleConfig, ConvOrder, ConvStep};

/// A convolution's weight and bias with its batch norm folded in.
#[derive(Debug)]
struct Folded {
    /// `[out_channels, in_channels / groups, *kernel_size]`
    weight: Tensor,
    /// `[out_channels]`
    bias: Tensor,
}

/// A convolution, a normalization and an activation.
///
/// Shapes: input `[N, in_channels, *]`, output `[N, out_channels, *]`, with the spatial sizes of the convolution's
/// output. State: `conv.*`, then the norm under its name (`bn.*`, `gn.*`, ...), then `activate.*`.
///
/// ```
/// use mmcv_bricks::ConvModuleConfig;
/// use mmcv_layers::norm::BatchNormConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let conv = ConvModuleConfig::new(3, 8, 3).with_padding(1).with_norm(BatchNormConfig::new()).build()?;
/// let output = conv.forward(&Tensor::zeros([2, 3, 16, 16], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(output.size(), [2, 8, 16, 16]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct ConvModule {
    conv: Box<dyn Module>,
    norm: Option<(String, Box<dyn Module>)>,
    activate: Option<Box<dyn Module>>,
    padding_layer: Option<Box<dyn Module>>,
    order: ConvOrder,
    nonlinearity: Nonlinearity,
    efficient_conv_bn_eval: bool,
}

impl ConvModule {
    /// The convolution.
    #[must_use]
    pub fn conv(&self) -> &dyn Module {
        &*self.conv
    }

    /// The normalization and its name, such as `bn`.
    #[must_use]
    pub fn norm(&self) -> Option<(&str, &dyn Module)> {
        self.norm.as_ref().map(|(name, norm)| (name.as_str(), &**norm))
    }

    /// The forward pass, with or without the activation and the norm.
    ///
    /// # Errors
    /// Returns an error if a part rejects its input.
    pub fn forward_with(&self, input: &Tensor, activate: bool, norm: bool) -> Result<Tensor> {
        let folded = if norm { self.fold()? } else { None };
        self.run(input, activate, norm, folded.as_ref())
    }

    /// The weight and bias that make the convolution do the work of its batch norm, too; `None` unless
    /// `efficient_conv_bn_eval` is set and a batch norm in evaluation mode directly follows the convolution.
    ///
    /// You et al., Tune-Mode ConvBN Blocks for Efficient Transfer Learning (2023).
    fn fold(&self) -> Result<Option<Folded>> {
        if !self.efficient_conv_bn_eval || !self.order.norm_directly_after_conv() {
            return Ok(None);
        }
        let (Some(norm), Some(conv)) = (self.batch_norm(), self.conv.as_convolution()) else { return Ok(None) };
        if norm.is_training() {
            return Ok(None);
        }
        let Some((scale, shift)) = norm.scale_and_shift(conv.bias())? else { return Ok(None) };
        let weight = conv.effective_weight()?;
        let mut per_output = vec![1; weight.dim()];
        if let Some(outputs) = per_output.first_mut() {
            *outputs = -1;
        }
        let weight = weight.f_mul(&scale.f_reshape(&per_output)?)?;
        Ok(Some(Folded { weight, bias: shift }))
    }

    fn batch_norm(&self) -> Option<&BatchNorm> {
        let (_, norm) = self.norm.as_ref()?;
        norm.downcast_ref()
    }

    /// Runs the steps in order; `folded` replaces both the convolution and the norm that follows it.
    fn run(&self, input: &Tensor, activate: bool, norm: bool, folded: Option<&Folded>) -> Result<Tensor> {
        let mut output = input.shallow_clone();
        for step in self.order.steps() {
            match (step, &self.norm, &self.activate) {
                (ConvStep::Conv, ..) => output = self.convolve(&output, folded)?,
                (ConvStep::Norm, Some((name, layer)), _) if norm && folded.is_none() => {
                    output = run_child(name, &**layer, &output)?;
                }
                (ConvStep::Act, _, Some(layer)) if activate => output = self.run_child(layer, &output)?,
                (ConvStep::Norm | ConvStep::Act, ..) => {}
            }
        }
        Ok(output)
    }

    /// Runs the padding layer, if there is one, and the convolution, with the weight and bias of `folded` if present.
    fn convolve(&self, input: &Tensor, folded: Option<&Folded>) -> Result<Tensor> {
        let padded;
        let input = match &self.padding_layer {
            Some(layer) => {
                padded = self.run_child(layer, input)?;
                &padded
            }
            None => input,
        };
        match (folded, self.conv.as_convolution()) {
            (Some(Folded { weight, bias }), Some(conv)) => {
                run_child_with("conv", &*self.conv, &[input], || conv.forward_with(input, weight, Some(bias)))
            }
            _ => self.run_child(&self.conv, input),
        }
    }
}

impl Layer for ConvModule {
    const NAME: &'static str = "ConvModule";
    type Config = ConvModuleConfig;
    type Module = Self;

    fn build(config: &ConvModuleConfig, builder: &Builder<'_>) -> Result<Self> {
        let explicit_padding = !matches!(config.padding_mode.as_str(), "zeros" | "circular");
        let padding_layer = if explicit_padding { Some(build_padding(builder, config)?) } else { None };
        let mut conv = build_conv(&builder.part("conv_cfg"), config, explicit_padding)
            .map_err(|error| error.in_type("ConvModule"))?;
        if config.with_spectral_norm {
            conv.add_spectral_norm()?;
        }
        let mut norm = None;
        if let Some(cfg) = &config.norm_cfg {
            norm = Some(build_norm(&builder.key("norm_cfg"), cfg, config)?);
        }
        let mut activate = None;
        if let Some(cfg) = &config.act_cfg {
            activate = Some(build_activation(&builder.key("act_cfg"), cfg, config.inplace)?);
        }
        let efficient_conv_bn_eval = config.efficient_conv_bn_eval && tracks_running_stats(norm.as_ref());
        warn_of_faults(config, efficient_conv_bn_eval && wraps_a_convolution(&*conv));
        let nonlinearity = nonlinearity(config.act_cfg.as_ref(), &builder.path.key("act_cfg"))?;
        let module =
            Self { conv, norm, activate, padding_layer, order: config.order, nonlinearity, efficient_conv_bn_eval };
        module.init_weights()?;
        Ok(module)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Forward for ConvModule {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.forward_with(input, true, true)
    }

    /// Takes the options `activate` and `norm`: whether these steps run; both default to true.
    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        let options = ForwardOptions::decode(options, &KeyPath::root()).map_err(|error| error.in_type(self.name()))?;
        let [input] = inputs else { return Err(Error::input("one input", format!("{} inputs", inputs.len()))) };
        self.forward_with(input, options.activate, options.norm).map(Output::Tensor)
    }
}

impl Module for ConvModule {
    fn class(&self) -> &'static [&'static str] {
        &["ConvModule", "Module"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        if let Some((_, norm)) = &self.norm {
            parts.property("norm", &**norm);
        }
        if let Some(layer) = &self.padding_layer {
            parts.child("padding_layer", &**layer);
        }
        parts.child("conv", &*self.conv);
        if let Some((name, norm)) = &self.norm {
            parts.child(name.as_str(), &**norm);
        }
        if let Some(activate) = &self.activate {
            parts.child("activate", &**activate);
        }
    }

    fn init_weights(&self) -> Result<()> {
        // A convolution that initializes itself keeps its values.
        if !self.conv.has_init_weights() {
            init::kaiming_init(&*self.conv, FanMode::FanOut, self.nonlinearity, 0.0, Distribution::Normal)?;
        }
        match &self.norm {
            Some((_, norm)) => init::constant_init(&**norm, 1.0, 0.0),
            None => Ok(()),
        }
    }

    fn has_init_weights(&self) -> bool {
        true
    }
}

/// Options of the forward pass.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct ForwardOptions {
    /// Whether the activation runs.
    #[config(default = true)]
    pub activate: bool,
    /// Whether the norm runs.
    #[config(default = true)]
    pub norm: bool,
}

/// Builds a [`ConvModule`] with [`MODELS`](crate::MODELS); `options` are the other keys of [`ConvModuleConfig`].
///
/// ```no_run
/// use mmcv_bricks::conv_module;
/// use mmcv_registry::dict;
///
/// let conv = conv_module(3, 8, 2, dict! { norm_cfg: { type: "BN" } })?;
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
///
/// # Errors
/// Returns an error if an option is unknown, has a wrong type or repeats an argument, or a part cannot be built.
pub fn conv_module(
    in_channels: i64,
    out_channels: i64,
    kernel_size: impl Into<Size>,
    options: Dict,
) -> Result<ConvModule> {
    conv_module_by(&Builder::new(&crate::MODELS), in_channels, out_channels, kernel_size, options)
}

/// Builds a [`ConvModule`] as [`conv_module`] does, with the registry of `builder`.
///
/// # Errors
/// Returns an error if [`conv_module`] does.
pub fn conv_module_by(
    builder: &Builder<'_>,
    in_channels: i64,
    out_channels: i64,
    kernel_size: impl Into<Size>,
    mut options: Dict,
) -> Result<ConvModule> {
    let mut duplicates = Vec::new();
    for (key, value) in [
        ("in_channels", Config::Int(in_channels)),
        ("out_channels", Config::Int(out_channels)),
        ("kernel_size", kernel_size.into().to_config()),
    ] {
        if options.insert(key, value).is_some() {
            let error = ConfigError::new(&builder.path.key(key), ConfigErrorKind::Duplicate);
            duplicates.push(error.in_type("ConvModule"));
        }
    }
    if !duplicates.is_empty() {
        return Err(ConfigError::many(&builder.path, duplicates).into());
    }
    let config = ConvModuleConfig::decode(&options, &builder.path).map_err(|error| error.in_type("ConvModule"))?;
    config.build_with(builder)
}

/// Warns once about options with which the reference, whose numbers these are, behaves unexpectedly.
fn warn_of_faults(config: &ConvModuleConfig, skips_conv: bool) {
    static CIRCULAR: Once = Once::new();
    static SKIPPED: Once = Once::new();
    if config.padding_mode == "circular" {
        CIRCULAR.call_once(|| {
            log::warn!("padding_mode \"circular\" of ConvModule pads with zeros, as in MMCV; put it into conv_cfg");
        });
    }
    if skips_conv {
        SKIPPED.call_once(|| {
            log::warn!(
                "efficient_conv_bn_eval runs the plain convolution in evaluation, without weight standardization or adaptive \
                 padding, as in MMCV"
            );
        });
    }
}

fn build_padding(builder: &Builder<'_>, config: &ConvModuleConfig) -> Result<Box<dyn Module>> {
    let cfg = config! { type: config.padding_mode.as_str() };
    let key = builder.path.key("padding_mode");
    let layer = builder.part("padding_mode").padding(&cfg, &dict! { padding: config.padding.to_config() });
    layer.map_err(|error| {
        // The type of the padding layer is the value of `padding_mode` itself.
        let error = error.map_config(|error| {
            error.map_paths(&|path: KeyPath| if path == key.key("type") { key.clone() } else { path })
        });
        error.in_type("ConvModule")
    })
}

fn build_conv(builder: &Builder<'_>, config: &ConvModuleConfig, explicit_padding: bool) -> Result<Box<dyn Module>> {
    let bias = match config.bias {
        ConvBias::Auto => config.norm_cfg.is_none(),
        ConvBias::Fixed(has_bias) => has_bias,
    };
    let padding = if explicit_padding { Config::Int(0) } else { config.padding.to_config() };
    let arguments = dict! {
        in_channels: config.in_channels,
        out_channels: config.out_channels,
        kernel_size: config.kernel_size.to_config(),
        stride: config.stride.to_config(),
        padding: padding,
        dilation: config.dilation.to_config(),
        groups: config.groups,
        bias: bias,
    };
    builder.conv(&config.conv_cfg.clone().into(), &arguments)
}

fn build_norm(builder: &Builder<'_>, cfg: &Dict, config: &ConvModuleConfig) -> Result<(String, Box<dyn Module>)> {
    let channels = if config.order.norm_after_conv() { config.out_channels } else { config.in_channels };
    let (name, norm) = builder.norm(&cfg.clone().into(), channels, "")?;
    let is_batch_or_instance = norm.class().iter().any(|class| matches!(*class, "_BatchNorm" | "_InstanceNorm"));
    // Once, as in Python: every convolution of a VGG with batch norms has this combination.
    if config.bias == ConvBias::Fixed(true) && is_batch_or_instance {
        static WARNED: Once = Once::new();
        WARNED.call_once(|| log::warn!("{}: unnecessary conv bias before batch/instance norm", builder.path));
    }
    Ok((name, norm))
}

fn build_activation(builder: &Builder<'_>, cfg: &Dict, inplace: bool) -> Result<Box<dyn Module>> {
    let (spec, _) = builder.registry.resolve(&cfg.clone().into(), &builder.path)?;
    let mut cfg = cfg.clone();
    if spec.takes("inplace") {
        cfg.set_default("inplace", inplace);
    }
    builder.activation(&cfg.into())
}

/// The activation whose gain scales the initial weights: `LeakyReLU`, or `ReLU` for all others.
fn nonlinearity(act_cfg: Option<&Dict>, path: &KeyPath) -> Result<Nonlinearity> {
    let Some(cfg) = act_cfg else { return Ok(Nonlinearity::Relu) };
    if cfg.get("type") != Some(&"LeakyReLU".into()) {
        return Ok(Nonlinearity::Relu);
    }
    let slope = match cfg.get("negative_slope") {
        Some(slope) => f64::from_config(slope, &path.key("negative_slope"))?,
        None => 0.01,
    };
    Ok(Nonlinearity::LeakyRelu(slope))
}

fn tracks_running_stats(norm: Option<&(String, Box<dyn Module>)>) -> bool {
    let Some((_, norm)) = norm else { return false };
    match norm.downcast_ref::<BatchNorm>() {
        Some(norm) => norm.tracks_running_stats(),
        None => false,
    }
}

/// Whether the module does more than the convolution inside it.
fn wraps_a_convolution(module: &dyn Module) -> bool {
    match module.as_convolution() {
        Some(conv) => conv.name() != module.name(),
        None => true,
    }
}
