//! [`TrainingConfig`]: the network and its training.

use anyhow::{Context, Result};
use mmcv::layers::Module;
use mmcv::prelude::*;
use mmcv::registry::{FromConfig, KeyPath};
use tch::nn::Sgd;

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
    /// Number of images in a batch, at least 2.
    #[config(default = 64)]
    pub batch_size: i64,
    /// The learning rate schedule; null for a constant rate.
    #[config(default = None)]
    pub multi_step_lr: Option<MultiStepLrConfig>,
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
        Ok(read)
    }

    /// The network with initial weights drawn from the seed.
    pub fn build_network(&self) -> Result<Box<dyn Module>> {
        tch::manual_seed(self.seed);
        let builder = Builder::new(&MODELS).at(|path| path.key("model"));
        let network = builder.model(&Config::Dict(self.model.clone()))?;
        network.init_weights().context("cannot initialize the network")?;
        Ok(network)
    }

    /// The arguments of tch's optimizer.
    pub fn optimizer(&self) -> Sgd {
        Sgd { momentum: self.sgd.momentum, wd: self.sgd.weight_decay, dampening: 0.0, nesterov: false }
    }

    /// The learning rate of an epoch; the first is 1.
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
