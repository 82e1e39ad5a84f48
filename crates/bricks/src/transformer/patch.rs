//! `PatchEmbed` and `PatchMerging`. Reference: mmcv/cnn/bricks/transformer.py.

use mmcv_layers::linear::{Linear, LinearConfig};
use mmcv_layers::observe::of_size;
use mmcv_layers::{
    Builder, Error, Forward, InitCfg, Layer, LayerConfig, Module, ModuleExt, Output, Registry, Result, Size,
};
use mmcv_registry::{Config, ConfigError, ConfigStruct, Dict, FromConfig, KeyPath, config, dict};
use tch::Tensor;

use super::adaptive_padding::{AdaptivePadding, AdaptivePaddingConfig, PadMode};
use super::unfold::Unfold;

/// Arguments of `PatchEmbed`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "PatchEmbed", layer = PatchEmbed)]
pub struct PatchEmbedConfig {
    /// Channels of the image.
    #[config(default = 3)]
    pub in_channels: i64,
    /// Length of a patch's vector.
    #[config(default = 768)]
    pub embed_dims: i64,
    /// The type of the convolution.
    #[config(default = "Conv2d".to_owned())]
    pub conv_type: String,
    /// Size of a patch in pixels.
    #[config(default = Size::All(16))]
    pub kernel_size: Size,
    /// Stride between patches in pixels; null for the size of a patch.
    #[config(default = Some(Size::All(16)))]
    pub stride: Option<Size>,
    /// `corner` or `same`, as in `AdaptivePadding`, or pixels on both ends of each dimension.
    #[config(default = PatchPadding::Adaptive(PadMode::Corner))]
    pub padding: PatchPadding,
    /// Spacing between the pixels of a patch.
    #[config(default = Size::All(1))]
    pub dilation: Size,
    /// Whether the convolution has a bias.
    #[config(default = true)]
    pub bias: bool,
    /// The normalization; null for none.
    #[config(default = None)]
    pub norm_cfg: Option<Dict>,
    /// Height and width of the images; accepted for the reference's configs.
    #[config(default = None)]
    pub input_size: Option<Size>,
    /// Initialization rules.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
}

/// Arguments of `PatchMerging`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "PatchMerging", layer = PatchMerging)]
pub struct PatchMergingConfig {
    /// Length of a patch's vector in the input.
    pub in_channels: i64,
    /// Length of a patch's vector in the output.
    pub out_channels: i64,
    /// Number of patches to merge in each dimension.
    #[config(default = Size::All(2))]
    pub kernel_size: Size,
    /// Stride in patches; null for the number of merged patches.
    #[config(default = None)]
    pub stride: Option<Size>,
    /// `corner` or `same`, as in `AdaptivePadding`, or patches on both ends of each dimension.
    #[config(default = PatchPadding::Adaptive(PadMode::Corner))]
    pub padding: PatchPadding,
    /// Spacing between merged patches.
    #[config(default = Size::All(1))]
    pub dilation: Size,
    /// Whether the linear layer has a bias.
    #[config(default = false)]
    pub bias: bool,
    /// The normalization; null for none.
    #[config(default = Some(dict! { type: "LN" }))]
    pub norm_cfg: Option<Dict>,
    /// Initialization rules.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
}

/// The padding before patches are embedded or merged.
#[derive(Debug, Clone, PartialEq)]
pub enum PatchPadding {
    /// As much as the input needs.
    Adaptive(PadMode),
    /// The same for every input.
    Fixed(Size),
}

impl FromConfig for PatchPadding {
    fn expected() -> String {
        "\"corner\", \"same\", an integer or a list of integers".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Str(_) => PadMode::from_config(value, path).map(Self::Adaptive),
            _ => Size::from_config(value, path).map(Self::Fixed),
        }
    }

    fn to_config(&self) -> Config {
        match self {
            Self::Adaptive(mode) => mode.to_config(),
            Self::Fixed(size) => size.to_config(),
        }
    }
}

