//! The elements of a strided view, in row-major order and little-endian.

use crate::dtype::Dtype;
use crate::tensor::Strided;

/// Bytes that are gathered before they are handed on.
const CHUNK_BYTES: usize = 1 << 16;

/// How the elements of a tensor are laid out, with dimensions joined where they follow on each other.
#[derive(Debug)]
struct Layout {
    /// Sizes and strides, outermost first; none has the size 1.
    dims: Vec<(u64, u64)>,
}

impl Layout {
    fn new(tensor: &Strided) -> Self {
        let mut dims: Vec<(u64, u64)> = Vec::new();
        for (&size, &stride) in tensor.shape.iter().zip(&tensor.strides) {
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
        Self { dims }
    }

    fn is_row_major(&self) -> bool {
        matches!(*self.dims, [] | [(_, 1)])
    }
}

/// What has to be done to each element.
#[derive(Debug, Clone, Copy)]
struct Change {
    dtype: Dtype,
    swap: bool,
    conjugate: bool,
    negative: bool,
}

impl Change {
    fn new(tensor: &Strided, big_endian: bool) -> Self {
        let &Strided { dtype, conjugate, negative, .. } = tensor;
        Self { dtype, swap: big_endian && dtype.word() > 1, conjugate, negative }
    }

    fn is_none(self) -> bool {
        !(self.swap || self.conjugate || self.negative)
    }

    fn apply(self, elements: &mut [u8]) {
        let word = self.dtype.word();
        if self.swap && word > 1 {
            elements.chunks_exact_mut(word).for_each(<[u8]>::reverse);
        }
        for (index, word) in elements.chunks_exact_mut(word).enumerate() {
            let imaginary = self.dtype.is_complex() && index % 2 == 1;
            if let Some(top) = word.last_mut().filter(|_| self.negative != (self.conjugate && imaginary)) {
                *top ^= 0x80;
            }
        }
    }
}

/// Whether the elements lie in order and need no change.
pub(crate) fn is_plain(tensor: &Strided, big_endian: bool) -> bool {
    Layout::new(tensor).is_row_major() && Change::new(tensor, big_endian).is_none()
}

/// A tensor's elements within the bytes of its storage slice.
#[derive(Debug)]
pub(crate) struct Gather<'a> {
    bytes: &'a [u8],
    tensor: &'a Strided,
    layout: Layout,
    change: Change,
}

impl<'a> Gather<'a> {
    /// `bytes` are the tensor's storage slice; `big_endian` is how they are stored.
    pub(crate) fn new(bytes: &'a [u8], tensor: &'a Strided, big_endian: bool) -> Self {
        Self { bytes, tensor, layout: Layout::new(tensor), change: Change::new(tensor, big_endian) }
    }

    /// The elements where they are, if they need no change; else `None`.
    pub(crate) fn borrowed(&self) -> Option<&'a [u8]> {
        if self.tensor.elements() == 0 {
            return Some(&[]);
        }
        let size = self.tensor.dtype.size() as u64;
        let plain = self.layout.is_row_major() && self.change.is_none();
        plain.then(|| crate::bytes::part(self.bytes, self.tensor.offset * size, self.tensor.logical_bytes())).flatten()
    }

    /// Hands the elements on in chunks. `None` when the storage is shorter than it was declared, which is found before.
    pub(crate) fn for_each_chunk(&self, mut each: impl FnMut(&[u8])) -> Option<()> {
        if let Some(bytes) = self.borrowed() {
            bytes.chunks(CHUNK_BYTES).for_each(each);
            return Some(());
        }
        let size = self.tensor.dtype.size();
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + size);
        let mut odometer = Odometer::new(&self.layout, self.tensor.offset);
        let (run, step) = self.layout.dims.last().copied().unwrap_or((1, 1));
        while let Some(start) = odometer.next() {
            let mut done = 0;
            while done < run {
                let count = if step == 1 { (run - done).min((CHUNK_BYTES / size) as u64) } else { 1 };
                let at = (start + done * step) * size as u64;
                chunk.extend_from_slice(crate::bytes::part(self.bytes, at, count * size as u64)?);
                done += count;
                if chunk.len() >= CHUNK_BYTES {
                    self.change.apply(&mut chunk);
                    each(&chunk);
                    chunk.clear();
                }
            }
        }
        self.change.apply(&mut chunk);
        each(&chunk);
        Some(())
    }
}

/// Counts through all dimensions but the innermost, and gives the offset of each run of elements.
#[derive(Debug)]
struct Odometer<'a> {
    outer: &'a [(u64, u64)],
    counts: Vec<u64>,
    next: Option<u64>,
}

impl<'a> Odometer<'a> {
    fn new(layout: &'a Layout, offset: u64) -> Self {
        let outer = layout.dims.split_last().map_or(&[][..], |(_, outer)| outer);
        Self { outer, counts: vec![0; outer.len()], next: Some(offset) }
    }

    fn next(&mut self) -> Option<u64> {
        let current = self.next?;
        let mut offset = current;
        self.next = None;
        for (count, &(size, stride)) in self.counts.iter_mut().zip(self.outer).rev() {
            *count += 1;
            offset += stride;
            if *count < size {
                self.next = Some(offset);
                break;
            }
            offset -= stride * size;
            *count = 0;
        }
        Some(current)
    }
}
