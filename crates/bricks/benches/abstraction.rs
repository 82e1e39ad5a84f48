//! What the abstraction costs: a forward pass of `ConvModule` against the same calls of tch, and building and training
//! against Python.
//!
//! ```sh
//! MMCV_PYTHON=~/mmcv-reference/bin/python cargo bench -p mmcv-bricks --bench abstraction
//! ```
//!
//! Prints tables in Markdown. `MMCV_PYTHON` is a Python with torch and mmcv; without it there is no comparison with it.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use mmcv_bricks::{ConvModule, conv_module};
use mmcv_layers::{Forward, Module, ModuleExt};
use mmcv_registry::dict;
use tch::{Device, Kind, Tensor};

/// Measurements of each side, of which the median counts.
const FORWARD_ROUNDS: usize = 301;
/// Forward passes in one measurement.
const FORWARD_PASSES: usize = 100;
/// Training steps of each side.
const TRAINING_ROUNDS: usize = 41;

fn main() {
    tch::set_num_threads(1);
    forward();
    let stacks = [
        ("53 layers as in ResNet-50, 1/64 of its channels", resnet50(64), 101),
        ("53 layers of ResNet-50", resnet50(1), 9),
    ];
    let mut python = Python::start(&stacks.each_ref().map(|(_, stack, _)| stack));
    println!();
    building(&stacks, &mut python);
    println!();
    training(&mut python);
    if let Err(reason) = python {
        println!("\nNot compared with Python: {reason}");
    }
}

/// The same input through `ConvModule` and through three calls, in turns.
fn forward() {
    let _guard = tch::no_grad_guard();
    tch::manual_seed(0);
    let module = conv_module(8, 8, 3, dict! { padding: 1, norm_cfg: { type: "BN" } }).unwrap();
    module.train(false);
    let state: Vec<Tensor> = module.state_dict().into_iter().map(|(_, tensor)| tensor).collect();
    let [weight, gamma, beta, mean, variance, _] = &state[..] else { panic!("conv.weight, bn.*") };
    let input = Tensor::randn([1, 8, 8, 8], (Kind::Float, Device::Cpu));
    let by_hand = || {
        let output = input.f_conv2d(weight, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1).unwrap();
        let (gamma, beta, mean, variance) = (Some(gamma), Some(beta), Some(mean), Some(variance));
        output.f_batch_norm(gamma, beta, mean, variance, false, 0.1, 1e-5, true).unwrap().f_relu_().unwrap()
    };
    let by_module = || module.forward(&input).unwrap();
    assert!(by_hand().equal(&by_module()));

    let (mut hand, mut bundled) = (Vec::new(), Vec::new());
    for round in 0..2 * FORWARD_ROUNDS {
        let sides: [(&dyn Fn() -> Tensor, &mut Vec<f64>); 2] = [(&by_hand, &mut hand), (&by_module, &mut bundled)];
        let (pass, seconds) = sides.into_iter().nth(round % 2).unwrap();
        seconds.push(measure(|| (0..FORWARD_PASSES).for_each(|_| drop(black_box(pass())))) / FORWARD_PASSES as f64);
    }
    let (hand, bundled) = (median(hand), median(bundled));
    println!("| forward pass, 1 x 8 x 8 x 8 | microseconds | ratio |\n| --- | ---: | ---: |");
    println!("| three calls of tch | {:.2} | 1.000 |", 1e6 * hand);
    println!("| `ConvModule` | {:.2} | {:.3} |", 1e6 * bundled, bundled / hand);
}

/// A convolution of a stack: input channels, output channels, kernel size, stride.
type Layer = [i64; 4];

/// The 53 convolutions of ResNet-50, with all numbers of channels divided by `divisor`.
fn resnet50(divisor: i64) -> Vec<Layer> {
    let mut layers = vec![[3, 64 / divisor, 7, 2]];
    let mut channels = 64 / divisor;
    for (width, blocks) in [(64, 3), (128, 4), (256, 6), (512, 3)] {
        let width = width / divisor;
        for block in 0..blocks {
            let stride = if block == 0 && width > 64 / divisor { 2 } else { 1 };
            layers.extend([[channels, width, 1, 1], [width, width, 3, stride], [width, 4 * width, 1, 1]]);
            if block == 0 {
                layers.push([channels, 4 * width, 1, stride]);
            }
            channels = 4 * width;
        }
    }
    layers
}

