//! [`TensorData`]: a tensor to be written.

use crate::error::ErrorKind;
use crate::tensor::{
    Dtype, RawTensor, StorageBytes, StorageSlice, Strided, StridedCopy, cast, is_cast_target, is_floating_point,
    row_major_strides,
};
use crate::write::storage_data::StorageData;

/// A tensor to be written: a view of little-endian bytes. Tensors of one type over the same slice of memory, or over one
/// storage of an open file, share a storage in a `.pth` file.
#[derive(Debug, Clone)]
pub struct TensorData<'a> {
    view: Strided,
    data: Data<'a>,
    /// The element type to write, if it differs.
    cast: Option<Dtype>,
}

#[derive(Debug, Clone)]
enum Data<'a> {
    Memory(&'a [u8]),
    File(RawTensor<'a>),
}

impl<'a> TensorData<'a> {
    /// A tensor whose elements are `bytes` in row-major order.
    ///
    /// # Errors
    /// Returns an error if the number of bytes does not match `shape` and `dtype`, or the type has no plain bytes.
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
    /// Returns an error if the view does not lie inside the storage, or the type has no plain bytes.
    pub fn view(
        dtype: Dtype,
        shape: &[u64],
        strides: &[u64],
        offset: u64,
        storage: &'a [u8],
    ) -> Result<Self, ErrorKind> {
        if let Some(kind) = dtype.unsupported() {
            return Err(ErrorKind::Write(format!("a tensor of type {dtype} ({kind})")));
        }
        let slice = StorageSlice { storage: 0, start: 0, length: storage.len() as u64 };
        match Strided::new(dtype, shape.to_vec(), strides.to_vec(), offset, Some(slice)) {
            Some(view) => Ok(Self { view, data: Data::Memory(storage), cast: None }),
            None => Err(ErrorKind::Write(format!(
                "a {dtype} tensor of shape {shape:?}, strides {strides:?}, offset {offset} does not lie inside its {} bytes",
                storage.len()
            ))),
        }
    }

    /// A tensor of an open checkpoint, whose bytes are read while they are written.
    ///
    /// # Errors
    /// Returns an error if the tensor is [unsupported](RawTensor::unsupported).
    pub fn of_file(raw: &RawTensor<'a>) -> Result<Self, ErrorKind> {
        let view = raw.supported()?.clone();
        Ok(Self { view, data: Data::File(raw.clone()), cast: None })
    }

    /// The same tensor cast to another floating-point type, rounded as in torch. A tensor that is not floating-point is
    /// unchanged.
    ///
    /// # Errors
    /// Returns an error if the type is not float16, bfloat16, float32 or float64.
    pub fn cast(mut self, dtype: Dtype) -> Result<Self, ErrorKind> {
        if !is_cast_target(dtype) {
            return Err(ErrorKind::Write(format!("tensors cannot be cast to {dtype}")));
        }
        let changes = is_floating_point(self.view.dtype) && self.view.dtype != dtype;
        self.cast = if changes { Some(dtype) } else { None };
        Ok(self)
    }

    /// The element type to write.
    pub(super) fn dtype(&self) -> Dtype {
        self.cast.unwrap_or(self.view.dtype)
    }

    pub(super) fn shape(&self) -> &[u64] {
        &self.view.shape
    }

    /// The number of bytes of all elements as written.
    pub(super) fn bytes(&self) -> u64 {
        self.view.elements().saturating_mul(self.dtype().size() as u64)
    }

    /// The view as written to a `.pth` file, and its storage.
    pub(super) fn view_and_storage(&self) -> (Strided, StorageData<'a>) {
        let (view, storage) = self.uncast_view_and_storage();
        match self.cast {
            Some(to) => (Strided { dtype: to, ..view }, StorageData::Cast(Box::new(storage), self.view.dtype, to)),
            None => (view, storage),
        }
    }

    fn uncast_view_and_storage(&self) -> (Strided, StorageData<'a>) {
        let raw = match &self.data {
            Data::Memory(bytes) => return (self.view.clone(), StorageData::Memory(bytes)),
            Data::File(raw) => raw,
        };
        if let Some(whole) = raw.whole_storage() {
            return (whole.view, StorageData::Storage(whole.storages, whole.id, whole.length));
        }
        let copy = Strided {
            strides: row_major_strides(&self.view.shape).into(),
            offset: 0,
            conjugate: false,
            negative: false,
            big_endian: false,
            ..self.view.clone()
        };
        (copy, StorageData::Elements(raw.clone()))
    }

    /// Passes the elements to `each` in row-major order, in chunks.
    pub(super) fn for_each_chunk(&self, mut each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        let Some(to) = self.cast else { return self.for_each_uncast_chunk(each) };
        let mut numbers = Vec::new();
        self.for_each_uncast_chunk(|chunk| {
            numbers.clear();
            cast(chunk, self.view.dtype, to, &mut numbers);
            each(&numbers);
        })
    }

    fn for_each_uncast_chunk(&self, each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        match &self.data {
            Data::Memory(bytes) => {
                StridedCopy::new(&self.view, false).for_each_chunk(&StorageBytes::Memory(bytes), each)
            }
            Data::File(raw) => raw.read_chunks(each),
        }
    }
}
