//! The description of a tensor in a file: type, shape, and the location of its elements.

use crate::tensor::Dtype;

/// The index of a storage in the file's [`StorageTable`](crate::tensor::StorageTable).
pub(crate) type StorageId = u32;

/// A range of bytes of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StorageSlice {
    pub(crate) storage: StorageId,
    pub(crate) start: u64,
    pub(crate) length: u64,
}

/// A tensor with plain bytes, or the kind of a tensor without.
#[derive(Debug, Clone)]
pub(crate) enum TensorDesc {
    Strided(Box<Strided>),
    /// Sparse, quantized, nested, on the meta device, or of less than one byte per element.
    Unsupported(&'static str),
}

/// A tensor whose elements lie in a storage. [`Strided::new`] guarantees that they lie within its bounds.
#[derive(Debug, Clone)]
pub(crate) struct Strided {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Box<[u64]>,
    /// In elements.
    pub(crate) strides: Box<[u64]>,
    /// In elements, from the start of `slice`.
    pub(crate) offset: u64,
    /// `None` for a tensor that was never assigned elements.
    pub(crate) slice: Option<StorageSlice>,
    /// Whether the imaginary parts must be negated.
    pub(crate) conjugate: bool,
    /// Whether all numbers must be negated.
    pub(crate) negative: bool,
    /// Whether the elements are big-endian even if the file is not.
    pub(crate) big_endian: bool,
}

impl Strided {
    /// A view of `slice`, or `None` if it does not lie inside. No computation wraps around.
    pub(crate) fn new(
        dtype: Dtype,
        shape: Vec<u64>,
        strides: Vec<u64>,
        offset: u64,
        slice: Option<StorageSlice>,
    ) -> Option<Self> {
        let available = slice.map_or(0, |slice| slice.length);
        if shape.len() != strides.len() || required_bytes(dtype, &shape, &strides, offset)? > available {
            return None;
        }
        let (shape, strides) = (shape.into(), strides.into());
        Some(Self { dtype, shape, strides, offset, slice, conjugate: false, negative: false, big_endian: false })
    }

    /// The number of elements. All products were checked when the tensor was created.
    pub(crate) fn elements(&self) -> u64 {
        element_count(&self.shape).unwrap_or(0)
    }

    /// The number of bytes of all elements, including those that share memory.
    pub(crate) fn logical_bytes(&self) -> u64 {
        self.elements().saturating_mul(self.dtype.size() as u64)
    }

    /// The offset of the first element from the start of the slice, in bytes.
    pub(crate) fn offset_bytes(&self) -> u64 {
        self.offset.saturating_mul(self.dtype.size() as u64)
    }

    /// The number of bytes from the first to the last element; 0 without elements.
    pub(crate) fn span_bytes(&self) -> u64 {
        if self.elements() == 0 {
            return 0;
        }
        let mut last = 0;
        for (size, stride) in std::iter::zip(&self.shape, &self.strides) {
            last += (size - 1) * stride;
        }
        (last + 1) * self.dtype.size() as u64
    }
}

/// The product of `shape`, or `None` if it overflows. A size of 0 makes it 0 whatever the other sizes are.
pub(crate) fn element_count(shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    let mut count = 1_u64;
    for &size in shape {
        count = count.checked_mul(size)?;
    }
    Some(count)
}

/// Row-major strides of `shape`, in elements.
pub(crate) fn row_major_strides(shape: &[u64]) -> Vec<u64> {
    let mut strides: Vec<u64> = Vec::with_capacity(shape.len());
    let mut stride = 1_u64;
    for &size in shape.iter().rev() {
        strides.push(stride);
        stride = stride.saturating_mul(size.max(1));
    }
    strides.reverse();
    strides
}

/// The number of bytes from the start of the storage to the end of the last element; 0 for a tensor without elements.
fn required_bytes(dtype: Dtype, shape: &[u64], strides: &[u64], offset: u64) -> Option<u64> {
    let size = dtype.size() as u64;
    let elements = element_count(shape)?;
    elements.checked_mul(size)?;
    if elements == 0 {
        return Some(0);
    }
    let mut last = offset;
    for (&size, &stride) in std::iter::zip(shape, strides) {
        last = last.checked_add(size.checked_sub(1)?.checked_mul(stride)?)?;
    }
    last.checked_add(1)?.checked_mul(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(shape: &[u64], strides: &[u64], offset: u64, bytes: u64) -> Option<Strided> {
        let slice = StorageSlice { storage: 0, start: 0, length: bytes };
        Strided::new(Dtype::Float32, shape.to_vec(), strides.to_vec(), offset, Some(slice))
    }

    #[test]
    fn bounds_are_exact_and_do_not_wrap() {
        assert!(view(&[2, 3], &[3, 1], 0, 24).is_some());
        assert!(view(&[2, 3], &[3, 1], 0, 23).is_none());
        assert!(view(&[2, 3], &[3, 1], 1, 24).is_none());
        assert!(view(&[2], &[1 << 62], 0, 24).is_none());
        assert!(view(&[1 << 33, 1 << 33], &[0, 0], 0, 24).is_none());
        assert!(view(&[3], &[u64::MAX], 0, 24).is_none());
        assert!(view(&[1], &[1], u64::MAX, 24).is_none());
        assert!(view(&[0, 1 << 63], &[1 << 63, 1], 9, 24).is_some());
        assert!(view(&[], &[], 5, 24).is_some());
        assert!(view(&[], &[], 6, 24).is_none());
        assert!(view(&[1], &[], 0, 24).is_none());
    }

    #[test]
    fn strides_are_row_major() {
        assert_eq!(row_major_strides(&[2, 3, 4]), [12, 4, 1]);
        assert_eq!(row_major_strides(&[2, 0, 4]), [4, 4, 1]);
        assert!(row_major_strides(&[]).is_empty());
    }
}
