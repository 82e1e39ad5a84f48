//! `nearest` and `bilinear`. Reference: `torch.nn.Upsample`, `torch.nn.functional.interpolate`.

use mmcv_registry::{Config, ConfigError, FromConfig, KeyPath};
use tch::Tensor;

use crate::explain::{elements, python};
use crate::observe::of_size;
use crate::{Builder, Error, Forward, Layer, Module, Result, Size, size};

/// Arguments of `nearest` and `bilinear`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "nearest", layer = NearestUpsample)]
pub struct UpsampleConfig {
    /// Size of the output in pixels. Set either this or `scale_factor`.
    #[config(default = None)]
    pub size: Option<Size>,
    /// Factor by which the input grows. Set either this or `size`; 0 counts as unset.
    #[config(default = None)]
    pub scale_factor: Option<ScaleFactor>,
    /// Whether to align the centers of the corner pixels; only for `bilinear`.
    #[config(default = None)]
    pub align_corners: Option<bool>,
    /// Whether to recompute the factor from the rounded size of the output.
    #[config(default = None)]
    pub recompute_scale_factor: Option<bool>,
}

/// The factor by which each dimension grows: one for all, or one for each.
#[derive(Debug, Clone, PartialEq)]
pub enum ScaleFactor {
    /// The same for all dimensions.
    All(f64),
    /// One for each dimension.
    Each(Vec<f64>),
}

impl FromConfig for ScaleFactor {
    fn expected() -> String {
        "a number or a list of numbers".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Int(_) | Config::Float(_) => f64::from_config(value, path).map(Self::All),
            Config::List(_) | Config::Tuple(_) => Vec::from_config(value, path).map(Self::Each),
            _ => Err(ConfigError::wrong_type(path, Self::expected(), value)),
        }
    }

    fn to_config(&self) -> Config {
        match self {
            Self::All(factor) => Config::Float(*factor),
            Self::Each(factors) => factors.clone().into(),
        }
    }
}

/// The interpolation between pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum Interpolation {
    /// The nearest pixel; for 3-D, 4-D and 5-D input.
    Nearest,
    /// Linear between the four nearest pixels; for 4-D input.
    Bilinear,
}

/// Upsampling by interpolation.
///
/// Shapes: input `[N, C, *]`, output `[N, C, *]` with `size` pixels, or `pixels * scale_factor` rounded down.
///
/// ```
/// use mmcv_layers::upsample::{BilinearUpsample, ScaleFactor, UpsampleConfig};
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let config = UpsampleConfig::new().with_scale_factor(ScaleFactor::All(2.0));
/// let nearest = config.build()?;
/// let bilinear = config.build_as::<BilinearUpsample>()?;
/// let input = Tensor::rand([1, 8, 16, 16], FLOAT_CPU);
/// assert_eq!(nearest.forward(&input)?.size(), [1, 8, 32, 32]);
/// assert_eq!(bilinear.forward(&input)?.size(), [1, 8, 32, 32]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct Upsample {
    interpolation: Interpolation,
    config: UpsampleConfig,
}

/// The source of the size of the output.
enum Target {
    Size(Vec<i64>),
    Factors(Vec<f64>),
}

impl Upsample {
    /// Creates the layer. The forward pass checks size and factor, as in the reference.
    ///
    /// # Errors
    /// Never fails at present.
    pub fn new(interpolation: Interpolation, config: &UpsampleConfig) -> Result<Self> {
        let mut config = config.clone();
        if config.scale_factor == Some(ScaleFactor::All(0.0)) {
            config.scale_factor = None;
        }
        Ok(Self { interpolation, config })
    }

    /// The size of the output or the factors, exactly one of which is set, for an input with `dims` spatial dimensions.
    fn target(&self, input: &Tensor, dims: usize) -> Result<Target> {
        let config = &self.config;
        let recompute = config.recompute_scale_factor == Some(true);
        match (&config.size, &config.scale_factor) {
            (Some(_), Some(_)) => {
                Err(Error::argument("size", "both", "only one of size or scale_factor should be defined"))
            }
            (Some(_), None) if recompute => {
                let reason = "recompute_scale_factor is not meaningful with an explicit size";
                Err(Error::argument("recompute_scale_factor", true, reason))
            }
            (Some(size), None) => Ok(Target::Size(size.expand(dims, "size")?)),
            (None, Some(factor)) => {
                let factors = match factor {
                    ScaleFactor::All(factor) => vec![*factor; dims],
                    ScaleFactor::Each(factors) if factors.len() == dims => factors.clone(),
                    ScaleFactor::Each(factors) => {
                        let reason = format!("expected a number or {dims} numbers for this input");
                        return Err(Error::argument("scale_factor", format!("{factors:?}"), reason));
                    }
                };
                if recompute {
                    let sizes = of_size(input, move |shape| scaled(shape, &factors))?;
                    return Ok(Target::Size(sizes));
                }
                Ok(Target::Factors(factors))
            }
            (None, None) => {
                let reason = "either size or scale_factor should be defined";
                Err(Error::argument("scale_factor", "neither", reason))
            }
        }
    }
}

