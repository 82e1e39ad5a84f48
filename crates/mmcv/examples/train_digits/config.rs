//! [`TrainingConfig`]: the network, and how it is trained.

use anyhow::{Context, Result};
use mmcv::layers::Module;
use mmcv::prelude::*;
use mmcv::registry::{FromConfig, KeyPath};
use tch::nn::Sgd;

config_struct! {
    /// A network and how it is trained.
    pub struct TrainingConfig {
        required {
            /// The network: the dict of a registered type.
            model: Dict,
            /// The optimiser: stochastic gradient descent.
            sgd: SgdConfig,
        }
        optional {
            /// Seed of the initial weights and of the order of the pictures.
            seed: i64 = 0,
            /// Number of passes over the training pictures.
            max_epochs: i64 = 12,
            /// Number of pictures in a batch, at least 2.
            batch_size: i64 = 64,
            /// When the learning rate falls; null for never.
            multi_step_lr: Option<MultiStepLrConfig> = None,
        }
    }
}

config_struct! {
    /// Arguments of `torch.optim.SGD`.
    pub struct SgdConfig {
        required {
            /// Learning rate at first.
            lr: f64,
        }
        optional {
            /// Share of the last step that is done again.
            momentum: f64 = 0.0,
            /// Factor of the weights that is added to their gradients.
            weight_decay: f64 = 0.0,
        }
    }
}

config_struct! {
    /// Arguments of `torch.optim.lr_scheduler.MultiStepLR`.
    pub struct MultiStepLrConfig {
        required {
            /// Numbers of epochs after which the learning rate is multiplied.
            milestones: Vec<i64>,
        }
        optional {
            /// What it is multiplied by.
            gamma: f64 = 0.1,
        }
    }
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
        let builder = Builder::default().at(|path| path.key("model"));
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
