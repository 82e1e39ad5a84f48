//! `ConvModule`. Reference: mmcv/cnn/bricks/conv_module.py.

mod config;

use std::any::Any;
use std::sync::Once;

use mmcv_layers::conv::{Conv, add_spectral_norm, plain};
use mmcv_layers::init::{self, Distribution, FanMode, Nonlinearity};
use mmcv_layers::norm::BatchNorm;
use mmcv_layers::{Arguments, Builder, Error, Module, Output, Parts, Result, Size, run_child, run_child_with};
use mmcv_registry::{Config, Dict, FromConfig, KeyPath, config, config_struct, dict};
use tch::Tensor;

pub use config::{Bias, ConvModuleConfig, Order, Step};

/// A convolution's weight and bias with its batch norm multiplied in.
#[derive(Debug)]
struct Folded {
    /// `[out_channels, in_channels / groups, *kernel_size]`
    weight: Tensor,
    /// `[out_channels]`
    bias: Tensor,
}

/// A convolution, a normalisation and an activation.
///
/// Shapes: input `[N, in_channels, *]`, output `[N, out_channels, *]` as of the convolution.
/// State: `conv.*`, then the norm under its name (`bn.*`, `gn.*`, ...), then `activate.*`.
#[derive(Debug)]
pub struct ConvModule {
    conv: Box<dyn Module>,
    norm: Option<(String, Box<dyn Module>)>,
    activate: Option<Box<dyn Module>>,
    padding_layer: Option<Box<dyn Module>>,
    order: Order,
    nonlinearity: Nonlinearity,
    efficient_conv_bn_eval: bool,
}

impl ConvModule {
    /// Builds the parts with `builder`, whose path is where the config stands, and initialises them: Kaiming for the
    /// convolution, 1 and 0 for the norm.
    ///
    /// # Errors
    /// Where one of the parts cannot be built; the error has the key path.
    pub fn new(builder: &Builder<'_>, config: &ConvModuleConfig) -> Result<Self> {
        let at = |key: &str| Builder { path: builder.path.key(key), ..builder.clone() };
        let explicit_padding = !matches!(config.padding_mode.as_str(), "zeros" | "circular");
        let padding_layer = if explicit_padding {
            let cfg = config! { type: config.padding_mode.as_str() };
            let layer = at("padding_mode").padding(&cfg, &dict! { padding: &config.padding });
            Some(layer.map_err(|error| own_paths(error, builder, "padding_mode", &dict! {}).in_type("ConvModule"))?)
        } else {
            None
        };
        let conv_cfg = config.conv_cfg.clone().unwrap_or_default();
        let mut conv = build_conv(&at("conv_cfg"), config, explicit_padding)
            .map_err(|error| own_paths(error, builder, "conv_cfg", &conv_cfg).in_type("ConvModule"))?;
        if config.with_spectral_norm {
            add_spectral_norm(&mut *conv)?;
        }
        let norm = match &config.norm_cfg {
            Some(cfg) => Some(build_norm(&at("norm_cfg"), cfg, config)?),
            None => None,
        };
        let activate = match &config.act_cfg {
            Some(cfg) => Some(build_activation(&at("act_cfg"), cfg, config.inplace)?),
            None => None,
        };
        let efficient_conv_bn_eval = config.efficient_conv_bn_eval
            && norm
                .as_ref()
                .and_then(|(_, norm)| downcast::<BatchNorm>(&**norm))
                .is_some_and(BatchNorm::tracks_running_stats);
        warn_of_faults(config, efficient_conv_bn_eval && downcast::<Conv>(&*conv).is_none());
        let nonlinearity = nonlinearity(config.act_cfg.as_ref(), &builder.path.key("act_cfg"))?;
        let module =
            Self { conv, norm, activate, padding_layer, order: config.order, nonlinearity, efficient_conv_bn_eval };
        module.init_weights()?;
        Ok(module)
    }

    /// The convolution.
    #[must_use]
    pub fn conv(&self) -> &dyn Module {
        &*self.conv
    }

    /// The normalisation with its name.
    #[must_use]
    pub fn norm(&self) -> Option<(&str, &dyn Module)> {
        self.norm.as_ref().map(|(name, norm)| (name.as_str(), &**norm))
    }

