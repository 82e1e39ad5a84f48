//! The storages declared by a pickle, each with one type and one size.

use std::collections::HashMap;

use crate::cursor::is_inside;
use crate::error::{ErrorKind, StorageProblem};
use crate::tensor::{Dtype, StorageId, StorageSlice};

/// One storage as declared by the pickle, and the location of its bytes once it is known.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) key: Box<str>,
    /// `None` if the storage is untyped.
    pub(crate) dtype: Option<Dtype>,
    /// The number of elements, or of bytes if the storage is untyped.
    pub(crate) count: u64,
    pub(crate) place: Place,
}

impl Storage {
    /// Bytes per element.
    pub(crate) fn element_bytes(&self) -> u64 {
        element_bytes(self.dtype)
    }

    /// Bytes of the whole storage. The product was checked when it was declared.
    pub(crate) fn bytes(&self) -> u64 {
        self.count.saturating_mul(self.element_bytes())
    }

    pub(crate) fn error(&self, problem: StorageProblem) -> ErrorKind {
        storage_error(&self.key, problem)
    }
}

/// The location of the bytes of a storage.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Unknown,
    /// In the file, from this position.
    File(u64),
    /// In memory, as the bytes [kept](StorageTable::keep) under this index.
    Memory(usize),
    /// In the zip entry with this index, whose data starts at this position.
    Entry {
        index: usize,
        start: u64,
    },
}

/// All storages of a file, in the order of their declaration.
#[derive(Debug, Default)]
pub(crate) struct StorageTable {
    storages: Vec<Storage>,
    by_key: HashMap<Box<str>, StorageId>,
    views: HashMap<Box<str>, StorageSlice>,
    memory: Vec<Box<[u8]>>,
}

impl StorageTable {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Storage> {
        self.storages.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Storage> {
        self.storages.iter_mut()
    }

    pub(crate) fn get(&self, id: StorageId) -> Option<&Storage> {
        self.storages.get(id as usize)
    }

    /// Keeps bytes that are in the file in a different form.
    pub(crate) fn keep(&mut self, bytes: Box<[u8]>) -> Place {
        self.memory.push(bytes);
        Place::Memory(self.memory.len() - 1)
    }

    pub(crate) fn kept(&self, index: usize) -> Option<&[u8]> {
        Some(self.memory.get(index)?)
    }

    pub(crate) fn by_key(&mut self, key: &str) -> Option<&mut Storage> {
        let id = *self.by_key.get(key)?;
        self.storages.get_mut(id as usize)
    }

    /// Declares the storage `key`. Returns an error if it was declared differently before.
    pub(crate) fn declare(&mut self, key: &str, dtype: Option<Dtype>, count: u64) -> Result<StorageSlice, ErrorKind> {
        let Some(length) = count.checked_mul(element_bytes(dtype)) else {
            return Err(storage_error(key, StorageProblem::Ended));
        };
        if let Some(&storage) = self.by_key.get(key) {
            return match self.get(storage) {
                Some(known) if known.dtype == dtype && known.count == count => {
                    Ok(StorageSlice { storage, start: 0, length })
                }
                _ => Err(storage_error(key, StorageProblem::Redeclared)),
            };
        }
        let storage = self.push(key.into(), dtype, count, Place::Unknown);
        self.by_key.insert(key.into(), storage);
        Ok(StorageSlice { storage, start: 0, length })
    }

    /// Adds a storage that is not found by its key.
    pub(crate) fn push(&mut self, key: Box<str>, dtype: Option<Dtype>, count: u64, place: Place) -> StorageId {
        // The memory limit of the unpickler keeps the number of storages far below 2^32.
        let id = self.storages.len() as StorageId;
        self.storages.push(Storage { key, dtype, count, place });
        id
    }

    /// Declares the view `key` of `count` elements from element `offset` of the storage `root`.
    pub(crate) fn view(
        &mut self,
        key: &str,
        root: StorageSlice,
        offset: u64,
        count: u64,
    ) -> Result<StorageSlice, ErrorKind> {
        let Some(slice) = self.slice(root, offset, count) else { return Err(storage_error(key, StorageProblem::View)) };
        match self.views.insert(key.into(), slice) {
            Some(known) if known != slice => Err(storage_error(key, StorageProblem::Redeclared)),
            _ => Ok(slice),
        }
    }

    /// The bytes of `count` elements from element `offset` of `root`, if they lie inside.
    fn slice(&self, root: StorageSlice, offset: u64, count: u64) -> Option<StorageSlice> {
        let element = self.get(root.storage)?.element_bytes();
        let (start, length) = (offset.checked_mul(element)?, count.checked_mul(element)?);
        if !is_inside(start, length, root.length) {
            return None;
        }
        Some(StorageSlice { storage: root.storage, start, length })
    }
}

fn element_bytes(dtype: Option<Dtype>) -> u64 {
    dtype.map_or(1, |dtype| dtype.size() as u64)
}

fn storage_error(key: &str, problem: StorageProblem) -> ErrorKind {
    ErrorKind::Storage { key: key.to_owned(), problem }
}
