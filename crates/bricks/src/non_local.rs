//! `NonLocal1d`, `NonLocal2d`, `NonLocal3d`. Reference: mmcv/cnn/bricks/non_local.py; Wang et al., Non-local Neural
//! Networks (2018).

use mmcv_layers::explain::product;
use mmcv_layers::init;
use mmcv_layers::pool::{MaxPool, MaxPoolConfig};
use mmcv_layers::{
    Builder, Error, Forward, Layer, LayerConfig, Module, ModuleExt, Parts, Registry, Result, Sequential, Size,
    scalar_like,
};
use mmcv_registry::{Config, Dict, FromConfig, dict};
use tch::{Kind, Tensor};

use crate::conv_module::{ConvBias, ConvModule, ConvModuleConfig};

/// Arguments of `NonLocal1d`, `NonLocal2d` and `NonLocal3d`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "NonLocal2d", layer = NonLocal2d)]
pub struct NonLocalConfig {
    /// Channels of the input.
    pub in_channels: i64,
    /// Whether keys and values are max-pooled in windows of 2 pixels.
    #[config(default = false)]
    pub sub_sample: bool,
    /// The type of the convolutions; `default` for the one with the dimensions of the block.
    #[config(default = "default".into())]
    pub conv_cfg: Config,
    /// Ratio of `in_channels` to the channels of the inner convolutions.
    #[config(default = 2)]
    pub reduction: i64,
    /// Whether `embedded_gaussian` divides by the square root of the inner channels.
    #[config(default = true)]
    pub use_scale: bool,
    /// The normalization of the last convolution; null for none.
    #[config(default = None)]
    pub norm_cfg: Option<Dict>,
    /// The measure of similarity between two pixels.
    #[config(default = NonLocalMode::EmbeddedGaussian)]
    pub mode: NonLocalMode,
    /// Standard deviation of the initial weights.
    #[config(default = 0.01)]
    pub std: f64,
    /// Whether the last layer is initialized to 0, so that the block changes nothing at first.
    #[config(default = true)]
    pub zeros_init: bool,
}

/// The measure of similarity between two pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum NonLocalMode {
    /// Softmax of the product of the pixels.
    Gaussian,
    /// Softmax of the product of two embeddings.
    EmbeddedGaussian,
    /// The product of two embeddings.
    DotProduct,
    /// A learned function of both embeddings.
    Concatenation,
}

/// Adds to each pixel a mean over all pixels, weighted by their similarity.
///
/// Shapes: input `[N, in_channels, *]`, output the same. State: `g.*`, `conv_out.*`, `theta.*`, `phi.*`,
/// `concat_project.*`; with `sub_sample` `g.0.*` and `phi.0.*`.
///
/// ```
/// use mmcv_bricks::NonLocalConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let block = NonLocalConfig::new(16).with_sub_sample(true).build()?;
/// let output = block.forward(&Tensor::zeros([2, 16, 8, 8], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(output.size(), [2, 16, 8, 8]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct NonLocal {
    dims: usize,
    in_channels: i64,
    inter_channels: i64,
    use_scale: bool,
    mode: NonLocalMode,
    g: Sampled,
    conv_out: ConvModule,
    theta: Option<ConvModule>,
    phi: Option<Sampled>,
    concat_project: Option<ConvModule>,
}

/// A convolution, followed by a pooling if the block sub-samples; the names in the state differ then.
#[derive(Debug)]
enum Sampled {
    All(ConvModule),
    Pooled(Sequential),
    /// Only a pooling; for `gaussian`.
    Pool(MaxPool),
}

