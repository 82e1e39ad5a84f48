//! `IN1d`, `IN2d` (alias `IN`), `IN3d`. Reference: `torch.nn.InstanceNorm2d`; Ulyanov et al. (2016).

use mmcv_registry::Config;
use tch::{Device, Kind, Tensor};

use super::batch_norm::{affine_parameters, channel_norm_repr, channels, normalization};
use super::check;
use crate::observe::of_size;
use crate::shape_error::wrong_channels;
use crate::{Builder, Error, ErrorKind, Forward, Layer, Module, Parts, Result, Training, size};

/// Arguments of `IN1d`, `IN2d` and `IN3d`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "IN2d", layer = InstanceNorm2d, channels = num_features)]
pub struct InstanceNormConfig {
    /// Number of channels.
    pub num_features: i64,
    /// Value added to the variance for numerical stability.
    #[config(default = 1e-5)]
    pub eps: f64,
    /// Weight of the newest input in the running statistics; null for 0.
    #[config(default = Some(0.1))]
    pub momentum: Option<f64>,
    /// Whether the layer has a learnable weight and bias per channel.
    #[config(default = false)]
    pub affine: bool,
    /// Whether to track running statistics and use them in evaluation.
    #[config(default = false)]
    pub track_running_stats: bool,
    /// Whether the layer has a bias if `affine` is true.
    #[config(default = true)]
    pub bias: bool,
}

/// Instance norm: each channel of each sample has mean 0 and variance 1 before weight and bias.
///
/// Shapes: input `[N, C, *]` or `[C, *]`, output the same. State: `weight`, `bias`, `running_mean`, `running_var`
/// `[C]`, `num_batches_tracked` (0-dim, int64, always 0 as in the reference).
///
/// ```
/// use mmcv_layers::norm::InstanceNormConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let norm = InstanceNormConfig::new().with_num_features(8).with_affine(true).build()?; // IN2d
/// let output = norm.forward(&Tensor::rand([2, 8, 16, 16], FLOAT_CPU))?;
/// assert_eq!(output.size(), [2, 8, 16, 16]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct InstanceNorm {
    dims: usize,
    num_features: i64,
    eps: f64,
    momentum: Option<f64>,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    running: Option<[Tensor; 3]>,
    training: Training,
}

impl InstanceNorm {
    /// An instance norm over `dims` dimensions (1, 2 or 3) with weight 1 and bias 0.
    ///
    /// # Errors
    /// Returns an error if the number of channels is negative.
    pub fn new(dims: usize, config: &InstanceNormConfig) -> Result<Self> {
        let num_features = channels(config.num_features)?;
        let (weight, bias) = affine_parameters(&[num_features], config.affine, config.bias)?;
        let running = if config.track_running_stats {
            let float = (Kind::Float, Device::Cpu);
            let batches = Tensor::f_zeros([0i64; 0], (Kind::Int64, Device::Cpu))?;
            Some([Tensor::f_zeros([num_features], float)?, Tensor::f_ones([num_features], float)?, batches])
        } else {
            None
        };
        Ok(Self {
            dims,
            num_features,
            eps: config.eps,
            momentum: config.momentum,
            weight,
            bias,
            running,
            training: Training::default(),
        })
    }

    fn apply(&self, input: &Tensor) -> Result<Tensor> {
        let input_statistics = self.training.get() || self.running.is_none();
        if input_statistics {
            check::passes(input, check::several_spatial_elements)?;
        }
        let (mean, variance) = match &self.running {
            Some([mean, variance, _]) => (Some(mean), Some(variance)),
            None => (None, None),
        };
        Ok(input.f_instance_norm(
            self.weight.as_ref(),
            self.bias.as_ref(),
            mean,
            variance,
            input_statistics,
            self.momentum.unwrap_or(0.0),
            self.eps,
            true,
        )?)
    }
}

/// The type `IN1d`.
#[derive(Debug)]
pub enum InstanceNorm1d {}

impl Layer for InstanceNorm1d {
    const NAME: &'static str = "IN1d";
    type Config = InstanceNormConfig;
    type Module = InstanceNorm;

    fn build(config: &InstanceNormConfig, _: &Builder<'_>) -> Result<InstanceNorm> {
        InstanceNorm::new(1, config)
    }
}

/// The type `IN2d`.
#[derive(Debug)]
pub enum InstanceNorm2d {}

impl Layer for InstanceNorm2d {
    const NAME: &'static str = "IN2d";
    type Config = InstanceNormConfig;
    type Module = InstanceNorm;

    fn build(config: &InstanceNormConfig, _: &Builder<'_>) -> Result<InstanceNorm> {
        InstanceNorm::new(2, config)
    }
}

/// The type `IN3d`.
#[derive(Debug)]
pub enum InstanceNorm3d {}

impl Layer for InstanceNorm3d {
    const NAME: &'static str = "IN3d";
    type Config = InstanceNormConfig;
    type Module = InstanceNorm;

    fn build(config: &InstanceNormConfig, _: &Builder<'_>) -> Result<InstanceNorm> {
        InstanceNorm::new(3, config)
    }
}

impl Forward for InstanceNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let dims = size::dims(input)?;
        check::dimensions(input, &[self.dims + 1, self.dims + 2])?;
        let without_batch = dims == self.dims + 1;
        let axis = usize::from(!without_batch);
        let found = of_size(input, move |shape| shape.get(axis).copied())?;
        if found != Some(self.num_features) {
            let shape = size::of(input)?;
            if self.weight.is_some() {
                let channels = found.unwrap_or_default();
                let mismatch = wrong_channels("num_features", self.num_features, channels, &shape);
                return Err(Error::new(ErrorKind::Shape(mismatch)));
            }
            log::warn!(
                "num_features is {} and the input size {shape:?}; it is not used without affine",
                self.num_features
            );
        }
        if without_batch {
            return Ok(self.apply(&input.f_unsqueeze(0)?)?.f_squeeze_dim(0)?);
        }
        self.apply(input)
    }
}

impl Module for InstanceNorm {
    fn class(&self) -> &'static [&'static str] {
        match self.dims {
            1 => &["InstanceNorm1d", "_InstanceNorm"],
            2 => &["InstanceNorm2d", "_InstanceNorm"],
            _ => &["InstanceNorm3d", "_InstanceNorm"],
        }
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.training(&self.training);
        parts.parameter("weight", &self.weight);
        parts.parameter("bias", &self.bias);
        if let Some([mean, variance, batches]) = &self.running {
            parts.buffer("running_mean", mean);
            parts.buffer("running_var", variance);
            parts.buffer("num_batches_tracked", batches);
        }
    }

    fn extra_repr(&self) -> String {
        let affine = [self.weight.is_some(), self.bias.is_some()];
        channel_norm_repr(self.num_features, self.eps, self.momentum, affine, self.running.is_some())
    }

    fn multiply_adds(&self, inputs: &[Vec<i64>], _outputs: &[Vec<i64>]) -> u64 {
        normalization(inputs, self.weight.is_some())
    }
}
