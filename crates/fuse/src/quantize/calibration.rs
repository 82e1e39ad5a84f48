//! [`Calibration`]: finds what integers stand for from example inputs.

use std::collections::{HashMap, HashSet};

use mmcv_layers::Module;
use mmcv_registry::Dict;
use tch::{Device, Kind, Tensor};

use super::affine::Affine;
use super::apply::{constants, insert, operators};
use super::correction;
use super::error::invalid;
use super::file::{Constant, Origin, Quantization, QuantizedValue, Structure, VERSION};
use super::histogram::{Histogram, RangeMethod};
use super::integers::Integers;
use super::points::Points;
use super::sensitivity;
use crate::bridge::numbers;
use crate::error::{Error, Result};
use crate::graph::{Graph, Shapes, ValueId};
use crate::interpreter::Interpreter;
use crate::options::FuseOptions;
use crate::sample;
use crate::start::{Examples, Held, start};

/// How a network is calibrated.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CalibrationOptions {
    /// How the range of each value is chosen; by the mean square error by default.
    pub method: RangeMethod,
    /// Whether each layer's bias is changed so that the mean of each channel is as in 32 bits (Nagel et al., Data-Free Quantization
    /// Through Weight Equalization and Bias Correction, 2019); true by default.
    pub bias_correction: bool,
}

impl Default for CalibrationOptions {
    fn default() -> Self {
        Self { method: RangeMethod::default(), bias_correction: true }
    }
}

/// The number of images that are kept to correct biases and to compare layers.
const KEPT: i64 = 16;

/// The numbers that occur in a network for example inputs, and what integers can stand for them.
///
/// ```
/// use mmcv_fuse::{Calibration, CalibrationOptions, FuseOptions, fuse};
/// use mmcv_layers::{Builder, Forward, MODELS, Module};
/// use mmcv_registry::{Config, config};
/// use tch::{Device, Kind, Tensor};
///
/// let conv = config! { type: "Conv2d", in_channels: 3, out_channels: 8, kernel_size: 3 };
/// let network = Builder::new(&MODELS).model(&Config::List(vec![conv, config! { type: "ReLU" }]))?;
/// network.train(false);
/// let mut calibration = Calibration::new(&*network, &[1, 3, 16, 16], CalibrationOptions::default())?;
/// let images = Tensor::randn([4, 3, 16, 16], (Kind::Float, Device::Cpu));
/// calibration.observe(&images)?;
/// let quantization = calibration.finish()?;
/// let mut options = FuseOptions::default();
/// options.quantization = Some(quantization.into());
/// let fused = fuse(&*network, &[1, 3, 16, 16], &options)?;
/// assert_eq!(fused.forward(&images.narrow(0, 0, 1))?.size(), [1, 8, 14, 14]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Calibration {
    graph: Graph,
    shapes: Shapes,
    interpreter: Interpreter,
    options: CalibrationOptions,
    histograms: HashMap<ValueId, Histogram>,
    /// The first images.
    kept: Vec<Tensor>,
}

