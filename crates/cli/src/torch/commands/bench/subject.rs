//! A network with an input, and the task that is measured.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;
use std::{fmt, fs};

use anyhow::{Context, Result, anyhow, ensure};
use mmcv_cli::Failure;
use mmcv_cli::output::display;
use mmcv_fuse::{FuseOptions, Fused, StreamOptions, Streams, WinogradUse, fuse, fuse_owned};
use mmcv_layers::{Forward, Module, ModuleExt, channels_last, memory};
use mmcv_models::Preprocess;
use mmcv_registry::{Config, Dict};
use mmcv_training::{Autocast, Sgd, SgdOptions};
use tch::{Device, Kind, Tensor};

use super::super::quantize::read_quantization;
use super::deviation::{Deviations, Photo};
use super::profile::Profile;
use super::{Bench, Dtype, Mode, Winograd};
use crate::network::{DefaultWeights, Loaded, load};
use crate::{allocator, config};

/// The default height and width of an image.
const SIZE: i64 = 224;

/// How many inputs a stream gets in one measured pass.
const INPUTS_PER_STREAM: usize = 16;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(super) enum Task {
    /// A forward pass in evaluation mode, without gradients.
    Inference(Mode, Dtype),
    /// A step of training; convolutions and linear layers in this type.
    Training(Dtype),
}

impl Task {
    pub(super) fn mode(self) -> &'static str {
        match self {
            Self::Inference(Mode::Fused, _) => "fused",
            Self::Inference(Mode::Eager, _) | Self::Training(_) => "eager",
        }
    }

    pub(super) fn dtype(self) -> &'static str {
        match self {
            Self::Inference(_, Dtype::Int8) | Self::Training(Dtype::Int8) => "int8",
            Self::Inference(_, Dtype::Bf16) | Self::Training(Dtype::Bf16) => "bf16",
            Self::Inference(_, Dtype::F32) | Self::Training(Dtype::F32) => "f32",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inference(..) => write!(f, "{} {}", self.mode(), self.dtype()),
            Self::Training(Dtype::F32) => f.write_str("training"),
            Self::Training(_) => write!(f, "training {}", self.dtype()),
        }
    }
}

/// What runs.
#[derive(Debug)]
enum Network {
    Eager(Box<dyn Module>),
    Training(Box<dyn Module>, Training),
    Fused(Fused),
    Streams(Streams),
}

/// A network that is ready to run.
#[derive(Debug)]
pub(super) struct Subject {
    name: String,
    task: Task,
    network: Network,
    input: Tensor,
    /// The network before it was fused, with its preprocessing; kept only for deviations.
    original: Option<(Box<dyn Module>, Preprocess)>,
}

impl Subject {
    /// Builds the network of a config file for a task.
    pub(super) fn new(name: &str, task: Task, options: &Bench) -> Result<Self, Failure> {
        let config = config::read_with_options(name, &options.options.cfg_options)?;
        Ok(Self::build(name.to_owned(), &config, task, options).with_context(|| name.to_owned())?)
    }

    fn build(name: String, config: &Config, task: Task, options: &Bench) -> Result<Self> {
        let Loaded { network, recipe, .. } = load(config, &options.weights, DefaultWeights::Initial)?;
        let preprocess = recipe.map_or_else(default_preprocess, |recipe| recipe.preprocess);
        let [height, width] = match options.size {
            Some(size) => [i64::from(size); 2],
            None => preprocess.output_size().unwrap_or([SIZE; 2]),
        };
        let shape = [i64::from(options.batch_size), 3, height, width];
        network.train(false);
        memory::check_forward(&*network, &[shape.to_vec()])?;
        let mut input = Tensor::f_randn(shape, (Kind::Float, Device::Cpu))?;
        if options.channels_last {
            network.to_channels_last()?;
            input = channels_last(&input)?;
        }
        let mut original = None;
        let network = match task {
            Task::Training(dtype) => {
                network.train(true);
                let training = Training::new(&*network, &input, dtype)?;
                Network::Training(network, training)
            }
            Task::Inference(Mode::Fused, dtype) => {
                let fuse_options = fuse_options(dtype, options)?;
                let fused = if options.deviation.is_some() {
                    let fused = fuse(&*network, &shape, &fuse_options)?;
                    original = Some((network, preprocess));
                    fused
                } else {
                    fuse_owned(network, &shape, &fuse_options)?
                };
                let network = match stream_options(options) {
                    Some(options) => Network::Streams(Streams::new(&fused, &options)?),
                    None => Network::Fused(fused),
                };
                allocator::release_freed_memory();
                network
            }
            Task::Inference(Mode::Eager, dtype) => {
                if dtype == Dtype::Bf16 {
                    network.to_kind(Kind::BFloat16)?;
                }
                Network::Eager(network)
            }
        };
        Ok(Self { name, task, network, input, original })
    }

