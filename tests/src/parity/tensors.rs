//! The tensors of a case, and how they are compared.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

use super::difference::Difference;

/// Tensors by name.
#[derive(Debug, Default)]
pub struct Tensors(BTreeMap<String, Tensor>);

impl Tensors {
    /// Reads a safetensors file.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file)?;
        let parsed = SafeTensors::deserialize(&bytes).with_context(|| format!("cannot read {}", file.display()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in parsed.tensors() {
            let shape: Vec<i64> = view.shape().iter().map(|size| *size as i64).collect();
            tensors.insert(name, Tensor::f_from_data_size(view.data(), &shape, kind(view.dtype())?)?);
        }
        Ok(Self(tensors))
    }

    /// The tensor of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// The tensors whose names begin with `prefix`, by the rest of their names.
    pub(super) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        self.0.iter().filter_map(move |(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)))
    }

    /// `name`, or `name:0`, `name:1`, ...
    pub(super) fn numbered(&self, name: &str) -> Vec<&Tensor> {
        match self.get(name) {
            Some(single) => vec![single],
            None => (0..).map_while(|index| self.get(&format!("{name}:{index}"))).collect(),
        }
    }
}

fn kind(dtype: Dtype) -> Result<Kind> {
    Ok(match dtype {
        Dtype::BOOL => Kind::Bool,
        Dtype::U8 => Kind::Uint8,
        Dtype::I8 => Kind::Int8,
        Dtype::I16 => Kind::Int16,
        Dtype::I32 => Kind::Int,
        Dtype::I64 => Kind::Int64,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        other => bail!("the type {other:?} does not occur in cases"),
    })
}

/// The raw little-endian bytes of a tensor, row by row.
fn bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let tensor = tensor.detach().to_device(tch::Device::Cpu).contiguous();
    let size = tensor.f_kind()?.elt_size_in_bytes();
    let mut bytes = vec![0; tensor.numel() * size];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}

/// SHA-256 of the raw bytes, in hex.
pub(super) fn digest(tensor: &Tensor) -> Result<String> {
    Ok(Sha256::digest(bytes(tensor)?).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The two tensors have the same shape, type and bits.
pub(super) fn same_bits(found: &Tensor, expected: &Tensor) -> Result<()> {
    same_form(found, expected)?;
    let differs = as_integers(found)?.f_ne_tensor(&as_integers(expected)?)?;
    match Difference::new(found, expected, &differs)? {
        Some(difference) => Err(difference.into()),
        None => Ok(()),
    }
}

/// The bits of the elements, on the CPU.
fn as_integers(tensor: &Tensor) -> Result<Tensor> {
    let tensor = tensor.detach().f_to_device(tch::Device::Cpu)?.f_contiguous()?;
    Ok(match tensor.f_kind()? {
        Kind::Half | Kind::BFloat16 => tensor.f_view_dtype(Kind::Int16)?,
        Kind::Float => tensor.f_view_dtype(Kind::Int)?,
        Kind::Double => tensor.f_view_dtype(Kind::Int64)?,
        _ => tensor,
    })
}

/// How far values may be from the expected ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tolerance {
    pub(super) rtol: f64,
    pub(super) atol: f64,
    /// Units in the last place of the tensor's largest value.
    pub(super) units: f64,
}

/// The two tensors have the same shape and type, and values within the tolerance; NaN equals NaN.
pub(super) fn close(found: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Result<()> {
    same_form(found, expected)?;
    let Tolerance { rtol, mut atol, units } = tolerance;
    if units > 0.0 && expected.numel() > 0 {
        atol += units
            * epsilon(expected.f_kind()?)
            * expected.f_to_kind(Kind::Double)?.f_abs()?.f_nan_to_num(0.0, 0.0, 0.0)?.f_max()?.f_double_value(&[])?;
    }
    let found = found.detach().to_device(tch::Device::Cpu);
    // In float64, so that the comparison itself rounds nothing.
    let is_close = found.f_to_kind(Kind::Double)?.f_isclose(&expected.f_to_kind(Kind::Double)?, rtol, atol, true)?;
    match Difference::new(&found, expected, &is_close.f_logical_not()?)? {
        Some(difference) => Err(anyhow!("{difference} (rtol {rtol:e}, atol {atol:e})")),
        None => Ok(()),
    }
}

fn epsilon(kind: Kind) -> f64 {
    match kind {
        Kind::BFloat16 => 2f64.powi(-7),
        Kind::Half => 2f64.powi(-10),
        Kind::Double => f64::EPSILON,
        _ => f64::from(f32::EPSILON),
    }
}

fn same_form(found: &Tensor, expected: &Tensor) -> Result<()> {
    ensure!(found.size() == expected.size(), "shape {:?} instead of {:?}", found.size(), expected.size());
    let (found, expected) = (found.f_kind()?, expected.f_kind()?);
    ensure!(found == expected, "type {found:?} instead of {expected:?}");
    Ok(())
}
