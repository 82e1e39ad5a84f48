//! A tensor on its way into a module: from a file or from memory.

use mmcv_pth::RawTensor;
use tch::{Device, Kind, Tensor};

use crate::error::ErrorKind;
use crate::report::TensorType;
use crate::tensor;

/// A tensor of a state dict.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    File(RawTensor<'a>),
    Memory(&'a Tensor),
}

impl Value<'_> {
    /// The type, where libtorch has it.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Self::File(raw) => raw.dtype().and_then(tensor::kind),
            Self::Memory(tensor) => tensor.f_kind().ok(),
        }
    }

    /// Type and shape in words.
    pub(crate) fn described(&self) -> TensorType {
        match self {
            Self::File(raw) => {
                let dtype = raw.dtype().map_or_else(|| raw.unsupported().unwrap_or("unknown"), mmcv_pth::Dtype::name);
                TensorType { dtype: dtype.to_owned(), shape: shape_of(raw) }
            }
            Self::Memory(tensor) => TensorType::of(tensor),
        }
    }

    /// Whether the shape is that of `target`, with no broadcasting; a single number may have the shape `[1]`, which libtorch
    /// reads as `[]` too.
    pub(crate) fn has_shape_of(&self, target: &Tensor) -> bool {
        let shape = match self {
            Self::File(raw) if raw.unsupported().is_some() => return false,
            Self::File(raw) => shape_of(raw),
            Self::Memory(tensor) => tensor.size(),
        };
        let own = target.size();
        shape == own || (own.is_empty() && shape == [1])
    }

    /// Whether each element is exactly the same in `kind`, a type of integers or bools.
    pub(crate) fn is_exact_in(&self, kind: Kind) -> Result<bool, ErrorKind> {
        Ok(match self {
            Self::File(raw) => tensor::is_exact_in(&read(raw, Device::Cpu)?, kind)?,
            Self::Memory(tensor) => tensor::is_exact_in(tensor, kind)?,
        })
    }

    /// Compares checksums, so that damage is found before anything is written.
    pub(crate) fn verify(&self) -> Result<(), ErrorKind> {
        match self {
            Self::File(raw) => Ok(raw.verify()?),
            Self::Memory(_) => Ok(()),
        }
    }

    /// Copies the elements into `target`, which has the same shape; libtorch converts where the type is another.
    pub(crate) fn copy_into(&self, target: &Tensor) -> Result<(), ErrorKind> {
        let _guard = tch::no_grad_guard();
        let mut target = target.f_detach()?;
        match self {
            Self::Memory(tensor) if tensor.size() == target.size() => target.f_copy_(tensor)?,
            Self::Memory(tensor) => target.f_copy_(&tensor.f_view_as(&target)?)?,
            Self::File(raw) => match target.f_view([-1_i64]) {
                Ok(flat) => copy_pieces(raw, readable(raw)?, &flat)?,
                // The elements of the target do not lie in a row.
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
    copy_pieces(raw, kind, &tensor.f_view([-1_i64])?)?;
    Ok(tensor)
}

fn readable(raw: &RawTensor<'_>) -> Result<Kind, ErrorKind> {
    let value = Value::File(raw.clone());
    value.kind().ok_or_else(|| ErrorKind::Unreadable { name: raw.key().to_owned(), found: value.described() })
}

/// A size beyond `i64` fits no tensor: it becomes one that none has.
fn shape_of(raw: &RawTensor<'_>) -> Vec<i64> {
    raw.shape().iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect()
}

/// Copies the elements into a tensor of one dimension, piece by piece, so that nothing of any size is held twice.
fn copy_pieces(raw: &RawTensor<'_>, kind: Kind, flat: &Tensor) -> Result<(), ErrorKind> {
    let _guard = tch::no_grad_guard();
    let mut start = 0_i64;
    let mut copy = |bytes: &[u8]| -> Result<(), ErrorKind> {
        let count = i64::try_from(bytes.len() / kind.elt_size_in_bytes()).unwrap_or(i64::MAX);
        let piece = Tensor::f_from_data_size(bytes, &[count], kind)?;
        flat.f_narrow(0, start, count)?.f_copy_(&piece)?;
        start += count;
        Ok(())
    };
    // The chunks are small enough for the processor's cache, and for libtorch to copy them without other threads.
    let mut copied = Ok(());
    raw.for_each_chunk(|chunk| {
        if copied.is_ok() {
            copied = copy(chunk);
        }
    })?;
    copied
}