impl Calibration {
    /// For `module`, in evaluation mode, in 32 bits on the CPU, which takes one tensor of the shape `example_shape`.
    ///
    /// # Errors
    /// As for [`fuse`](crate::fuse); and if no layer can work in 8 bits.
    pub fn new(module: &dyn Module, example_shape: &[i64], options: CalibrationOptions) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let (kind, device) = sample::kind_and_device(module);
        if (kind, device) != (Kind::Float, Device::Cpu) {
            return Err(Error::input("a network in float32 on the CPU", format!("one in {kind:?} on {device:?}")));
        }
        sample::check_size(example_shape, 1)?;
        let examples = Examples::Drawn { shape: example_shape.to_vec(), kind, device };
        let unchecked = FuseOptions { self_check: false, ..FuseOptions::default() };
        let start = start(Held::Borrowed(module), &examples, &Dict::new(), &unchecked)?;
        if !start.simplified {
            return Err(invalid("the network changes a tensor in place that is read elsewhere"));
        }
        let points = Points::of(&start.graph, &start.shapes, &HashSet::new());
        if points.layers.is_empty() {
            return Err(invalid("the network has no convolution or linear layer that could work in 8 bits"));
        }
        let histograms = points.groups.into_iter().flatten().map(|value| (value, Histogram::default())).collect();
        let interpreter = Interpreter::new(&start.graph)?;
        Ok(Self { graph: start.graph, shapes: start.shapes, interpreter, options, histograms, kept: Vec::new() })
    }

    /// Runs the network on a batch and counts the numbers that occur.
    ///
    /// # Errors
    /// Returns an error if the network does not run on it.
    pub fn observe(&mut self, images: &Tensor) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let images = images.f_to_kind(Kind::Float)?.f_contiguous()?;
        let count: i64 = self.kept.iter().map(|images| images.size().first().copied().unwrap_or(1)).sum();
        if count < KEPT {
            self.kept.push(images.shallow_clone());
        }
        let Self { interpreter, histograms, .. } = self;
        interpreter.run_visiting(&[&images], |value, tensor| {
            if let Some(histogram) = histograms.get_mut(&value) {
                let contiguous = tensor.f_contiguous()?;
                histogram.add(numbers(&contiguous).unwrap_or_default());
            }
            Ok(())
        })?;
        Ok(())
    }

    /// The network in 8 bits.
    ///
    /// # Errors
    /// Returns an error if no image was observed.
    pub fn finish(&self) -> Result<Quantization> {
        self.finish_without(&[])
    }

    /// The network in 8 bits but for the layers with these positions among [`Quantization::layers`] of [`Self::finish`], which stay in
    /// 32 bits.
    ///
    /// # Errors
    /// As for [`Self::finish`].
    pub fn finish_without(&self, layers: &[usize]) -> Result<Quantization> {
        let _guard = tch::no_grad_guard();
        if self.kept.is_empty() {
            return Err(invalid("no image was observed"));
        }
        let all = Points::of(&self.graph, &self.shapes, &HashSet::new()).layers;
        let excluded = layers.iter().filter_map(|index| all.get(*index)).map(|layer| layer.node).collect();
        let points = Points::of(&self.graph, &self.shapes, &excluded);
        let affines = self.affines(&points);
        let mut graph = self.graph.clone();
        let mut integers = HashMap::new();
        for layer in &points.layers {
            if let Some(weight) = graph.constants.get_mut(&layer.weight)
                && !integers.contains_key(&layer.weight)
            {
                let found = Integers::of(weight)?;
                *weight = found.numbers()?;
                integers.insert(layer.weight, found);
            }
        }
        insert(&mut graph, &affines);
        if self.options.bias_correction {
            correction::correct(&self.graph, &mut graph, &points.layers, &Tensor::f_cat(&self.kept, 0)?)?;
        }
        let mut found = Vec::new();
        for value in constants(&self.graph) {
            if let Some(numbers) = graph.constants.get(&value) {
                found.push(Constant::of(numbers, integers.get(&value))?);
            }
        }
        let layers = match self.kept.first() {
            Some(images) => sensitivity::layers(&self.graph, &graph, &points.layers, images)?,
            None => Vec::new(),
        };
        let structure =
            Structure { version: VERSION, operators: operators(&self.graph), values: self.values(&affines), layers };
        Ok(Quantization { structure, constants: found })
    }

    /// What the integers of each value stand for.
    fn affines(&self, points: &Points) -> Vec<(ValueId, Affine)> {
        let mut affines = Vec::new();
        for group in &points.groups {
            let (mut lowest, mut highest) = (0.0_f64, 0.0_f64);
            for value in group {
                if let Some(histogram) = self.histograms.get(value) {
                    let range = histogram.range(self.options.method);
                    (lowest, highest) = (lowest.min(range.0), highest.max(range.1));
                }
            }
            let affine = Affine::of_range(lowest as f32, highest as f32);
            affines.extend(group.iter().map(|value| (*value, affine)));
        }
        affines
    }

    /// The same with where each value comes from.
    fn values(&self, affines: &[(ValueId, Affine)]) -> Vec<QuantizedValue> {
        let mut origins = HashMap::new();
        for (index, value) in self.graph.inputs.iter().enumerate() {
            origins.insert(*value, Origin::Input(index));
        }
        for (index, node) in self.graph.nodes.iter().enumerate() {
            for (output, value) in node.outputs.iter().enumerate() {
                origins.insert(*value, Origin::Node(index, output));
            }
        }
        let mut values = Vec::with_capacity(affines.len());
        for (value, Affine { scale, zero_point }) in affines {
            if let Some(origin) = origins.get(value) {
                values.push(QuantizedValue { origin: *origin, scale: *scale, zero_point: *zero_point });
            }
        }
        values
    }
}
