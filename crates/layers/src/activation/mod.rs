//! Activations. Reference: mmcv/cnn/bricks/activation.py.

mod elementwise;
mod prelu;
mod rrelu;
mod softmax;

use mmcv_registry::Spec;

pub use elementwise::{
    Approximate, Clamp, ClampConfig, ELU, ELUConfig, GELU, GELUConfig, HSigmoid, HSigmoidConfig, Hardswish,
    HardswishConfig, LeakyReLU, LeakyReLUConfig, ReLU, ReLU6, ReLU6Config, ReLUConfig, SiLU, SiLUConfig, Sigmoid,
    SigmoidConfig, Swish, SwishConfig, Tanh, TanhConfig,
};
pub use prelu::{PReLU, PReLUConfig};
pub use rrelu::{RReLU, RReLUConfig};
pub use softmax::Softmax;

use crate::registry::{Build, build_from, spec};

/// The registered activations.
pub const SPECS: &[Spec<Build>] = &[
    spec("activation", ("ReLU", &["torch.nn.ReLU"]), "max(x, 0)", "torch.nn.ReLU", ReLUConfig::FIELDS, |arguments| {
        build_from(arguments, |config: &ReLUConfig| Ok(ReLU(config.clone())))
    }),
    spec(
        "activation",
        ("LeakyReLU", &["torch.nn.LeakyReLU"]),
        "x where it is positive, else negative_slope * x",
        "torch.nn.LeakyReLU; Maas et al. (2013)",
        LeakyReLUConfig::FIELDS,
        |arguments| build_from(arguments, |config: &LeakyReLUConfig| Ok(LeakyReLU(config.clone()))),
    ),
    spec(
        "activation",
        ("PReLU", &["torch.nn.PReLU"]),
        "Leaky ReLU with learned slopes",
        "torch.nn.PReLU; He et al., Delving Deep into Rectifiers (2015)",
        PReLUConfig::FIELDS,
        |arguments| build_from(arguments, PReLU::new),
    ),
    spec(
        "activation",
        ("RReLU", &["torch.nn.RReLU"]),
        "Leaky ReLU with slopes that are drawn in training",
        "torch.nn.RReLU; Xu et al., Empirical Evaluation of Rectified Activations (2015)",
        RReLUConfig::FIELDS,
        |arguments| build_from(arguments, RReLU::new),
    ),
    spec(
        "activation",
        ("ReLU6", &["torch.nn.ReLU6"]),
        "min(max(x, 0), 6)",
        "torch.nn.ReLU6",
        ReLU6Config::FIELDS,
        |arguments| build_from(arguments, |config: &ReLU6Config| Ok(ReLU6(config.clone()))),
    ),
    spec(
        "activation",
        ("ELU", &["torch.nn.ELU"]),
        "x where it is positive, else alpha * (exp(x) - 1)",
        "torch.nn.ELU; Clevert et al. (2015)",
        ELUConfig::FIELDS,
        |arguments| build_from(arguments, |config: &ELUConfig| Ok(ELU(config.clone()))),
    ),
    spec(
        "activation",
        ("Sigmoid", &["torch.nn.Sigmoid"]),
        "1 / (1 + exp(-x))",
        "torch.nn.Sigmoid",
        SigmoidConfig::FIELDS,
        |arguments| build_from(arguments, |config: &SigmoidConfig| Ok(Sigmoid(config.clone()))),
    ),
    spec("activation", ("Tanh", &["torch.nn.Tanh"]), "tanh(x)", "torch.nn.Tanh", TanhConfig::FIELDS, |arguments| {
        build_from(arguments, |config: &TanhConfig| Ok(Tanh(config.clone())))
    }),
    spec(
        "activation",
        ("GELU", &["torch.nn.GELU"]),
        "x times the normal distribution's CDF at x",
        "torch.nn.GELU; Hendrycks and Gimpel (2016)",
        GELUConfig::FIELDS,
        |arguments| build_from(arguments, |config: &GELUConfig| Ok(GELU(config.clone()))),
    ),
    spec(
        "activation",
        ("SiLU", &["torch.nn.SiLU"]),
        "x * sigmoid(x)",
        "torch.nn.SiLU; Elfwing et al. (2017)",
        SiLUConfig::FIELDS,
        |arguments| build_from(arguments, |config: &SiLUConfig| Ok(SiLU(config.clone()))),
    ),
    spec(
        "activation",
        ("Swish", &[]),
        "x * sigmoid(x)",
        "mmcv Swish; Ramachandran et al. (2017)",
        SwishConfig::FIELDS,
        |arguments| build_from(arguments, |config: &SwishConfig| Ok(Swish(config.clone()))),
    ),
    spec(
        "activation",
        ("HSwish", &["torch.nn.Hardswish"]),
        "x * min(max(x + 3, 0), 6) / 6",
        "torch.nn.Hardswish; Howard et al., Searching for MobileNetV3 (2019)",
        HardswishConfig::FIELDS,
        |arguments| build_from(arguments, |config: &HardswishConfig| Ok(Hardswish(config.clone()))),
    ),
    spec(
        "activation",
        ("HSigmoid", &[]),
        "(x + bias) / divisor, limited to a range",
        "mmcv HSigmoid; Howard et al., Searching for MobileNetV3 (2019)",
        HSigmoidConfig::FIELDS,
        |arguments| build_from(arguments, HSigmoid::new),
    ),
    spec("activation", ("Clamp", &["Clip"]), "x limited to a range", "mmcv Clamp", ClampConfig::FIELDS, |arguments| {
        build_from(arguments, |config: &ClampConfig| Ok(Clamp(config.clone())))
    }),
];
