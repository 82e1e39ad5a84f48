//! [`StorageData`]: the bytes of a storage to be written, in memory or still in an open file.

use crate::error::ErrorKind;
use crate::tensor::{Dtype, RawTensor, StorageId, StorageReader, cast};

/// Bytes per part.
const PART_BYTES: usize = 1 << 20;

/// A storage of a `.pth` file to be written.
#[derive(Debug, Clone)]
pub(crate) enum StorageData<'a> {
    Memory(&'a [u8]),
    /// A whole storage of an open file, and its length.
    Storage(&'a StorageReader, StorageId, u64),
    /// The elements of one tensor of an open file, row-major and little-endian.
    Elements(RawTensor<'a>),
    /// Elements of the first type, to be cast to the second.
    Cast(Box<StorageData<'a>>, Dtype, Dtype),
}

/// Distinguishes storages: two addresses or numbers, the length, and the element type.
pub(super) type Identity = (usize, usize, u64, Dtype);

impl StorageData<'_> {
    /// The number of bytes.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Storage(_, _, length) => *length,
            Self::Elements(raw) => raw.byte_count(),
            Self::Cast(data, from, to) => data.length() / from.size() as u64 * to.size() as u64,
        }
    }

    /// Equal for tensors of one type that share memory.
    pub(super) fn identity(&self, dtype: Dtype) -> Identity {
        let (first, second) = match self {
            Self::Memory(bytes) => (bytes.as_ptr().addr(), 0),
            Self::Storage(storages, id, _) => (std::ptr::from_ref(*storages).addr(), *id as usize),
            Self::Elements(raw) => (raw.identity(), usize::MAX),
            Self::Cast(data, from, _) => {
                let (first, second, _, _) = data.identity(*from);
                (first, second)
            }
        };
        (first, second, self.length(), dtype)
    }

    /// Passes the bytes to `each` in parts. Damage of an open file may be detected only at the end.
    pub(super) fn for_each_part(&self, each: &mut dyn FnMut(&[u8])) -> Result<(), ErrorKind> {
        match self {
            Self::Memory(bytes) => {
                bytes.chunks(PART_BYTES).for_each(each);
                Ok(())
            }
            Self::Storage(storages, id, _) => storages.for_each_chunk_of(*id, each),
            Self::Elements(raw) => raw.read_chunks(each),
            Self::Cast(data, from, to) => {
                let mut numbers = Vec::new();
                data.for_each_part(&mut |part: &[u8]| {
                    numbers.clear();
                    cast(part, *from, *to, &mut numbers);
                    each(&numbers);
                })
            }
        }
    }
}
