//! The source of a tensor's new value: a file, or another tensor.

use mmcv_pth::RawTensor;
use tch::{Device, Kind, Tensor};

use crate::dtype;
use crate::error::ErrorKind;
use crate::report::TensorType;

/// A tensor of a state dict.
#[derive(Debug)]
pub(crate) enum TensorSource<'a> {
    File(RawTensor<'a>),
    Memory(&'a Tensor),
}

impl TensorSource<'_> {
    /// The type, if libtorch has it.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Self::File(raw) => dtype::kind(raw.dtype()?),
            Self::Memory(tensor) => tensor.f_kind().ok(),
        }
    }

    pub(crate) fn tensor_type(&self) -> TensorType {
        match self {
            Self::File(raw) => {
                let dtype = match raw.dtype() {
                    Some(dtype) => dtype.name(),
                    None => raw.unsupported().unwrap_or("unknown"),
                };
                TensorType { dtype: dtype.to_owned(), shape: shape_of(raw) }
            }
            Self::Memory(tensor) => TensorType::of(tensor),
        }
    }

    /// Whether the shape is that of `target`, without broadcasting. A scalar may have the shape `[1]`, which libtorch
    /// also reads as `[]`.
    pub(crate) fn has_shape_of(&self, target: &Tensor) -> bool {
        let shape = match self {
            Self::File(raw) if raw.unsupported().is_some() => return false,
            Self::File(raw) => shape_of(raw),
            Self::Memory(tensor) => tensor.size(),
        };
        let expected = target.size();
        shape == expected || (expected.is_empty() && shape == [1])
    }

    /// Whether every element keeps its exact value in `kind`, an integer type or bool.
    pub(crate) fn is_exact_in(&self, kind: Kind) -> Result<bool, ErrorKind> {
        Ok(match self {
            Self::File(raw) => dtype::is_exact_in(&read(raw, Device::Cpu)?, kind)?,
            Self::Memory(tensor) => dtype::is_exact_in(tensor, kind)?,
        })
    }

    /// Copies the elements into `target`, which has the same shape. Other types are converted.
    pub(crate) fn copy_into(&self, target: &Tensor) -> Result<(), ErrorKind> {
        let _guard = tch::no_grad_guard();
        let mut target = target.f_detach()?;
        match self {
            Self::Memory(tensor) if tensor.size() == target.size() => target.f_copy_(tensor)?,
            Self::Memory(tensor) => target.f_copy_(&tensor.f_view_as(&target)?)?,
            Self::File(raw) => match target.f_view([-1_i64]) {
                Ok(flat) => copy_chunks(raw, readable(raw)?, &flat)?,
                // The elements of the target are not in one row.
                Err(_) => target.f_copy_(&read(raw, Device::Cpu)?.f_view_as(&target)?)?,
            },
        }
        Ok(())
    }
}

/// A copy of a file's tensor on `device`.
pub(crate) fn read(raw: &RawTensor<'_>, device: Device) -> Result<Tensor, ErrorKind> {
    let kind = readable(raw)?;
    let tensor = Tensor::f_empty(shape_of(raw), (kind, device))?;
    copy_chunks(raw, kind, &tensor.f_view([-1_i64])?)?;
    Ok(tensor)
}

fn readable(raw: &RawTensor<'_>) -> Result<Kind, ErrorKind> {
    let source = TensorSource::File(raw.clone());
    match source.kind() {
        Some(kind) => Ok(kind),
        None => Err(ErrorKind::Unreadable { name: raw.key().to_owned(), found: source.tensor_type() }),
    }
}

/// A size beyond `i64` becomes one that no tensor has.
fn shape_of(raw: &RawTensor<'_>) -> Vec<i64> {
    raw.shape().iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect()
}

/// Copies the elements into a tensor of one dimension, chunk by chunk, so that memory is not needed twice. The chunks fit
/// the processor's cache.
fn copy_chunks(raw: &RawTensor<'_>, kind: Kind, target: &Tensor) -> Result<(), ErrorKind> {
    let _guard = tch::no_grad_guard();
    let mut start = 0_i64;
    let mut result = Ok(());
    raw.for_each_chunk(|chunk| {
        if result.is_ok() {
            result = copy_chunk(chunk, kind, target, &mut start);
        }
    })?;
    result
}

fn copy_chunk(bytes: &[u8], kind: Kind, target: &Tensor, start: &mut i64) -> Result<(), ErrorKind> {
    let count = i64::try_from(bytes.len() / kind.elt_size_in_bytes()).unwrap_or(i64::MAX);
    let chunk = Tensor::f_from_data_size(bytes, &[count], kind)?;
    target.f_narrow(0, *start, count)?.f_copy_(&chunk)?;
    *start += count;
    Ok(())
}
