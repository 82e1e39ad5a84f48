//! Tensors of a file as tensors of libtorch.

use mmcv_pth::{Dtype, RawTensor};
use tch::{Kind, Tensor};

use crate::error::ErrorKind;

/// A copy of the tensor, on the CPU, where libtorch has its type.
pub(crate) fn read(raw: &RawTensor<'_>, kind: Kind) -> Result<Tensor, ErrorKind> {
    let shape: Vec<i64> = raw.shape().iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect();
    let bytes = raw.bytes()?;
    Ok(Tensor::f_from_data_size(&bytes, &shape, kind).map_err(mmcv_layers::Error::from)?)
}

/// The types that both files and tch have.
const TYPES: [(Dtype, Kind); 13] = [
    (Dtype::Bool, Kind::Bool),
    (Dtype::Uint8, Kind::Uint8),
    (Dtype::Int8, Kind::Int8),
    (Dtype::Int16, Kind::Int16),
    (Dtype::Int32, Kind::Int),
    (Dtype::Int64, Kind::Int64),
    (Dtype::Float16, Kind::Half),
    (Dtype::Bfloat16, Kind::BFloat16),
    (Dtype::Float32, Kind::Float),
    (Dtype::Float64, Kind::Double),
    (Dtype::Complex32, Kind::ComplexHalf),
    (Dtype::Complex64, Kind::ComplexFloat),
    (Dtype::Complex128, Kind::ComplexDouble),
];

/// The type in tch's words; `None` for one that tch does not have.
pub(crate) fn kind(dtype: Dtype) -> Option<Kind> {
    TYPES.iter().find(|(own, _)| *own == dtype).map(|(_, kind)| *kind)
}

/// The type in a file; `None` for one that files do not have.
pub(crate) fn dtype(kind: Kind) -> Option<Dtype> {
    TYPES.iter().find(|(_, own)| *own == kind).map(|(dtype, _)| *dtype)
}

/// torch's name of a type.
pub(crate) fn name(kind: Kind) -> &'static str {
    dtype(kind).map_or("another type", Dtype::name)
}
