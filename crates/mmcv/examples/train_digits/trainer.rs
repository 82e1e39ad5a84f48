//! [`Trainer`]: the network, its optimiser and its pictures, an epoch at a time.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use mmcv::checkpoint::{CheckpointFile, SaveOptions, State, save_checkpoint};
use mmcv::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tch::nn::{Optimizer, OptimizerConfig};
use tch::{Device, Kind, Reduction, Tensor};

use super::config::TrainingConfig;
use super::data::{Digits, Pictures};
use super::momentum;

/// What an epoch gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: i64,
    /// The learning rate.
    pub lr: f64,
    /// Mean cross entropy of the training pictures, while the network learned from them.
    pub train_loss: f64,
    /// Mean cross entropy of the test pictures, after the epoch.
    pub test_loss: f64,
    /// Share of the test pictures that are recognised, between 0 and 1, after the epoch.
    pub test_accuracy: f64,
}

/// A network that is trained.
#[derive(Debug)]
pub struct Trainer {
    network: Box<dyn Module>,
    config: TrainingConfig,
    optimiser: Optimizer,
    digits: Digits,
    history: Vec<Epoch>,
}

impl Trainer {
    /// A network with its initial weights. libtorch uses one thread from here on: with tensors as small as these, a
    /// second one would mostly wait for the first.
    pub fn new(config: TrainingConfig) -> Result<Self> {
        tch::set_num_threads(1);
        let network = config.build_network()?;
        let optimiser = config.optimiser().build(&network.var_store(), config.sgd.lr)?;
        Ok(Self { network, config, optimiser, digits: Digits::read()?, history: Vec::new() })
    }

    /// Goes on from a file of [`Self::save`], as if there had been no interruption: the weights, the momentum and the
    /// epoch are those of the file, and the order of the pictures follows from seed and epoch.
    pub fn resume(config: TrainingConfig, file: &Path) -> Result<Self> {
        let mut trainer = Self::new(config)?;
        let checkpoint = CheckpointFile::open(file)?;
        checkpoint.load_into(&*trainer.network, &LoadOptions::default())?;
        trainer.restore(&checkpoint).with_context(|| format!("{}: training cannot go on from it", file.display()))?;
        Ok(trainer)
    }

    fn restore(&mut self, checkpoint: &CheckpointFile) -> Result<()> {
        let meta = &checkpoint.meta()["meta"];
        let (seed, own) = (&meta["seed"], self.config.seed);
        ensure!(*seed == json!(own), "it was trained with seed {seed}, and the config has {own}");
        self.history = serde_json::from_value(meta["history"].clone()).context("it has no history of its epochs")?;
        let momentum = checkpoint.tensors_below(&["optimizer", "state"], Device::Cpu)?;
        momentum::write(&mut self.optimiser, &*self.network, &self.config.sgd, &momentum)
    }

    /// Writes all that [`Self::resume`] needs as a `.pth` file, whose weights and optimiser PyTorch loads too.
    pub fn save(&mut self, file: &Path) -> Result<()> {
        let epoch = self.history.len();
        let momentum = momentum::read(&mut self.optimiser, &*self.network, &self.config.sgd)?;
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

    /// The epochs that are done.
    pub fn history(&self) -> &[Epoch] {
        &self.history
    }

    /// The number of steps in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.digits.train.batches(self.config.batch_size)
    }

    /// Shows all training pictures to the network once, then tests it. `after_step` is given each step's loss.
    pub fn run_epoch(&mut self, mut after_step: impl FnMut(f64)) -> Result<Epoch> {
        let epoch = 1 + i64::try_from(self.history.len())?;
        let lr = self.config.learning_rate(epoch);
        self.optimiser.set_lr(lr);
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

    fn step(&mut self, batch: &Pictures) -> Result<f64> {
        let loss = cross_entropy(&self.network.forward(&batch.images)?, &batch.labels)?;
        self.optimiser.zero_grad();
        loss.f_backward()?;
        self.optimiser.step();
        Ok(loss.f_double_value(&[])?)
    }

    /// The mean cross entropy, and the share of the pictures that are recognised.
    fn evaluate(&self, pictures: &Pictures) -> Result<(f64, f64)> {
        let _guard = tch::no_grad_guard();
        self.network.train(false);
        let scores = self.network.forward(&pictures.images)?;
        let right = scores.f_argmax(1, false)?.f_eq_tensor(&pictures.labels)?;
        let accuracy = right.f_to_kind(Kind::Double)?.f_mean(Kind::Double)?.f_double_value(&[])?;
        Ok((cross_entropy(&scores, &pictures.labels)?.f_double_value(&[])?, accuracy))
    }
}

fn cross_entropy(scores: &Tensor, labels: &Tensor) -> Result<Tensor> {
    Ok(scores.f_cross_entropy_loss(labels, None::<&Tensor>, Reduction::Mean, -100, 0.0)?)
}
