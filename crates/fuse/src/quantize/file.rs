//! [`Quantization`]: what integers stand for, and the weights in 8 bits, in memory and in a file.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::affine::Affine;
use super::error::invalid;
use super::sensitivity::QuantizedLayer;
use crate::error::{ErrorKind, Result};

/// A network in integers of 8 bits: for each value what its integers stand for, and all weights, so that no other checkpoint is
/// needed.
///
/// [`Calibration`](super::Calibration) makes it; [`FuseOptions::quantization`](crate::FuseOptions::quantization) uses it, for the
/// network with the same operators.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantization {
    pub(super) structure: Structure,
    /// The constants of the graph in the order in which they are read.
    pub(super) constants: Vec<Constant>,
}

/// What the metadata of the file has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Structure {
    pub(super) version: u32,
    /// The operators in order, each with its module.
    pub(super) operators: Vec<String>,
    pub(super) values: Vec<QuantizedValue>,
    /// How far each layer alone is from its form in 32 bits.
    pub(super) layers: Vec<QuantizedLayer>,
}

/// A value in 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct QuantizedValue {
    pub(super) origin: Origin,
    pub(super) scale: f32,
    pub(super) zero_point: i32,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Origin {
    /// An input of the network.
    Input(usize),
    /// A result of a node: the positions of both.
    Node(usize, usize),
}

/// A constant of the graph.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    F32 {
        shape: Vec<usize>,
        numbers: Vec<f32>,
    },
    /// Integers, with a scale for each position along the first axis.
    I8 {
        shape: Vec<usize>,
        integers: Vec<i8>,
        scales: Vec<f32>,
    },
}

/// The key of the metadata, and the version of what stands there.
const FORMAT: &str = "mmcv-int8";
pub(super) const VERSION: u32 = 1;

impl QuantizedValue {
    pub(super) fn affine(self) -> Affine {
        Affine { scale: self.scale, zero_point: self.zero_point }
    }
}

impl Quantization {
    /// How far each layer in 8 bits alone is from its form in 32 bits, in order.
    #[must_use]
    pub fn layers(&self) -> &[QuantizedLayer] {
        &self.structure.layers
    }

    /// The file's bytes: safetensors.
    ///
    /// # Errors
    /// Returns an error if safetensors refuses them.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut parts: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        for (index, constant) in self.constants.iter().enumerate() {
            let name = constant_name(index);
            match constant {
                Constant::F32 { shape, numbers } => parts.push((name, Dtype::F32, shape.clone(), bytes_of(numbers))),
                Constant::I8 { shape, integers, scales } => {
                    parts.push((scale_name(index), Dtype::F32, vec![scales.len()], bytes_of(scales)));
                    let integers = integers.iter().map(|integer| integer.to_le_bytes()[0]).collect();
                    parts.push((name, Dtype::I8, shape.clone(), integers));
                }
            }
        }
        let mut views = Vec::with_capacity(parts.len());
        for (name, dtype, shape, bytes) in &parts {
            let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|error| invalid(error.to_string()))?;
            views.push((name, view));
        }
        let structure = serde_json::to_string(&self.structure).map_err(|error| invalid(error.to_string()))?;
        let metadata = HashMap::from([(FORMAT.to_owned(), structure)]);
        safetensors::serialize(views, Some(metadata)).map_err(|error| invalid(error.to_string()))
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// Returns an error if they are not what [`Self::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|error| invalid(format!("no safetensors file: {error}")))?;
        let tensors =
            SafeTensors::deserialize(bytes).map_err(|error| invalid(format!("no safetensors file: {error}")))?;
        let Some(structure) = header.metadata().as_ref().and_then(|metadata| metadata.get(FORMAT)) else {
            return Err(invalid("a file of other weights: `mmcv quantize` writes those in 8 bits"));
        };
        let structure: Structure = serde_json::from_str(structure).map_err(|error| invalid(error.to_string()))?;
        if structure.version != VERSION {
            let found = structure.version;
            return Err(invalid(format!("it has version {found}, and this program reads version {VERSION}")));
        }
        for value in &structure.values {
            if !value.scale.is_finite() || value.scale <= 0.0 || !(0..=255).contains(&value.zero_point) {
                return Err(invalid(format!("a scale of {} with the zero point {}", value.scale, value.zero_point)));
            }
        }
        let mut constants = Vec::new();
        while let Ok(view) = tensors.tensor(&constant_name(constants.len())) {
            let shape = view.shape().to_vec();
            constants.push(match view.dtype() {
                Dtype::F32 => Constant::F32 { shape, numbers: numbers_of(view.data()) },
                Dtype::I8 => {
                    let scales =
                        tensors.tensor(&scale_name(constants.len())).map_err(|error| invalid(error.to_string()))?;
                    if scales.dtype() != Dtype::F32 || shape.first().copied() != Some(scales.shape().iter().product()) {
                        return Err(invalid(format!(
                            "{} has not one scale for each output",
                            constant_name(constants.len())
                        )));
                    }
                    let integers = view.data().iter().map(|byte| i8::from_le_bytes([*byte])).collect();
                    Constant::I8 { shape, integers, scales: numbers_of(scales.data()) }
                }
                other => return Err(invalid(format!("{} is of type {other:?}", constant_name(constants.len())))),
            });
        }
        Ok(Self { structure, constants })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Returns an error if it cannot be read, or is not what `mmcv quantize` writes.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| invalid(format!("cannot read {}: {error}", path.display())))?;
        Self::from_bytes(&bytes).map_err(|error| match *error.kind {
            ErrorKind::Quantization(what) => invalid(format!("{}: {what}", path.display())),
            kind => kind.into(),
        })
    }
}

fn constant_name(index: usize) -> String {
    format!("constants.{index}")
}

fn scale_name(index: usize) -> String {
    format!("constants.{index}.scale")
}

fn bytes_of(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn numbers_of(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap_or_default())).collect()
}
