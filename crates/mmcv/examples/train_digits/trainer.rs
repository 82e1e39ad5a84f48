//! [`Trainer`]: a network with its optimizer and its images.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mmcv::checkpoint::{CheckpointFile, SaveOptions, State, save_checkpoint};
use mmcv::prelude::*;
use mmcv_distributed::{Backend, DataParallel, DataParallelOptions, Group, Launch, ReduceOp};
use mmcv_training::{Autocast, Sgd, SgdOptions, clip_grad_norm};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tch::{Device, Kind, Reduction, Tensor};

use super::config::TrainingConfig;
use super::data::{Digits, LabeledImages};

/// PyTorch's name for the momentum of a parameter in the state of SGD.
const BUFFER: &str = "momentum_buffer";

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

/// What a step reports.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Step {
    /// The epoch, from 1.
    pub epoch: i64,
    /// The batches so far, over all epochs.
    pub iter: i64,
    /// The learning rate.
    pub lr: f64,
    /// Mean cross entropy of the batch, over all processes.
    pub loss: f64,
    /// Images of the batch.
    pub images: i64,
}

/// A network in training, on one process or on several, of which each has a share of every batch.
#[derive(Debug)]
pub struct Trainer {
    network: DataParallel<Box<dyn Module>>,
    group: Group,
    config: TrainingConfig,
    optimizer: Sgd,
    autocast: Option<Autocast>,
    digits: Digits,
    history: Vec<Epoch>,
}

impl Trainer {
    /// As [`Self::in_group`], for one process.
    pub fn new(config: TrainingConfig) -> Result<Self> {
        Self::in_group(config, &alone()?)
    }

    /// Builds a network with initial weights. Sets libtorch to one thread, which is fastest for tensors this small.
    pub fn in_group(config: TrainingConfig, group: &Group) -> Result<Self> {
        tch::set_num_threads(1);
        let (batch_size, processes) = (config.batch_size, i64::try_from(group.world_size())?);
        ensure!(
            !config.round_up || batch_size % processes == 0,
            "batch_size: {batch_size}: with round_up, expected a multiple of the number of processes, which is {processes}"
        );
        let network = DataParallel::new(group, config.build_network()?, &DataParallelOptions::default())?;
        let optimizer = Sgd::new(network.module().named_parameters(), config.optimizer())?;
        let autocast = if config.amp { Some(Autocast::new(Device::Cpu, Kind::BFloat16)?) } else { None };
        let (group, digits, history) = (group.clone(), Digits::read()?, Vec::new());
        Ok(Self { network, group, config, optimizer, autocast, digits, history })
    }

    /// As [`Self::resume_in_group`], for one process.
    pub fn resume(config: TrainingConfig, file: &Path) -> Result<Self> {
        Self::resume_in_group(config, file, &alone()?)
    }

    /// Resumes from a file of [`Self::save`], with the same results as without interruption: weights, momentum and epoch are
    /// restored, and the order of the images depends on seed and epoch only.
    pub fn resume_in_group(config: TrainingConfig, file: &Path, group: &Group) -> Result<Self> {
        let mut trainer = Self::in_group(config, group)?;
        let checkpoint = CheckpointFile::open(file)?;
        checkpoint.load_into(&**trainer.network.module(), &LoadOptions::default())?;
        trainer.restore(&checkpoint).with_context(|| format!("{}: cannot resume from it", file.display()))?;
        Ok(trainer)
    }

    fn restore(&mut self, checkpoint: &CheckpointFile) -> Result<()> {
        let meta = &checkpoint.meta()["meta"];
        let (seed, config_seed) = (&meta["seed"], self.config.seed);
        ensure!(*seed == json!(config_seed), "it was trained with seed {seed}, and the config has {config_seed}");
        self.history = serde_json::from_value(meta["history"].clone()).context("it has no history of its epochs")?;
        Ok(self.optimizer.set_state(&checkpoint.tensors_below(&["optimizer", "state"], Device::Cpu)?)?)
    }

    /// Writes a `.pth` file for [`Self::resume`]. PyTorch can load its weights and optimizer state too.
    pub fn save(&self, file: &Path) -> Result<()> {
        let epoch = self.history.len();
        let mut names = Vec::new();
        for (name, _) in self.network.module().named_parameters() {
            names.push(name);
        }
        let SgdOptions { lr, momentum, dampening, weight_decay, nesterov } = self.optimizer.options();
        let group = json!({
            "params": names,
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        });
        let mut buffers = Vec::new();
        for (key, buffer) in self.optimizer.state() {
            let name = key.trim_end_matches(BUFFER).trim_end_matches('.').to_owned();
            buffers.push((name, State::mapping([(BUFFER, State::from(buffer))])));
        }
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
        Ok(save_checkpoint(&**self.network.module(), file, &options)?)
    }