    /// The forward pass, with or without the activation and the norm.
    ///
    /// # Errors
    /// Where the input does not fit.
    pub fn forward_with(&self, input: &Tensor, activate: bool, norm: bool) -> Result<Tensor> {
        let fuses = norm && self.efficient_conv_bn_eval && self.batch_norm().is_some_and(|norm| !norm.is_training());
        let conv = if fuses { plain(&*self.conv) } else { None };
        let folded = conv.map_or(Ok(None), |conv| self.fold(conv))?;
        self.run(input, activate, norm, folded.as_ref())
    }

    /// The weight and bias with which the convolution does what it and its batch norm do in evaluation; `None` where no
    /// batch norm with running statistics directly follows it.
    ///
    /// You et al., Tune-Mode ConvBN Blocks for Efficient Transfer Learning (2023).
    fn fold(&self, conv: &Conv) -> Result<Option<Folded>> {
        let Some(norm) = self.batch_norm().filter(|_| self.order.norm_directly_after_conv()) else { return Ok(None) };
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
        self.norm.as_ref().and_then(|(_, norm)| downcast(&**norm))
    }

    /// The steps in order; with `folded` the convolution stands for the norm that follows it too.
    fn run(&self, input: &Tensor, activate: bool, norm: bool, folded: Option<&Folded>) -> Result<Tensor> {
        let mut output = None;
        for step in self.order.steps() {
            let input = output.as_ref().unwrap_or(input);
            let next = match step {
                Step::Conv => Some(self.convolve(input, folded)?),
                Step::Norm if norm && folded.is_none() => {
                    self.norm.as_ref().map(|(name, layer)| run_child(name, &**layer, input)).transpose()?
                }
                Step::Act if activate => {
                    self.activate.as_ref().map(|layer| run_child("activate", &**layer, input)).transpose()?
                }
                Step::Norm | Step::Act => None,
            };
            output = next.or(output);
        }
        Ok(output.unwrap_or_else(|| input.shallow_clone()))
    }

    /// The padding of its own kind and the convolution, with the weight and bias of `folded` where they are given.
    fn convolve(&self, input: &Tensor, folded: Option<&Folded>) -> Result<Tensor> {
        let padding = self.padding_layer.as_ref();
        let padded = padding.map(|layer| run_child("padding_layer", &**layer, input)).transpose()?;
        let input = padded.as_ref().unwrap_or(input);
        let folded = folded.and_then(|folded| Some((folded, plain(&*self.conv)?)));
        run_child_with("conv", &*self.conv, &[input], || match folded {
            Some((Folded { weight, bias }, conv)) => conv.forward_with(input, weight, Some(bias)),
            None => self.conv.forward(input),
        })
    }
}

impl Module for ConvModule {
    fn class(&self) -> &'static [&'static str] {
        &["ConvModule", "Module"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.forward_with(input, true, true)
    }

    /// Takes the options `activate` and `norm`: whether these steps are done, both true by default.
    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        let options = ForwardOptions::decode(options, &KeyPath::root()).map_err(|error| error.in_type(self.name()))?;
        let [input] = inputs else { return Err(Error::input("one input", format!("{} inputs", inputs.len()))) };
        self.forward_with(input, options.activate, options.norm).map(Output::Tensor)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
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
        // A convolution with an initialisation of its own keeps it.
        if !self.conv.has_init_weights() {
            init::kaiming_init(&*self.conv, FanMode::FanOut, self.nonlinearity, 0.0, Distribution::Normal)?;
        }
        self.norm.as_ref().map_or(Ok(()), |(_, norm)| init::constant_init(&**norm, 1.0, 0.0))
    }

    fn has_init_weights(&self) -> bool {
        true
    }

    /// The children, and the norm as `norm` too, whatever its name.
    fn attribute(&self, name: &str) -> Option<&dyn Module> {
        match name {
            "norm" => self.norm.as_ref().map(|(_, norm)| &**norm),
            _ => Parts::of(self).children.into_iter().find(|(child, _)| child == name).map(|(_, module)| module),
        }
    }
}

config_struct! {
    /// Options of the forward pass.
    pub struct ForwardOptions {
        optional {
            /// Whether the activation is done.
            activate: bool = true,
            /// Whether the norm is done.
            norm: bool = true,
        }
    }
}