/// Splits an image into patches and embeds each of them.
///
/// Shapes: input `[N, in_channels, H, W]`, output `[N, patches, embed_dims]`. State: `projection.*`, `norm.*`.
///
/// ```
/// use mmcv_bricks::transformer::PatchEmbedConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let embed = PatchEmbedConfig::new().with_embed_dims(32).build()?;
/// let patches = embed.forward(&Tensor::zeros([1, 3, 64, 48], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(patches.size(), [1, 4 * 3, 32]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Module)]
pub struct PatchEmbed {
    #[module(child)]
    adaptive_padding: Option<AdaptivePadding>,
    #[module(child)]
    projection: Box<dyn Module>,
    #[module(child)]
    norm: Option<Box<dyn Module>>,
    init_cfg: InitCfg,
}

impl Layer for PatchEmbed {
    const NAME: &'static str = "PatchEmbed";
    type Config = PatchEmbedConfig;
    type Module = Self;

    fn build(config: &PatchEmbedConfig, builder: &Builder<'_>) -> Result<Self> {
        let stride = config.stride.as_ref().unwrap_or(&config.kernel_size);
        let (adaptive_padding, padding) = padding(&config.padding, &config.kernel_size, stride, &config.dilation)?;
        let arguments = dict! {
            in_channels: config.in_channels,
            out_channels: config.embed_dims,
            kernel_size: config.kernel_size.expand(2, "kernel_size")?,
            stride: stride.expand(2, "stride")?,
            padding: padding.expand(2, "padding")?,
            dilation: config.dilation.expand(2, "dilation")?,
            bias: config.bias,
        };
        let projection = builder.part("conv_type").conv(&config! { type: config.conv_type.as_str() }, &arguments)?;
        let norm = norm(&builder.part("norm_cfg"), config.norm_cfg.as_ref(), config.embed_dims)?;
        let init_cfg = builder.init_cfg(&config.init_cfg)?;
        Ok(Self { adaptive_padding, projection, norm, init_cfg })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Forward for PatchEmbed {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let dims = of_size(input, |shape| shape.len())?;
        if dims != 4 {
            return Err(Error::input("4D input", format!("{dims}D input {:?}", input.size())));
        }
        let padded = match &self.adaptive_padding {
            Some(padding) => self.run_child(padding, input)?,
            None => input.shallow_clone(),
        };
        let patches = self.run_child(&self.projection, &padded)?;
        let patches = patches.f_flatten(2, -1)?.f_transpose(1, 2)?;
        match &self.norm {
            Some(norm) => self.run_child(norm, &patches),
            None => Ok(patches),
        }
    }
}

/// Merges neighboring patches.
///
/// The forward pass takes the height and width of the map in patches: use [`merge`](Self::merge), or
/// [`call`](Forward::call) with the option `input_size`.
///
/// Shapes: input `[N, H W, in_channels]`, output `[N, patches, out_channels]`. State: `norm.*`, `reduction.*`.
///
/// ```
/// use mmcv_bricks::transformer::PatchMergingConfig;
/// use mmcv_layers::LayerConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let merging = PatchMergingConfig::new(16, 32).build()?;
/// let merged = merging.merge(&Tensor::zeros([1, 8 * 6, 16], (Kind::Float, Device::Cpu)), 8, 6)?;
/// assert_eq!(merged.size(), [1, 4 * 3, 32]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Module)]
pub struct PatchMerging {
    in_channels: i64,
    #[module(child)]
    adaptive_padding: Option<AdaptivePadding>,
    #[module(child)]
    sampler: Unfold,
    #[module(child)]
    norm: Option<Box<dyn Module>>,
    #[module(child)]
    reduction: Linear,
    init_cfg: InitCfg,
}

impl PatchMerging {
    /// The forward pass for a map of `height` times `width` patches.
    ///
    /// # Errors
    /// Returns an error if the input does not have `height * width` patches of length `in_channels`.
    pub fn merge(&self, input: &Tensor, height: i64, width: i64) -> Result<Tensor> {
        let Ok((samples, patches, channels)) = input.size3() else {
            let expected = format!("[N, height * width, {}]", self.in_channels);
            return Err(Error::input(expected, format!("{:?}", input.size())));
        };
        if height.checked_mul(width) != Some(patches) {
            let channels = self.in_channels;
            let expected = format!("[N, {height} * {width}, {channels}] for the input_size {height} x {width}");
            return Err(Error::input(expected, format!("{:?}", input.size())));
        }
        if channels != self.in_channels {
            let expected = format!("[N, patches, {}], the in_channels", self.in_channels);
            return Err(Error::input(expected, format!("{:?}", input.size())));
        }
        let mut map = input.f_view([samples, height, width, channels])?.f_permute([0, 3, 1, 2])?;
        if let Some(padding) = &self.adaptive_padding {
            map = self.run_child(padding, &map)?;
        }
        let mut merged = self.run_child(&self.sampler, &map)?.f_transpose(1, 2)?;
        if let Some(norm) = &self.norm {
            merged = self.run_child(norm, &merged)?;
        }
        self.run_child(&self.reduction, &merged)
    }
}

/// Options of the forward pass of `PatchMerging`.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct PatchMergingOptions {
    /// Height and width of the map in patches.
    pub input_size: Size,
}