    /// The config file or the model zoo name.
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

    /// Performs the task once; returns the milliseconds it took.
    pub(super) fn pass(&mut self) -> Result<f64, Failure> {
        let start = Instant::now();
        let (result, inputs) = match &mut self.network {
            Network::Training(network, training) => (training.step(&**network, &self.input), 1),
            Network::Streams(streams) => (serve(streams, &self.input), INPUTS_PER_STREAM * streams.count()),
            Network::Eager(_) | Network::Fused(_) => {
                (self.forward(&self.input).map(|output| drop(black_box(output))), 1)
            }
        };
        result.with_context(|| self.name.clone())?;
        Ok(1e3 * start.elapsed().as_secs_f64() / inputs as f64)
    }

    /// The time of each part of a forward pass.
    pub(super) fn profile(&mut self, runs: u32) -> Result<Profile, Failure> {
        let profile = match &self.network {
            Network::Fused(fused) => Profile::of_operators(fused, runs, &self.input),
            Network::Eager(network) | Network::Training(network, _) => {
                Profile::of_modules(&**network, runs, || self.forward(&self.input).map(drop))
            }
            Network::Streams(_) => Err(anyhow!("streams have no profile")),
        };
        Ok(profile.with_context(|| self.name.clone())?)
    }

    /// The deviations from the scores of the original network; `None` if this one is not fused.
    pub(super) fn deviations(&self, photo: &Photo) -> Result<Option<Deviations>, Failure> {
        let (Network::Fused(fused), Some((network, preprocess))) = (&self.network, &self.original) else {
            return Ok(None);
        };
        let (batch_size, _, size, _) = self.input.size4().map_err(anyhow::Error::from)?;
        let deviations = photo.compare(&**network, fused, preprocess, (batch_size, size));
        Ok(Some(deviations.with_context(|| self.name.clone())?))
    }

    /// The numbers of all outputs for the input in a file: raw f32 numbers, as many as the measured input has.
    pub(super) fn output(&self, file: &Path) -> Result<Vec<f32>, Failure> {
        let numbers = self.output_for(file).with_context(|| display(file))?;
        Ok(numbers)
    }

    fn output_for(&self, file: &Path) -> Result<Vec<f32>> {
        let (found, expected) = (fs::metadata(file)?.len(), 4 * self.input.numel() as u64);
        ensure!(found == expected, "the file has {found} bytes, but the input has {expected}");
        let input = Tensor::f_from_data_size(&fs::read(file)?, &self.shape(), Kind::Float)?;
        let mut numbers = Vec::new();
        for output in self.forward(&input)? {
            numbers.extend(Vec::<f32>::try_from(output.f_flatten(0, -1)?)?);
        }
        Ok(numbers)
    }

    fn forward(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        let _guard = tch::no_grad_guard();
        let bf16 = matches!(self.task, Task::Inference(Mode::Eager, Dtype::Bf16));
        let input = if bf16 { input.f_to_kind(Kind::BFloat16)? } else { input.shallow_clone() };
        let outputs = match &self.network {
            Network::Fused(fused) => fused.call(&[&input], &Dict::new())?,
            Network::Streams(streams) => streams.call(&[&input], &Dict::new())?,
            Network::Eager(network) | Network::Training(network, _) => {
                mmcv_layers::call_child("", &**network, &[&input], &Dict::new())?
            }
        };
        let outputs = outputs.into_vec();
        if !bf16 {
            return Ok(outputs);
        }
        outputs.iter().map(|output| Ok(output.f_to_kind(Kind::Float)?)).collect()
    }
}

