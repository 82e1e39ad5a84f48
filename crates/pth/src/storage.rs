//! The storages that a pickle names, each with one type and one size.

use std::collections::HashMap;

use crate::dtype::Dtype;
use crate::error::{ErrorKind, StorageProblem};
use crate::tensor::{StorageId, StorageSlice};

/// What the pickle says about one storage, and where its bytes are once they were found.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) key: Box<str>,
    /// `None` when it is untyped.
    pub(crate) dtype: Option<Dtype>,
    /// Elements; bytes when it is untyped.
    pub(crate) count: u64,
    pub(crate) place: Place,
}

impl Storage {
    /// Bytes of one element.
    pub(crate) fn element_bytes(&self) -> u64 {
        self.dtype.map_or(1, |dtype| dtype.size() as u64)
    }

    /// Bytes of the whole storage; the product was checked when it was declared.
    pub(crate) fn bytes(&self) -> u64 {
        self.count.saturating_mul(self.element_bytes())
    }

    pub(crate) fn error(&self, problem: StorageProblem) -> ErrorKind {
        ErrorKind::Storage { key: self.key.to_string(), problem }
    }
}

/// Where the bytes of a storage are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Unknown,
    /// From this byte of the file.
    File(u64),
    /// In memory: among those that were [kept](StorageTable::keep).
    Memory(usize),
    /// In the zip entry with this index, whose data starts there.
    Entry {
        index: usize,
        start: u64,
    },
}

/// All storages of a file, in the order in which the pickle names them.
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

    /// Keeps bytes that are in the file in another form.
    pub(crate) fn keep(&mut self, bytes: Box<[u8]>) -> Place {
        self.memory.push(bytes);
        Place::Memory(self.memory.len() - 1)
    }

    pub(crate) fn kept(&self, index: usize) -> Option<&[u8]> {
        self.memory.get(index).map(|bytes| &**bytes)
    }

    pub(crate) fn by_key(&mut self, key: &str) -> Option<&mut Storage> {
        let id = *self.by_key.get(key)?;
        self.storages.get_mut(id as usize)
    }

    /// The storage `key`, which is new or was declared in the same way before.
    pub(crate) fn declare(&mut self, key: &str, dtype: Option<Dtype>, count: u64) -> Result<StorageSlice, ErrorKind> {
        let error = |problem| ErrorKind::Storage { key: key.to_owned(), problem };
        let length = count
            .checked_mul(dtype.map_or(1, |dtype| dtype.size() as u64))
            .ok_or_else(|| error(StorageProblem::Ended))?;
        if let Some(&id) = self.by_key.get(key) {
            let known = self.get(id).is_some_and(|known| known.dtype == dtype && known.count == count);
            return if known {
                Ok(StorageSlice { storage: id, start: 0, length })
            } else {
                Err(error(StorageProblem::Redeclared))
            };
        }
        let id = self.push(key.into(), dtype, count, Place::Unknown);
        self.by_key.insert(key.into(), id);
        Ok(StorageSlice { storage: id, start: 0, length })
    }

    /// A storage of its own, found at `place`, that no other name refers to.
    pub(crate) fn push(&mut self, key: Box<str>, dtype: Option<Dtype>, count: u64, place: Place) -> StorageId {
        // The number of storages is bounded by the memory of the pickle machine, far below 2^32.
        let id = self.storages.len() as StorageId;
        self.storages.push(Storage { key, dtype, count, place });
        id
    }

    /// The view `key` of `count` elements from element `offset` of the storage `root`.
    pub(crate) fn view(
        &mut self,
        key: &str,
        root: StorageSlice,
        offset: u64,
        count: u64,
    ) -> Result<StorageSlice, ErrorKind> {
        let error = |problem| ErrorKind::Storage { key: key.to_owned(), problem };
        let element = self.get(root.storage).map_or(1, Storage::element_bytes);
        let slice = (|| {
            let (start, length) = (offset.checked_mul(element)?, count.checked_mul(element)?);
            let inside = start.checked_add(length)? <= root.length;
            inside.then_some(StorageSlice { storage: root.storage, start, length })
        })();
        let slice = slice.ok_or_else(|| error(StorageProblem::View))?;
        match self.views.insert(key.into(), slice) {
            Some(known) if known != slice => Err(error(StorageProblem::Redeclared)),
            _ => Ok(slice),
        }
    }
}
