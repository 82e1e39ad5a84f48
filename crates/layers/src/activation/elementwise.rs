//! Activations that are one function of each element.

use mmcv_registry::Config;
use tch::Tensor;

use crate::explain::{elements, python};
use crate::ops::{rounded_once, scalar_like};
use crate::{Builder, Error, Forward, Layer, Module, Result};

/// Declares an activation: its arguments, their check, their `repr`, and the function of the input.
macro_rules! elementwise {
    (
        $(#[$meta:meta])*
        $name:ident($type_name:literal, $config:ident) {
            $($(#[doc = $doc:expr])* $field:ident : $type:ty = $default:expr,)*
        }
        $(check |$checked:ident| $check:expr;)?
        $(repr |$shown:ident| $repr:expr;)?
        |$arguments:ident, $input:ident| $forward:expr
    ) => {
        #[doc = concat!("Arguments of `", $type_name, "`.")]
        #[derive(Debug, Clone, PartialEq, Config)]
        #[config(type = $type_name, layer = $name)]
        pub struct $config {
            $($(#[doc = $doc])* #[config(default = $default)] pub $field: $type,)*
        }

        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name(
            /// The arguments.
            pub $config,
        );

        impl Layer for $name {
            const NAME: &'static str = $type_name;
            type Config = $config;
            type Module = Self;

            fn build(config: &$config, _: &Builder<'_>) -> Result<Self> {
                $(let $checked = config;
                $check?;)?
                Ok(Self(config.clone()))
            }
        }

        impl Forward for $name {
            fn forward(&self, $input: &Tensor) -> Result<Tensor> {
                let $arguments = &self.0;
                Ok($forward)
            }
        }

        impl Module for $name {
            fn class(&self) -> &'static [&'static str] {
                &[stringify!($name), "Module"]
            }

            $(fn extra_repr(&self) -> String {
                let $shown = &self.0;
                $repr
            })?

            fn multiply_adds(&self, _inputs: &[Vec<i64>], outputs: &[Vec<i64>]) -> u64 {
                elements(outputs)
            }
        }
    };
}

elementwise! {
    /// `max(x, 0)`. Reference: `torch.nn.ReLU`.
    ///
    /// Shapes: any input; the output has the same shape.
    ///
    /// ```
    /// use mmcv_layers::activation::ReLUConfig;
    /// use mmcv_layers::{Forward, LayerConfig};
    /// use tch::Tensor;
    ///
    /// let layer = ReLUConfig::new().with_inplace(true).build()?;
    /// let output = layer.forward(&Tensor::from_slice(&[-1.0, 2.0]))?;
    /// assert_eq!(output, Tensor::from_slice(&[0.0, 2.0]));
    /// # Ok::<(), mmcv_layers::Error>(())
    /// ```
    ReLU("ReLU", ReLUConfig) {
        /// Whether to do the operation in place.
        inplace: bool = false,
    }
    repr |arguments| shown(&[], arguments.inplace);
    |arguments, input| if arguments.inplace { input.shallow_clone().f_relu_()? } else { input.f_relu()? }
}

elementwise! {
    /// `x` if positive, else `negative_slope * x`. Reference: `torch.nn.LeakyReLU`.
    ///
    /// Shapes: any input; the output has the same shape.
    ///
    /// ```
    /// use mmcv_layers::activation::LeakyReLUConfig;
    /// use mmcv_layers::{Forward, LayerConfig};
    /// use tch::Tensor;
    ///
    /// let layer = LeakyReLUConfig::new().with_negative_slope(0.5).build()?;
    /// let output = layer.forward(&Tensor::from_slice(&[-1.0, 2.0]))?;
    /// assert_eq!(output, Tensor::from_slice(&[-0.5, 2.0]));
    /// # Ok::<(), mmcv_layers::Error>(())
    /// ```
    LeakyReLU("LeakyReLU", LeakyReLUConfig) {
        /// Slope for negative inputs.
        negative_slope: f64 = 0.01,
        /// Whether to do the operation in place.
        inplace: bool = false,
    }
    repr |arguments| shown(&[("negative_slope", arguments.negative_slope)], arguments.inplace);
    |arguments, input| leaky_relu(input, arguments.negative_slope, arguments.inplace)?
}

elementwise! {
    /// `min(max(x, 0), 6)`. Reference: `torch.nn.ReLU6`.
    ///
    /// Shapes: any input; the output has the same shape.
    ///
    /// ```
    /// use mmcv_layers::activation::ReLU6Config;
    /// use mmcv_layers::{Forward, LayerConfig};
    /// use tch::Tensor;
    ///
    /// let layer = ReLU6Config::new().build()?;
    /// let output = layer.forward(&Tensor::from_slice(&[-1.0, 2.0, 8.0]))?;
    /// assert_eq!(output, Tensor::from_slice(&[0.0, 2.0, 6.0]));
    /// # Ok::<(), mmcv_layers::Error>(())
    /// ```
    ReLU6("ReLU6", ReLU6Config) {
        /// Whether to do the operation in place.
        inplace: bool = false,
    }
    repr |arguments| shown(&[], arguments.inplace);
    |arguments, input| if arguments.inplace { input.shallow_clone().f_relu6_()? } else { input.f_relu6()? }
}

elementwise! {
    /// `x` if positive, else `alpha * (exp(x) - 1)`. Reference: `torch.nn.ELU`.
    ///
    /// Shapes: any input; the output has the same shape.
    ///
    /// ```
    /// use mmcv_layers::activation::ELUConfig;
    /// use mmcv_layers::{Forward, LayerConfig};
    /// use tch::Tensor;
    ///
    /// let layer = ELUConfig::new().with_alpha(0.5).build()?;
    /// let output = layer.forward(&Tensor::from_slice(&[0.0, 2.0]))?;
    /// assert_eq!(output, Tensor::from_slice(&[0.0, 2.0]));
    /// # Ok::<(), mmcv_layers::Error>(())
    /// ```
    ELU("ELU", ELUConfig) {
        /// Scale of the negative part: the output approaches `-alpha` for very negative inputs.
        alpha: f64 = 1.0,
        /// Whether to do the operation in place.
        inplace: bool = false,
    }
    repr |arguments| shown(&[("alpha", arguments.alpha)], arguments.inplace);
    |arguments, input| elu(input, arguments)?
}

elementwise! {
    /// `1 / (1 + exp(-x))`. Reference: `torch.nn.Sigmoid`.
    ///
    /// Shapes: any input; the output has the same shape.
    ///
    /// ```
    /// use mmcv_layers::activation::SigmoidConfig;
    /// use mmcv_layers::{Forward, LayerConfig};
    /// use tch::Tensor;
    ///
    /// let layer = SigmoidConfig::new().build()?;
    /// let output = layer.forward(&Tensor::from_slice(&[0.0]))?;
    /// assert_eq!(output, Tensor::from_slice(&[0.5]));
    /// # Ok::<(), mmcv_layers::Error>(())
    /// ```
    Sigmoid("Sigmoid", SigmoidConfig) {}
    |_arguments, input| input.f_sigmoid()?
}

elementwise! {
    /// The hyperbolic tangent. Reference: `torch.nn.Tanh`.
    ///
    /// Shapes: any input; the output has the same shape.
    ///
    /// ```
    /// use mmcv_layers::activation::TanhConfig;
    /// use mmcv_layers::{Forward, LayerConfig};
    /// use tch::Tensor;
    ///
    /// let layer = TanhConfig::new().build()?;
    /// let output = layer.forward(&Tensor::from_slice(&[0.0]))?;
    /// assert_eq!(output, Tensor::from_slice(&[0.0]));
    /// # Ok::<(), mmcv_layers::Error>(())
    /// ```
    Tanh("Tanh", TanhConfig) {}
    |_arguments, input| input.f_tanh()?
}

elementwise! {
    /// `x` times the normal distribution's CDF at `x`. Reference: `torch.nn.GELU`.
    ///
    /// Shapes: any input; the output has the same shape.
    ///
    /// ```
    /// use mmcv_layers::activation::{Approximate, GELUConfig};
    /// use mmcv_layers::{Forward, LayerConfig};
    /// use tch::Tensor;
    ///
    /// let layer = GELUConfig::new().with_approximate(Approximate::Tanh).build()?;
    /// let output = layer.forward(&Tensor::from_slice(&[0.0]))?;
    /// assert_eq!(output, Tensor::from_slice(&[0.0]));
    /// # Ok::<(), mmcv_layers::Error>(())
    /// ```
    GELU("GELU", GELUConfig) {
        /// `none`, or `tanh` for the approximation with a hyperbolic tangent.
        approximate: Approximate = Approximate::None,
    }
    repr |arguments| format!("approximate={}", python::value(arguments.approximate.word()));
    |arguments, input| input.f_gelu(arguments.approximate.word())?
}

elementwise! {
    /// `x * sigmoid(x)`. Reference: `torch.nn.SiLU`.
    ///
    /// Shapes: any input; the output has the same shape.
    ///
    /// ```
    /// use mmcv_layers::activation::SiLUConfig;
    /// use mmcv_layers::{Forward, LayerConfig};
    /// use tch::Tensor;
    ///
    /// let layer = SiLUConfig::new().build()?;
    /// let output = layer.forward(&Tensor::from_slice(&[0.0]))?;
    /// assert_eq!(output, Tensor::from_slice(&[0.0]));
    /// # Ok::<(), mmcv_layers::Error>(())
    /// ```
    SiLU("SiLU", SiLUConfig) {
        /// Whether to do the operation in place.
        inplace: bool = false,
    }
    repr |arguments| shown(&[], arguments.inplace);
    |arguments, input| if arguments.inplace { input.shallow_clone().f_silu_()? } else { input.f_silu()? }
}

elementwise! {
    /// `x * sigmoid(x)`. Reference: mmcv/cnn/bricks/swish.py.
    ///
    /// Shapes: any input; the output has the same shape.
    ///
    /// ```
    /// use mmcv_layers::activation::SwishConfig;
    /// use mmcv_layers::{Forward, LayerConfig};
    /// use tch::Tensor;
    ///
    /// let layer = SwishConfig::new().build()?;
    /// let output = layer.forward(&Tensor::from_slice(&[0.0]))?;
    /// assert_eq!(output, Tensor::from_slice(&[0.0]));
    /// # Ok::<(), mmcv_layers::Error>(())
    /// ```
    Swish("Swish", SwishConfig) {}
    |_arguments, input| input.f_mul(&input.f_sigmoid()?)?
}

elementwise! {
    /// `x * min(max(x + 3, 0), 6) / 6`. Reference: `torch.nn.Hardswish`.
    ///
    /// Shapes: any input; the output has the same shape.
    ///
    /// ```
    /// use mmcv_layers::activation::HardswishConfig;
    /// use mmcv_layers::{Forward, LayerConfig};
    /// use tch::Tensor;
    ///
    /// let layer = HardswishConfig::new().build()?;
    /// let output = layer.forward(&Tensor::from_slice(&[-3.0, 3.0]))?;
    /// assert_eq!(output, Tensor::from_slice(&[0.0, 3.0]));
    /// # Ok::<(), mmcv_layers::Error>(())
    /// ```
    Hardswish("HSwish", HardswishConfig) {
        /// Whether to do the operation in place.
        inplace: bool = false,
    }
    |arguments, input| if arguments.inplace { input.shallow_clone().f_hardswish_()? } else { input.f_hardswish()? }
}

elementwise! {
    /// `x` limited to the range from `min` to `max`. Reference: mmcv/cnn/bricks/activation.py, `Clamp`.
    ///
    /// Shapes: any input; the output has the same shape.
    ///
    /// ```
    /// use mmcv_layers::activation::ClampConfig;
    /// use mmcv_layers::{Forward, LayerConfig};
    /// use tch::Tensor;
    ///
    /// let layer = ClampConfig::new().with_min(0.0).build()?;
    /// let output = layer.forward(&Tensor::from_slice(&[-2.0, 0.5, 2.0]))?;
    /// assert_eq!(output, Tensor::from_slice(&[0.0, 0.5, 1.0]));
    /// # Ok::<(), mmcv_layers::Error>(())
    /// ```
    Clamp("Clamp", ClampConfig) {
        /// Lower bound; null for none.
        min: Option<f64> = Some(-1.0),
        /// Upper bound; null for none.
        max: Option<f64> = Some(1.0),
    }
    |arguments, input| match (arguments.min, arguments.max) {
        (Some(min), Some(max)) => input.f_clamp_tensor(Some(&scalar_like(min, input)?), Some(&scalar_like(max, input)?))?,
        (Some(min), None) => input.f_clamp_min_tensor(&scalar_like(min, input)?)?,
        (None, Some(max)) => input.f_clamp_max_tensor(&scalar_like(max, input)?)?,
        (None, None) => return Err(Error::argument("min", "null", "expected at least one of min and max")),
    }
}

elementwise! {
    /// `(x + bias) / divisor` limited to the range from `min_value` to `max_value`.
    ///
    /// Reference: mmcv/cnn/bricks/hsigmoid.py.
    ///
    /// Shapes: any input; the output has the same shape.
    ///
    /// ```
    /// use mmcv_layers::activation::HSigmoidConfig;
    /// use mmcv_layers::{Forward, LayerConfig};
    /// use tch::Tensor;
    ///
    /// let layer = HSigmoidConfig::new().build()?;
    /// let output = layer.forward(&Tensor::from_slice(&[-3.0, 3.0]))?;
    /// assert_eq!(output, Tensor::from_slice(&[0.0, 1.0]));
    /// # Ok::<(), mmcv_layers::Error>(())
    /// ```
    HSigmoid("HSigmoid", HSigmoidConfig) {
        /// Offset added to the input.
        bias: f64 = 3.0,
        /// Divisor of the sum; not 0.
        divisor: f64 = 6.0,
        /// Lower bound.
        min_value: f64 = 0.0,
        /// Upper bound.
        max_value: f64 = 1.0,
    }
    check |arguments| nonzero_divisor(arguments);
    |arguments, input| {
        let scaled = input.f_add(&scalar_like(arguments.bias, input)?)?;
        let scaled = scaled.f_div(&scalar_like(arguments.divisor, input)?)?;
        let (least, greatest) = (scalar_like(arguments.min_value, input)?, scalar_like(arguments.max_value, input)?);
        scaled.f_clamp_tensor(Some(&least), Some(&greatest))?
    }
}

fn nonzero_divisor(config: &HSigmoidConfig) -> Result<()> {
    if config.divisor == 0.0 {
        return Err(Error::argument("divisor", config.divisor, "expected a nonzero number"));
    }
    Ok(())
}

/// The formula of GELU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum Approximate {
    /// Exact, with the error function.
    None,
    /// Approximate, with a hyperbolic tangent.
    Tanh,
}

/// The arguments as Python's `repr` shows them: named numbers, and `inplace=True` if it is set.
pub(super) fn shown(numbers: &[(&str, f64)], inplace: bool) -> String {
    let mut arguments = Vec::new();
    for (name, number) in numbers {
        arguments.push(format!("{name}={}", python::value(*number)));
    }
    if inplace {
        arguments.push(format!("inplace={}", python::value(true)));
    }
    arguments.join(", ")
}

/// Leaky ReLU with any slope; tch's has the fixed slope 0.01.
pub(super) fn leaky_relu(input: &Tensor, slope: f64, inplace: bool) -> Result<Tensor> {
    const TCH_SLOPE: f64 = 0.01;
    if slope == TCH_SLOPE {
        return Ok(if inplace { input.shallow_clone().f_leaky_relu_()? } else { input.f_leaky_relu()? });
    }
    let output = rounded_once(input, |input| Ok(input.f_prelu(&scalar_like(slope, input)?)?))?;
    replace(input, output, inplace)
}

/// ELU with any alpha; tch's has the fixed alpha 1.
fn elu(input: &Tensor, arguments: &ELUConfig) -> Result<Tensor> {
    if arguments.alpha == 1.0 {
        return Ok(if arguments.inplace { input.shallow_clone().f_elu_()? } else { input.f_elu()? });
    }
    let output = rounded_once(input, |input| {
        // The clamp keeps exp() and its gradient finite for positive inputs.
        let zero = scalar_like(0.0, input)?;
        let negative = input.f_clamp_max_tensor(&zero)?.f_expm1()?.f_mul(&scalar_like(arguments.alpha, input)?)?;
        Ok(input.f_where_self(&input.f_gt_tensor(&zero)?, &negative)?)
    })?;
    replace(input, output, arguments.inplace)
}

/// Writes `output` into `input` if the layer works in place and no gradient needs the old input.
pub(super) fn replace(input: &Tensor, output: Tensor, inplace: bool) -> Result<Tensor> {
    if !inplace || output.requires_grad() {
        return Ok(output);
    }
    let mut input = input.shallow_clone();
    input.f_copy_(&output)?;
    Ok(input)
}
