//! [`Trainer`]: a network with its optimizer and its images.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use mmcv::checkpoint::{CheckpointFile, SaveOptions, State, save_checkpoint};
use mmcv::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tch::nn::{Optimizer, OptimizerConfig};
use tch::{Device, Kind, Reduction, Tensor};

use super::config::TrainingConfig;
use super::data::{Digits, LabeledImages};
use super::momentum;

/// The results of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: i64,
    /// The learning rate.
    pub lr: f64,
    /// Mean cross entropy of the training images during the epoch.
    pub train_loss: f64,
    /// Mean cross entropy of the test images, after the epoch.
    pub test_loss: f64,
    /// Fraction of the test images that are classified correctly after the epoch.
    pub test_accuracy: f64,
}

/// A network in training.
#[derive(Debug)]
pub struct Trainer {
    network: Box<dyn Module>,
    config: TrainingConfig,
    optimizer: Optimizer,
    digits: Digits,
    history: Vec<Epoch>,
}

impl Trainer {
    /// Builds a network with initial weights. Sets libtorch to one thread, which is fastest for tensors this small.
    pub fn new(config: TrainingConfig) -> Result<Self> {
        tch::set_num_threads(1);
        let network = config.build_network()?;
        let optimizer = config.optimizer().build(&network.var_store(), config.sgd.lr)?;
        Ok(Self { network, config, optimizer, digits: Digits::read()?, history: Vec::new() })
    }

    /// Resumes from a file of [`Self::save`], with the same results as without interruption: weights, momentum and epoch are
    /// restored, and the order of the images depends on seed and epoch only.
    pub fn resume(config: TrainingConfig, file: &Path) -> Result<Self> {
        let mut trainer = Self::new(config)?;
        let checkpoint = CheckpointFile::open(file)?;
        checkpoint.load_into(&*trainer.network, &LoadOptions::default())?;
        trainer.restore(&checkpoint).with_context(|| format!("{}: cannot resume from it", file.display()))?;
        Ok(trainer)
    }

    fn restore(&mut self, checkpoint: &CheckpointFile) -> Result<()> {
        let meta = &checkpoint.meta()["meta"];
        let (seed, config_seed) = (&meta["seed"], self.config.seed);
        ensure!(*seed == json!(config_seed), "it was trained with seed {seed}, and the config has {config_seed}");
        self.history = serde_json::from_value(meta["history"].clone()).context("it has no history of its epochs")?;
        let momentum = checkpoint.tensors_below(&["optimizer", "state"], Device::Cpu)?;
        momentum::write(&mut self.optimizer, &*self.network, &self.config.sgd, &momentum)
    }

    /// Writes a `.pth` file for [`Self::resume`]. PyTorch can load its weights and optimizer state too.
    pub fn save(&mut self, file: &Path) -> Result<()> {
        let epoch = self.history.len();
        let momentum = momentum::read(&mut self.optimizer, &*self.network, &self.config.sgd)?;
        let group = json!({
            "params": momentum.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "lr": self.history.last().map_or(self.config.sgd.lr, |epoch| epoch.lr),
            "momentum": self.config.sgd.momentum,
            "dampening": 0.0,
            "weight_decay": self.config.sgd.weight_decay,
            "nesterov": false,
        });
        let buffers = momentum
            .into_iter()
            .map(|(name, buffer)| (name, State::mapping([(momentum::BUFFER, State::from(buffer))])));
        let optimizer = State::mapping([("state", State::mapping(buffers)), ("param_groups", json!([group]).into())]);
        let iterations = epoch as u64 * self.steps_per_epoch();
        let meta = [
            ("epoch", json!(epoch)),
            ("iter", json!(iterations)),
            ("seed", json!(self.config.seed)),
            ("history", json!(self.history)),
        ];
        let meta = meta.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let options = SaveOptions { meta, optimizer: Some(optimizer), ..SaveOptions::default() };
        Ok(save_checkpoint(&*self.network, file, &options)?)
    }

    /// The epochs so far.
    pub fn history(&self) -> &[Epoch] {
        &self.history
    }

    /// The number of steps in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.digits.train.batches(self.config.batch_size)
    }

    /// Trains on all training images once, then tests. Calls `after_step` with the loss of each step.
    pub fn run_epoch(&mut self, mut after_step: impl FnMut(f64)) -> Result<Epoch> {
        let epoch = 1 + i64::try_from(self.history.len())?;
        let lr = self.config.learning_rate(epoch);
        self.optimizer.set_lr(lr);
        self.network.train(true);
        let (mut sum, mut count) = (0.0, 0);
        for batch in self.digits.train.shuffled(self.config.seed + epoch, self.config.batch_size)? {
            let loss = self.step(&batch)?;
            sum += loss * batch.len() as f64;
            count += batch.len();
            after_step(loss);
        }
        let (test_loss, test_accuracy) = self.evaluate(&self.digits.test)?;
        let report = Epoch { epoch, lr, train_loss: sum / count as f64, test_loss, test_accuracy };
        self.history.push(report.clone());
        Ok(report)
    }

    fn step(&mut self, batch: &LabeledImages) -> Result<f64> {
        let loss = cross_entropy(&self.network.forward(&batch.images)?, &batch.labels)?;
        self.optimizer.zero_grad();
        loss.f_backward()?;
        self.optimizer.step();
        Ok(loss.f_double_value(&[])?)
    }

    /// The mean cross entropy, and the fraction of images that are classified correctly.
    fn evaluate(&self, set: &LabeledImages) -> Result<(f64, f64)> {
        let _guard = tch::no_grad_guard();
        self.network.train(false);
        let scores = self.network.forward(&set.images)?;
        let right = scores.f_argmax(1, false)?.f_eq_tensor(&set.labels)?;
        let accuracy = right.f_to_kind(Kind::Double)?.f_mean(Kind::Double)?.f_double_value(&[])?;
        Ok((cross_entropy(&scores, &set.labels)?.f_double_value(&[])?, accuracy))
    }
}

fn cross_entropy(scores: &Tensor, labels: &Tensor) -> Result<Tensor> {
    Ok(scores.f_cross_entropy_loss(labels, None::<&Tensor>, Reduction::Mean, -100, 0.0)?)
}
