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

use crate::{Build, Layer};

/// The registered activations.
pub const SPECS: &[Spec<Build>] = &[
    Spec { group: "activation", aliases: &["torch.nn.ReLU"], doc: "max(x, 0)", source: "torch.nn.ReLU", ..ReLU::SPEC },
    Spec {
        group: "activation",
        aliases: &["torch.nn.LeakyReLU"],
        doc: "x if positive, else negative_slope * x",
        source: "torch.nn.LeakyReLU; Maas et al. (2013)",
        ..LeakyReLU::SPEC
    },
    Spec {
        group: "activation",
        aliases: &["torch.nn.PReLU"],
        doc: "Leaky ReLU with learned slopes",
        source: "torch.nn.PReLU; He et al., Delving Deep into Rectifiers (2015)",
        ..PReLU::SPEC
    },
    Spec {
        group: "activation",
        aliases: &["torch.nn.RReLU"],
        doc: "Leaky ReLU with random slopes in training",
        source: "torch.nn.RReLU; Xu et al., Empirical Evaluation of Rectified Activations (2015)",
        ..RReLU::SPEC
    },
    Spec {
        group: "activation",
        aliases: &["torch.nn.ReLU6"],
        doc: "min(max(x, 0), 6)",
        source: "torch.nn.ReLU6",
        ..ReLU6::SPEC
    },
    Spec {
        group: "activation",
        aliases: &["torch.nn.ELU"],
        doc: "x if positive, else alpha * (exp(x) - 1)",
        source: "torch.nn.ELU; Clevert et al. (2015)",
        ..ELU::SPEC
    },
    Spec {
        group: "activation",
        aliases: &["torch.nn.Sigmoid"],
        doc: "1 / (1 + exp(-x))",
        source: "torch.nn.Sigmoid",
        ..Sigmoid::SPEC
    },
    Spec { group: "activation", aliases: &["torch.nn.Tanh"], doc: "tanh(x)", source: "torch.nn.Tanh", ..Tanh::SPEC },
    Spec {
        group: "activation",
        aliases: &["torch.nn.GELU"],
        doc: "x times the normal distribution's CDF at x",
        source: "torch.nn.GELU; Hendrycks and Gimpel (2016)",
        ..GELU::SPEC
    },
    Spec {
        group: "activation",
        aliases: &["torch.nn.SiLU"],
        doc: "x * sigmoid(x)",
        source: "torch.nn.SiLU; Elfwing et al. (2017)",
        ..SiLU::SPEC
    },
    Spec {
        group: "activation",
        doc: "x * sigmoid(x)",
        source: "mmcv Swish; Ramachandran et al. (2017)",
        ..Swish::SPEC
    },
    Spec {
        group: "activation",
        aliases: &["torch.nn.Hardswish"],
        doc: "x * min(max(x + 3, 0), 6) / 6",
        source: "torch.nn.Hardswish; Howard et al., Searching for MobileNetV3 (2019)",
        ..Hardswish::SPEC
    },
    Spec {
        group: "activation",
        doc: "(x + bias) / divisor, limited to a range",
        source: "mmcv HSigmoid; Howard et al., Searching for MobileNetV3 (2019)",
        ..HSigmoid::SPEC
    },
    Spec { group: "activation", aliases: &["Clip"], doc: "x limited to a range", source: "mmcv Clamp", ..Clamp::SPEC },
];
