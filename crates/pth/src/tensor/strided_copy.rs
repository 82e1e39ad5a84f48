//! [`StridedCopy`]: the elements of a strided view in row-major order, little-endian.

use crate::cursor::part;
use crate::error::ErrorKind;
use crate::tensor::{Dtype, StorageBytes, Strided};

/// Bytes that are collected before they are passed on.
const CHUNK_BYTES: usize = 1 << 16;
/// The bytes between the first and the last element are read at once if they are not more than this, or not more than twice
/// the bytes of the elements.
const MAX_READ_BYTES: u64 = 64 << 20;

/// A size and a stride, in elements.
type Dim = (u64, u64);

/// A copy of a tensor's elements from its storage slice.
#[derive(Debug)]
pub(crate) struct StridedCopy<'a> {
    tensor: &'a Strided,
    /// The dimensions, outermost first. Those that are contiguous with each other are merged, and none has the size 1.
    dims: Vec<Dim>,
    conversion: Conversion,
    max_read_bytes: u64,
}

impl<'a> StridedCopy<'a> {
    /// A copy from a file whose elements are big-endian if `big_endian` is set.
    pub(crate) fn new(tensor: &'a Strided, big_endian: bool) -> Self {
        let conversion = Conversion {
            dtype: tensor.dtype,
            swap: (big_endian || tensor.big_endian) && tensor.dtype.word() > 1,
            conjugate: tensor.conjugate,
            negative: tensor.negative,
        };
        Self { tensor, dims: merged_dims(tensor), conversion, max_read_bytes: MAX_READ_BYTES }
    }

    /// Whether the elements are stored in the form in which they are passed on.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_row_major() && self.conversion.is_none()
    }

    fn is_row_major(&self) -> bool {
        matches!(*self.dims, [] | [(_, 1)])
    }

    /// Passes the elements to `each` in chunks. `source` is the tensor's storage slice.
    pub(crate) fn for_each_chunk(
        &self,
        source: &StorageBytes<'_>,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), ErrorKind> {
        if self.tensor.elements() == 0 {
            return Ok(());
        }
        if !self.is_row_major() {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            self.copy_dims(&self.dims, self.tensor.offset, source, &mut chunk, &mut each)?;
            self.flush(&mut chunk, &mut each);
            return Ok(());
        }
        let mut converted = Vec::new();
        source.for_each_block(self.tensor.offset_bytes(), self.tensor.logical_bytes(), |block| {
            for chunk in block.chunks(CHUNK_BYTES) {
                if self.conversion.is_none() {
                    each(chunk);
                } else {
                    converted.extend_from_slice(chunk);
                    self.flush(&mut converted, &mut each);
                }
            }
        })
    }

    fn flush(&self, chunk: &mut Vec<u8>, each: &mut impl FnMut(&[u8])) {
        self.conversion.apply(chunk);
        each(chunk);
        chunk.clear();
    }

    /// Copies the elements of some dimensions from `offset` on, and reads what lies between them in as few parts as the
    /// limit allows.
    fn copy_dims(
        &self,
        dims: &[Dim],
        offset: u64,
        source: &StorageBytes<'_>,
        chunk: &mut Vec<u8>,
        each: &mut impl FnMut(&[u8]),
    ) -> Result<(), ErrorKind> {
        let size = self.tensor.dtype.size() as u64;
        let mut elements = 1_u64;
        for &(count, _) in dims {
            elements = elements.saturating_mul(count);
        }
        let span = span_elements(dims) * size;
        let (&(count, stride), inner) = match dims.split_first() {
            Some(split) if span > self.max_read_bytes.max(elements.saturating_mul(2 * size)) => split,
            _ => {
                let bytes = source.load(offset * size, span)?;
                return self.copy_from_memory(&bytes, dims, chunk, each);
            }
        };
        // As many steps of the outermost dimension at once as the limit allows.
        let room = self.max_read_bytes.saturating_sub(span_elements(inner) * size);
        let steps = (room / (stride * size).max(1) + 1).min(count);
        let mut done = 0;
        while done < count {
            let taken = steps.min(count - done);
            let start = offset + done * stride;
            if taken == 1 {
                self.copy_dims(inner, start, source, chunk, each)?;
            } else {
                self.copy_dims(&[&[(taken, stride)], inner].concat(), start, source, chunk, each)?;
            }
            done += taken;
        }
        Ok(())
    }

    /// Copies the elements of `dims` from `bytes`, which start with the first of them.
    fn copy_from_memory(
        &self,
        bytes: &[u8],
        dims: &[Dim],
        chunk: &mut Vec<u8>,
        each: &mut impl FnMut(&[u8]),
    ) -> Result<(), ErrorKind> {
        let size = self.tensor.dtype.size() as u64;
        let (&(count, stride), outer) = dims.split_last().unwrap_or((&(1, 1), &[]));
        // Contiguous elements are copied together, up to a chunk of them.
        let run = if stride == 1 { CHUNK_BYTES as u64 / size } else { 1 };
        let mut indices = vec![0; outer.len()];
        let mut start = 0;
        loop {
            let (mut done, mut position) = (0, start);
            while done < count {
                let elements = run.min(count - done);
                let Some(found) = part(bytes, position * size, elements * size) else {
                    return Err(ErrorKind::storage_ended());
                };
                chunk.extend_from_slice(found);
                if chunk.len() >= CHUNK_BYTES {
                    self.flush(chunk, each);
                }
                done += elements;
                position += elements * stride;
            }
            if !advance(&mut indices, outer, &mut start) {
                return Ok(());
            }
        }
    }
}