impl Layer for PatchMerging {
    const NAME: &'static str = "PatchMerging";
    type Config = PatchMergingConfig;
    type Module = Self;

    fn build(config: &PatchMergingConfig, builder: &Builder<'_>) -> Result<Self> {
        let stride = config.stride.as_ref().unwrap_or(&config.kernel_size);
        let (adaptive_padding, padding) = padding(&config.padding, &config.kernel_size, stride, &config.dilation)?;
        let kernel_size = config.kernel_size.broadcast_at_least(1, 2, "kernel_size")?;
        let mut merged = config.in_channels;
        for size in &kernel_size {
            merged = match merged.checked_mul(*size) {
                Some(product) => product,
                None => {
                    let reason = "expected a size that fits 64 bits when it is multiplied by in_channels";
                    return Err(Error::argument("kernel_size", config.kernel_size.to_config(), reason));
                }
            };
        }
        let sampler = Unfold {
            kernel_size,
            stride: stride.broadcast_at_least(1, 2, "stride")?,
            padding: padding.broadcast_at_least(0, 2, "padding")?,
            dilation: config.dilation.broadcast_at_least(1, 2, "dilation")?,
        };
        let reduction = LinearConfig { bias: config.bias, ..LinearConfig::new(merged, config.out_channels) };
        Ok(Self {
            adaptive_padding,
            sampler,
            norm: norm(&builder.part("norm_cfg"), config.norm_cfg.as_ref(), merged)?,
            in_channels: config.in_channels,
            reduction: Linear::new(&reduction)?,
            init_cfg: builder.init_cfg(&config.init_cfg)?,
        })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Forward for PatchMerging {
    fn forward(&self, _input: &Tensor) -> Result<Tensor> {
        Err(Error::unsupported(
            "PatchMerging needs the height and width of its input in patches: use `merge`, or `call` with the option \
             input_size: [height, width]",
        ))
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        let options =
            PatchMergingOptions::decode(options, &KeyPath::root()).map_err(|error| error.in_type(self.name()))?;
        let [input] = inputs else { return Err(Error::input("one input", format!("{} inputs", inputs.len()))) };
        match options.input_size.expand(2, "input_size")?.as_slice() {
            [height, width] => self.merge(input, *height, *width).map(Output::Tensor),
            _ => Err(Error::argument("input_size", options.input_size.to_config(), "expected height and width")),
        }
    }
}

/// The layer that adapts its padding to the input, or the padding that is the same for every input.
fn padding(
    padding: &PatchPadding,
    kernel_size: &Size,
    stride: &Size,
    dilation: &Size,
) -> Result<(Option<AdaptivePadding>, Size)> {
    match padding {
        PatchPadding::Fixed(size) => Ok((None, size.clone())),
        PatchPadding::Adaptive(mode) => {
            let config = AdaptivePaddingConfig {
                kernel_size: kernel_size.clone(),
                stride: stride.clone(),
                dilation: dilation.clone(),
                padding: *mode,
            };
            Ok((Some(config.build()?), Size::All(0)))
        }
    }
}

fn norm(builder: &Builder<'_>, cfg: Option<&Dict>, channels: i64) -> Result<Option<Box<dyn Module>>> {
    let Some(cfg) = cfg else { return Ok(None) };
    let (_, norm) = builder.norm(&Config::Dict(cfg.clone()), channels, "")?;
    Ok(Some(norm))
}
