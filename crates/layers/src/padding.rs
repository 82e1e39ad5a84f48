//! `zero`, `reflect`, `replicate`. Reference: mmcv/cnn/bricks/padding.py, `torch.nn.ZeroPad2d`.

use mmcv_registry::{Spec, config_struct};
use tch::Tensor;

use crate::explain::python;
use crate::registry::{Build, build_from, spec};
use crate::{Module, Result, Size, size};

config_struct! {
    /// Arguments of `zero`, `reflect` and `replicate`.
    pub struct PadConfig {
        required {
            /// Pixels on all four sides; or a list: left, right, top, bottom.
            padding: Size,
        }
    }
}

/// The registered padding layers.
pub const SPECS: &[Spec<Build>] = &[
    spec(
        "padding",
        ("zero", &["torch.nn.ZeroPad2d"]),
        "Pads with 0.",
        "torch.nn.ZeroPad2d",
        PadConfig::FIELDS,
        |arguments| build_from(arguments, |config| Ok(Pad::new(PadMode::Zero, config))),
    ),
    spec(
        "padding",
        ("reflect", &["torch.nn.ReflectionPad2d"]),
        "Pads with the mirrored input.",
        "torch.nn.ReflectionPad2d",
        PadConfig::FIELDS,
        |arguments| build_from(arguments, |config| Ok(Pad::new(PadMode::Reflect, config))),
    ),
    spec(
        "padding",
        ("replicate", &["torch.nn.ReplicationPad2d"]),
        "Pads with the edge.",
        "torch.nn.ReplicationPad2d",
        PadConfig::FIELDS,
        |arguments| build_from(arguments, |config| Ok(Pad::new(PadMode::Replicate, config))),
    ),
];

/// What padded pixels hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PadMode {
    /// 0.
    Zero,
    /// The pixels mirrored at the edge, without the edge itself.
    Reflect,
    /// The pixel at the edge.
    Replicate,
}

/// Padding of an image on its four sides.
///
/// Shapes: input `[N, C, H, W]` or `[C, H, W]`, output `[N, C, H + top + bottom, W + left + right]`.
#[derive(Debug)]
pub struct Pad {
    mode: PadMode,
    sides: Vec<i64>,
}

impl Pad {
    /// A padding layer. Whether the sides fit the input is checked by the forward pass, as in the reference.
    #[must_use]
    pub fn new(mode: PadMode, config: &PadConfig) -> Self {
        let sides = match &config.padding {
            Size::All(size) => vec![*size; 4],
            Size::Each(sizes) => sizes.clone(),
        };
        Self { mode, sides }
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

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        match self.mode {
            PadMode::Zero => size::pad(input, &self.sides, "constant", Some(0.0)),
            PadMode::Reflect => size::pad(input, &self.sides, "reflect", None),
            PadMode::Replicate => size::pad(input, &self.sides, "replicate", None),
        }
    }

    fn extra_repr(&self) -> String {
        python::tuple(self.sides.iter().copied())
    }
}