/// A [`ConvModule`] with [`MODELS`](crate::MODELS); the options are the other keys of [`ConvModuleConfig`].
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
/// Where an option is unknown or of a wrong type, or a part cannot be built.
pub fn conv_module(
    in_channels: i64,
    out_channels: i64,
    kernel_size: impl Into<Size>,
    options: Dict,
) -> Result<ConvModule> {
    conv_module_by(&Builder::new(&crate::MODELS), in_channels, out_channels, kernel_size, options)
}

/// As [`conv_module`], with the registry of a builder.
///
/// # Errors
/// As [`conv_module`].
pub fn conv_module_by(
    builder: &Builder<'_>,
    in_channels: i64,
    out_channels: i64,
    kernel_size: impl Into<Size>,
    mut options: Dict,
) -> Result<ConvModule> {
    options.set_default("in_channels", in_channels);
    options.set_default("out_channels", out_channels);
    options.set_default("kernel_size", kernel_size.into().to_config());
    let config = ConvModuleConfig::decode(&options, &builder.path).map_err(|error| error.in_type("ConvModule"))?;
    ConvModule::new(builder, &config)
}

/// Builds `ConvModule` from a dict.
pub(crate) fn build(arguments: &Arguments<'_>) -> Result<Box<dyn Module>> {
    let config = arguments.decode::<ConvModuleConfig>()?;
    Ok(Box::new(ConvModule::new(&arguments.here(), &config)?))
}

/// The error of a part that is built from `cfg`, the dict under `key`, and from arguments of the ConvModule itself: where
/// it is about one of these, the path is the one under which the user wrote it.
fn own_paths(error: Error, builder: &Builder<'_>, key: &str, cfg: &Dict) -> Error {
    let inner = builder.path.key(key);
    let own = |path: KeyPath| {
        let of_part = |field: &&str| path == inner.key(*field) && !cfg.contains_key(field);
        match ConvModuleConfig::FIELDS.iter().map(|field| field.name).find(of_part) {
            Some(field) => builder.path.key(field),
            None if key == "padding_mode" && path == inner.key("type") => inner.clone(),
            None => path,
        }
    };
    error.map_config(|error| error.map_paths(&own))
}

/// Says once where the reference, whose numbers these are, does not do what one would expect.
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
                "efficient_conv_bn_eval runs the plain convolution in evaluation, without weight standardisation or adaptive \
                 padding, as in MMCV"
            );
        });
    }
}

fn build_conv(builder: &Builder<'_>, config: &ConvModuleConfig, explicit_padding: bool) -> Result<Box<dyn Module>> {
    let bias = match config.bias {
        Bias::Auto => config.norm_cfg.is_none(),
        Bias::Given(bias) => bias,
    };
    let padding = if explicit_padding { Config::Int(0) } else { config.padding.clone() };
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
    // Said once, as in Python: VGG with batch norms has one such convolution after the other.
    if config.bias == Bias::Given(true) && is_batch_or_instance {
        static SAID: Once = Once::new();
        SAID.call_once(|| log::warn!("{}: unnecessary conv bias before batch/instance norm", builder.path));
    }
    Ok((name, norm))
}

fn build_activation(builder: &Builder<'_>, cfg: &Dict, inplace: bool) -> Result<Box<dyn Module>> {
    let mut cfg = Config::Dict(cfg.clone());
    let (spec, _) = builder.registry.resolve(&cfg, &builder.path)?;
    if let (true, Config::Dict(dict)) = (spec.takes("inplace"), &mut cfg) {
        dict.set_default("inplace", inplace);
    }
    builder.activation(&cfg)
}

/// What follows the convolution, for its gain: only `LeakyReLU` changes it.
fn nonlinearity(act_cfg: Option<&Dict>, path: &KeyPath) -> Result<Nonlinearity> {
    let Some(cfg) = act_cfg.filter(|cfg| cfg.get("type").and_then(Config::as_str) == Some("LeakyReLU")) else {
        return Ok(Nonlinearity::Relu);
    };
    let slope =
        cfg.get("negative_slope").map(|slope| f64::from_config(slope, &path.key("negative_slope"))).transpose()?;
    Ok(Nonlinearity::LeakyRelu(slope.unwrap_or(0.01)))
}

fn downcast<M: Module>(module: &dyn Module) -> Option<&M> {
    (module as &dyn Any).downcast_ref()
}
