//! [`ArrayType`]: the element types of NumPy arrays.

use crate::tensor::Dtype;

/// A NumPy type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ArrayType {
    pub(super) kind: ArrayTypeKind,
    pub(super) big_endian: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum ArrayTypeKind {
    Plain(Dtype),
    /// References to Python objects.
    Object,
    /// Strings, dates, records and other types that torch lacks.
    Other,
}

impl ArrayType {
    /// The type with the name `name`, such as `<f4`. The byte order in front is optional.
    pub(super) fn from_name(name: &str) -> Self {
        use Dtype as D;
        let plain_name = name.trim_start_matches(['<', '>', '|', '=']);
        let kind = ArrayTypeKind::Plain(match plain_name {
            "b1" | "?" => D::Bool,
            "i1" => D::Int8,
            "i2" => D::Int16,
            "i4" => D::Int32,
            "i8" => D::Int64,
            "u1" => D::Uint8,
            "u2" => D::Uint16,
            "u4" => D::Uint32,
            "u8" => D::Uint64,
            "f2" => D::Float16,
            "f4" => D::Float32,
            "f8" => D::Float64,
            "c8" => D::Complex64,
            "c16" => D::Complex128,
            _ if plain_name.starts_with('O') => return Self { kind: ArrayTypeKind::Object, big_endian: false },
            _ => return Self { kind: ArrayTypeKind::Other, big_endian: false },
        });
        Self { kind, big_endian: name.starts_with('>') }
    }
}
