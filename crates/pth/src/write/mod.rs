//! Writing checkpoints: complete, or not at all.

mod atomic;
mod pickle;
mod pth;
mod safetensors;
mod stored;
mod tree;
mod zip;

pub use pth::write_pth;
pub(crate) use pth::{write_flat, write_tree};
pub use safetensors::write_safetensors;
pub(crate) use safetensors::write_safetensors_with;
pub(crate) use stored::Stored;
pub(crate) use tree::{Loss, Tree, of_object, opaque};

use serde_json::Value as JsonValue;

use crate::dtype::Dtype;
use crate::error::ErrorKind;
use crate::gather::Gather;
use crate::raw::RawTensor;
use crate::source::Content;
use crate::tensor::{StorageSlice, Strided, row_major_strides};

/// Is told how many bytes have been written.
pub(crate) type Progress<'a> = Option<&'a dyn Fn(u64)>;

/// A tensor to be written: a view of little-endian bytes. Tensors of one type over the very same slice of memory, or of
/// one storage of a file, share one storage in a `.pth` file.
#[derive(Debug, Clone)]
pub struct TensorData<'a> {
    view: Strided,
    data: Data<'a>,
}

#[derive(Debug, Clone)]
enum Data<'a> {
    Memory(&'a [u8]),
    File(RawTensor<'a>),
}

impl<'a> TensorData<'a> {
    /// A tensor whose elements are `bytes`, in row-major order.
    ///
    /// # Errors
    /// `bytes` are not exactly as many as `shape` and `dtype` need, or a type without plain bytes.
    pub fn new(dtype: Dtype, shape: &[u64], bytes: &'a [u8]) -> Result<Self, ErrorKind> {
        let tensor = Self::view(dtype, shape, &row_major_strides(shape), 0, bytes)?;
        if tensor.view.logical_bytes() != bytes.len() as u64 {
            let text = format!("{} bytes for a {dtype} tensor of shape {shape:?}", bytes.len());
            return Err(ErrorKind::Write(text));
        }
        Ok(tensor)
    }

    /// A view of `storage` from element `offset`, with `strides` in elements.
    ///
    /// # Errors
    /// The view does not lie inside the storage, or a type without plain bytes.
    pub fn view(
        dtype: Dtype,
        shape: &[u64],
        strides: &[u64],
        offset: u64,
        storage: &'a [u8],
    ) -> Result<Self, ErrorKind> {
        if let Some(word) = dtype.unsupported() {
            return Err(ErrorKind::Write(format!("a tensor of type {dtype} ({word})")));
        }
        let slice = StorageSlice { storage: 0, start: 0, length: storage.len() as u64 };
        let outside = || {
            let bytes = storage.len();
            let view = format!("shape {shape:?}, strides {strides:?}, offset {offset}");
            ErrorKind::Write(format!("a {dtype} tensor of {view} does not lie inside its {bytes} bytes"))
        };
        let view = Strided::new(dtype, shape.to_vec(), strides.to_vec(), offset, Some(slice)).ok_or_else(outside)?;
        Ok(Self { view, data: Data::Memory(storage) })
    }

    /// A tensor of an open checkpoint, whose bytes are read while they are written.
    ///
    /// # Errors
    /// The tensor is [unsupported](RawTensor::unsupported).
    pub fn of_file(raw: &RawTensor<'a>) -> Result<Self, ErrorKind> {
        let view = raw.supported()?.clone();
        Ok(Self { view, data: Data::File(raw.clone()) })
    }

    /// The view as it stands in a `.pth` file, and the storage that it is a view of.
    fn stored(&self) -> (Strided, Stored<'a>) {
        match &self.data {
            Data::Memory(bytes) => (self.view.clone(), Stored::Memory(bytes)),
            Data::File(raw) => raw.whole_storage().unwrap_or_else(|| {
                let strides = row_major_strides(&self.view.shape).into();
                let gathered = Strided {
                    strides,
                    offset: 0,
                    conjugate: false,
                    negative: false,
                    big_endian: false,
                    ..self.view.clone()
                };
                (gathered, Stored::Elements(raw.clone()))
            }),
        }
    }

    /// Hands the elements on in row-major order, in chunks.
    fn for_each_chunk(&self, each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        match &self.data {
            Data::Memory(bytes) => Gather::new(&self.view, false).for_each_chunk(&Content::Memory(bytes), each),
            Data::File(raw) => raw.read_chunks(each),
        }
    }
}

/// A tree to be written as a `.pth` file.
#[derive(Debug, Clone)]
pub enum Item<'a> {
    /// A tensor.
    Tensor(TensorData<'a>),
    /// An `OrderedDict`, in this order; its keys have to differ.
    Mapping {
        /// Keys and values.
        entries: Vec<(String, Item<'a>)>,
        /// The Python attribute `_metadata`, which a module's state dict has.
        metadata: Option<JsonValue>,
    },
    /// A list.
    List(Vec<Item<'a>>),
    /// Anything without tensors: `None`, bools, numbers, strings, lists and dicts.
    Json(JsonValue),
}

impl<'a> Item<'a> {
    /// A mapping without `_metadata`.
    pub fn mapping<K: Into<String>>(entries: impl IntoIterator<Item = (K, Item<'a>)>) -> Self {
        let entries = entries.into_iter().map(|(key, item)| (key.into(), item)).collect();
        Self::Mapping { entries, metadata: None }
    }
}

impl<'a> From<TensorData<'a>> for Item<'a> {
    fn from(tensor: TensorData<'a>) -> Self {
        Self::Tensor(tensor)
    }
}

impl From<JsonValue> for Item<'_> {
    fn from(value: JsonValue) -> Self {
        Self::Json(value)
    }
}