    /// The epochs so far.
    pub fn history(&self) -> &[Epoch] {
        &self.history
    }

    /// The number of steps in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.digits.train.batches(self.config.batch_size, self.multiple())
    }

    /// What the number of images of an epoch is a multiple of.
    fn multiple(&self) -> i64 {
        if self.config.round_up { self.group.world_size() as i64 } else { 1 }
    }

    /// Trains on all training images once, then tests. Calls `after_step` with each batch.
    pub fn run_epoch(&mut self, mut after_step: impl FnMut(&Step)) -> Result<Epoch> {
        let epoch = 1 + i64::try_from(self.history.len())?;
        self.network.module().train(true);
        let (mut sum, mut count, mut lr) = (0.0, 0, 0.0);
        let mut iter = (epoch - 1) * i64::try_from(self.steps_per_epoch())?;
        let batches = self.digits.train.shuffled(self.config.seed + epoch, self.config.batch_size, self.multiple())?;
        for group in batches.chunks(usize::try_from(self.config.accumulative_counts)?) {
            self.optimizer.zero_grad()?;
            for (position, batch) in group.iter().enumerate() {
                lr = self.config.learning_rate_at(epoch, iter);
                let is_last = position + 1 == group.len();
                let loss = self.backward(batch, group.len(), is_last)?;
                iter += 1;
                sum += loss * batch.len() as f64;
                count += batch.len();
                after_step(&Step { epoch, iter, lr, loss, images: batch.len() });
            }
            self.optimizer.set_options(SgdOptions { lr, ..self.optimizer.options() })?;
            if let Some(clip) = &self.config.clip_grad {
                let parameters = self.network.module().named_parameters();
                clip_grad_norm(parameters.iter().map(|(_, parameter)| parameter), clip.max_norm)?;
            }
            self.optimizer.step()?;
        }
        let (test_loss, test_accuracy) = self.evaluate()?;
        let report = Epoch { epoch, lr, train_loss: sum / count as f64, test_loss, test_accuracy };
        self.history.push(report.clone());
        Ok(report)
    }

    /// Adds the gradients of a batch, of `accumulated`, to those of before. Returns the loss of the whole batch.
    fn backward(&self, batch: &LabeledImages, accumulated: usize, is_last: bool) -> Result<f64> {
        let world_size = self.group.world_size();
        let share = batch.share(self.group.rank(), world_size)?;
        // Gradients are exchanged with those of the last batch.
        let _guard = if is_last { None } else { Some(self.network.no_sync()) };
        // The processes' gradients are averaged: the sum over a share, by the size of the whole batch, makes theirs that of the batch,
        // whatever the sizes of the shares.
        let sum = match self.autocast {
            Some(autocast) => autocast.run(|| self.loss(&share))??,
            None => self.loss(&share)?,
        };
        let mut loss = sum.f_div_scalar(batch.len())?;
        self.network.backward(&loss.f_mul_scalar(world_size as f64 / accumulated as f64)?)?;
        self.group.all_reduce(&mut loss, ReduceOp::Sum)?;
        Ok(loss.f_double_value(&[])?)
    }

    /// The sum of the cross entropies of these images.
    fn loss(&self, images: &LabeledImages) -> Result<Tensor> {
        cross_entropy(&self.network.forward(&images.images)?, &images.labels)
    }

    /// The mean cross entropy of the test images, and the fraction that is classified correctly. Each process takes a share, and
    /// no image counts twice.
    fn evaluate(&self) -> Result<(f64, f64)> {
        let _guard = tch::no_grad_guard();
        self.network.module().train(false);
        let share = self.digits.test.share(self.group.rank(), self.group.world_size())?;
        let scores = self.network.forward(&share.images)?;
        let right = scores.f_argmax(1, false)?.f_eq_tensor(&share.labels)?.f_sum(Kind::Double)?;
        let loss = cross_entropy(&scores, &share.labels)?.f_to_kind(Kind::Double)?;
        let mut sums = Tensor::f_stack(&[loss, right], 0)?;
        self.group.all_reduce(&mut sums, ReduceOp::Sum)?;
        let count = self.digits.test.len() as f64;
        Ok((sums.f_double_value(&[0])? / count, sums.f_double_value(&[1])? / count))
    }
}

/// A group of this process alone.
fn alone() -> Result<Group> {
    Ok(Group::init(&Launch::single(), Backend::Gloo, Duration::from_secs(1))?)
}

/// The sum over the images.
fn cross_entropy(scores: &Tensor, labels: &Tensor) -> Result<Tensor> {
    Ok(scores.f_cross_entropy_loss(labels, None::<&Tensor>, Reduction::Sum, -100, 0.0)?)
}
