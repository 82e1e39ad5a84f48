//! `NonLocal1d`, `NonLocal2d`, `NonLocal3d`. Reference: mmcv/cnn/bricks/non_local.py; Wang et al., Non-local Neural
//! Networks (2018).

use mmcv_layers::explain::product;
use mmcv_layers::init;
use mmcv_layers::pool::{MaxPool, MaxPoolConfig};
use mmcv_layers::{Builder, Error, Layer, Module, Parts, Registry, Result, Sequential, Size, run_child, scalar_like};
use mmcv_registry::{Config, Dict, FromConfig, dict};
use tch::{Kind, Tensor};

use crate::conv_module::{Bias, ConvModule, ConvModuleConfig};

/// Arguments of `NonLocal1d`, `NonLocal2d` and `NonLocal3d`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "NonLocal2d", layer = NonLocal2d)]
pub struct NonLocalConfig {
    /// Channels of the input.
    pub in_channels: i64,
    /// Whether the pixels that are attended to are the largest of each window of 2.
    #[config(default = false)]
    pub sub_sample: bool,
    /// The convolutions; `default` for those of the block's dimensions.
    #[config(default = "default".into())]
    pub conv_cfg: Config,
    /// The inner convolutions have this fraction of the channels.
    #[config(default = 2)]
    pub reduction: i64,
    /// Whether `embedded_gaussian` divides by the root of the inner channels.
    #[config(default = true)]
    pub use_scale: bool,
    /// The normalisation of the last convolution; null for none.
    #[config(default = None)]
    pub norm_cfg: Option<Dict>,
    /// How two pixels are compared.
    #[config(default = Mode::EmbeddedGaussian)]
    pub mode: Mode,
    /// Standard deviation of the initial weights.
    #[config(default = 0.01)]
    pub std: f64,
    /// Whether the last layer is 0 at first, so that the block changes nothing.
    #[config(default = true)]
    pub zeros_init: bool,
}

/// How two pixels are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum Mode {
    /// Softmax of the product of the pixels.
    Gaussian,
    /// Softmax of the product of two embeddings.
    EmbeddedGaussian,
    /// The product of two embeddings.
    DotProduct,
    /// A learned function of both embeddings.
    Concatenation,
}

/// Adds to each pixel a mean over all pixels, weighted by how they compare.
///
/// Shapes: input `[N, in_channels, *]`, output the same. State: `g.*`, `conv_out.*`, `theta.*`, `phi.*`,
/// `concat_project.*`; with `sub_sample` `g.0.*` and `phi.0.*`.
#[derive(Debug)]
pub struct NonLocal {
    dims: usize,
    in_channels: i64,
    inter_channels: i64,
    use_scale: bool,
    mode: Mode,
    g: Sampled,
    conv_out: ConvModule,
    theta: Option<ConvModule>,
    phi: Option<Sampled>,
    concat_project: Option<ConvModule>,
}

/// A convolution, and the pooling after it where the block sub-samples; the names differ then.
#[derive(Debug)]
enum Sampled {
    All(ConvModule),
    Pooled(Sequential),
    /// Only a pooling, for `gaussian`.
    Pool(MaxPool),
}

impl NonLocal {
    /// A block over `dims` dimensions (1, 2 or 3); `builder`'s path is where the config stands.
    ///
    /// # Errors
    /// Where a convolution cannot be built, or `reduction` is not positive.
    pub fn new(dims: usize, builder: &Builder<'_>, config: &NonLocalConfig) -> Result<Self> {
        let NonLocalConfig { in_channels, reduction, mode, use_scale, .. } = *config;
        if reduction < 1 {
            return Err(Error::argument("reduction", reduction, "expected a positive integer").below(&builder.path));
        }
        let inter_channels = (in_channels / reduction).max(1);
        let conv_cfg = match &config.conv_cfg {
            Config::Str(word) if word == "default" => Some(dict! { type: format!("Conv{dims}d") }),
            other => Option::<Dict>::from_config(other, &builder.path.key("conv_cfg"))?,
        };
        let pointwise = |inputs: i64, outputs: i64, norm_cfg: Option<Dict>| {
            let config = ConvModuleConfig {
                conv_cfg: conv_cfg.clone(),
                norm_cfg,
                act_cfg: None,
                ..ConvModuleConfig::new(inputs, outputs, Size::All(1))
            };
            ConvModule::new(builder, &config)
        };
        let g = pointwise(in_channels, inter_channels, None)?;
        let conv_out = pointwise(inter_channels, in_channels, config.norm_cfg.clone())?;
        let embeds = mode != Mode::Gaussian;
        let theta = embeds.then(|| pointwise(in_channels, inter_channels, None)).transpose()?;
        let phi = embeds.then(|| pointwise(in_channels, inter_channels, None)).transpose()?;
        let concat_project = if mode == Mode::Concatenation {
            let bias = Bias::Given(false);
            let project = ConvModuleConfig { bias, ..ConvModuleConfig::new(2 * inter_channels, 1, Size::All(1)) };
            Some(ConvModule::new(builder, &project)?)
        } else {
            None
        };
        init_weights(&g, &conv_out, theta.as_ref(), phi.as_ref(), config.std, config.zeros_init)?;
        let phi = match (phi, config.sub_sample) {
            (Some(phi), sub_sample) => Some(Sampled::new(phi, sub_sample, dims)?),
            (None, true) => Some(Sampled::Pool(pool(dims)?)),
            (None, false) => None,
        };
        let g = Sampled::new(g, config.sub_sample, dims)?;
        Ok(Self { dims, in_channels, inter_channels, use_scale, mode, g, conv_out, theta, phi, concat_project })
    }

