//! The pipeline of a dataset: the steps that change pixels.
//!
//! References: mmcv/transforms, mmpretrain/datasets/transforms, mmcls 0.25 mmcls/datasets/pipelines.

use mmcv_registry::{Config, ConfigError, ConfigStruct, Dict, FromConfig, KeyPath};

use crate::{ChannelOrder, ExifOrientation, ImageStep, Preprocess};

/// Transforms that change annotations, metadata or the container of the pixels, and no pixel.
const WITHOUT_EFFECT: &[&str] = &[
    "Collect",
    "ConvertBoxType",
    "ConvertMask2BoxType",
    "DefaultFormatBundle",
    "FilterAnnotations",
    "ImageToTensor",
    "LoadAnnotations",
    "LoadDepthAnnotation",
    "LoadPanopticAnnotations",
    "LoadProposals",
    "PackClsInputs",
    "PackDetInputs",
    "PackInputs",
    "PackPoseInputs",
    "PackSegInputs",
    "ToTensor",
];
/// The last transforms of the pipelines of mmcv 1, by which they are recognized.
const OLD: [&str; 3] = ["Collect", "DefaultFormatBundle", "ImageToTensor"];

/// Arguments of `LoadImageFromFile`.
#[derive(Debug, Clone, PartialEq, Config)]
struct LoadImageFromFile {
    /// Accepted if it is false: images have 8 bits.
    #[config(default = false)]
    pub to_float32: bool,
    /// Whether the EXIF orientation is applied: `color`, or `color_ignore_orientation`.
    #[config(default = ColorType::Color)]
    pub color_type: ColorType,
    /// Accepted: the decoder is another one, and a lossless image has the same pixels.
    #[config(default = None)]
    pub imdecode_backend: Option<String>,
    /// Accepted: where the files of the dataset are.
    #[config(default = Config::Null)]
    pub file_client_args: Config,
    /// Accepted: where the files of the dataset are.
    #[config(default = Config::Null)]
    pub backend_args: Config,
    /// Accepted: an image that cannot be read is an error.
    #[config(default = false)]
    pub ignore_empty: bool,
}

/// The channels of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
enum ColorType {
    Color,
    ColorIgnoreOrientation,
}

/// Arguments of `Normalize`.
#[derive(Debug, Clone, PartialEq, Config)]
struct Normalize {
    /// Means of the channels.
    pub mean: Vec<f64>,
    /// Standard deviations of the channels.
    pub std: Vec<f64>,
    /// Whether the channels become red, green, blue.
    #[config(default = true)]
    pub to_rgb: bool,
}

/// The preprocessing of a pipeline, whose images have their channels in OpenCV's order.
pub(super) fn read(pipeline: &Config, path: &KeyPath) -> Result<Preprocess, ConfigError> {
    let transforms = Vec::<Dict>::from_config(pipeline, path)?;
    let is_old = transforms.iter().any(|transform| OLD.contains(&name_of(transform)));
    let mut preprocess = Preprocess::new().with_channel_order(ChannelOrder::Bgr);
    let mut normalized = false;
    for (index, transform) in transforms.iter().enumerate() {
        let path = path.index(index);
        let name = name_of(transform);
        let mut arguments = transform.clone();
        arguments.remove("type");
        arguments.remove("_scope_");
        match name {
            "LoadImageFromFile" => preprocess.exif = load(&arguments, &path)?,
            "Normalize" => {
                normalize(&mut preprocess, &arguments, &path)?;
                normalized = true;
            }
            _ if WITHOUT_EFFECT.contains(&name) => {}
            _ if ImageStep::NAMES.contains(&name) && normalized => {
                let reason = "expected it before Normalize: only images with 8 bits are resized and cropped here";
                return Err(ConfigError::invalid(&path.key("type"), format!("{name:?}"), reason));
            }
            _ if ImageStep::NAMES.contains(&name) => {
                let (name, arguments) = if is_old { modern(name, arguments) } else { (name, arguments) };
                preprocess.pipeline.push(ImageStep::decode(name, &arguments, &path)?);
            }
            _ => return Err(unknown(transform, &path)),
        }
    }
    Ok(preprocess)
}

/// The name of a transform, without a scope or a module.
fn name_of(transform: &Dict) -> &str {
    let name = transform.get("type").and_then(Config::as_str).unwrap_or_default();
    name.rsplit('.').next().unwrap_or_default()
}

fn unknown(transform: &Dict, path: &KeyPath) -> ConfigError {
    let expected = format!(
        "expected a transform that is known here ({}, Normalize), or one that changes no pixel ({}); the steps in \
         `preprocess.pipeline` take the place of this pipeline",
        ImageStep::NAMES.join(", "),
        WITHOUT_EFFECT.join(", ")
    );
    let name = transform.get("type").unwrap_or(&Config::Null);
    ConfigError::invalid(&path.key("type"), name.quoted(), expected)
}

fn load(arguments: &Dict, path: &KeyPath) -> Result<ExifOrientation, ConfigError> {
    let load = LoadImageFromFile::decode(arguments, path).map_err(|error| error.in_type("LoadImageFromFile"))?;
    if load.to_float32 {
        let reason = "expected false: images are resized with 8 bits here";
        return Err(ConfigError::invalid(&path.key("to_float32"), true, reason));
    }
    match load.color_type {
        ColorType::Color => Ok(ExifOrientation::Apply),
        ColorType::ColorIgnoreOrientation => Ok(ExifOrientation::Ignore),
    }
}

fn normalize(preprocess: &mut Preprocess, arguments: &Dict, path: &KeyPath) -> Result<(), ConfigError> {
    let normalize = Normalize::decode(arguments, path).map_err(|error| error.in_type("Normalize"))?;
    preprocess.mean = normalize.mean;
    preprocess.std = normalize.std;
    if normalize.to_rgb {
        preprocess.channel_order = ChannelOrder::Rgb;
    }
    Ok(())
}

/// The arguments of mmcls 0 as those of mmcv 2: sizes are height and width there, and `Resize` with `size: [256, -1]` is
/// `ResizeEdge`.
fn modern(name: &str, mut arguments: Dict) -> (&str, Dict) {
    match name {
        "CenterCrop" => {
            if let Some(Config::List(sides) | Config::Tuple(sides)) = arguments.get_mut("crop_size") {
                sides.reverse();
            }
            if arguments.get("efficientnet_style") == Some(&Config::Bool(false)) {
                arguments.remove("efficientnet_style");
            }
            (name, arguments)
        }
        "Resize" => {
            let size = arguments.remove("size");
            let side = arguments.remove("adaptive_side");
            match size {
                Some(Config::List(mut sides) | Config::Tuple(mut sides)) if sides.get(1) == Some(&Config::Int(-1)) => {
                    arguments.insert("scale", sides.swap_remove(0));
                    if let Some(side) = side {
                        arguments.insert("edge", side);
                    }
                    ("ResizeEdge", arguments)
                }
                Some(Config::List(mut sides) | Config::Tuple(mut sides)) => {
                    sides.reverse();
                    arguments.insert("scale", sides);
                    (name, arguments)
                }
                Some(size) => {
                    arguments.insert("scale", size);
                    (name, arguments)
                }
                None => (name, arguments),
            }
        }
        _ => (name, arguments),
    }
}
