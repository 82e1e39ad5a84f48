//! The bytes behind a tensor that is written: in memory, or still in the file of an open checkpoint.

use crate::cast;
use crate::dtype::Dtype;
use crate::error::ErrorKind;
use crate::raw::RawTensor;
use crate::source::Source;
use crate::tensor::StorageId;

/// Bytes of a part that is handed on at once.
const PART_BYTES: usize = 1 << 20;

/// What becomes one storage of a `.pth` file.
#[derive(Debug, Clone)]
pub(crate) enum Stored<'a> {
    Memory(&'a [u8]),
    /// A whole storage of an open file.
    Storage(&'a Source, StorageId, u64),
    /// The elements of one tensor of an open file, gathered and little-endian.
    Elements(RawTensor<'a>),
    /// Numbers of the first type, to be written as numbers of the second.
    Cast(Box<Stored<'a>>, Dtype, Dtype),
}

/// What tells storages apart: two addresses or numbers, the length, and the type of the elements.
pub(super) type Identity = (usize, usize, u64, Dtype);

impl Stored<'_> {
    /// Bytes.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Storage(_, _, length) => *length,
            Self::Elements(raw) => raw.byte_count(),
            Self::Cast(stored, from, to) => stored.length() / from.size() as u64 * to.size() as u64,
        }
    }

    /// Equal for tensors of one type that share memory.
    pub(super) fn identity(&self, dtype: Dtype) -> Identity {
        let (first, second) = match self {
            Self::Memory(bytes) => (bytes.as_ptr().addr(), 0),
            Self::Storage(source, id, _) => (std::ptr::from_ref(*source).addr(), *id as usize),
            Self::Elements(raw) => (raw.identity(), usize::MAX),
            Self::Cast(stored, from, _) => {
                let (first, second, _, _) = stored.identity(*from);
                (first, second)
            }
        };
        (first, second, self.length(), dtype)
    }

    /// Hands the bytes on in parts; whether a file is damaged is known at the end.
    pub(super) fn for_each_part(&self, each: &mut dyn FnMut(&[u8])) -> Result<(), ErrorKind> {
        match self {
            Self::Memory(bytes) => bytes.chunks(PART_BYTES).for_each(&mut *each),
            Self::Storage(source, id, _) => {
                source.for_each_chunk_of(*id, |chunk| chunk.chunks(PART_BYTES).for_each(&mut *each))?
            }
            Self::Elements(raw) => raw.read_chunks(&mut *each)?,
            Self::Cast(stored, from, to) => {
                let mut numbers = Vec::new();
                stored.for_each_part(&mut |part: &[u8]| {
                    numbers.clear();
                    cast::cast(part, *from, *to, &mut numbers);
                    each(&numbers);
                })?;
            }
        }
        Ok(())
    }
}
