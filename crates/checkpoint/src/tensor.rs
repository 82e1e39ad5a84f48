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

/// The type in tch's words; `None` for one that tch does not have.
pub(crate) fn kind(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::Bool => Kind::Bool,
        Dtype::Uint8 => Kind::Uint8,
        Dtype::Int8 => Kind::Int8,
        Dtype::Int16 => Kind::Int16,
        Dtype::Int32 => Kind::Int,
        Dtype::Int64 => Kind::Int64,
        Dtype::Float16 => Kind::Half,
        Dtype::Bfloat16 => Kind::BFloat16,
        Dtype::Float32 => Kind::Float,
        Dtype::Float64 => Kind::Double,
        Dtype::Complex32 => Kind::ComplexHalf,
        Dtype::Complex64 => Kind::ComplexFloat,
        Dtype::Complex128 => Kind::ComplexDouble,
        _ => return None,
    })
}

/// torch's name of a type.
pub(crate) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::Uint8 => "uint8",
        Kind::Int8 => "int8",
        Kind::Int16 => "int16",
        Kind::Int => "int32",
        Kind::Int64 => "int64",
        Kind::Half => "float16",
        Kind::BFloat16 => "bfloat16",
        Kind::Float => "float32",
        Kind::Double => "float64",
        Kind::ComplexHalf => "complex32",
        Kind::ComplexFloat => "complex64",
        Kind::ComplexDouble => "complex128",
        _ => "another type",
    }
}
