//! [`ImageStep`]: one step of the preprocessing of images, with mmcv's names and arguments.
//!
//! References: mmcv/transforms/processing.py, mmpretrain/datasets/transforms/processing.py, mmcv/image/geometric.py.

use mmcv_layers::{Error, Result};
use mmcv_registry::{Config, ConfigError, ConfigErrorKind, ConfigStruct, Dict, FromConfig, KeyPath, nearest};

use super::resize::resize;
use super::{Interpolation, MOST_PIXELS, Pixels, ResizeBackend};

/// Most pixels on a side of an image that is resized: the weights of every one are kept.
const MOST_SIDE: i64 = 1 << 20;

/// One step of the preprocessing of images with 8 bits, as a dict with `type`: `Resize`, `ResizeEdge` or `CenterCrop`.
///
/// ```
/// use mmcv_models::{ImageStep, Preprocess};
/// use mmcv_registry::{FromConfig, KeyPath, config};
/// use tch::{Device, Kind, Tensor};
///
/// let step = config! { type: "ResizeEdge", scale: 32, backend: "pillow", interpolation: "bicubic" };
/// let steps = vec![ImageStep::from_config(&step, &KeyPath::root())?];
/// let image = Tensor::zeros([48, 64, 3], (Kind::Uint8, Device::Cpu));
/// let input = Preprocess::new().with_pipeline(steps).apply(&image)?;
/// assert_eq!(input.size(), [1, 3, 32, 42]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum ImageStep {
    /// Resizes to a size, or so that the image fits in it.
    Resize(ResizeConfig),
    /// Resizes so that one side has a length; the ratio of the sides stays.
    ResizeEdge(ResizeEdgeConfig),
    /// Crops from the center.
    CenterCrop(CenterCropConfig),
}

/// Arguments of the step `Resize`.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct ResizeConfig {
    /// Width and height in pixels, or one number for both; null for `scale_factor`.
    #[config(default = None)]
    pub scale: Option<WidthHeight>,
    /// Factors of width and height, or one number for both; null for `scale`.
    #[config(default = None)]
    pub scale_factor: Option<Factors>,
    /// Whether the ratio of the sides stays: the image gets the largest size whose long side is at most the greater
    /// number of the size and whose short side at most the smaller one.
    #[config(default = false)]
    pub keep_ratio: bool,
    /// The library whose numbers the result has: `cv2` or `pillow`.
    #[config(default = ResizeBackend::OpenCv)]
    pub backend: ResizeBackend,
    /// How values between pixels are found: `nearest`, `bilinear`, `bicubic` or `lanczos`; `area` with `cv2`, `box` and
    /// `hamming` with `pillow`.
    #[config(default = Interpolation::Bilinear)]
    pub interpolation: Interpolation,
    /// Accepted for the reference's configs; it affects annotations only.
    #[config(default = true)]
    pub clip_object_border: bool,
}

/// Arguments of the step `ResizeEdge`.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct ResizeEdgeConfig {
    /// The length of the side in pixels.
    pub scale: i64,
    /// The side: `short`, `long`, `width` or `height`.
    #[config(default = Edge::Short)]
    pub edge: Edge,
    /// The library whose numbers the result has: `cv2` or `pillow`.
    #[config(default = ResizeBackend::OpenCv)]
    pub backend: ResizeBackend,
    /// How values between pixels are found: `nearest`, `bilinear`, `bicubic` or `lanczos`; `area` with `cv2`, `box` and
    /// `hamming` with `pillow`.
    #[config(default = Interpolation::Bilinear)]
    pub interpolation: Interpolation,
}

/// Arguments of the step `CenterCrop`.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct CenterCropConfig {
    /// Width and height in pixels, or one number for both. A smaller side of an image is left as it is.
    pub crop_size: WidthHeight,
    /// Accepted for the reference's configs if it is false: images are not padded.
    #[config(default = false)]
    pub auto_pad: bool,
    /// Accepted for the reference's configs; it affects padding only.
    #[config(default = Config::Null)]
    pub pad_cfg: Config,
    /// Accepted for the reference's configs; it affects annotations only.
    #[config(default = true)]
    pub clip_object_border: bool,
}

/// A side of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum Edge {
    /// The shorter one; the height of a square.
    Short,
    /// The longer one; the height of a square.
    Long,
    /// The width.
    Width,
    /// The height.
    Height,
}

/// Width and height in pixels, at least 1: `[width, height]`, or one number for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WidthHeight {
    /// The width.
    pub width: i64,
    /// The height.
    pub height: i64,
}

/// Positive factors of width and height: `[width, height]`, or one number for both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factors {
    /// The factor of the width.
    pub width: f64,
    /// The factor of the height.
    pub height: f64,
}

