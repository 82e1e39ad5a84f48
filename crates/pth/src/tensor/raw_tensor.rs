//! [`RawTensor`]: one tensor of a checkpoint, and access to its bytes.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::tensor::storage_reader::LargeStorage;
use crate::tensor::{Dtype, StorageBytes, StorageId, StorageReader, StorageSlice, Strided, StridedCopy, TensorDesc};

/// A tensor of a [`FileCheckpoint`](crate::FileCheckpoint): its description, and its bytes on demand.
#[derive(Debug, Clone)]
pub struct RawTensor<'a> {
    path: &'a Path,
    storages: &'a StorageReader,
    key: Cow<'a, str>,
    desc: &'a TensorDesc,
}

/// Memory that a tensor occupies: the storage, and the range of its bytes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MemoryRange {
    pub(crate) storage: (usize, StorageId),
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl<'a> RawTensor<'a> {
    pub(crate) fn new(path: &'a Path, storages: &'a StorageReader, key: Cow<'a, str>, desc: &'a TensorDesc) -> Self {
        Self { path, storages, key, desc }
    }

    fn strided(&self) -> Option<&'a Strided> {
        match self.desc {
            TensorDesc::Strided(strided) => Some(strided),
            TensorDesc::Unsupported(_) => None,
        }
    }

    fn storage_slice(&self) -> Option<StorageSlice> {
        self.strided()?.slice
    }

    /// The path to the tensor from the root of the file, joined by `.`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The kind of a tensor without plain bytes, such as `sparse_coo`, `quantized`, `nested`, `meta` or `sub_byte`; `None`
    /// for all others.
    pub fn unsupported(&self) -> Option<&'static str> {
        match self.desc {
            TensorDesc::Strided(_) => None,
            TensorDesc::Unsupported(kind) => Some(kind),
        }
    }

    /// The element type; `None` if the tensor is [`unsupported`](Self::unsupported).
    pub fn dtype(&self) -> Option<Dtype> {
        Some(self.strided()?.dtype)
    }

    /// The name of the element type, or the kind of an unsupported tensor.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.desc {
            TensorDesc::Strided(strided) => strided.dtype.name(),
            TensorDesc::Unsupported(kind) => kind,
        }
    }

    /// The shape; empty for a scalar or an unsupported tensor.
    pub fn shape(&self) -> &'a [u64] {
        self.strided().map_or(&[], |strided| &strided.shape)
    }

    /// The strides in the file, in elements. [`bytes`](Self::bytes) are row-major regardless of these.
    pub fn strides(&self) -> &'a [u64] {
        self.strided().map_or(&[], |strided| &strided.strides)
    }

    /// The number of the storage that holds the elements. Tensors with the same storage share memory in Python.
    pub fn storage(&self) -> Option<usize> {
        Some(self.storage_slice()?.storage as usize)
    }

    /// The offset of the first element in the storage, in bytes.
    pub fn storage_offset(&self) -> u64 {
        let Some(strided) = self.strided() else { return 0 };
        let start = strided.slice.map_or(0, |slice| slice.start);
        start.saturating_add(strided.offset_bytes())
    }

    /// The number of bytes of all elements.
    pub fn byte_count(&self) -> u64 {
        self.strided().map_or(0, Strided::logical_bytes)
    }

    /// Reads the elements in row-major order, little-endian. A bool is one byte; the real part of a complex number comes
    /// first. [`mapped`](Self::mapped) borrows them instead, where possible.
    ///
    /// # Errors
    /// Returns an error if the tensor is unsupported, the bytes in the file are damaged (wrong checksum, broken
    /// compression), or the file became shorter since it was opened.
    pub fn bytes(&self) -> Result<Vec<u8>, Error> {
        // An unsupported tensor has no bytes, and is refused below.
        let mut bytes = vec![0; usize::try_from(self.byte_count()).unwrap_or(0)];
        self.read_into(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the elements into `target` in the form of [`bytes`](Self::bytes). Elements that are stored in this form are
    /// read in place, without another copy.
    ///
    /// # Errors
    /// Returns an error if the length of `target` is not [`byte_count`](Self::byte_count), or as for
    /// [`bytes`](Self::bytes). The content of `target` is then unspecified.
    pub fn read_into(&self, target: &mut [u8]) -> Result<(), Error> {
        self.fill(target).map_err(|kind| self.error(kind))
    }

    fn fill(&self, target: &mut [u8]) -> Result<(), ErrorKind> {
        let (expected, found) = (self.byte_count(), target.len());
        if expected != found as u64 {
            return Err(ErrorKind::BufferSize { key: self.key.to_string(), expected, found });
        }
        if self.read_part(0, target)? {
            return Ok(());
        }
        let mut rest = target;
        self.read_chunks(|chunk| {
            // All chunks together have `byte_count` bytes.
            let (part, next) = std::mem::take(&mut rest).split_at_mut(chunk.len());
            part.copy_from_slice(chunk);
            rest = next;
        })
    }

    /// Passes the elements to `each` in chunks, in the form of [`bytes`](Self::bytes), without allocating memory for all of
    /// them.
    ///
    /// # Errors
    /// As for [`bytes`](Self::bytes).
    pub fn for_each_chunk(&self, each: impl FnMut(&[u8])) -> Result<(), Error> {
        self.read_chunks(each).map_err(|kind| self.error(kind))
    }

    pub(crate) fn read_chunks(&self, each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        let strided = self.supported()?;
        if let Some((large, range)) = self.streamed(strided) {
            return for_each_chunk_within(&large, range, each);
        }
        StridedCopy::new(strided, self.storages.is_big_endian()).for_each_chunk(&self.storage_bytes(strided)?, each)
    }

    /// Borrows the elements from the file if they are stored in the form of [`bytes`](Self::bytes); returns `None` otherwise.
    /// The file is mapped into memory and must not become shorter while they are in use: touching bytes that are gone ends
    /// the process with SIGBUS. All other methods read the file and return an error in that case.
    ///
    /// # Errors
    /// As for [`bytes`](Self::bytes).
    pub fn mapped(&self) -> Result<Option<&'a [u8]>, Error> {
        self.find_mapped().map_err(|kind| self.error(kind))
    }

    fn find_mapped(&self) -> Result<Option<&'a [u8]>, ErrorKind> {
        let strided = self.supported()?;
        if !self.is_plain(strided) {
            return Ok(None);
        }
        if strided.elements() == 0 {
            return Ok(Some(&[]));
        }
        self.storage_bytes(strided)?.mapped(strided.offset_bytes(), strided.logical_bytes())
    }

    /// Verifies the checksum of the tensor's storage, if the file has one and it was not verified before. Does not allocate
    /// memory for the storage.
    ///
    /// # Errors
    /// Returns an error if the bytes of the storage are damaged.
    pub fn verify(&self) -> Result<(), Error> {
        match self.storage_slice() {
            Some(slice) => self.storages.verify_storage(slice.storage).map_err(|kind| self.error(kind)),
            None => Ok(()),
        }
    }

    /// This tensor as a view of its whole storage, if that is stored in the form in which it is written.
    pub(crate) fn whole_storage(&self) -> Option<WholeStorage<'a>> {
        let strided = self.strided()?;
        let slice = strided.slice?;
        if self.storages.is_big_endian() || strided.big_endian || strided.conjugate || strided.negative {
            return None;
        }
        let size = strided.dtype.size() as u64;
        let length = self.storages.length(slice.storage)?;
        if !slice.start.is_multiple_of(size) || !length.is_multiple_of(size) {
            return None;
        }
        let view = Strided { offset: strided.offset.checked_add(slice.start / size)?, ..strided.clone() };
        Some(WholeStorage { view, storages: self.storages, id: slice.storage, length })
    }

    /// The same tensor with `prefix` removed from its key; `None` if the key does not start with it.
    pub(crate) fn without_prefix(&self, prefix: &str) -> Option<Self> {
        let key = self.key.strip_prefix(prefix)?.to_owned();
        Some(Self { key: Cow::Owned(key), ..self.clone() })
    }

    /// The memory that the elements occupy; `None` without elements.
    pub(crate) fn memory_range(&self) -> Option<MemoryRange> {
        let strided = self.strided()?;
        let slice = strided.slice?;
        if strided.elements() == 0 {
            return None;
        }
        let start = self.storage_offset();
        let storage = (std::ptr::from_ref(self.storages).addr(), slice.storage);
        Some(MemoryRange { storage, start, end: start + strided.span_bytes() })
    }

    /// A number that is the same for the same tensor of an open file, whatever its key is.
    pub(crate) fn identity(&self) -> usize {
        std::ptr::from_ref(self.desc).addr()
    }

    pub(crate) fn supported(&self) -> Result<&'a Strided, ErrorKind> {
        match self.desc {
            TensorDesc::Strided(strided) => Ok(strided),
            TensorDesc::Unsupported(layout) => Err(ErrorKind::Unsupported { key: self.key.to_string(), layout }),
        }
    }

    fn is_plain(&self, strided: &Strided) -> bool {
        StridedCopy::new(strided, self.storages.is_big_endian()).is_plain()
    }

    /// Fills `target` with the elements from byte `start` on. Returns false if they are not stored in the required form.
    pub(crate) fn read_part(&self, start: u64, target: &mut [u8]) -> Result<bool, ErrorKind> {
        let strided = self.supported()?;
        match strided.slice {
            Some(slice) if self.is_plain(strided) => {
                self.storages.read_stored(slice, strided.offset_bytes().saturating_add(start), target)
            }
            _ => Ok(false),
        }
    }

    fn storage_bytes(&self, strided: &Strided) -> Result<StorageBytes<'a>, ErrorKind> {
        match strided.slice {
            Some(slice) => self.storages.slice(slice),
            None => Ok(StorageBytes::Memory(&[])),
        }
    }

    /// The storage of a tensor, and the range of its elements, if the elements are contiguous and make up most of a large
    /// deflated storage. They can be passed on while the storage is inflated, in a time that the tensor's own size bounds.
    fn streamed(&self, strided: &Strided) -> Option<(LargeStorage<'a>, Range<u64>)> {
        let slice = strided.slice?;
        let large = self.storages.large(slice.storage)?;
        let size = strided.dtype.size() as u64;
        let start = slice.start.checked_add(strided.offset.checked_mul(size)?)?;
        let end = start.checked_add(strided.logical_bytes())?;
        let is_most = strided.logical_bytes() >= large.length() / 2;
        if start.is_multiple_of(size) && is_most && self.is_plain(strided) { Some((large, start..end)) } else { None }
    }

    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(self.path, kind)
    }
}

