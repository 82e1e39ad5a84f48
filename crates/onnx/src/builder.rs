//! [`Builder`]: the nodes and initializers of an ONNX graph, with unique names.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use tch::{Kind, Tensor};

use crate::error::{Error, Result};
use crate::proto::{AttributeProto, AttributeType, DataType, NodeProto, TensorProto};

/// The name of a value in an ONNX graph.
pub(crate) type Name = String;

/// An attribute of a node.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A number, stored in 32 bits.
    Float(f64),
    /// Integers.
    Ints(Vec<i64>),
    /// Numbers, stored in 32 bits.
    Floats(Vec<f64>),
    /// A text.
    Str(Cow<'static, str>),
}

/// The nodes and initializers of an ONNX graph.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) nodes: Vec<NodeProto>,
    pub(crate) initializers: Vec<TensorProto>,
    used: HashSet<Name>,
    /// Small constants by type, shape and bytes.
    constants: HashMap<(i32, Vec<i64>, Vec<u8>), Name>,
    /// The versions of the operators of other domains than ONNX's.
    pub(crate) domains: BTreeMap<String, i64>,
    /// The module of the nodes that are added.
    pub(crate) module: String,
}

impl Builder {
    /// A name that nothing has yet: `wanted`, or with a number after it.
    pub(crate) fn unique(&mut self, wanted: &str) -> Name {
        let mut name = wanted.to_owned();
        let mut number = 1;
        while !self.used.insert(name.clone()) {
            number += 1;
            name = format!("{wanted}_{number}");
        }
        name
    }

    /// Adds a node with one output; returns the name of the output.
    pub(crate) fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> Name {
        let mut outputs = self.nodes(operator, inputs, 1, attributes);
        outputs.pop().unwrap_or_default()
    }

    /// Adds a node with several outputs; returns their names.
    pub(crate) fn nodes(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: usize,
        attributes: &[(&str, Attribute)],
    ) -> Vec<Name> {
        let name = self.unique(&format!("{}/{operator}", self.module));
        let mut names = Vec::with_capacity(outputs);
        for index in 0..outputs {
            let wanted = if outputs == 1 { format!("{name}:out") } else { format!("{name}:out{index}") };
            names.push(self.unique(&wanted));
        }
        let mut attribute: Vec<AttributeProto> = attributes.iter().map(|(name, value)| value.named(name)).collect();
        attribute.sort_by(|left, right| left.name.cmp(&right.name));
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: names.clone(),
            name: Some(name),
            op_type: Some(operator.to_owned()),
            attribute,
            domain: None,
        });
        names
    }

    /// Sets the domain of the last node.
    pub(crate) fn set_domain(&mut self, domain: &str, version: i64) {
        if let Some(node) = self.nodes.last_mut() {
            node.domain = Some(domain.to_owned());
            self.domains.insert(domain.to_owned(), version);
        }
    }

    /// An initializer with this name, or a similar one if it is taken.
    pub(crate) fn initializer(&mut self, wanted: &str, tensor: &Tensor) -> Result<Name> {
        let name = self.unique(wanted);
        self.initializers.push(tensor_proto(&name, tensor)?);
        Ok(name)
    }

    /// A constant without a name of its own; equal ones are one.
    pub(crate) fn constant(&mut self, tensor: &Tensor) -> Result<Name> {
        let proto = tensor_proto("", tensor)?;
        let key = (proto.data_type.unwrap_or_default(), proto.dims.clone(), proto.raw_data.clone().unwrap_or_default());
        if let Some(name) = self.constants.get(&key) {
            return Ok(name.clone());
        }
        let name = self.unique("constant");
        self.initializers.push(TensorProto { name: Some(name.clone()), ..proto });
        self.constants.insert(key, name.clone());
        Ok(name)
    }

    /// A list of integers, as many operators want shapes and axes.
    pub(crate) fn ints(&mut self, ints: &[i64]) -> Result<Name> {
        self.constant(&Tensor::f_from_slice(ints)?)
    }

    /// A number without dimensions, of this type.
    pub(crate) fn scalar(&mut self, number: f64, kind: Kind) -> Result<Name> {
        self.constant(&Tensor::f_from_slice(&[number])?.f_to_kind(kind)?.f_reshape([])?)
    }
}

impl Attribute {
    pub(crate) fn named(&self, name: &str) -> AttributeProto {
        let mut attribute = AttributeProto { name: Some(name.to_owned()), ..AttributeProto::default() };
        let kind = match self {
            Self::Int(int) => {
                attribute.i = Some(*int);
                AttributeType::Int
            }
            Self::Float(float) => {
                attribute.f = Some(*float as f32);
                AttributeType::Float
            }
            Self::Ints(ints) => {
                attribute.ints.clone_from(ints);
                AttributeType::Ints
            }
            Self::Floats(floats) => {
                attribute.floats = floats.iter().map(|float| *float as f32).collect();
                AttributeType::Floats
            }
            Self::Str(text) => {
                attribute.s = Some(text.as_bytes().to_vec());
                AttributeType::String
            }
        };
        attribute.r#type = Some(kind.into());
        attribute
    }
}

/// The number of a type in ONNX.
pub(crate) fn data_type(kind: Kind) -> Result<DataType> {
    Ok(match kind {
        Kind::Float => DataType::Float,
        Kind::Uint8 => DataType::Uint8,
        Kind::Int8 => DataType::Int8,
        Kind::Int16 => DataType::Int16,
        Kind::Int => DataType::Int32,
        Kind::Int64 => DataType::Int64,
        Kind::Bool => DataType::Bool,
        Kind::Half => DataType::Float16,
        Kind::Double => DataType::Double,
        Kind::BFloat16 => DataType::Bfloat16,
        _ => return Err(Error::unsupported("", format!("ONNX has no type {kind:?}"))),
    })
}

/// The tensor with its elements as bytes, little-endian.
pub(crate) fn tensor_proto(name: &str, tensor: &Tensor) -> Result<TensorProto> {
    let kind = tensor.kind();
    let data_type = data_type(kind)?;
    let tensor = tensor.f_to_device(tch::Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(TensorProto {
        dims: tensor.size(),
        data_type: Some(data_type.into()),
        name: if name.is_empty() { None } else { Some(name.to_owned()) },
        raw_data: Some(bytes),
        ..TensorProto::default()
    })
}
