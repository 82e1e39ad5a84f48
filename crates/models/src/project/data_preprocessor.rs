//! `data_preprocessor`: the order of the channels, the normalization and the padding.
//!
//! References: mmpretrain `ClsDataPreprocessor`, mmengine `ImgDataPreprocessor`, mmdet `DetDataPreprocessor`, mmseg
//! `SegDataPreProcessor`.

use mmcv_registry::{Config, ConfigError, ConfigStruct, Dict, FromConfig, KeyPath};

use crate::{ChannelOrder, Preprocess};

/// The data preprocessors with these arguments.
const TYPES: [&str; 6] = [
    "ClsDataPreprocessor",
    "DetDataPreprocessor",
    "ImgDataPreprocessor",
    "PoseDataPreprocessor",
    "SegDataPreProcessor",
    "SelfSupDataPreprocessor",
];

/// The arguments of data preprocessors. A number for each channel, or one for all.
#[derive(Debug, Clone, PartialEq, Config)]
pub(super) struct DataPreprocessor {
    /// Means of the channels; null for no normalization.
    #[config(default = None)]
    pub mean: Option<Vec<f64>>,
    /// Standard deviations of the channels.
    #[config(default = None)]
    pub std: Option<Vec<f64>>,
    /// Whether the channels become red, green, blue.
    #[config(default = false)]
    pub to_rgb: bool,
    /// The same, in other libraries.
    #[config(default = false)]
    pub bgr_to_rgb: bool,
    /// The same: images always come in OpenCV's order.
    #[config(default = false)]
    pub rgb_to_bgr: bool,
    /// Height and width of the input are multiples of this number of pixels.
    #[config(default = 1)]
    pub pad_size_divisor: i64,
    /// The value of added pixels.
    #[config(default = 0.0)]
    pub pad_value: f64,
    /// Accepted: it affects training only.
    #[config(default = None)]
    pub num_classes: Option<i64>,
    /// Accepted: it affects training only.
    #[config(default = false)]
    pub to_onehot: bool,
    /// Accepted: it affects training only.
    #[config(default = Config::Null)]
    pub batch_augments: Config,
    /// Accepted: it affects annotations only.
    #[config(default = false)]
    pub pad_mask: bool,
    /// Accepted: it affects annotations only.
    #[config(default = 0)]
    pub mask_pad_value: i64,
    /// Accepted: it affects annotations only.
    #[config(default = false)]
    pub pad_seg: bool,
    /// Accepted: it affects annotations only.
    #[config(default = 255)]
    pub seg_pad_value: i64,
    /// Accepted: it affects annotations only.
    #[config(default = true)]
    pub boxtype2tensor: bool,
    /// Accepted: it affects the transfer to a device only.
    #[config(default = false)]
    pub non_blocking: bool,
    /// Accepted: mmseg pads images to a size in training only.
    #[config(default = Config::Null)]
    pub size: Config,
    /// Accepted: mmseg pads images in training only.
    #[config(default = None)]
    pub size_divisor: Option<i64>,
    /// The value of added pixels, in mmseg.
    #[config(default = 0.0)]
    pub pad_val: f64,
    /// Accepted: it affects annotations only.
    #[config(default = 255)]
    pub seg_pad_val: i64,
    /// How mmseg pads images in tests; null for no padding.
    #[config(default = None)]
    pub test_cfg: Option<TestPadding>,
}

/// How images are padded in tests.
#[derive(Debug, Clone, PartialEq, Config)]
pub(super) struct TestPadding {
    /// Height and width of the input are multiples of this number of pixels.
    pub size_divisor: i64,
}

impl DataPreprocessor {
    /// The dict of `model.data_preprocessor`, or else of `data_preprocessor`, and its path.
    pub(super) fn find(config: &Dict) -> Option<(&Config, KeyPath)> {
        let root = KeyPath::root();
        let of_model = config.get("model").and_then(|model| model.get("data_preprocessor"));
        match (of_model, config.get("data_preprocessor")) {
            (Some(value), _) if !value.is_null() => Some((value, root.key("model").key("data_preprocessor"))),
            (_, Some(value)) if !value.is_null() => Some((value, root.key("data_preprocessor"))),
            _ => None,
        }
    }

    /// Applies the data preprocessor of a config to the preprocessing of its pipeline.
    pub(super) fn apply_to(preprocess: &mut Preprocess, config: &Dict) -> Result<(), ConfigError> {
        let Some((value, path)) = Self::find(config) else { return Ok(()) };
        let mut arguments = Dict::from_config(value, &path)?;
        check_type(arguments.remove("type"), &path)?;
        arguments.remove("_scope_");
        Self::decode(&arguments, &path)?.apply(preprocess, &path)
    }

    fn apply(&self, preprocess: &mut Preprocess, path: &KeyPath) -> Result<(), ConfigError> {
        // A Normalize in the pipeline may have turned the channels round.
        if self.to_rgb || self.bgr_to_rgb || self.rgb_to_bgr {
            preprocess.channel_order = match preprocess.channel_order {
                ChannelOrder::Bgr => ChannelOrder::Rgb,
                ChannelOrder::Rgb => ChannelOrder::Bgr,
            };
        }
        if let Some(mean) = &self.mean {
            let Some(std) = &self.std else {
                let expected = "the standard deviations, beside `mean`".to_owned();
                let kind = mmcv_registry::ConfigErrorKind::Missing { expected };
                return Err(ConfigError::new(&path.key("std"), kind));
            };
            if preprocess.mean != Preprocess::new().mean || preprocess.std != Preprocess::new().std {
                let reason = "cannot be combined with Normalize in the pipeline: expected one of the two";
                return Err(ConfigError::conflict(&path.key("mean"), format!("{mean:?}"), reason));
            }
            preprocess.mean = per_channel(mean, &path.key("mean"))?;
            preprocess.std = per_channel(std, &path.key("std"))?;
        }
        (preprocess.pad_size_divisor, preprocess.pad_value) = match &self.test_cfg {
            Some(padding) => (padding.size_divisor, self.pad_val),
            None => (self.pad_size_divisor, self.pad_value),
        };
        if preprocess.pad_size_divisor < 1 {
            let path = path.key("pad_size_divisor");
            return Err(ConfigError::invalid(&path, preprocess.pad_size_divisor, "expected at least 1 pixel"));
        }
        Ok(())
    }
}

fn check_type(name: Option<Config>, path: &KeyPath) -> Result<(), ConfigError> {
    let Some(name) = name else { return Ok(()) };
    let name = String::from_config(&name, &path.key("type"))?;
    let bare = name.rsplit('.').next().unwrap_or_default();
    if TYPES.contains(&bare) {
        return Ok(());
    }
    let reason = format!("expected one of {}", TYPES.join(", "));
    Err(ConfigError::invalid(&path.key("type"), format!("{name:?}"), reason))
}

/// Numbers for three channels.
fn per_channel(values: &[f64], path: &KeyPath) -> Result<Vec<f64>, ConfigError> {
    match values {
        [all] => Ok(vec![*all; 3]),
        [_, _, _] => Ok(values.to_vec()),
        _ => Err(ConfigError::invalid(path, format!("{values:?}"), "expected 3 numbers, one for each channel")),
    }
}
