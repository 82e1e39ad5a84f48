//! One tensor of a checkpoint, and the way from it to its bytes.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind};
use crate::gather::{Gather, is_plain};
use crate::source::{Content, Large, Source};
use crate::tensor::{Strided, Tensor};
use crate::write::Stored;

/// A tensor of a [`Checkpoint`](crate::Checkpoint): what the file says about it, and its bytes when asked for.
#[derive(Debug, Clone)]
pub struct RawTensor<'a> {
    path: &'a Path,
    source: &'a Source,
    key: Cow<'a, str>,
    tensor: &'a Tensor,
}

impl<'a> RawTensor<'a> {
    pub(crate) fn new(path: &'a Path, source: &'a Source, key: Cow<'a, str>, tensor: &'a Tensor) -> Self {
        Self { path, source, key, tensor }
    }

    fn strided(&self) -> Option<&'a Strided> {
        match self.tensor {
            Tensor::Strided(strided) => Some(strided),
            Tensor::Unsupported(_) => None,
        }
    }

    /// The path to the tensor, joined by `.`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The word for a kind of tensor that has no plain bytes: `sparse_coo`, `quantized`, `nested`, `meta`, `sub_byte`.
    pub fn unsupported(&self) -> Option<&'static str> {
        match self.tensor {
            Tensor::Strided(_) => None,
            Tensor::Unsupported(word) => Some(word),
        }
    }

    /// The type of the elements; `None` when the tensor is [`unsupported`](Self::unsupported).
    pub fn dtype(&self) -> Option<Dtype> {
        self.strided().map(|tensor| tensor.dtype)
    }

    /// The sizes; empty for a scalar, and when the tensor is unsupported.
    pub fn shape(&self) -> &'a [u64] {
        self.strided().map_or(&[], |tensor| &tensor.shape)
    }

    /// The strides in the file, in elements. The [`bytes`](Self::bytes) are row-major whatever these are.
    pub fn strides(&self) -> &'a [u64] {
        self.strided().map_or(&[], |tensor| &tensor.strides)
    }

    /// The number of the storage in which the elements lie: tensors with the same number share memory in Python.
    pub fn storage(&self) -> Option<usize> {
        Some(self.strided()?.slice?.storage as usize)
    }

    /// Where in the storage the first element lies, in bytes.
    pub fn storage_offset(&self) -> u64 {
        let Some(tensor) = self.strided() else { return 0 };
        let start = tensor.slice.map_or(0, |slice| slice.start);
        start.saturating_add(tensor.offset.saturating_mul(tensor.dtype.size() as u64))
    }

    /// Bytes of all elements.
    pub fn byte_count(&self) -> u64 {
        self.strided().map_or(0, Strided::logical_bytes)
    }

    /// The elements in row-major order, little-endian: bool one byte, complex numbers real part first. They are read from
    /// the file; [`mapped`](Self::mapped) lends them where that is possible.
    ///
    /// # Errors
    /// The tensor is unsupported, the bytes in the file are damaged (wrong checksum, broken compression), or the file became
    /// shorter since it was opened.
    pub fn bytes(&self) -> Result<Vec<u8>, Error> {
        self.read_bytes().map_err(|kind| self.error(kind))
    }

    fn read_bytes(&self) -> Result<Vec<u8>, ErrorKind> {
        self.supported()?;
        let mut bytes = vec![0; usize::try_from(self.byte_count()).unwrap_or(0)];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Hands the elements on in chunks, in the same form, without taking memory for all of them.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn for_each_chunk(&self, each: impl FnMut(&[u8])) -> Result<(), Error> {
        self.read_chunks(each).map_err(|kind| self.error(kind))
    }

    pub(crate) fn read_chunks(&self, each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        let tensor = self.supported()?;
        if let Some((large, range)) = self.streamed(tensor) {
            return large.for_each_chunk(within(range, each));
        }
        Gather::new(tensor, self.source.is_big_endian()).for_each_chunk(&self.content(tensor)?, each)
    }

    /// The elements where they lie in the file, if they lie there as [`bytes`](Self::bytes) gives them. The file is mapped
    /// into memory for it, and must not become shorter while they are in use: touching what is gone ends the process with
    /// SIGBUS. All other methods read, and give an error.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn mapped(&self) -> Result<Option<&'a [u8]>, Error> {
        self.find_mapped().map_err(|kind| self.error(kind))
    }

    fn find_mapped(&self) -> Result<Option<&'a [u8]>, ErrorKind> {
        let tensor = self.supported()?;
        if !is_plain(tensor, self.source.is_big_endian()) {
            return Ok(None);
        }
        if tensor.elements() == 0 {
            return Ok(Some(&[]));
        }
        let start = tensor.offset.saturating_mul(tensor.dtype.size() as u64);
        self.content(tensor)?.mapped(start, tensor.logical_bytes())
    }

    /// This tensor as a view of its whole storage, where that is stored as it has to be written.
    pub(crate) fn whole_storage(&self) -> Option<(Strided, Stored<'a>)> {
        let tensor = self.strided()?;
        let slice = tensor.slice?;
        let plain = !(self.source.is_big_endian() || tensor.big_endian || tensor.conjugate || tensor.negative);
        let (start, size) = (slice.start, tensor.dtype.size() as u64);
        let length = self.source.length(slice.storage)?;
        let whole = plain && start.is_multiple_of(size) && length.is_multiple_of(size);
        let view = Strided { offset: tensor.offset.checked_add(start / size)?, ..tensor.clone() };
        whole.then_some((view, Stored::Storage(self.source, slice.storage, length)))
    }

    /// The same tensor with a key that lacks `prefix`; `None` where the key does not begin with it.
    pub(crate) fn without(&self, prefix: &str) -> Option<Self> {
        let key = self.key.strip_prefix(prefix)?.to_owned();
        Some(Self { key: Cow::Owned(key), ..self.clone() })
    }

    /// The file and the storage, and from which to which byte of it the elements lie; `None` without elements.
    pub(crate) fn extent(&self) -> Option<([usize; 2], u64, u64)> {
        let tensor = self.strided().filter(|tensor| tensor.elements() > 0)?;
        let last: u64 = tensor.shape.iter().zip(&tensor.strides).map(|(size, stride)| (size - 1) * stride).sum();
        let start = self.storage_offset();
        let storage = [std::ptr::from_ref(self.source).addr(), self.storage()?];
        Some((storage, start, start + (last + 1) * tensor.dtype.size() as u64))
    }

    /// The same for the same tensor of an open file, under whatever key it stands.
    pub(crate) fn identity(&self) -> usize {
        std::ptr::from_ref(self.tensor).addr()
    }

    /// Compares the checksum of the storage in which the elements lie, where the file has one, unless that was done before.
    /// Memory is not taken for it.
    ///
    /// # Errors
    /// The bytes of the storage are damaged.
    pub fn verify(&self) -> Result<(), Error> {
        let slice = self.strided().and_then(|tensor| tensor.slice);
        slice.map_or(Ok(()), |slice| self.source.verify_storage(slice.storage)).map_err(|kind| self.error(kind))
    }

    /// Tells the system that the [mapped](Self::mapped) pages of this tensor's storage are not needed for now, which keeps
    /// the memory of a program small that goes through a large file once. Using them again reads them again.
    pub fn release(&self) {
        if let Some(slice) = self.strided().and_then(|tensor| tensor.slice) {
            self.source.release(slice.storage);
        }
    }

    pub(crate) fn supported(&self) -> Result<&'a Strided, ErrorKind> {
        match self.tensor {
            Tensor::Strided(strided) => Ok(strided),
            Tensor::Unsupported(layout) => Err(ErrorKind::Unsupported { key: self.key.to_string(), layout }),
        }
    }

    /// Reads bytes of the elements, from byte `start` of them, into `target`, if they lie in the file as they have to.
    pub(crate) fn read_part(&self, start: u64, target: &mut [u8]) -> Result<bool, ErrorKind> {
        let tensor = self.supported()?;
        let Some(slice) = tensor.slice.filter(|_| is_plain(tensor, self.source.is_big_endian())) else {
            return Ok(false);
        };
        let first = tensor.offset.saturating_mul(tensor.dtype.size() as u64);
        self.source.read_stored(slice, first.saturating_add(start), target)
    }

    fn content(&self, tensor: &Strided) -> Result<Content<'a>, ErrorKind> {
        tensor.slice.map_or(Ok(Content::Memory(&[])), |slice| self.source.slice(slice))
    }

    /// Where the elements of a tensor lie in a large deflated storage, of which they are the most and lie there in
    /// order: then they can be handed on while it is inflated. The time for that is bounded by the tensor's own size.
    fn streamed(&self, tensor: &Strided) -> Option<(Large<'a>, Range<u64>)> {
        let slice = tensor.slice?;
        let large = self.source.large(slice.storage)?;
        let start = slice.start.checked_add(tensor.offset.checked_mul(tensor.dtype.size() as u64)?)?;
        let end = start.checked_add(tensor.logical_bytes())?;
        let whole_elements = start.is_multiple_of(tensor.dtype.size() as u64);
        let most = tensor.logical_bytes() >= large.length() / 2;
        (whole_elements && most && is_plain(tensor, self.source.is_big_endian())).then_some((large, start..end))
    }

    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(self.path, kind)
    }
}

/// Hands on what of all bytes, which come in chunks, lies in `range`.
fn within(range: Range<u64>, mut each: impl FnMut(&[u8])) -> impl FnMut(&[u8]) {
    let mut position = 0_u64;
    move |chunk| {
        let inside = |at: u64| usize::try_from(at.saturating_sub(position)).unwrap_or(usize::MAX).min(chunk.len());
        let part = chunk.get(inside(range.start)..inside(range.end)).unwrap_or_default();
        if !part.is_empty() {
            each(part);
        }
        position += chunk.len() as u64;
    }
}
