//! What is measured: a network with an input, and what is done with them.

use std::any::Any;
use std::fmt;
use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use mmcv_fuse::{FuseOptions, Fused, fuse};
use mmcv_layers::{Module, ModuleExt, Output, memory};
use mmcv_models::{Preprocess, Recipe};
use mmcv_registry::{Config, Dict};
use tch::nn::{Optimizer, OptimizerConfig, Sgd};
use tch::{Device, Kind, Tensor};

use super::deviation::{Deviations, Photo};
use super::profile::Profile;
use super::{Bench, Dtype, Mode};
use crate::commands::{Failure, network};

/// Pixels of a side where nothing says how many.
const SIZE: i64 = 224;
/// The seed of weights and inputs.
const SEED: i64 = 0;

/// What is done with a network.
#[derive(Debug, Clone, Copy)]
pub(super) enum Task {
    /// A forward pass in evaluation mode, without gradients.
    Inference(Mode, Dtype),
    /// A step of training.
    Training,
}

impl Task {
    pub(super) fn mode(self) -> &'static str {
        match self {
            Self::Inference(Mode::Fused, _) => "fused",
            Self::Inference(Mode::Eager, _) | Self::Training => "eager",
        }
    }

    pub(super) fn dtype(self) -> &'static str {
        match self {
            Self::Inference(_, Dtype::Bf16) => "bf16",
            Self::Inference(_, Dtype::F32) | Self::Training => "f32",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inference(..) => write!(f, "{} {}", self.mode(), self.dtype()),
            Self::Training => f.write_str("training"),
        }
    }
}

/// A network that is ready to run.
#[derive(Debug)]
pub(super) struct Subject {
    name: String,
    task: Task,
    network: Box<dyn Module>,
    input: Tensor,
    training: Option<Training>,
    /// What a fused network was made from, and how pictures are prepared for it; where deviations are asked for.
    original: Option<(Box<dyn Module>, Preprocess)>,
}

impl Subject {
    /// Builds the network of a config file for a task.
    pub(super) fn new(name: &str, task: Task, options: &Bench) -> Result<Self, Failure> {
        let config = network::read(name, &options.cfg_options)?;
        Ok(Self::build(name.to_owned(), &config, task, options).with_context(|| name.to_owned())?)
    }

    fn build(name: String, config: &Config, task: Task, options: &Bench) -> Result<Self> {
        let recipe = if network::is_recipe(config) { Some(Recipe::read(config)?) } else { None };
        tch::manual_seed(SEED);
        let builder = network::builder(config);
        let build = || builder.model(builder.path.find(config).unwrap_or(&Config::Null));
        let checkpoint = recipe.as_ref().and_then(|recipe| recipe.checkpoint.clone());
        let network = match options.weights.chosen(checkpoint) {
            Some(checkpoint) => options.weights.load(&checkpoint, build)?.0,
            None => initialised(build()?)?,
        };
        let preprocess = recipe.map_or_else(preprocess, |recipe| recipe.preprocess);
        let prepared = preprocess.crop_size;
        let size = options.size.map(i64::from).or(prepared).unwrap_or(SIZE);
        let training = matches!(task, Task::Training);
        let shape = [i64::from(options.batch), 3, size, size];
        network.train(false);
        memory::check_forward(&*network, &[shape.to_vec()])?;
        let input = Tensor::f_randn(shape, (Kind::Float, Device::Cpu))?;
        network.train(training);
        let training = if training { Some(Training::new(&*network, &input)?) } else { None };
        let mut original = None;
        let network = match task {
            Task::Inference(Mode::Fused, dtype) => {
                let fused = fuse(&*network, &input.size(), &fuse_options(dtype))?;
                original = options.deviation.as_ref().map(|_| (network, preprocess));
                Box::new(fused)
            }
            Task::Inference(Mode::Eager, Dtype::Bf16) => {
                network.to_kind(Kind::BFloat16)?;
                network
            }
            _ => network,
        };
        Ok(Self { name, task, network, input, training, original })
    }

