//! [`TrainingConfig`]: the network, and how it is trained.

use anyhow::{Context, Result};
use mmcv::layers::Module;
use mmcv::prelude::*;
use mmcv::registry::{FromConfig, KeyPath};
use tch::nn::Sgd;

/// A network and how it is trained.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(crate = mmcv::registry)]
pub struct TrainingConfig {
    /// The network: the dict of a registered type.
    pub model: Dict,
    /// The optimiser: stochastic gradient descent.
    pub sgd: SgdConfig,
    /// Seed of the initial weights and of the order of the pictures.
    #[config(default = 0)]
    pub seed: i64,
    /// Number of passes over the training pictures.
    #[config(default = 12)]
    pub max_epochs: i64,
    /// Number of pictures in a batch, at least 2.
    #[config(default = 64)]
    pub batch_size: i64,
    /// When the learning rate falls; null for never.
    #[config(default = None)]
    pub multi_step_lr: Option<MultiStepLrConfig>,
}

/// Arguments of `torch.optim.SGD`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(crate = mmcv::registry)]
pub struct SgdConfig {
    /// Learning rate at first.
    pub lr: f64,
    /// Share of the last step that is done again.
    #[config(default = 0.0)]
    pub momentum: f64,
    /// Factor of the weights that is added to their gradients.
    #[config(default = 0.0)]
    pub weight_decay: f64,
}

/// Arguments of `torch.optim.lr_scheduler.MultiStepLR`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(crate = mmcv::registry)]
pub struct MultiStepLrConfig {
    /// Numbers of epochs after which the learning rate is multiplied.
    pub milestones: Vec<i64>,
    /// What it is multiplied by.
    #[config(default = 0.1)]
    pub gamma: f64,
}

impl TrainingConfig {
    /// Reads a config, whose mistakes are reported together.
    pub fn read(config: &Config) -> Result<Self> {
        let read = Self::from_config(config, &KeyPath::root())?;
        anyhow::ensure!(
            read.batch_size >= 2,
            "batch_size: {}: a batch norm needs at least 2 pictures",
            read.batch_size
        );
        Ok(read)
    }

    /// The network with its initial weights, which follow from the seed.
    pub fn build_network(&self) -> Result<Box<dyn Module>> {
        tch::manual_seed(self.seed);
        let builder = Builder::new(&MODELS).at(|path| path.key("model"));
        let network = builder.model(&Config::Dict(self.model.clone()))?;
        network.init_weights().context("cannot initialise the network")?;
        Ok(network)
    }

    /// The optimiser's arguments, as tch takes them.
    pub fn optimiser(&self) -> Sgd {
        Sgd { momentum: self.sgd.momentum, wd: self.sgd.weight_decay, dampening: 0.0, nesterov: false }
    }

    /// The learning rate of an epoch; the first is 1.
    pub fn learning_rate(&self, epoch: i64) -> f64 {
        let Some(MultiStepLrConfig { milestones, gamma }) = &self.multi_step_lr else { return self.sgd.lr };
        let reached = milestones.iter().filter(|milestone| epoch > **milestone).count();
        (0..reached).fold(self.sgd.lr, |rate, _| rate * gamma)
    }
}