/// Moves to the next index of `dims`, and its offset with it. Returns false at the end.
fn advance(indices: &mut [u64], dims: &[Dim], offset: &mut u64) -> bool {
    for (index, &(count, stride)) in std::iter::zip(indices, dims).rev() {
        *index += 1;
        if *index < count {
            *offset += stride;
            return true;
        }
        *offset -= stride * (count - 1);
        *index = 0;
    }
    false
}

/// The number of elements from the first to the last one of some dimensions.
fn span_elements(dims: &[Dim]) -> u64 {
    let mut last = 0;
    for &(count, stride) in dims {
        last += (count - 1) * stride;
    }
    last + 1
}

fn merged_dims(tensor: &Strided) -> Vec<Dim> {
    let mut dims: Vec<Dim> = Vec::new();
    for (&size, &stride) in std::iter::zip(&tensor.shape, &tensor.strides) {
        if size == 1 {
            continue;
        }
        match dims.last_mut() {
            Some((outer, outer_stride)) if stride.checked_mul(size) == Some(*outer_stride) => {
                *outer = outer.saturating_mul(size);
                *outer_stride = stride;
            }
            _ => dims.push((size, stride)),
        }
    }
    dims
}

/// What must be done to each element.
#[derive(Debug, Clone, Copy)]
struct Conversion {
    dtype: Dtype,
    /// Reverse the bytes.
    swap: bool,
    /// Negate the imaginary part.
    conjugate: bool,
    /// Negate the number.
    negative: bool,
}

impl Conversion {
    fn is_none(self) -> bool {
        !(self.swap || self.conjugate || self.negative)
    }

    fn apply(self, elements: &mut [u8]) {
        if self.is_none() {
            return;
        }
        for (index, word) in elements.chunks_exact_mut(self.dtype.word()).enumerate() {
            if self.swap {
                word.reverse();
            }
            let is_imaginary = self.dtype.is_complex() && index % 2 == 1;
            if self.negative != (self.conjugate && is_imaginary)
                && let Some(top) = word.last_mut()
            {
                *top ^= 0x80;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::StorageSlice;

    /// The bytes of a view, one element at a time.
    fn naive(bytes: &[u8], tensor: &Strided) -> Vec<u8> {
        let size = tensor.dtype.size();
        let mut copied = Vec::new();
        for index in 0..tensor.elements() {
            let (mut rest, mut at) = (index, tensor.offset);
            for (&count, &stride) in tensor.shape.iter().zip(&tensor.strides).rev() {
                at += rest % count * stride;
                rest /= count;
            }
            copied.extend_from_slice(part(bytes, at * size as u64, size as u64).unwrap());
        }
        copied
    }

    #[test]
    fn any_view_is_copied_as_one_element_at_a_time_would_be() {
        let bytes: Vec<u8> = (0..1 << 20).map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let views: [(&[u64], &[u64]); 11] = [
            (&[5, 4, 3], &[10_000, 100, 7]),
            (&[3, 4], &[1, 20_000]),
            (&[3, 5], &[1, 3]),
            (&[2, 2, 2, 2, 2], &[1, 0, 4, 2, 0]),
            (&[7, 2000], &[1, 7]),
            (&[2000, 7], &[1, 2000]),
            (&[3, 1025, 3], &[0, 3, 5]),
            (&[70, 200], &[201, 1]),
            (&[1500, 2, 5], &[10, 1, 2]),
            (&[20_000], &[3]),
            (&[40, 30, 20], &[1, 40, 1200]),
        ];
        for (shape, strides) in views {
            for dtype in [Dtype::Uint8, Dtype::Float16, Dtype::Float32, Dtype::Float64, Dtype::Complex128] {
                let slice = StorageSlice { storage: 0, start: 0, length: bytes.len() as u64 };
                let tensor = Strided::new(dtype, shape.to_vec(), strides.to_vec(), 3, Some(slice)).unwrap();
                for max_read_bytes in [MAX_READ_BYTES, 5000, 1] {
                    let mut copied = Vec::new();
                    let copy = StridedCopy { max_read_bytes, ..StridedCopy::new(&tensor, false) };
                    let content = StorageBytes::Memory(&bytes);
                    copy.for_each_chunk(&content, |chunk| copied.extend_from_slice(chunk)).unwrap();
                    assert!(copied == naive(&bytes, &tensor), "{shape:?} {strides:?} {dtype} {max_read_bytes}");
                }
            }
        }
    }
}