    /// The config file, or the name of the zoo.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn task(&self) -> Task {
        self.task
    }

    /// The shape of the input.
    pub(super) fn shape(&self) -> Vec<i64> {
        self.input.size()
    }

    /// Does the work once; gives the milliseconds that it took.
    pub(super) fn pass(&mut self) -> Result<f64, Failure> {
        let start = Instant::now();
        match &mut self.training {
            Some(training) => training.step(&*self.network, &self.input),
            None => self.forward().map(|output| drop(black_box(output))),
        }
        .with_context(|| self.name.clone())?;
        Ok(1e3 * start.elapsed().as_secs_f64())
    }

    /// Where the time of a forward pass goes.
    pub(super) fn profile(&mut self, runs: u32) -> Result<Profile, Failure> {
        let profile = match (&*self.network as &dyn Any).downcast_ref::<Fused>() {
            Some(fused) => Profile::of_operators(fused, runs, &self.input),
            None => Profile::of_modules(&*self.network, runs, || self.forward().map(drop)),
        };
        Ok(profile.with_context(|| self.name.clone())?)
    }

    /// How far the scores are from those of the network itself; `None` where it is not fused.
    pub(super) fn deviations(&self, photo: &Photo) -> Result<Option<Deviations>, Failure> {
        let fused = (&*self.network as &dyn Any).downcast_ref::<Fused>();
        let (Some(fused), Some((network, preprocess))) = (fused, &self.original) else { return Ok(None) };
        let (batch, _, size, _) = self.input.size4().map_err(anyhow::Error::from)?;
        let deviations = photo.compare(&**network, fused, preprocess, (batch, size));
        Ok(Some(deviations.with_context(|| self.name.clone())?))
    }

    fn forward(&self) -> Result<Vec<Tensor>> {
        let _guard = tch::no_grad_guard();
        let bf16 = matches!(self.task, Task::Inference(Mode::Eager, Dtype::Bf16));
        let input = if bf16 { self.input.f_to_kind(Kind::BFloat16)? } else { self.input.shallow_clone() };
        let outputs = mmcv_layers::call_child("", &*self.network, &[&input], &Dict::new())?.into_vec();
        if !bf16 {
            return Ok(outputs);
        }
        outputs.iter().map(|output| Ok(output.f_to_kind(Kind::Float)?)).collect()
    }
}

/// How pictures are prepared where the config does not say: as for ImageNet.
fn preprocess() -> Preprocess {
    Preprocess {
        resize_edge: Some(SIZE + SIZE / 7),
        crop_size: Some(SIZE),
        mean: vec![123.675, 116.28, 103.53],
        std: vec![58.395, 57.12, 57.375],
        ..Preprocess::new()
    }
}

/// The network with initial weights.
fn initialised(network: Box<dyn Module>) -> Result<Box<dyn Module>> {
    network.init_weights()?;
    Ok(network)
}

fn fuse_options(dtype: Dtype) -> FuseOptions {
    let mut options = FuseOptions::default();
    options.precision = match dtype {
        Dtype::F32 => mmcv_fuse::Precision::F32,
        Dtype::Bf16 => mmcv_fuse::Precision::Bf16,
    };
    options
}

/// What a training step needs beside the network.
#[derive(Debug)]
struct Training {
    optimiser: Optimizer,
    /// Random classes; none where the network gives no scores.
    labels: Option<Tensor>,
}

impl Training {
    fn new(network: &dyn Module, input: &Tensor) -> Result<Self> {
        let optimiser = Sgd { momentum: 0.9, wd: 1e-4, ..Sgd::default() }.build(&network.var_store(), 0.01)?;
        let scores = network.call(&[input], &Dict::new())?.shapes();
        let labels = match scores.as_slice() {
            [shape] => match shape.as_slice() {
                &[samples, classes] => Some(Tensor::f_randint(classes, [samples], (Kind::Int64, Device::Cpu))?),
                _ => None,
            },
            _ => None,
        };
        Ok(Self { optimiser, labels })
    }

    /// Forward pass, loss, backward pass, and a step of the optimiser.
    fn step(&mut self, network: &dyn Module, input: &Tensor) -> Result<()> {
        self.optimiser.zero_grad();
        let output = network.call(&[input], &Dict::new())?;
        self.loss(output)?.f_backward()?;
        self.optimiser.step();
        Ok(())
    }

    /// The cross entropy of scores, or else the sum of the means of all outputs.
    fn loss(&self, output: Output) -> Result<Tensor> {
        let outputs = output.into_vec();
        if let (Some(labels), [scores]) = (&self.labels, outputs.as_slice()) {
            return Ok(scores.f_cross_entropy_loss(labels, None::<&Tensor>, tch::Reduction::Mean, -100, 0.0)?);
        }
        let means = outputs.iter().map(|output| output.f_mean(Kind::Float)).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::f_stack(&means, 0)?.f_sum(Kind::Float)?)
    }
}
