//! The elements of a strided view, in row-major order and little-endian.

use crate::dtype::Dtype;
use crate::error::{ErrorKind, StorageProblem};
use crate::source::Content;
use crate::tensor::Strided;

/// Bytes that are gathered before they are handed on.
const CHUNK_BYTES: usize = 1 << 16;
/// Bytes that are read at once to gather elements from them, however few elements there are.
const MIN_READ_BYTES: u64 = 64 << 20;

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
        let swap = (big_endian || tensor.big_endian) && dtype.word() > 1;
        Self { dtype, swap, conjugate, negative }
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

/// A tensor's elements, to be taken from its storage slice.
#[derive(Debug)]
pub(crate) struct Gather<'a> {
    tensor: &'a Strided,
    layout: Layout,
    change: Change,
    /// Bytes of a storage that are read at once to gather elements from them, however few elements there are.
    read_bytes: u64,
}

impl<'a> Gather<'a> {
    /// `big_endian` is how the file stores elements.
    pub(crate) fn new(tensor: &'a Strided, big_endian: bool) -> Self {
        let (layout, change) = (Layout::new(tensor), Change::new(tensor, big_endian));
        Self { tensor, layout, change, read_bytes: MIN_READ_BYTES }
    }

    /// Hands the elements on in chunks; `content` is the tensor's storage slice.
    pub(crate) fn for_each_chunk(&self, content: &Content<'_>, mut each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        if self.tensor.elements() == 0 {
            return Ok(());
        }
        let size = self.tensor.dtype.size() as u64;
        if !self.layout.is_row_major() {
            return self.each_part(&self.layout.dims, self.tensor.offset, content, &mut each);
        }
        let mut changed = Vec::new();
        content.for_each_block(self.tensor.offset * size, self.tensor.logical_bytes(), |block| {
            for chunk in block.chunks(CHUNK_BYTES) {
                if self.change.is_none() {
                    each(chunk);
                    continue;
                }
                changed.clear();
                changed.extend_from_slice(chunk);
                self.change.apply(&mut changed);
                each(&changed);
            }
        })
    }

    /// Gathers the elements of some dimensions from `offset` on. What lies between the first and the last of them is read
    /// at once where it is not much more than they are, and else in parts.
    fn each_part(
        &self,
        dims: &[(u64, u64)],
        offset: u64,
        content: &Content<'_>,
        each: &mut impl FnMut(&[u8]),
    ) -> Result<(), ErrorKind> {
        let size = self.tensor.dtype.size() as u64;
        let elements = dims.iter().fold(1, |count: u64, &(size, _)| count.saturating_mul(size));
        let bytes = extent(dims) * size;
        let limit = self.read_bytes.max(elements.saturating_mul(2 * size));
        let (Some((&(count, stride), inner)), true) = (dims.split_first(), bytes > limit) else {
            let bytes = content.load(offset * size, bytes)?;
            let gathered = match size {
                1 => self.gather::<1>(&bytes, dims, each),
                2 => self.gather::<2>(&bytes, dims, each),
                4 => self.gather::<4>(&bytes, dims, each),
                8 => self.gather::<8>(&bytes, dims, each),
                _ => self.gather::<16>(&bytes, dims, each),
            };
            let missing = || ErrorKind::Storage { key: String::new(), problem: StorageProblem::Ended };
            return gathered.ok_or_else(missing);
        };
        // As many steps at once as can be read at once.
        let room = self.read_bytes.saturating_sub(extent(inner) * size);
        let steps = (room / (stride * size).max(1) + 1).min(count);
        let mut done = 0;
        while done < count {
            let taken = steps.min(count - done);
            let start = offset + done * stride;
            if taken == 1 {
                self.each_part(inner, start, content, each)?;
            } else {
                self.each_part(&[&[(taken, stride)], inner].concat(), start, content, each)?;
            }
            done += taken;
        }
        Ok(())
    }

    /// The elements of `dims` in `bytes`, which start with the first of them, with elements of `SIZE` bytes. `None` when
    /// the bytes are too few.
    fn gather<const SIZE: usize>(&self, bytes: &[u8], dims: &[(u64, u64)], each: &mut impl FnMut(&[u8])) -> Option<()> {
        let block = Block::new(dims, SIZE);
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + block.offsets.len() * SIZE);
        let mut odometer = Odometer::new(block.outer);
        while let Some(start) = odometer.next() {
            let mut done = 0;
            while done < block.run {
                let at = start + done * block.step;
                if block.is_contiguous() {
                    let count = (block.run - done).min((CHUNK_BYTES / SIZE) as u64);
                    done += count;
                    chunk.extend_from_slice(crate::bytes::part(bytes, at * SIZE as u64, count * SIZE as u64)?);
                } else {
                    let (offsets, steps) = block.from(done);
                    done += steps;
                    let bytes = bytes.get(usize::try_from(at * SIZE as u64).ok()?..)?;
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

/// Elements from the first to the last one of some dimensions.
fn extent(dims: &[(u64, u64)]) -> u64 {
    dims.iter().map(|&(count, stride)| (count - 1) * stride).sum::<u64>() + 1
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
    fn new(mut dims: &'a [(u64, u64)], size: usize) -> Self {
        let mut offsets = vec![0];
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
    fn new(outer: &'a [(u64, u64)]) -> Self {
        Self { outer, counts: vec![0; outer.len()], next: Some(0) }
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
                for read_bytes in [MIN_READ_BYTES, 5000, 1] {
                    let mut gathered = Vec::new();
                    let gather = Gather { read_bytes, ..Gather::new(&tensor, false) };
                    let content = Content::Memory(&bytes);
                    gather.for_each_chunk(&content, |chunk| gathered.extend_from_slice(chunk)).unwrap();
                    assert!(gathered == naive(&bytes, &tensor), "{shape:?} {strides:?} {dtype} {read_bytes}");
                }
            }
        }
    }
}
