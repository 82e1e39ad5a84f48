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
        match word {
            _ if !self.swap => {}
            2 => reverse::<2>(elements),
            4 => reverse::<4>(elements),
            _ => reverse::<8>(elements),
        }
        if !(self.conjugate || self.negative) {
            return;
        }
        for (index, word) in elements.chunks_exact_mut(word).enumerate() {
            let imaginary = self.dtype.is_complex() && index % 2 == 1;
            if let Some(top) = word.last_mut().filter(|_| self.negative != (self.conjugate && imaginary)) {
                *top ^= 0x80;
            }
        }
    }
}

/// Reverses the bytes of each word.
fn reverse<const SIZE: usize>(elements: &mut [u8]) {
    elements.as_chunks_mut::<SIZE>().0.iter_mut().for_each(|word| word.reverse());
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
    pub(crate) fn for_each_chunk(&self, each: impl FnMut(&[u8])) -> Option<()> {
        if let Some(bytes) = self.borrowed() {
            bytes.chunks(CHUNK_BYTES).for_each(each);
            return Some(());
        }
        match self.tensor.dtype.size() {
            1 => self.gather::<1>(each),
            2 => self.gather::<2>(each),
            4 => self.gather::<4>(each),
            8 => self.gather::<8>(each),
            _ => self.gather::<16>(each),
        }
    }

    /// As above, with elements of `SIZE` bytes.
    fn gather<const SIZE: usize>(&self, mut each: impl FnMut(&[u8])) -> Option<()> {
        let block = Block::new(&self.layout, SIZE);
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + block.offsets.len() * SIZE);
        let mut odometer = Odometer::new(block.outer, self.tensor.offset);
        while let Some(start) = odometer.next() {
            let mut done = 0;
            while done < block.run {
                let at = start + done * block.step;
                if block.is_contiguous() {
                    let count = (block.run - done).min((CHUNK_BYTES / SIZE) as u64);
                    done += count;
                    chunk.extend_from_slice(crate::bytes::part(self.bytes, at * SIZE as u64, count * SIZE as u64)?);
                } else {
                    let (offsets, steps) = block.from(done);
                    done += steps;
                    let bytes = self.bytes.get(usize::try_from(at * SIZE as u64).ok()?..)?;
                    extend::<SIZE>(&mut chunk, bytes, offsets)?;
                }
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

/// Appends the elements at `offsets`, in bytes from the start of `bytes`.
fn extend<const SIZE: usize>(chunk: &mut Vec<u8>, bytes: &[u8], offsets: &[usize]) -> Option<()> {
    let length = chunk.len();
    chunk.resize(length + offsets.len() * SIZE, 0);
    let (targets, _) = chunk.get_mut(length..)?.as_chunks_mut::<SIZE>();
    for (target, &offset) in targets.iter_mut().zip(offsets) {
        *target = *bytes.get(offset..)?.first_chunk()?;
    }
    Some(())
}

/// The innermost dimensions, whose elements are gathered by a table of their offsets, which is faster than to count
/// through dimensions.
#[derive(Debug)]
struct Block<'a> {
    /// In bytes: of the elements of the innermost dimensions, some steps of `run` one after the other.
    offsets: Vec<usize>,
    /// Elements of one step.
    elements: usize,
    /// The next dimension outwards: its size, and its stride in elements.
    run: u64,
    step: u64,
    /// The other dimensions.
    outer: &'a [(u64, u64)],
}

impl<'a> Block<'a> {
    const MAX_ELEMENTS: usize = 1024;
    /// Bytes in a row that are copied faster than gathered.
    const MIN_ROW_BYTES: u64 = 128;

    /// `size` are the bytes of an element.
    fn new(layout: &'a Layout, size: usize) -> Self {
        let mut offsets = vec![0];
        let mut dims = layout.dims.as_slice();
        while let Some((&(count, stride), outer)) = dims.split_last() {
            let row = stride == 1 && offsets.len() == 1 && count.saturating_mul(size as u64) >= Self::MIN_ROW_BYTES;
            let repeats = (Self::MAX_ELEMENTS / offsets.len()) as u64;
            if row || count > repeats {
                // As many steps as the table has room for.
                let elements = offsets.len();
                if !row {
                    offsets = repeated(&offsets, repeats, stride, size);
                }
                return Self { offsets, elements, run: count, step: stride, outer };
            }
            offsets = repeated(&offsets, count, stride, size);
            dims = outer;
        }
        let elements = offsets.len();
        Self { offsets, elements, run: 1, step: 1, outer: &[] }
    }

    fn is_contiguous(&self) -> bool {
        self.step == 1 && self.offsets.len() == 1
    }

    /// The offsets from the step `done` on, and how many steps they are.
    fn from(&self, done: u64) -> (&[usize], u64) {
        let steps = ((self.offsets.len() / self.elements) as u64).min(self.run - done);
        (self.offsets.get(..steps as usize * self.elements).unwrap_or_default(), steps)
    }
}

/// `offsets` for each of `count` steps of a dimension. Offsets lie inside the storage, so that nothing wraps.
fn repeated(offsets: &[usize], count: u64, stride: u64, size: usize) -> Vec<usize> {
    let step = |index: u64| (index.saturating_mul(stride) as usize).saturating_mul(size);
    (0..count).flat_map(|index| offsets.iter().map(move |&offset| step(index).saturating_add(offset))).collect()
}

/// Counts through dimensions, and gives the offset of each place in them.
#[derive(Debug)]
struct Odometer<'a> {
    outer: &'a [(u64, u64)],
    counts: Vec<u64>,
    next: Option<u64>,
}

impl<'a> Odometer<'a> {
    fn new(outer: &'a [(u64, u64)], offset: u64) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::StorageSlice;

    /// The bytes of a view, one element at a time.
    fn naive(bytes: &[u8], tensor: &Strided) -> Vec<u8> {
        let size = tensor.dtype.size();
        let mut gathered = Vec::new();
        for index in 0..tensor.elements() {
            let (mut rest, mut at) = (index, tensor.offset);
            for (&count, &stride) in tensor.shape.iter().zip(&tensor.strides).rev() {
                at += rest % count * stride;
                rest /= count;
            }
            gathered.extend_from_slice(crate::bytes::part(bytes, at * size as u64, size as u64).unwrap());
        }
        gathered
    }

    #[test]
    fn any_view_is_gathered_as_one_element_at_a_time_would_be() {
        let bytes: Vec<u8> = (0..1 << 20).map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let views: [(&[u64], &[u64]); 9] = [
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
                let mut gathered = Vec::new();
                Gather::new(&bytes, &tensor, false).for_each_chunk(|chunk| gathered.extend_from_slice(chunk)).unwrap();
                assert!(gathered == naive(&bytes, &tensor), "{shape:?} {strides:?} {dtype}");
            }
        }
    }
}
