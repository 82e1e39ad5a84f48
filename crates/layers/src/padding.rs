//! `zero`, `reflect`, `replicate`. Reference: mmcv/cnn/bricks/padding.py, `torch.nn.ZeroPad2d`.

use mmcv_registry::{Config, Spec};
use tch::Tensor;

use crate::explain::python;
use crate::{Build, Builder, Forward, Layer, Module, Result, Size, ops};

/// Arguments of `zero`, `reflect` and `replicate`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "zero", layer = ZeroPad2d)]
pub struct PadConfig {
    /// Pixels on all four sides; or a list: left, right, top, bottom.
    pub padding: Size,
}

/// The registered padding layers.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "padding",
        aliases: &["torch.nn.ZeroPad2d"],
        doc: "Pads with 0.",
        source: "torch.nn.ZeroPad2d",
        ..ZeroPad2d::SPEC
    },
    Spec {
        group: "padding",
        aliases: &["torch.nn.ReflectionPad2d"],
        doc: "Pads with the mirrored input.",
        source: "torch.nn.ReflectionPad2d",
        ..ReflectionPad2d::SPEC
    },
    Spec {
        group: "padding",
        aliases: &["torch.nn.ReplicationPad2d"],
        doc: "Pads with the edge.",
        source: "torch.nn.ReplicationPad2d",
        ..ReplicationPad2d::SPEC
    },
];

/// Values of padded pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PadMode {
    /// 0.
    Zero,
    /// The pixels mirrored at the edge, without the edge itself.
    Reflect,
    /// The pixel at the edge.
    Replicate,
}

/// Pads the four sides of an image.
///
/// Shapes: input `[N, C, H, W]` or `[C, H, W]`, output `[N, C, H + top + bottom, W + left + right]`.
///
/// ```
/// use mmcv_layers::padding::{PadConfig, ReflectionPad2d};
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let input = Tensor::rand([1, 3, 16, 16], FLOAT_CPU);
/// let zero = PadConfig::new(1).build()?;
/// assert_eq!(zero.forward(&input)?.size(), [1, 3, 18, 18]);
/// let reflect = PadConfig::new([0, 1, 0, 2]).build_as::<ReflectionPad2d>()?;
/// assert_eq!(reflect.forward(&input)?.size(), [1, 3, 18, 17]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct Pad {
    mode: PadMode,
    sides: Vec<i64>,
}

impl Pad {
    /// Creates the layer. The forward pass checks whether the sides fit the input, as in the reference.
    #[must_use]
    pub fn new(mode: PadMode, config: &PadConfig) -> Self {
        let sides = match &config.padding {
            Size::All(size) => vec![*size; 4],
            Size::Each(sizes) => sizes.clone(),
        };
        Self { mode, sides }
    }
}

/// The type `zero`.
#[derive(Debug)]
pub enum ZeroPad2d {}

impl Layer for ZeroPad2d {
    const NAME: &'static str = "zero";
    type Config = PadConfig;
    type Module = Pad;

    fn build(config: &PadConfig, _: &Builder<'_>) -> Result<Pad> {
        Ok(Pad::new(PadMode::Zero, config))
    }
}

/// The type `reflect`.
#[derive(Debug)]
pub enum ReflectionPad2d {}

impl Layer for ReflectionPad2d {
    const NAME: &'static str = "reflect";
    type Config = PadConfig;
    type Module = Pad;

    fn build(config: &PadConfig, _: &Builder<'_>) -> Result<Pad> {
        Ok(Pad::new(PadMode::Reflect, config))
    }
}

/// The type `replicate`.
#[derive(Debug)]
pub enum ReplicationPad2d {}

impl Layer for ReplicationPad2d {
    const NAME: &'static str = "replicate";
    type Config = PadConfig;
    type Module = Pad;

    fn build(config: &PadConfig, _: &Builder<'_>) -> Result<Pad> {
        Ok(Pad::new(PadMode::Replicate, config))
    }
}

impl Forward for Pad {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        match self.mode {
            PadMode::Zero => ops::pad(input, &self.sides, "constant", Some(0.0)),
            PadMode::Reflect => ops::pad(input, &self.sides, "reflect", None),
            PadMode::Replicate => ops::pad(input, &self.sides, "replicate", None),
        }
    }
}

impl Module for Pad {
    fn class(&self) -> &'static [&'static str] {
        match self.mode {
            PadMode::Zero => &["ZeroPad2d", "ConstantPad2d"],
            PadMode::Reflect => &["ReflectionPad2d", "_ReflectionPadNd"],
            PadMode::Replicate => &["ReplicationPad2d", "_ReplicationPadNd"],
        }
    }

    fn extra_repr(&self) -> String {
        python::tuple(self.sides.iter().copied())
    }
}