/// A tensor as a view of its whole storage in an open file.
pub(crate) struct WholeStorage<'a> {
    pub(crate) view: Strided,
    pub(crate) storages: &'a StorageReader,
    pub(crate) id: StorageId,
    pub(crate) length: u64,
}

/// The tensors whose keys start with `entry` and a dot, with that prefix removed from their keys.
pub(crate) fn strip_prefix<'a>(tensors: impl Iterator<Item = RawTensor<'a>>, entry: &str) -> Vec<RawTensor<'a>> {
    let prefix = format!("{entry}.");
    tensors.filter_map(|tensor| tensor.without_prefix(&prefix)).collect()
}

/// Passes the bytes of a storage that lie within `range` to `each` in chunks.
fn for_each_chunk_within(
    storage: &LargeStorage<'_>,
    range: Range<u64>,
    mut each: impl FnMut(&[u8]),
) -> Result<(), ErrorKind> {
    let mut position = 0_u64;
    storage.for_each_chunk(|chunk| {
        let length = chunk.len() as u64;
        let start = range.start.saturating_sub(position).min(length) as usize;
        let end = range.end.saturating_sub(position).min(length) as usize;
        let part = chunk.get(start..end).unwrap_or_default();
        if !part.is_empty() {
            each(part);
        }
        position += length;
    })
}
