//! The types of `init_cfg` rules and their registry. Reference: mmengine/model/weight_init.py.

use std::fmt::Debug;

use mmcv_registry::{Config, ConfigError, ConfigStruct, Dict, FromConfig, KeyPath, Spec};

use super::{Distribution, FanMode, Nonlinearity, modules};
use crate::{Module, Result};

/// The action of an `init_cfg` rule on a module.
pub trait Initializer: Debug + Send {
    /// Writes initial values into the module's own parameters; with [`Self::loads`], also into those of its
    /// descendants.
    ///
    /// # Errors
    /// Returns an error if the values cannot be drawn or loaded.
    fn initialize(&self, module: &dyn Module) -> Result<()>;

    /// The classes of the modules to initialize.
    fn layers(&self) -> &[String] {
        &[]
    }

    /// Whether it loads weights: it is then applied to the module itself, after all other rules.
    fn loads(&self) -> bool {
        false
    }
}

/// Builds an initializer from its arguments, which are at the path.
pub type BuildInitializer = fn(&Dict, &KeyPath) -> Result<Box<dyn Initializer>>;

/// Declares an initializer: its own arguments, and its action on one module. All initializers share the other
/// arguments.
macro_rules! initializer {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(required { $(#[doc = $required_doc:expr])* $required:ident : $required_type:ty, })?
            $(optional { $($(#[doc = $optional_doc:expr])* $optional:ident : $optional_type:ty = $default:expr,)* })?
        }
        |$this:ident, $module:ident, $bias:ident| $initialize:expr
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Config)]
        pub struct $name {
            $($(#[doc = $required_doc])* pub $required: $required_type,)?
            $($($(#[doc = $optional_doc])* #[config(default = $default)] pub $optional: $optional_type,)*)?
            /// The value of biases.
            #[config(default = 0.0)]
            pub bias: f64,
            /// Instead of `bias`: the sigmoid of the bias, between 0 and 1.
            #[config(default = None)]
            pub bias_prob: Option<Probability>,
            /// The classes, or direct base classes, of the modules to initialize.
            #[config(default = Layers(Vec::new()))]
            pub layer: Layers,
        }

        impl Initializer for $name {
            fn initialize(&self, $module: &dyn Module) -> Result<()> {
                let $this = self;
                let $bias = match self.bias_prob {
                    Some(Probability(prior)) => modules::bias_init_with_prob(prior),
                    None => self.bias,
                };
                $initialize
            }

            fn layers(&self) -> &[String] {
                &self.layer.0
            }
        }
    };
}

initializer! {
    /// Arguments of the initializer `Constant`.
    pub struct ConstantInit {
        required {
            /// The value of weights.
            val: f64,
        }
    }
    |this, module, bias| modules::constant_init(module, this.val, bias)
}

initializer! {
    /// Arguments of the initializer `Xavier`.
    pub struct XavierInit {
        optional {
            /// Factor on the standard deviation.
            gain: f64 = 1.0,
            /// The distribution of the weights.
            distribution: Distribution = Distribution::Normal,
        }
    }
    |this, module, bias| modules::xavier_init(module, this.gain, bias, this.distribution)
}

initializer! {
    /// Arguments of the initializer `Normal`.
    pub struct NormalInit {
        optional {
            /// The mean of the weights.
            mean: f64 = 0.0,
            /// The standard deviation of the weights, at least 0.
            std: f64 = 1.0,
        }
    }
    |this, module, bias| modules::normal_init(module, this.mean, this.std, bias)
}

initializer! {
    /// Arguments of the initializer `TruncNormal`.
    pub struct TruncNormalInit {
        optional {
            /// The mean of the weights before truncation.
            mean: f64 = 0.0,
            /// The standard deviation of the weights before truncation, above 0.
            std: f64 = 1.0,
            /// The lower bound of the weights.
            a: f64 = -2.0,
            /// The upper bound of the weights.
            b: f64 = 2.0,
        }
    }
    |this, module, bias| modules::trunc_normal_init(module, this.mean, this.std, this.a, this.b, bias)
}

initializer! {
    /// Arguments of the initializer `Uniform`.
    pub struct UniformInit {
        optional {
            /// The lower bound of the weights.
            a: f64 = 0.0,
            /// The upper bound of the weights, exclusive.
            b: f64 = 1.0,
        }
    }
    |this, module, bias| modules::uniform_init(module, this.a, this.b, bias)
}

initializer! {
    /// Arguments of the initializer `Kaiming`.
    pub struct KaimingInit {
        optional {
            /// The negative slope of the nonlinearity if that is `leaky_relu`.
            a: f64 = 0.0,
            /// Preserves the variance in the forward pass (`fan_in`) or the backward pass (`fan_out`).
            mode: FanMode = FanMode::FanOut,
            /// The nonlinearity after the layer.
            nonlinearity: NonlinearityName = NonlinearityName::Relu,
            /// The distribution of the weights.
            distribution: Distribution = Distribution::Normal,
        }
    }
    |this, module, bias| {
        modules::kaiming_init(module, this.mode, this.nonlinearity.with_slope(this.a), bias, this.distribution)
    }
}

initializer! {
    /// Arguments of the initializer `Caffe2Xavier`.
    pub struct Caffe2XavierInit {}
    |_this, module, bias| modules::caffe2_xavier_init(module, bias)
}

/// The nonlinearity after a layer, by its name in `torch.nn.functional`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum NonlinearityName {
    /// Rectifier.
    Relu,
    /// Leaky rectifier.
    LeakyRelu,
    /// None.
    Linear,
    /// Logistic function.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// Scaled exponential.
    Selu,
}

impl NonlinearityName {
    fn with_slope(self, slope: f64) -> Nonlinearity {
        match self {
            Self::Relu => Nonlinearity::Relu,
            Self::LeakyRelu => Nonlinearity::LeakyRelu(slope),
            Self::Linear | Self::Sigmoid => Nonlinearity::Linear,
            Self::Tanh => Nonlinearity::Tanh,
            Self::Selu => Nonlinearity::Selu,
        }
    }
}

/// A number between 0 and 1; written as a float, as in the reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probability(f64);

impl FromConfig for Probability {
    fn expected() -> String {
        "a float between 0 and 1".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Float(prior) => Ok(Self(*prior)),
            _ => Err(ConfigError::wrong_type(path, Self::expected(), value)),
        }
    }

    fn to_config(&self) -> Config {
        self.0.into()
    }
}

/// Class names: one, or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers(Vec<String>);

impl FromConfig for Layers {
    fn expected() -> String {
        "a class name or a list of class names".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Null => Ok(Self(Vec::new())),
            Config::Str(name) => Ok(Self(vec![name.clone()])),
            Config::List(_) | Config::Tuple(_) => Vec::<String>::from_config(value, path).map(Self),
            _ => Err(ConfigError::wrong_type(path, Self::expected(), value)),
        }
    }

    fn to_config(&self) -> Config {
        self.0.to_config()
    }
}

/// The initializers of this crate.
pub const INITIALIZER_SPECS: &[Spec<BuildInitializer>] = &[
    Spec {
        doc: "One value for all weights.",
        fields: ConstantInit::FIELDS,
        ..spec("Constant", &["ConstantInit"], build::<ConstantInit>)
    },
    Spec {
        doc: "Preserves the variance between layers, for symmetric activations.",
        source: "mmengine XavierInit; Glorot and Bengio (2010)",
        fields: XavierInit::FIELDS,
        ..spec("Xavier", &["XavierInit"], build::<XavierInit>)
    },
    Spec {
        doc: "A normal distribution.",
        fields: NormalInit::FIELDS,
        ..spec("Normal", &["NormalInit"], build::<NormalInit>)
    },
    Spec {
        doc: "A truncated normal distribution.",
        fields: TruncNormalInit::FIELDS,
        ..spec("TruncNormal", &["TruncNormalInit"], build::<TruncNormalInit>)
    },
    Spec {
        doc: "A uniform distribution.",
        fields: UniformInit::FIELDS,
        ..spec("Uniform", &["UniformInit"], build::<UniformInit>)
    },
    Spec {
        doc: "Preserves the variance between layers, for rectifiers.",
        source: "mmengine KaimingInit; He et al. (2015)",
        fields: KaimingInit::FIELDS,
        ..spec("Kaiming", &["KaimingInit"], build::<KaimingInit>)
    },
    Spec {
        doc: "The XavierFill of Caffe2: Kaiming, uniform, over the inputs.",
        fields: Caffe2XavierInit::FIELDS,
        ..spec("Caffe2Xavier", &["Caffe2XavierInit"], build::<Caffe2XavierInit>)
    },
];

const fn spec(name: &'static str, aliases: &'static [&'static str], build: BuildInitializer) -> Spec<BuildInitializer> {
    Spec { group: "initializer", source: "mmengine weight_init", aliases, ..Spec::new(name, build) }
}

fn build<I: Initializer + FromConfig + 'static>(arguments: &Dict, path: &KeyPath) -> Result<Box<dyn Initializer>> {
    Ok(Box::new(I::from_config(&Config::Dict(arguments.clone()), path)?))
}
