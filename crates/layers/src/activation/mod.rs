//! Activations. Reference: mmcv/cnn/bricks/activation.py.

mod elementwise;
mod prelu;
mod rrelu;

use mmcv_registry::Spec;

pub use elementwise::{
    Approximate, Clamp, ClampConfig, ELU, ELUConfig, GELU, GELUConfig, HSigmoid, HSigmoidConfig, Hardswish,
    HardswishConfig, LeakyReLU, LeakyReLUConfig, ReLU, ReLU6, ReLU6Config, ReLUConfig, SiLU, SiLUConfig, Sigmoid,
    SigmoidConfig, Swish, SwishConfig, Tanh, TanhConfig,
};
pub use prelu::{PReLU, PReLUConfig};
pub use rrelu::{RReLU, RReLUConfig};

use crate::registry::{Build, build_from};

/// The registered activations.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        fields: ReLUConfig::FIELDS,
        ..activation("ReLU", &["torch.nn.ReLU"], "max(x, 0)", "torch.nn.ReLU", |arguments| {
            build_from(arguments, |config: &ReLUConfig| Ok(ReLU(config.clone())))
        })
    },
    Spec {
        fields: LeakyReLUConfig::FIELDS,
        ..activation(
            "LeakyReLU",
            &["torch.nn.LeakyReLU"],
            "x where it is positive, else negative_slope * x",
            "torch.nn.LeakyReLU; Maas et al. (2013)",
            |arguments| build_from(arguments, |config: &LeakyReLUConfig| Ok(LeakyReLU(config.clone()))),
        )
    },
    Spec {
        fields: PReLUConfig::FIELDS,
        ..activation(
            "PReLU",
            &["torch.nn.PReLU"],
            "Leaky ReLU with learned slopes",
            "torch.nn.PReLU; He et al., Delving Deep into Rectifiers (2015)",
            |arguments| build_from(arguments, PReLU::new),
        )
    },
    Spec {
        fields: RReLUConfig::FIELDS,
        ..activation(
            "RReLU",
            &["torch.nn.RReLU"],
            "Leaky ReLU with slopes that are drawn in training",
            "torch.nn.RReLU; Xu et al., Empirical Evaluation of Rectified Activations (2015)",
            |arguments| build_from(arguments, RReLU::new),
        )
    },
    Spec {
        fields: ReLU6Config::FIELDS,
        ..activation("ReLU6", &["torch.nn.ReLU6"], "min(max(x, 0), 6)", "torch.nn.ReLU6", |arguments| {
            build_from(arguments, |config: &ReLU6Config| Ok(ReLU6(config.clone())))
        })
    },
    Spec {
        fields: ELUConfig::FIELDS,
        ..activation(
            "ELU",
            &["torch.nn.ELU"],
            "x where it is positive, else alpha * (exp(x) - 1)",
            "torch.nn.ELU; Clevert et al. (2015)",
            |arguments| build_from(arguments, |config: &ELUConfig| Ok(ELU(config.clone()))),
        )
    },
    Spec {
        fields: SigmoidConfig::FIELDS,
        ..activation("Sigmoid", &["torch.nn.Sigmoid"], "1 / (1 + exp(-x))", "torch.nn.Sigmoid", |arguments| {
            build_from(arguments, |config: &SigmoidConfig| Ok(Sigmoid(config.clone())))
        })
    },
    Spec {
        fields: TanhConfig::FIELDS,
        ..activation("Tanh", &["torch.nn.Tanh"], "tanh(x)", "torch.nn.Tanh", |arguments| {
            build_from(arguments, |config: &TanhConfig| Ok(Tanh(config.clone())))
        })
    },
    Spec {
        fields: GELUConfig::FIELDS,
        ..activation(
            "GELU",
            &["torch.nn.GELU"],
            "x times the normal distribution's CDF at x",
            "torch.nn.GELU; Hendrycks and Gimpel (2016)",
            |arguments| build_from(arguments, |config: &GELUConfig| Ok(GELU(config.clone()))),
        )
    },
    Spec {
        fields: SiLUConfig::FIELDS,
        ..activation(
            "SiLU",
            &["torch.nn.SiLU"],
            "x * sigmoid(x)",
            "torch.nn.SiLU; Elfwing et al. (2017)",
            |arguments| build_from(arguments, |config: &SiLUConfig| Ok(SiLU(config.clone()))),
        )
    },
    Spec {
        fields: SwishConfig::FIELDS,
        ..activation("Swish", &[], "x * sigmoid(x)", "mmcv Swish; Ramachandran et al. (2017)", |arguments| {
            build_from(arguments, |config: &SwishConfig| Ok(Swish(config.clone())))
        })
    },
    Spec {
        fields: HardswishConfig::FIELDS,
        ..activation(
            "HSwish",
            &["torch.nn.Hardswish"],
            "x * min(max(x + 3, 0), 6) / 6",
            "torch.nn.Hardswish; Howard et al., Searching for MobileNetV3 (2019)",
            |arguments| build_from(arguments, |config: &HardswishConfig| Ok(Hardswish(config.clone()))),
        )
    },
    Spec {
        fields: HSigmoidConfig::FIELDS,
        ..activation(
            "HSigmoid",
            &[],
            "(x + bias) / divisor, limited to a range",
            "mmcv HSigmoid; Howard et al., Searching for MobileNetV3 (2019)",
            |arguments| build_from(arguments, HSigmoid::new),
        )
    },
    Spec {
        fields: ClampConfig::FIELDS,
        ..activation("Clamp", &["Clip"], "x limited to a range", "mmcv Clamp", |arguments| {
            build_from(arguments, |config: &ClampConfig| Ok(Clamp(config.clone())))
        })
    },
];

const fn activation(
    name: &'static str,
    aliases: &'static [&'static str],
    doc: &'static str,
    source: &'static str,
    build: Build,
) -> Spec<Build> {
    Spec { group: "activation", aliases, doc, source, ..Spec::new(name, build) }
}
