//! `BN1d`, `BN2d` (alias `BN`), `BN3d`, `SyncBN`. Reference: `torch.nn.BatchNorm2d`; Ioffe and Szegedy (2015).

use std::cell::Cell;

use mmcv_registry::Config;
use tch::{Device, Kind, Tensor};

use super::check;
use super::sync::{self, SyncNorm};
use crate::explain::{elements, python};
use crate::ops::scalar_like;
use crate::{Builder, Error, Forward, Layer, Module, Parts, Result, Training, init};

/// Arguments of `BN1d`, `BN2d`, `BN3d` and `SyncBN`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "BN2d", layer = BatchNorm2d, channels = num_features)]
pub struct BatchNormConfig {
    /// Number of channels.
    pub num_features: i64,
    /// Value added to the variance for numerical stability; at least 0, and greater than 0 in training.
    #[config(default = 1e-5)]
    pub eps: f64,
    /// Weight of the newest batch in the running statistics; null for a cumulative average.
    #[config(default = Some(0.1))]
    pub momentum: Option<f64>,
    /// Whether the layer has a learnable weight and bias per channel.
    #[config(default = true)]
    pub affine: bool,
    /// Whether to track running statistics; otherwise evaluation also uses those of the input.
    #[config(default = true)]
    pub track_running_stats: bool,
    /// Whether the layer has a bias if `affine` is true.
    #[config(default = true)]
    pub bias: bool,
}

/// The input of a batch norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchNormKind {
    /// `[N, C]` or `[N, C, L]`.
    OneD,
    /// `[N, C, H, W]`.
    TwoD,
    /// `[N, C, D, H, W]`.
    ThreeD,
    /// `[N, C, *]`, with the statistics of all processes of the group that [`set_sync_group`](super::set_sync_group) sets.
    Sync,
    /// `[N, C, *]`: what [`revert_sync_batchnorm`](super::revert_sync_batchnorm) makes of `Sync`.
    Any,
}

/// Batch norm: `(x - mean) / sqrt(variance + eps) * weight + bias` for each channel, with the statistics of the batch
/// in training and the running ones in evaluation.
///
/// Shapes: see [`BatchNormKind`]; the output has the same shape. State: `weight`, `bias`, `running_mean`, `running_var`
/// `[C]`, `num_batches_tracked` (0-dim, int64).
///
/// ```
/// use mmcv_layers::norm::{BatchNorm1d, BatchNormConfig};
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let config = BatchNormConfig::new().with_num_features(8);
/// let norm = config.build()?; // BN2d
/// let output = norm.forward(&Tensor::rand([2, 8, 16, 16], FLOAT_CPU))?;
/// assert_eq!(output.size(), [2, 8, 16, 16]);
///
/// let norm = config.build_as::<BatchNorm1d>()?;
/// assert_eq!(norm.forward(&Tensor::rand([2, 8], FLOAT_CPU))?.size(), [2, 8]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct BatchNorm {
    kind: Cell<BatchNormKind>,
    num_features: i64,
    eps: f64,
    momentum: Option<f64>,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    running: Option<Running>,
    training: Training,
}

/// Running statistics.
#[derive(Debug)]
struct Running {
    mean: Tensor,
    variance: Tensor,
    batches: Tensor,
}

impl BatchNorm {
    /// A batch norm with weight 1, bias 0, running mean 0 and running variance 1.
    ///
    /// # Errors
    /// Returns an error if the number of channels is negative.
    pub fn new(kind: BatchNormKind, config: &BatchNormConfig) -> Result<Self> {
        let (weight, bias) = affine_parameters(&[channels(config.num_features)?], config.affine, config.bias)?;
        let running = if config.track_running_stats { Some(Running::new(config.num_features)?) } else { None };
        Ok(Self {
            kind: Cell::new(kind),
            num_features: config.num_features,
            eps: config.eps,
            momentum: config.momentum,
            weight,
            bias,
            running,
            training: Training::default(),
        })
    }

    /// The input that the layer takes, and whether it is a `SyncBN`.
    #[must_use]
    pub fn kind(&self) -> BatchNormKind {
        self.kind.get()
    }

    pub(super) fn set_kind(&self, kind: BatchNormKind) {
        self.kind.set(kind);
    }

    /// Whether the layer tracks running statistics.
    #[must_use]
    pub fn tracks_running_stats(&self) -> bool {
        self.running.is_some()
    }