impl NonLocal {
    /// Builds a block for `dims` dimensions: 1, 2 or 3.
    ///
    /// # Errors
    /// Returns an error if a convolution cannot be built, or `reduction` is not positive.
    pub fn new(dims: usize, builder: &Builder<'_>, config: &NonLocalConfig) -> Result<Self> {
        let NonLocalConfig { in_channels, reduction, mode, use_scale, .. } = *config;
        if reduction < 1 {
            return Err(Error::argument("reduction", reduction, "expected a positive integer"));
        }
        let inter_channels = (in_channels / reduction).max(1);
        let conv_cfg = match &config.conv_cfg {
            Config::Str(word) if word == "default" => Some(dict! { type: format!("Conv{dims}d") }),
            other => Option::<Dict>::from_config(other, &builder.path.key("conv_cfg"))?,
        };
        let inner = ConvModuleConfig {
            conv_cfg: conv_cfg.clone(),
            act_cfg: None,
            ..ConvModuleConfig::new(in_channels, inter_channels, Size::All(1))
        };
        let last = ConvModuleConfig {
            conv_cfg,
            norm_cfg: config.norm_cfg.clone(),
            act_cfg: None,
            ..ConvModuleConfig::new(inter_channels, in_channels, Size::All(1))
        };
        let g = inner.build_with(builder)?;
        let conv_out = last.build_with(builder)?;
        let (mut theta, mut phi) = (None, None);
        if mode != NonLocalMode::Gaussian {
            theta = Some(inner.build_with(builder)?);
            phi = Some(inner.build_with(builder)?);
        }
        let mut concat_project = None;
        if mode == NonLocalMode::Concatenation {
            let bias = ConvBias::Fixed(false);
            let project = ConvModuleConfig { bias, ..ConvModuleConfig::new(2 * inter_channels, 1, Size::All(1)) };
            concat_project = Some(project.build_with(builder)?);
        }
        let embeddings = [Some(&g), theta.as_ref(), phi.as_ref()];
        init_weights(&embeddings, &conv_out, config.std, config.zeros_init)?;
        let phi = match (phi, config.sub_sample) {
            (Some(phi), sub_sample) => Some(Sampled::new(phi, sub_sample, dims)?),
            (None, true) => Some(Sampled::Pool(pool(dims)?)),
            (None, false) => None,
        };
        let g = Sampled::new(g, config.sub_sample, dims)?;
        Ok(Self { dims, in_channels, inter_channels, use_scale, mode, g, conv_out, theta, phi, concat_project })
    }

    /// The similarity of each pixel to each key: `[N, pixels, keys]`.
    fn compare(&self, input: &Tensor, samples: i64) -> Result<Tensor> {
        let phi = match &self.phi {
            Some(phi) => self.run_child(phi.module(), input)?,
            None => input.shallow_clone(),
        };
        let theta = match &self.theta {
            Some(theta) => self.run_child(theta, input)?,
            None => input.shallow_clone(),
        };
        let channels = if self.theta.is_some() { self.inter_channels } else { self.in_channels };
        if let Some(project) = &self.concat_project {
            let theta = theta.f_reshape([samples, channels, -1, 1])?;
            let phi = phi.f_reshape([samples, channels, 1, -1])?;
            let (pixels, attended) = (theta.size4()?.2, phi.size4()?.3);
            let both = Tensor::f_cat(&[theta.f_repeat([1, 1, 1, attended])?, phi.f_repeat([1, 1, pixels, 1])?], 1)?;
            let weights = self.run_child(project, &both)?;
            return Ok(weights.f_view([samples, pixels, attended])?.f_div(&scalar_like(attended as f64, &weights)?)?);
        }
        let theta = theta.f_reshape([samples, channels, -1])?.f_permute([0, 2, 1])?;
        let phi = phi.f_reshape([samples, channels, -1])?;
        let weights = theta.f_matmul(&phi)?;
        Ok(match self.mode {
            NonLocalMode::DotProduct => {
                let attended = phi.size3()?.2;
                weights.f_div(&scalar_like(attended as f64, &weights)?)?
            }
            NonLocalMode::EmbeddedGaussian if self.use_scale => {
                weights.f_div(&scalar_like((channels as f64).sqrt(), &weights)?)?.f_softmax(-1, None::<Kind>)?
            }
            _ => weights.f_softmax(-1, None::<Kind>)?,
        })
    }
}

/// The type `NonLocal1d`: a [`NonLocal`] over 1 dimension.
#[derive(Debug)]
pub enum NonLocal1d {}

impl Layer for NonLocal1d {
    const NAME: &'static str = "NonLocal1d";
    type Config = NonLocalConfig;
    type Module = NonLocal;