impl ImageStep {
    /// The names of the steps.
    pub const NAMES: [&'static str; 3] = ["Resize", "ResizeEdge", "CenterCrop"];

    /// Reads the step of a name from the other keys of its dict.
    pub(crate) fn decode(name: &str, arguments: &Dict, path: &KeyPath) -> Result<Self, ConfigError> {
        let step = match name {
            "Resize" => ResizeConfig::decode(arguments, path).map(Self::Resize),
            "ResizeEdge" => ResizeEdgeConfig::decode(arguments, path).map(Self::ResizeEdge),
            "CenterCrop" => CenterCropConfig::decode(arguments, path).map(Self::CenterCrop),
            _ => return Err(unknown_step(name, path)),
        };
        let step = step.map_err(|error| error.in_type(name))?;
        step.check(path)?;
        Ok(step)
    }

    fn check(&self, path: &KeyPath) -> Result<(), ConfigError> {
        match self {
            Self::Resize(config) => {
                if config.scale.is_none() && config.scale_factor.is_none() {
                    let expected = "a size, or `scale_factor`".to_owned();
                    return Err(ConfigError::new(&path.key("scale"), ConfigErrorKind::Missing { expected }));
                }
                check_interpolation(config.backend, config.interpolation, path)
            }
            Self::ResizeEdge(config) => {
                if config.scale < 1 {
                    return Err(ConfigError::invalid(&path.key("scale"), config.scale, "expected at least 1 pixel"));
                }
                check_interpolation(config.backend, config.interpolation, path)
            }
            Self::CenterCrop(config) if config.auto_pad => {
                let reason = "expected false: images are not padded before the crop here";
                Err(ConfigError::invalid(&path.key("auto_pad"), config.auto_pad, reason))
            }
            Self::CenterCrop(_) => Ok(()),
        }
    }

    /// Applies the step to an image that is not empty.
    pub(super) fn apply(&self, image: &Pixels) -> Result<Pixels> {
        match self {
            Self::Resize(config) => {
                let size = config.size(image.height as i64, image.width as i64);
                resized(image, size, config.backend, config.interpolation)
            }
            Self::ResizeEdge(config) => {
                let size = config.size(image.height as i64, image.width as i64);
                resized(image, size, config.backend, config.interpolation)
            }
            Self::CenterCrop(config) => Ok(config.apply(image)),
        }
    }

    /// Height and width of the result, if they do not depend on the image; a crop of smaller images is smaller.
    pub(super) fn output_size(&self) -> Option<[i64; 2]> {
        match self {
            Self::Resize(config) if !config.keep_ratio => config.scale.map(|size| [size.height, size.width]),
            Self::CenterCrop(config) => Some([config.crop_size.height, config.crop_size.width]),
            Self::Resize(_) | Self::ResizeEdge(_) => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Resize(_) => "Resize",
            Self::ResizeEdge(_) => "ResizeEdge",
            Self::CenterCrop(_) => "CenterCrop",
        }
    }
}

fn unknown_step(name: &str, path: &KeyPath) -> ConfigError {
    let slip = match nearest(name, ImageStep::NAMES) {
        Some(name) => format!(", did you mean {name:?}?"),
        None => String::new(),
    };
    let reason = format!("expected one of {}{slip}", ImageStep::NAMES.join(", "));
    ConfigError::invalid(&path.key("type"), format!("{name:?}"), reason)
}

fn check_interpolation(
    backend: ResizeBackend,
    interpolation: Interpolation,
    path: &KeyPath,
) -> Result<(), ConfigError> {
    let interpolations = backend.interpolations();
    if interpolations.contains(&interpolation) {
        return Ok(());
    }
    let words: Vec<&str> = interpolations.iter().map(|interpolation| interpolation.word()).collect();
    let reason = format!("expected one of {} with the backend {:?}", words.join(", "), backend.word());
    Err(ConfigError::invalid(&path.key("interpolation"), format!("{:?}", interpolation.word()), reason))
}

impl FromConfig for ImageStep {
    fn expected() -> String {
        format!("a dict with the key \"type\": one of {}", ImageStep::NAMES.join(", "))
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        let mut arguments = Dict::from_config(value, path)?;
        match arguments.remove("type") {
            Some(Config::Str(name)) => Self::decode(&name, &arguments, path),
            Some(other) => Err(ConfigError::wrong_type(&path.key("type"), "the name of a step", &other)),
            None => Err(ConfigError::new(&path.key("type"), ConfigErrorKind::Missing { expected: Self::expected() })),
        }
    }