    /// Whether the layer is in training mode.
    #[must_use]
    pub fn is_training(&self) -> bool {
        self.training.get()
    }

    /// Scale and shift, each `[C]`, that this layer applies in evaluation to the output of a convolution with the bias
    /// `conv_bias`. `None` without running statistics.
    ///
    /// # Errors
    /// Returns an error if libtorch fails.
    pub fn scale_and_shift(&self, conv_bias: Option<&Tensor>) -> Result<Option<(Tensor, Tensor)>> {
        let Some(running) = &self.running else { return Ok(None) };
        let mut scale = running.variance.f_add(&scalar_like(self.eps, &running.variance)?)?.f_rsqrt()?;
        if let Some(weight) = &self.weight {
            scale = weight.f_mul(&scale)?;
        }
        let centered = match conv_bias {
            Some(bias) => bias.f_sub(&running.mean)?,
            None => running.mean.f_neg()?,
        };
        let mut shift = scale.f_mul(&centered)?;
        if let Some(bias) = &self.bias {
            shift = bias.f_add(&shift)?;
        }
        Ok(Some((scale, shift)))
    }
}

/// The type `BN1d`.
#[derive(Debug)]
pub enum BatchNorm1d {}

impl Layer for BatchNorm1d {
    const NAME: &'static str = "BN1d";
    type Config = BatchNormConfig;
    type Module = BatchNorm;

    fn build(config: &BatchNormConfig, _: &Builder<'_>) -> Result<BatchNorm> {
        BatchNorm::new(BatchNormKind::OneD, config)
    }
}

/// The type `BN2d`.
#[derive(Debug)]
pub enum BatchNorm2d {}

impl Layer for BatchNorm2d {
    const NAME: &'static str = "BN2d";
    type Config = BatchNormConfig;
    type Module = BatchNorm;

    fn build(config: &BatchNormConfig, _: &Builder<'_>) -> Result<BatchNorm> {
        BatchNorm::new(BatchNormKind::TwoD, config)
    }
}

/// The type `BN3d`.
#[derive(Debug)]
pub enum BatchNorm3d {}

impl Layer for BatchNorm3d {
    const NAME: &'static str = "BN3d";
    type Config = BatchNormConfig;
    type Module = BatchNorm;

    fn build(config: &BatchNormConfig, _: &Builder<'_>) -> Result<BatchNorm> {
        BatchNorm::new(BatchNormKind::ThreeD, config)
    }
}

/// The type `SyncBN`.
#[derive(Debug)]
pub enum SyncBatchNorm {}

impl Layer for SyncBatchNorm {
    const NAME: &'static str = "SyncBN";
    type Config = BatchNormConfig;
    type Module = BatchNorm;

    fn build(config: &BatchNormConfig, _: &Builder<'_>) -> Result<BatchNorm> {
        BatchNorm::new(BatchNormKind::Sync, config)
    }
}

impl Forward for BatchNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        match self.kind() {
            BatchNormKind::OneD => check::dimensions(input, &[2, 3])?,
            BatchNormKind::TwoD => check::dimensions(input, &[4])?,
            BatchNormKind::ThreeD => check::dimensions(input, &[5])?,
            BatchNormKind::Sync | BatchNormKind::Any => check::at_least_two_dimensions(input)?,
        }
        let training = self.training.get();
        let batch_statistics = training || self.running.is_none();
        let mut momentum = self.momentum.unwrap_or(0.0);
        if training && let Some(running) = &self.running {
            let mut batches = running.batches.shallow_clone();
            let one = Tensor::f_from_slice(&[1i64])?.f_reshape([0i64; 0])?.f_to_device(batches.device())?;
            let _ = batches.f_add_(&one)?;
            if self.momentum.is_none() {
                momentum = 1.0 / batches.f_double_value(&[])?;
            }
        }
        let group = if training && self.kind() == BatchNormKind::Sync { sync::group() } else { None };
        // Of a group, only all processes together need several values.
        if batch_statistics && group.is_none() {
            check::passes(input, check::several_values_per_channel)?;
        }
        check_eps(self.eps, batch_statistics)?;
        let (mean, variance) = match &self.running {
            Some(running) => (Some(&running.mean), Some(&running.variance)),
            None => (None, None),
        };
        if let Some(group) = group {
            let (weight, bias) = (self.weight.as_ref(), self.bias.as_ref());
            let norm = SyncNorm { weight, bias, running_mean: mean, running_var: variance, momentum, eps: self.eps };
            return group.batch_norm(input, &norm);
        }
        let output = input.f_batch_norm(
            self.weight.as_ref(),
            self.bias.as_ref(),
            mean,
            variance,
            batch_statistics,
            momentum,
            self.eps,
            true,
        );
        let per_channel = self.weight.as_ref().or(mean);
        output.map_err(|refusal| check::explain("num_features", per_channel, &input.size(), refusal))
    }
}