    /// How each pixel compares with those that are attended to: `[N, pixels, attended]`.
    fn compare(&self, input: &Tensor, samples: i64) -> Result<Tensor> {
        let phi = match &self.phi {
            Some(phi) => run_child("phi", phi.module(), input)?,
            None => input.shallow_clone(),
        };
        let theta = match &self.theta {
            Some(theta) => run_child("theta", theta, input)?,
            None => input.shallow_clone(),
        };
        let channels = if self.theta.is_some() { self.inter_channels } else { self.in_channels };
        if let Some(project) = &self.concat_project {
            let theta = theta.f_reshape([samples, channels, -1, 1])?;
            let phi = phi.f_reshape([samples, channels, 1, -1])?;
            let (pixels, attended) = (theta.size4()?.2, phi.size4()?.3);
            let both = Tensor::f_cat(&[theta.f_repeat([1, 1, 1, attended])?, phi.f_repeat([1, 1, pixels, 1])?], 1)?;
            let weights = run_child("concat_project", project, &both)?;
            return Ok(weights.f_view([samples, pixels, attended])?.f_div(&scalar_like(attended as f64, &weights)?)?);
        }
        let theta = theta.f_reshape([samples, channels, -1])?.f_permute([0, 2, 1])?;
        let phi = phi.f_reshape([samples, channels, -1])?;
        let weights = theta.f_matmul(&phi)?;
        Ok(match self.mode {
            Mode::DotProduct => {
                let attended = phi.size3()?.2;
                weights.f_div(&scalar_like(attended as f64, &weights)?)?
            }
            Mode::EmbeddedGaussian if self.use_scale => {
                weights.f_div(&scalar_like((channels as f64).sqrt(), &weights)?)?.f_softmax(-1, None::<Kind>)?
            }
            _ => weights.f_softmax(-1, None::<Kind>)?,
        })
    }
}

/// The type `NonLocal1d`.
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

/// The type `NonLocal2d`.
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

/// The type `NonLocal3d`.
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

impl Module for NonLocal {
    fn class(&self) -> &'static [&'static str] {
        match self.dims {
            1 => &["NonLocal1d", "_NonLocalNd"],
            2 => &["NonLocal2d", "_NonLocalNd"],
            _ => &["NonLocal3d", "_NonLocalNd"],
        }
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let shape = input.size();
        let [samples, _, spatial @ ..] = shape.as_slice() else {
            return Err(Error::input(format!("{}D input", self.dims + 2), format!("{}D input {shape:?}", shape.len())));
        };
        let g = run_child("g", self.g.module(), input)?;
        let g = g.f_reshape([*samples, self.inter_channels, -1])?.f_permute([0, 2, 1])?;
        let mean = self.compare(input, *samples)?.f_matmul(&g)?.f_permute([0, 2, 1])?.f_contiguous()?;
        let mean = mean.f_reshape([&[*samples, self.inter_channels], spatial].concat())?;
        Ok(input.f_add(&run_child("conv_out", &self.conv_out, &mean)?)?)
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

    /// The comparison, where it is a product, and the weighted mean.
    fn multiply_adds(&self, inputs: &[Vec<i64>], _outputs: &[Vec<i64>]) -> u64 {
        let Some([samples, _, spatial @ ..]) = inputs.first().map(Vec::as_slice) else { return 0 };
        let pixels = product(spatial);
        let attended = match self.g {
            Sampled::Pooled(_) => {
                product(&spatial.iter().zip(window(self.dims)).map(|(size, step)| size / step).collect::<Vec<_>>())
            }
            _ => pixels,
        };
        let compared = match self.mode {
            Mode::Concatenation => 0,
            Mode::Gaussian => self.in_channels,
            Mode::EmbeddedGaussian | Mode::DotProduct => self.inter_channels,
        };
        let of_one_pair = product(&[compared]).saturating_add(product(&[self.inter_channels]));
        [product(&[*samples]), pixels, attended].into_iter().fold(of_one_pair, u64::saturating_mul)
    }

    fn init_weights(&self) -> Result<()> {
        let (Some(g), phi) = (self.g.conv(), self.phi.as_ref().and_then(Sampled::conv)) else { return Ok(()) };
        init_weights(g, &self.conv_out, self.theta.as_ref(), phi, 0.01, true)
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

/// The largest of each window of 2 pixels in height and width.
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

fn init_weights(
    g: &ConvModule,
    conv_out: &ConvModule,
    theta: Option<&ConvModule>,
    phi: Option<&ConvModule>,
    std: f64,
    zeros_init: bool,
) -> Result<()> {
    for embedding in [Some(g), theta, phi].into_iter().flatten() {
        init::normal_init(embedding.conv(), 0.0, std, 0.0)?;
    }
    let last = conv_out.norm().map_or(conv_out.conv(), |(_, norm)| norm);
    if zeros_init { init::constant_init(last, 0.0, 0.0) } else { init::normal_init(last, 0.0, std, 0.0) }
}