/// The spatial sizes of a shape, each multiplied by its factor and rounded down.
fn scaled(shape: &[i64], factors: &[f64]) -> Vec<i64> {
    let mut sizes = Vec::with_capacity(factors.len());
    for (size, factor) in shape.iter().skip(2).zip(factors) {
        sizes.push((*size as f64 * factor) as i64);
    }
    sizes
}

/// The type `nearest`.
#[derive(Debug)]
pub enum NearestUpsample {}

impl Layer for NearestUpsample {
    const NAME: &'static str = "nearest";
    type Config = UpsampleConfig;
    type Module = Upsample;

    fn build(config: &UpsampleConfig, _: &Builder<'_>) -> Result<Upsample> {
        Upsample::new(Interpolation::Nearest, config)
    }
}

/// The type `bilinear`.
#[derive(Debug)]
pub enum BilinearUpsample {}

impl Layer for BilinearUpsample {
    const NAME: &'static str = "bilinear";
    type Config = UpsampleConfig;
    type Module = Upsample;

    fn build(config: &UpsampleConfig, _: &Builder<'_>) -> Result<Upsample> {
        Upsample::new(Interpolation::Bilinear, config)
    }
}

impl Forward for Upsample {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let dims = size::dims(input)?;
        let nearest = self.interpolation == Interpolation::Nearest;
        if nearest && self.config.align_corners.is_some() {
            let reason = "align_corners can only be set for bilinear: remove it";
            return Err(Error::argument("align_corners", format!("{:?}", self.config.align_corners), reason));
        }
        let spatial = dims.saturating_sub(2);
        if nearest && !(3..=5).contains(&dims) {
            return Err(Error::input("3D, 4D or 5D input", format!("{dims}D input {:?}", input.size())));
        }
        if !nearest && dims != 4 {
            return Err(Error::input("4D input for bilinear", format!("{dims}D input {:?}", input.size())));
        }
        let align_corners = self.config.align_corners == Some(true);
        Ok(match self.target(input, spatial)? {
            Target::Size(size) => match (nearest, spatial) {
                (true, 1) => input.f_upsample_nearest1d(size, None)?,
                (true, 2) => input.f_upsample_nearest2d(size, None, None)?,
                (true, _) => input.f_upsample_nearest3d(size, None, None, None)?,
                (false, _) => input.f_upsample_bilinear2d(size, align_corners, None, None)?,
            },
            Target::Factors(factors) => match (nearest, spatial) {
                (true, 1) => input.f_upsample_nearest1d_vec(None::<&[i64]>, factors)?,
                (true, 2) => input.f_upsample_nearest2d_vec(None::<&[i64]>, factors)?,
                (true, _) => input.f_upsample_nearest3d_vec(None::<&[i64]>, factors)?,
                (false, _) => input.f_upsample_bilinear2d_vec(None::<&[i64]>, align_corners, factors)?,
            },
        })
    }
}

impl Module for Upsample {
    fn class(&self) -> &'static [&'static str] {
        &["Upsample", "Module"]
    }

    fn extra_repr(&self) -> String {
        let size = match (&self.config.scale_factor, &self.config.size) {
            (Some(ScaleFactor::All(factor)), _) => format!("scale_factor={}", python::value(*factor)),
            (Some(ScaleFactor::Each(factors)), _) => format!("scale_factor={}", python::tuple(factors.iter().copied())),
            (None, Some(size)) => format!("size={}", python::size(size)),
            (None, None) => format!("size={}", python::value(Config::Null)),
        };
        let mode = match self.interpolation {
            Interpolation::Nearest => "nearest",
            Interpolation::Bilinear => "bilinear",
        };
        format!("{size}, mode={}", python::value(mode))
    }

    fn multiply_adds(&self, _inputs: &[Vec<i64>], outputs: &[Vec<i64>]) -> u64 {
        elements(outputs)
    }
}