/// The preprocessing for ImageNet.
fn default_preprocess() -> Preprocess {
    Preprocess {
        resize_edge: Some(SIZE + SIZE / 7),
        crop_size: Some(SIZE),
        mean: vec![123.675, 116.28, 103.53],
        std: vec![58.395, 57.12, 57.375],
        ..Preprocess::new()
    }
}

fn fuse_options(dtype: Dtype, bench: &Bench) -> Result<FuseOptions> {
    let mut options = FuseOptions::default();
    if dtype == Dtype::Int8
        && let Some(file) = &bench.quantized
    {
        options.quantization = Some(read_quantization(file)?.into());
    }
    options.winograd = match bench.winograd {
        Winograd::Auto => WinogradUse::Auto,
        Winograd::Never => WinogradUse::Never,
        Winograd::Always => WinogradUse::Always,
    };
    options.precision = match dtype {
        Dtype::F32 | Dtype::Int8 => mmcv_fuse::Precision::F32,
        Dtype::Bf16 => mmcv_fuse::Precision::Bf16,
    };
    Ok(options)
}

fn stream_options(options: &Bench) -> Option<StreamOptions> {
    let mut stream_options = StreamOptions::default();
    stream_options.streams = Some(options.streams?);
    if let Some(threads) = options.threads.and_then(|threads| NonZeroUsize::new(threads.into())) {
        stream_options.threads = threads;
    }
    Some(stream_options)
}

/// Gives all streams several inputs, and waits for the outputs.
fn serve(streams: &Streams, input: &Tensor) -> Result<()> {
    let mut pending = Vec::new();
    for _ in 0..INPUTS_PER_STREAM * streams.count() {
        pending.push(streams.submit(&[input])?);
    }
    for output in pending {
        black_box(output.wait()?);
    }
    Ok(())
}

/// The state of training.
#[derive(Debug)]
struct Training {
    optimizer: Sgd,
    /// Random classes; `None` if the network returns no class scores.
    labels: Option<Tensor>,
    autocast: Option<Autocast>,
}

impl Training {
    fn new(network: &dyn Module, input: &Tensor, dtype: Dtype) -> Result<Self> {
        let options = SgdOptions { lr: 0.01, momentum: 0.9, weight_decay: 1e-4, ..SgdOptions::default() };
        let optimizer = Sgd::new(network.named_parameters(), options)?;
        let mut labels = None;
        let shapes = network.call(&[input], &Dict::new())?.shapes();
        if let [shape] = shapes.as_slice()
            && let [samples, classes] = shape.as_slice()
        {
            labels = Some(Tensor::f_randint(*classes, [*samples], (Kind::Int64, Device::Cpu))?);
        }
        let autocast = if dtype == Dtype::Bf16 { Some(Autocast::new(Device::Cpu, Kind::BFloat16)?) } else { None };
        Ok(Self { optimizer, labels, autocast })
    }

    /// Forward pass, loss, backward pass, and a step of the optimizer.
    fn step(&mut self, network: &dyn Module, input: &Tensor) -> Result<()> {
        self.optimizer.zero_grad()?;
        let loss = match self.autocast {
            Some(autocast) => autocast.run(|| self.loss(network, input))??,
            None => self.loss(network, input)?,
        };
        loss.f_backward()?;
        Ok(self.optimizer.step()?)
    }

    /// The cross entropy of class scores, or the sum of the means of all outputs.
    fn loss(&self, network: &dyn Module, input: &Tensor) -> Result<Tensor> {
        let outputs = network.call(&[input], &Dict::new())?.into_vec();
        if let (Some(labels), [scores]) = (&self.labels, outputs.as_slice()) {
            return Ok(scores.f_cross_entropy_loss(labels, None::<&Tensor>, tch::Reduction::Mean, -100, 0.0)?);
        }
        let means = outputs.iter().map(|output| output.f_mean(Kind::Float)).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::f_stack(&means, 0)?.f_sum(Kind::Float)?)
    }
}