impl Module for BatchNorm {
    fn class(&self) -> &'static [&'static str] {
        match self.kind() {
            BatchNormKind::OneD => &["BatchNorm1d", "_BatchNorm"],
            BatchNormKind::TwoD => &["BatchNorm2d", "_BatchNorm"],
            BatchNormKind::ThreeD => &["BatchNorm3d", "_BatchNorm"],
            BatchNormKind::Sync => &["SyncBatchNorm"],
            BatchNormKind::Any => &["_BatchNormXd", "_BatchNorm"],
        }
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.training(&self.training);
        parts.parameter("weight", &self.weight);
        parts.parameter("bias", &self.bias);
        if let Some(running) = &self.running {
            parts.buffer("running_mean", &running.mean);
            parts.buffer("running_var", &running.variance);
            parts.buffer("num_batches_tracked", &running.batches);
        }
    }

    /// Files written before PyTorch 0.4.1 lack the counter, which then keeps its value.
    fn may_be_absent(&self, name: &str) -> bool {
        name == "num_batches_tracked"
    }

    fn extra_repr(&self) -> String {
        let affine = [self.weight.is_some(), self.bias.is_some()];
        channel_norm_repr(self.num_features, self.eps, self.momentum, affine, self.running.is_some())
    }

    fn multiply_adds(&self, inputs: &[Vec<i64>], _outputs: &[Vec<i64>]) -> u64 {
        normalization(inputs, self.weight.is_some())
    }
}

impl Running {
    fn new(channels: i64) -> Result<Self> {
        let float = (Kind::Float, Device::Cpu);
        Ok(Self {
            mean: Tensor::f_zeros([channels], float)?,
            variance: Tensor::f_ones([channels], float)?,
            batches: Tensor::f_zeros([0i64; 0], (Kind::Int64, Device::Cpu))?,
        })
    }
}

fn check_eps(eps: f64, training: bool) -> Result<()> {
    if training && (eps <= 0.0 || eps.is_nan()) {
        return Err(Error::argument("eps", eps, "expected a positive number during training"));
    }
    if eps < 0.0 || eps.is_nan() {
        return Err(Error::argument("eps", eps, "expected a non-negative number"));
    }
    Ok(())
}

/// Checks a number of channels.
pub(super) fn channels(num_features: i64) -> Result<i64> {
    if num_features < 0 {
        return Err(Error::argument("num_features", num_features, "expected at least 0"));
    }
    Ok(num_features)
}

/// Weight 1 and bias 0 of the given shape; `None` for those that the arguments switch off.
pub(super) fn affine_parameters(shape: &[i64], affine: bool, bias: bool) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let weight = if affine { Some(constant_parameter(shape, 1.0)?) } else { None };
    let bias = if affine && bias { Some(constant_parameter(shape, 0.0)?) } else { None };
    Ok((weight, bias))
}

fn constant_parameter(shape: &[i64], value: f64) -> Result<Tensor> {
    let tensor = init::parameter(shape)?;
    init::constant(&tensor, value)?;
    Ok(tensor)
}

/// The arguments of a batch or instance norm in Python's form; `affine` tells whether there are a weight and a bias.
pub(super) fn channel_norm_repr(
    num_features: i64,
    eps: f64,
    momentum: Option<f64>,
    affine: [bool; 2],
    track_running_stats: bool,
) -> String {
    let [weight, bias] = affine.map(python::value);
    format!(
        "{num_features}, eps={}, momentum={}, affine={weight}, bias={bias}, track_running_stats={}",
        python::value(eps),
        python::value(momentum),
        python::value(track_running_stats)
    )
}

/// The multiply-adds of a normalization with or without weights.
pub(super) fn normalization(inputs: &[Vec<i64>], affine: bool) -> u64 {
    elements(inputs).saturating_mul(if affine { 2 } else { 1 })
}