    fn build(config: &NonLocalConfig, builder: &Builder<'_>) -> Result<NonLocal> {
        NonLocal::new(1, builder, config)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

/// The type `NonLocal2d`: a [`NonLocal`] over 2 dimensions.
#[derive(Debug)]
pub enum NonLocal2d {}

impl Layer for NonLocal2d {
    const NAME: &'static str = "NonLocal2d";
    type Config = NonLocalConfig;
    type Module = NonLocal;

    fn build(config: &NonLocalConfig, builder: &Builder<'_>) -> Result<NonLocal> {
        NonLocal::new(2, builder, config)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

/// The type `NonLocal3d`: a [`NonLocal`] over 3 dimensions.
#[derive(Debug)]
pub enum NonLocal3d {}

impl Layer for NonLocal3d {
    const NAME: &'static str = "NonLocal3d";
    type Config = NonLocalConfig;
    type Module = NonLocal;

    fn build(config: &NonLocalConfig, builder: &Builder<'_>) -> Result<NonLocal> {
        NonLocal::new(3, builder, config)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Forward for NonLocal {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let shape = input.size();
        let [samples, _, spatial @ ..] = shape.as_slice() else {
            return Err(Error::input(format!("{}D input", self.dims + 2), format!("{}D input {shape:?}", shape.len())));
        };
        let g = self.run_child(self.g.module(), input)?;
        let g = g.f_reshape([*samples, self.inter_channels, -1])?.f_permute([0, 2, 1])?;
        let mean = self.compare(input, *samples)?.f_matmul(&g)?.f_permute([0, 2, 1])?.f_contiguous()?;
        let mean = mean.f_reshape([&[*samples, self.inter_channels], spatial].concat())?;
        Ok(input.f_add(&self.run_child(&self.conv_out, &mean)?)?)
    }
}

impl Module for NonLocal {
    fn class(&self) -> &'static [&'static str] {
        match self.dims {
            1 => &["NonLocal1d", "_NonLocalNd"],
            2 => &["NonLocal2d", "_NonLocalNd"],
            _ => &["NonLocal3d", "_NonLocalNd"],
        }
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.child("g", self.g.module());
        parts.child("conv_out", &self.conv_out);
        if let Some(theta) = &self.theta {
            parts.child("theta", theta);
        }
        if let Some(phi) = &self.phi {
            parts.child("phi", phi.module());
        }
        if let Some(project) = &self.concat_project {
            parts.child("concat_project", project);
        }
    }

    /// The comparison, if it is a product, and the weighted mean.
    fn multiply_adds(&self, inputs: &[Vec<i64>], _outputs: &[Vec<i64>]) -> u64 {
        let Some([samples, _, spatial @ ..]) = inputs.first().map(Vec::as_slice) else { return 0 };
        let pixels = product(spatial);
        let mut attended = pixels;
        if let Sampled::Pooled(_) = self.g {
            let pooled: Vec<i64> = spatial.iter().zip(window(self.dims)).map(|(size, step)| size / step).collect();
            attended = product(&pooled);
        }
        let compared = match self.mode {
            NonLocalMode::Concatenation => 0,
            NonLocalMode::Gaussian => self.in_channels,
            NonLocalMode::EmbeddedGaussian | NonLocalMode::DotProduct => self.inter_channels,
        };
        let per_pair = product(&[compared]).saturating_add(product(&[self.inter_channels]));
        per_pair.saturating_mul(product(&[*samples])).saturating_mul(pixels).saturating_mul(attended)
    }

    fn init_weights(&self) -> Result<()> {
        let Some(g) = self.g.conv() else { return Ok(()) };
        let phi = match &self.phi {
            Some(phi) => phi.conv(),
            None => None,
        };
        init_weights(&[Some(g), self.theta.as_ref(), phi], &self.conv_out, 0.01, true)
    }
    fn has_init_weights(&self) -> bool {
        true
    }
}

impl Sampled {
    fn new(conv: ConvModule, sub_sample: bool, dims: usize) -> Result<Self> {
        if !sub_sample {
            return Ok(Self::All(conv));
        }
        Ok(Self::Pooled(Sequential::new(vec![Box::new(conv), Box::new(pool(dims)?)])))
    }

    fn module(&self) -> &dyn Module {
        match self {
            Self::All(conv) => conv,
            Self::Pooled(both) => both,
            Self::Pool(pool) => pool,
        }
    }

    fn conv(&self) -> Option<&ConvModule> {
        match self {
            Self::All(conv) => Some(conv),
            Self::Pooled(both) => {
                let first: &dyn std::any::Any = both.iter().next()?;
                first.downcast_ref()
            }
            Self::Pool(_) => None,
        }
    }
}

/// A max pooling in windows of 2 pixels in height and width.
fn pool(dims: usize) -> Result<MaxPool> {
    let size = if dims == 1 { Size::All(2) } else { Size::Each(window(dims).to_vec()) };
    MaxPool::new(dims, &MaxPoolConfig::new(size))
}

/// The window in pixels.
fn window(dims: usize) -> &'static [i64] {
    match dims {
        1 => &[2],
        2 => &[2, 2],
        _ => &[1, 2, 2],
    }
}

/// Draws the weights of the embeddings, and sets the last layer to 0 or draws it too.
fn init_weights(embeddings: &[Option<&ConvModule>], conv_out: &ConvModule, std: f64, zeros_init: bool) -> Result<()> {
    for embedding in embeddings.iter().flatten() {
        init::normal_init(embedding.conv(), 0.0, std, 0.0)?;
    }
    let last = match conv_out.norm() {
        Some((_, norm)) => norm,
        None => conv_out.conv(),
    };
    if zeros_init { init::constant_init(last, 0.0, 0.0) } else { init::normal_init(last, 0.0, std, 0.0) }
}
