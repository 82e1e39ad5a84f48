//! Element types, by torch's names.

use std::fmt;

use safetensors::Dtype as Header;
use serde::{Serialize, Serializer};

/// Declares [`Dtype`]: variant, torch's name, bytes per element, and the reason if a type has no plain bytes.
macro_rules! dtypes {
    ($($variant:ident $name:literal $size:literal $unsupported:expr;)*) => {
        /// The element type of a tensor.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Dtype {
            $(#[doc = concat!("`torch.", $name, "`.")] $variant,)*
        }

        impl Dtype {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Torch's name without `torch.`: `float32`, `bfloat16`, `bool`, ...
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Bytes per element.
            pub fn size(self) -> usize {
                match self { $(Self::$variant => $size,)* }
            }

            /// Why a tensor of this type has no plain bytes: `quantized` or `sub_byte`.
            pub(crate) fn unsupported(self) -> Option<&'static str> {
                match self { $(Self::$variant => $unsupported,)* }
            }
        }
    };
}

const QUANTIZED: Option<&str> = Some("quantized");
const SUB_BYTE: Option<&str> = Some("sub_byte");

dtypes! {
    Bool "bool" 1 None;
    Uint8 "uint8" 1 None;
    Int8 "int8" 1 None;
    Uint16 "uint16" 2 None;
    Int16 "int16" 2 None;
    Uint32 "uint32" 4 None;
    Int32 "int32" 4 None;
    Uint64 "uint64" 8 None;
    Int64 "int64" 8 None;
    Float16 "float16" 2 None;
    Bfloat16 "bfloat16" 2 None;
    Float32 "float32" 4 None;
    Float64 "float64" 8 None;
    Complex32 "complex32" 4 None;
    Complex64 "complex64" 8 None;
    Complex128 "complex128" 16 None;
    Float8E4m3fn "float8_e4m3fn" 1 None;
    Float8E4m3fnuz "float8_e4m3fnuz" 1 None;
    Float8E5m2 "float8_e5m2" 1 None;
    Float8E5m2fnuz "float8_e5m2fnuz" 1 None;
    Float8E8m0fnu "float8_e8m0fnu" 1 None;
    Bits8 "bits8" 1 None;
    Bits16 "bits16" 2 None;
    Qint8 "qint8" 1 QUANTIZED;
    Quint8 "quint8" 1 QUANTIZED;
    Qint32 "qint32" 4 QUANTIZED;
    Quint4x2 "quint4x2" 1 QUANTIZED;
    Quint2x4 "quint2x4" 1 QUANTIZED;
    Float4E2m1fnX2 "float4_e2m1fn_x2" 1 SUB_BYTE;
    Bits1x8 "bits1x8" 1 SUB_BYTE;
    Bits2x4 "bits2x4" 1 SUB_BYTE;
    Bits4x2 "bits4x2" 1 SUB_BYTE;
    Int1 "int1" 1 SUB_BYTE;
    Int2 "int2" 1 SUB_BYTE;
    Int3 "int3" 1 SUB_BYTE;
    Int4 "int4" 1 SUB_BYTE;
    Int5 "int5" 1 SUB_BYTE;
    Int6 "int6" 1 SUB_BYTE;
    Int7 "int7" 1 SUB_BYTE;
    Uint1 "uint1" 1 SUB_BYTE;
    Uint2 "uint2" 1 SUB_BYTE;
    Uint3 "uint3" 1 SUB_BYTE;
    Uint4 "uint4" 1 SUB_BYTE;
    Uint5 "uint5" 1 SUB_BYTE;
    Uint6 "uint6" 1 SUB_BYTE;
    Uint7 "uint7" 1 SUB_BYTE;
}

/// Torch's aliases of some types.
const ALIASES: &[(&str, Dtype)] = &[
    ("float", Dtype::Float32),
    ("double", Dtype::Float64),
    ("half", Dtype::Float16),
    ("int", Dtype::Int32),
    ("long", Dtype::Int64),
    ("short", Dtype::Int16),
    ("chalf", Dtype::Complex32),
    ("cfloat", Dtype::Complex64),
    ("cdouble", Dtype::Complex128),
];

/// Torch's 17 typed storage classes, without the ending `Storage`.
const STORAGES: &[(&str, Dtype)] = &[
    ("Double", Dtype::Float64),
    ("Float", Dtype::Float32),
    ("Half", Dtype::Float16),
    ("Long", Dtype::Int64),
    ("Int", Dtype::Int32),
    ("Short", Dtype::Int16),
    ("Char", Dtype::Int8),
    ("Byte", Dtype::Uint8),
    ("Bool", Dtype::Bool),
    ("BFloat16", Dtype::Bfloat16),
    ("ComplexDouble", Dtype::Complex128),
    ("ComplexFloat", Dtype::Complex64),
    ("QUInt8", Dtype::Quint8),
    ("QInt8", Dtype::Qint8),
    ("QInt32", Dtype::Qint32),
    ("QUInt4x2", Dtype::Quint4x2),
    ("QUInt2x4", Dtype::Quint2x4),
];

