//! [`TrainingConfig`]: the network and its training.

use anyhow::{Context, Result};
use mmcv::layers::Module;
use mmcv::layers::norm::convert_sync_batchnorm;
use mmcv::prelude::*;
use mmcv::registry::{FromConfig, KeyPath};
use mmcv_training::SgdOptions;

use super::project;

/// A network and its training.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(crate = mmcv::registry)]
pub struct TrainingConfig {
    /// The network: the dict of a registered type.
    pub model: Dict,
    /// The optimizer: stochastic gradient descent.
    pub sgd: SgdConfig,
    /// Seed of the initial weights and of the order of the images.
    #[config(default = 0)]
    pub seed: i64,
    /// Number of passes over the training images.
    #[config(default = 12)]
    pub max_epochs: i64,
    /// Number of images in a batch, at least 2; under a launcher each process takes its share of them.
    #[config(default = 64)]
    pub batch_size: i64,
    /// The learning rate schedule; null for a constant rate.
    #[config(default = None)]
    pub multi_step_lr: Option<MultiStepLrConfig>,
    /// The first steps with a lower learning rate; null for none.
    #[config(default = None)]
    pub warmup: Option<WarmupConfig>,
    /// Limits the gradients; null for no limit.
    #[config(default = None)]
    pub clip_grad: Option<ClipGradConfig>,
    /// Number of batches whose gradients make one step of the optimizer.
    #[config(default = 1)]
    pub accumulative_counts: i64,
    /// Whether convolutions and linear layers compute in bfloat16.
    #[config(default = false)]
    pub amp: bool,
    /// Whether batch norms use the statistics of all processes.
    #[config(default = false)]
    pub sync_bn: bool,
    /// Whether the first images of an epoch are taken again at its end, so that all processes have as many, as mmengine's samplers do
    /// by default; `batch_size` has to be a multiple of the number of processes then.
    #[config(default = false)]
    pub round_up: bool,
}

/// Arguments of `torch.nn.utils.clip_grad_norm_`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(crate = mmcv::registry)]
pub struct ClipGradConfig {
    /// The largest norm of all gradients together.
    pub max_norm: f64,
}

/// Arguments of `mmengine.optim.LinearLR`, by steps.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(crate = mmcv::registry)]
pub struct WarmupConfig {
    /// The number of batches after which the learning rate is that of the schedule.
    pub iters: i64,
    /// Its factor at the beginning.
    #[config(default = 0.1)]
    pub start_factor: f64,
}

/// Arguments of `torch.optim.SGD`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(crate = mmcv::registry)]
pub struct SgdConfig {
    /// Initial learning rate.
    pub lr: f64,
    /// Momentum factor.
    #[config(default = 0.0)]
    pub momentum: f64,
    /// Weight decay (L2 penalty).
    #[config(default = 0.0)]
    pub weight_decay: f64,
}

/// Arguments of `torch.optim.lr_scheduler.MultiStepLR`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(crate = mmcv::registry)]
pub struct MultiStepLrConfig {
    /// Epochs after which the learning rate decays.
    pub milestones: Vec<i64>,
    /// Factor of the decay.
    #[config(default = 0.1)]
    pub gamma: f64,
}

impl TrainingConfig {
    /// Reads a config, the example's own or a project's. All errors are reported together.
    pub fn read(config: &Config) -> Result<Self> {
        if project::is_one(config) {
            return Self::read(&project::to_own(config)?);
        }
        let read = Self::from_config(config, &KeyPath::root())?;
        anyhow::ensure!(read.batch_size >= 2, "batch_size: {}: a batch norm needs at least 2 images", read.batch_size);
        let counts = read.accumulative_counts;
        anyhow::ensure!(counts >= 1, "accumulative_counts: {counts}: expected at least 1");
        Ok(read)
    }

    /// The network with initial weights drawn from the seed.
    pub fn build_network(&self) -> Result<Box<dyn Module>> {
        tch::manual_seed(self.seed);
        let builder = Builder::new(&MODELS).at(|path| path.key("model"));
        let network = builder.model(&Config::Dict(self.model.clone()))?;
        network.init_weights().context("cannot initialize the network")?;
        if self.sync_bn {
            convert_sync_batchnorm(&*network);
        }
        Ok(network)
    }

    /// The arguments of the optimizer at its first step.
    pub fn optimizer(&self) -> SgdOptions {
        let SgdConfig { lr, momentum, weight_decay } = self.sgd;
        SgdOptions { lr, momentum, weight_decay, ..SgdOptions::default() }
    }

    /// The learning rate of a batch: `iteration` counts all batches from 0, and the first epoch is 1.
    pub fn learning_rate_at(&self, epoch: i64, iteration: i64) -> f64 {
        let lr = self.learning_rate(epoch);
        match &self.warmup {
            Some(WarmupConfig { iters, start_factor }) if iteration < *iters => {
                lr * (start_factor + (1.0 - start_factor) * iteration as f64 / *iters as f64)
            }
            _ => lr,
        }
    }

    /// The learning rate of an epoch after the warm-up; the first is 1.
    pub fn learning_rate(&self, epoch: i64) -> f64 {
        let Some(MultiStepLrConfig { milestones, gamma }) = &self.multi_step_lr else { return self.sgd.lr };
        let mut lr = self.sgd.lr;
        for milestone in milestones {
            if epoch > *milestone {
                lr *= gamma;
            }
        }
        lr
    }
}
