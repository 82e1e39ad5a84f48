//! Writing checkpoints: complete, or not at all.

mod atomic;
mod pickle;
mod pth;
mod safetensors;
mod stored;
mod tree;
mod zip;

pub use atomic::{destination, replace_file};
pub use pth::write_pth;
pub(crate) use pth::{write_flat, write_tree};
pub use safetensors::write_safetensors;
pub(crate) use safetensors::write_safetensors_with;
pub(crate) use stored::Stored;
pub(crate) use tree::{Loss, Tree, of_object, opaque};

use serde_json::Value as JsonValue;

use crate::cast;
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
    /// The type of which the elements are written, where it is another.
    cast: Option<Dtype>,
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
        Ok(Self { view, data: Data::Memory(storage), cast: None })
    }

    /// A tensor of an open checkpoint, whose bytes are read while they are written.
    ///
    /// # Errors
    /// The tensor is [unsupported](RawTensor::unsupported).
    pub fn of_file(raw: &RawTensor<'a>) -> Result<Self, ErrorKind> {
        let view = raw.supported()?.clone();
        Ok(Self { view, data: Data::File(raw.clone()), cast: None })
    }

    /// The same tensor with floating-point numbers of another type, rounded as torch does it; a tensor of other elements
    /// stays as it is.
    ///
    /// # Errors
    /// The type is none of float16, bfloat16, float32 and float64.
    pub fn cast(mut self, dtype: Dtype) -> Result<Self, ErrorKind> {
        if !cast::is_target(dtype) {
            return Err(ErrorKind::Write(format!("{dtype} is no type that numbers are cast to")));
        }
        let other = cast::is_floating_point(self.view.dtype) && self.view.dtype != dtype;
        self.cast = other.then_some(dtype);
        Ok(self)
    }

    /// The type of the elements as they are written.
    fn dtype(&self) -> Dtype {
        self.cast.unwrap_or(self.view.dtype)
    }

    /// Bytes of all elements as they are written.
    fn bytes(&self) -> u64 {
        self.view.elements().saturating_mul(self.dtype().size() as u64)
    }

    /// The view as it stands in a `.pth` file, and the storage that it is a view of.
    fn stored(&self) -> (Strided, Stored<'a>) {
        let (view, stored) = self.stored_as_it_is();
        let Some(to) = self.cast else { return (view, stored) };
        (Strided { dtype: to, ..view }, Stored::Cast(Box::new(stored), self.view.dtype, to))
    }

    fn stored_as_it_is(&self) -> (Strided, Stored<'a>) {
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
    fn for_each_chunk(&self, mut each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        let Some(to) = self.cast else { return self.for_each_own_chunk(each) };
        let mut numbers = Vec::new();
        self.for_each_own_chunk(|chunk| {
            numbers.clear();
            cast::cast(chunk, self.view.dtype, to, &mut numbers);
            each(&numbers);
        })
    }

    fn for_each_own_chunk(&self, each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
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