fn build(stack: &[Layer]) -> Vec<ConvModule> {
    let module = |&[inputs, outputs, kernel, stride]: &Layer| {
        let options = dict! { stride: stride, padding: kernel / 2, norm_cfg: { type: "BN" } };
        conv_module(inputs, outputs, kernel, options).unwrap()
    };
    stack.iter().map(module).collect()
}

/// Every stack in Rust and in Python, in turns.
fn building(stacks: &[(&str, Vec<Layer>, usize)], python: &mut Result<Python, String>) {
    println!("| building, initial weights included | layers per second | in Python | ratio |");
    println!("| --- | ---: | ---: | ---: |");
    for (index, (name, stack, rounds)) in stacks.iter().enumerate() {
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for _ in 0..*rounds {
            here.push(measure(|| drop(black_box(build(stack)))));
            there.extend(python.as_mut().ok().map(|python| python.seconds(&format!("build {index}"))));
        }
        let rate = |seconds| stack.len() as f64 / median(seconds);
        let here = rate(here);
        let (rate, ratio) = match there.is_empty() {
            true => (String::new(), String::new()),
            false => {
                let there = rate(there);
                (format!("{there:.0}"), format!("{:.1}", here / there))
            }
        };
        println!("| {name} | {here:.0} | {rate} | {ratio} |");
    }
}

/// Forward and backward pass of 4 ConvModules whose batch norms are in evaluation, with and without
/// `efficient_conv_bn_eval`, in Rust and in Python, in turns.
fn training(python: &mut Result<Python, String>) {
    tch::manual_seed(0);
    let input = Tensor::randn([8, 64, 28, 28], (Kind::Float, Device::Cpu));
    let sides = [false, true].map(|efficient| {
        let options = dict! { padding: 1, norm_cfg: { type: "BN" }, efficient_conv_bn_eval: efficient };
        let modules = [(); 4].map(|()| conv_module(64, 64, 3, options.clone()).unwrap());
        modules.iter().for_each(|module| module.train(false));
        modules
    });
    let step = |modules: &[ConvModule]| {
        let forward = |input: Tensor, module: &ConvModule| module.forward(&input).unwrap();
        let output = modules.iter().fold(input.shallow_clone(), forward);
        output.f_sum(Kind::Float).and_then(|sum| sum.f_backward()).unwrap();
        modules.iter().flat_map(ModuleExt::state_dict).for_each(|(_, mut tensor)| tensor.zero_grad());
    };
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..TRAINING_ROUNDS {
        for (index, modules) in sides.iter().enumerate() {
            times[index].push(measure(|| step(modules)));
            times[2 + index].extend(python.as_mut().ok().map(|python| python.seconds(&format!("train {index}"))));
        }
    }
    println!("| forward and backward pass, batch norm in evaluation | milliseconds | in Python | ratio |");
    println!("| --- | ---: | ---: | ---: |");
    let [plain, efficient, python_plain, python_efficient] = times;
    for (name, here, there) in [("plain", plain, python_plain), ("efficient_conv_bn_eval", efficient, python_efficient)]
    {
        let here = median(here);
        let (there, ratio) = match there.is_empty() {
            true => (String::new(), String::new()),
            false => {
                let there = median(there);
                (format!("{:.2}", 1e3 * there), format!("{:.2}", there / here))
            }
        };
        println!("| {name} | {:.2} | {there} | {ratio} |", 1e3 * here);
    }
}

/// `abstraction.py`, which runs the task named by each input line and prints the seconds.
struct Python {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Python {
    fn start(stacks: &[&Vec<Layer>]) -> Result<Self, String> {
        let python = std::env::var_os("MMCV_PYTHON").ok_or("set MMCV_PYTHON to a Python with torch and mmcv")?;
        let mut command = Command::new(&python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/abstraction.py")).arg(format!("{stacks:?}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot start {}: {error}", python.display()))?;
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut output = BufReader::new(output).lines();
        match output.next() {
            Some(Ok(line)) if line == "ready" => Ok(Self { input, output }),
            _ => Err(format!("{} cannot import torch and mmcv", python.display())),
        }
    }

    fn seconds(&mut self, task: &str) -> f64 {
        writeln!(self.input, "{task}").unwrap();
        self.output.next().unwrap().unwrap().parse().unwrap()
    }
}

fn measure(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
