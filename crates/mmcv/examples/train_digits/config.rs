//! [`TrainingConfig`]: the network and its training.

use anyhow::{Context, Result};
use mmcv::layers::Module;
use mmcv::prelude::*;
use mmcv::registry::{FromConfig, KeyPath};
use tch::nn::Sgd;

config_struct! {
    /// A network and its training.
    pub struct TrainingConfig {
        required {
            /// The network: the dict of a registered type.
            model: Dict,
            /// The optimizer: stochastic gradient descent.
            sgd: SgdConfig,
        }
        optional {
            /// Seed of the initial weights and of the order of the images.
            seed: i64 = 0,
            /// Number of passes over the training images.
            max_epochs: i64 = 12,
            /// Number of images in a batch, at least 2.
            batch_size: i64 = 64,
            /// The learning rate schedule; null for a constant rate.
            multi_step_lr: Option<MultiStepLrConfig> = None,
        }
    }
}

config_struct! {
    /// Arguments of `torch.optim.SGD`.
    pub struct SgdConfig {
        required {
            /// Initial learning rate.
            lr: f64,
        }
        optional {
            /// Momentum factor.
            momentum: f64 = 0.0,
            /// Weight decay (L2 penalty).
            weight_decay: f64 = 0.0,
        }
    }
}

config_struct! {
    /// Arguments of `torch.optim.lr_scheduler.MultiStepLR`.
    pub struct MultiStepLrConfig {
        required {
            /// Epochs after which the learning rate decays.
            milestones: Vec<i64>,
        }
        optional {
            /// Factor of the decay.
            gamma: f64 = 0.1,
        }
    }
}

impl TrainingConfig {
    /// Reads a config. All errors are reported together.
    pub fn read(config: &Config) -> Result<Self> {
        let read = Self::from_config(config, &KeyPath::root())?;
        anyhow::ensure!(read.batch_size >= 2, "batch_size: {}: a batch norm needs at least 2 images", read.batch_size);
        Ok(read)
    }

    /// The network with initial weights drawn from the seed.
    pub fn build_network(&self) -> Result<Box<dyn Module>> {
        tch::manual_seed(self.seed);
        let builder = Builder::default().at(|path| path.key("model"));
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