    fn to_config(&self) -> Config {
        let mut dict = Dict::new();
        dict.insert("type", self.name());
        let arguments = match self {
            Self::Resize(config) => config.to_dict(),
            Self::ResizeEdge(config) => config.to_dict(),
            Self::CenterCrop(config) => config.to_dict(),
        };
        for (key, value) in arguments {
            dict.insert(key, value);
        }
        Config::Dict(dict)
    }
}

impl ResizeConfig {
    /// Height and width of the result.
    fn size(&self, height: i64, width: i64) -> [i64; 2] {
        let size = match (self.scale, self.scale_factor) {
            (Some(scale), _) => scale,
            (None, Some(factors)) => WidthHeight {
                width: half_up(width as f64 * factors.width),
                height: half_up(height as f64 * factors.height),
            },
            (None, None) => WidthHeight { width, height },
        };
        if !self.keep_ratio {
            return [size.height, size.width];
        }
        let (long, short) = (size.width.max(size.height) as f64, size.width.min(size.height) as f64);
        let factor = (long / height.max(width) as f64).min(short / height.min(width) as f64);
        [height, width].map(|side| half_up(side as f64 * factor))
    }
}

/// The nearest whole number of a positive one.
fn half_up(value: f64) -> i64 {
    (value + 0.5) as i64
}

impl ResizeEdgeConfig {
    /// Height and width of the result.
    fn size(&self, height: i64, width: i64) -> [i64; 2] {
        let is_width = match self.edge {
            Edge::Short => width < height,
            Edge::Long => width > height,
            Edge::Width => true,
            Edge::Height => false,
        };
        let scaled = |side: i64, by: i64| {
            let scaled = i128::from(self.scale) * i128::from(side) / i128::from(by);
            i64::try_from(scaled).unwrap_or(i64::MAX)
        };
        if is_width { [scaled(height, width), self.scale] } else { [self.scale, scaled(width, height)] }
    }
}

/// Resizes an image to a height and a width, which are checked.
fn resized(
    image: &Pixels,
    [height, width]: [i64; 2],
    backend: ResizeBackend,
    interpolation: Interpolation,
) -> Result<Pixels> {
    let found = format!("an image of {} x {} pixels", image.height, image.width);
    let longest = height.max(width).max(image.height as i64).max(image.width as i64);
    if longest > MOST_SIDE {
        let expected =
            format!("at most {MOST_SIDE} pixels on each side, before and after resizing to {height} x {width}");
        return Err(Error::input(expected, found));
    }
    if i128::from(height) * i128::from(width) > MOST_PIXELS {
        return Err(Error::input(
            format!("at most {MOST_PIXELS} pixels, not {height} x {width}, after resizing"),
            found,
        ));
    }
    match (usize::try_from(height), usize::try_from(width)) {
        (Ok(height @ 1..), Ok(width @ 1..)) => Ok(resize(image, (height, width), backend, interpolation)),
        _ => Err(Error::input(format!("at least one pixel, not {height} x {width}, after resizing"), found)),
    }
}

impl CenterCropConfig {
    fn apply(&self, image: &Pixels) -> Pixels {
        let height = usize::try_from(self.crop_size.height).unwrap_or_default().min(image.height);
        let width = usize::try_from(self.crop_size.width).unwrap_or_default().min(image.width);
        image.crop(before(image.height, height), before(image.width, width), height, width)
    }
}

/// The pixels before the center: half to even, as Python rounds.
fn before(side: usize, crop: usize) -> usize {
    ((side - crop) as f64 / 2.0).round_ties_even() as usize
}

impl From<i64> for WidthHeight {
    fn from(side: i64) -> Self {
        Self { width: side, height: side }
    }
}

impl FromConfig for WidthHeight {
    fn expected() -> String {
        "a number of pixels, or [width, height]".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        let size = match value {
            Config::Int(side) => Self::from(*side),
            _ => match <[i64; 2]>::try_from(Vec::from_config(value, path)?) {
                Ok([width, height]) => Self { width, height },
                Err(_) => return Err(ConfigError::wrong_type(path, Self::expected(), value)),
            },
        };
        if size.width < 1 || size.height < 1 {
            return Err(ConfigError::invalid(path, value.quoted(), "expected at least 1 pixel"));
        }
        Ok(size)
    }

    fn to_config(&self) -> Config {
        if self.width == self.height { self.width.into() } else { [self.width, self.height].into() }
    }
}

impl FromConfig for Factors {
    fn expected() -> String {
        "a positive number, or [width, height]".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        let factors = match value {
            Config::Int(_) | Config::Float(_) => {
                let factor = f64::from_config(value, path)?;
                Self { width: factor, height: factor }
            }
            _ => match <[f64; 2]>::try_from(Vec::from_config(value, path)?) {
                Ok([width, height]) => Self { width, height },
                Err(_) => return Err(ConfigError::wrong_type(path, Self::expected(), value)),
            },
        };
        if [factors.width, factors.height].iter().all(|factor| factor.is_finite() && *factor > 0.0) {
            return Ok(factors);
        }
        Err(ConfigError::invalid(path, value.quoted(), "expected positive numbers"))
    }

    fn to_config(&self) -> Config {
        [self.width, self.height].into()
    }
}