/// The types of the safetensors format.
const SAFETENSORS: &[(Header, Dtype)] = &[
    (Header::BOOL, Dtype::Bool),
    (Header::U8, Dtype::Uint8),
    (Header::I8, Dtype::Int8),
    (Header::U16, Dtype::Uint16),
    (Header::I16, Dtype::Int16),
    (Header::U32, Dtype::Uint32),
    (Header::I32, Dtype::Int32),
    (Header::U64, Dtype::Uint64),
    (Header::I64, Dtype::Int64),
    (Header::F16, Dtype::Float16),
    (Header::BF16, Dtype::Bfloat16),
    (Header::F32, Dtype::Float32),
    (Header::F64, Dtype::Float64),
    (Header::C64, Dtype::Complex64),
    (Header::F8_E4M3, Dtype::Float8E4m3fn),
    (Header::F8_E4M3FNUZ, Dtype::Float8E4m3fnuz),
    (Header::F8_E5M2, Dtype::Float8E5m2),
    (Header::F8_E5M2FNUZ, Dtype::Float8E5m2fnuz),
    (Header::F8_E8M0, Dtype::Float8E8m0fnu),
];

impl Dtype {
    /// The type with torch's name `name`, without `torch.`. Aliases such as `half` are known, too.
    pub fn from_name(name: &str) -> Option<Self> {
        let same = Self::ALL.iter().copied().find(|dtype| dtype.name() == name);
        if same.is_some() {
            return same;
        }
        second(ALIASES, &name)
    }

    /// The largest number of elements per byte.
    pub(crate) fn elements_per_byte(self) -> u64 {
        match self {
            Self::Quint4x2 | Self::Int3 | Self::Uint3 | Self::Int4 | Self::Uint4 => 2,
            Self::Quint2x4 | Self::Int2 | Self::Uint2 => 4,
            Self::Int1 | Self::Uint1 => 8,
            _ => 1,
        }
    }

    /// Whether an element has a real and an imaginary part.
    pub fn is_complex(self) -> bool {
        matches!(self, Self::Complex32 | Self::Complex64 | Self::Complex128)
    }

    /// Bytes that are swapped as a unit when the byte order changes: one part of a complex number, otherwise the element.
    pub(crate) fn word(self) -> usize {
        if self.is_complex() { self.size() / 2 } else { self.size() }
    }

    /// Whether the top bit of each number is its sign, so that flipping it negates the number.
    pub(crate) fn has_sign_bit(self) -> bool {
        self.is_complex()
            || matches!(
                self,
                Self::Float16 | Self::Bfloat16 | Self::Float32 | Self::Float64 | Self::Float8E4m3fn | Self::Float8E5m2
            )
    }

    /// The type of the storage class `class`, for example `FloatStorage`.
    pub(crate) fn of_storage_class(class: &str) -> Option<Self> {
        second(STORAGES, &class.strip_suffix("Storage")?)
    }

    /// The storage class of this type without `Storage`. Types without one are stored untyped.
    pub(crate) fn storage_class(self) -> Option<&'static str> {
        first(STORAGES, self)
    }

    /// The type of a safetensors header; `None` if its elements have less than one byte.
    pub(crate) fn from_safetensors(dtype: Header) -> Option<Self> {
        second(SAFETENSORS, &dtype)
    }

    /// The type in a safetensors header; not every type has one.
    pub(crate) fn safetensors(self) -> Option<Header> {
        first(SAFETENSORS, self)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for Dtype {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The type next to `key` in a table.
fn second<K: PartialEq>(table: &[(K, Dtype)], key: &K) -> Option<Dtype> {
    let (_, dtype) = table.iter().find(|(known, _)| known == key)?;
    Some(*dtype)
}

/// The key next to `dtype` in a table.
fn first<K: Copy>(table: &[(K, Dtype)], dtype: Dtype) -> Option<K> {
    let (key, _) = table.iter().find(|(_, known)| *known == dtype)?;
    Some(*key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_type() {
        for &dtype in Dtype::ALL {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        }
        assert_eq!(Dtype::from_name("half"), Some(Dtype::Float16));
        assert_eq!(Dtype::from_name("float33"), None);
    }

    #[test]
    fn storage_classes_are_torch_s_17() {
        assert_eq!(STORAGES.len(), 17);
        assert_eq!(Dtype::of_storage_class("BFloat16Storage"), Some(Dtype::Bfloat16));
        assert_eq!(Dtype::of_storage_class("TypedStorage"), None);
        assert_eq!(Dtype::of_storage_class("Float"), None);
    }
}
