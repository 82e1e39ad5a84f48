//! The mapped file of a checkpoint: its storages, their checksums, and what of them is deflated.

use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::{ErrorKind, StorageProblem};
use crate::map::{Map, RELEASE_BYTES};
use crate::storage::{Place, Storage, StorageTable};
use crate::tensor::{StorageId, StorageSlice};
use crate::zip::{Archive, Entry};

/// Bytes that are read and then summed up while they are in the processor's cache.
const READ_BYTES: usize = 256 << 10;
/// Bytes of a deflated storage that are inflated at once and kept for the next tensor; a larger one is inflated piece by
/// piece for each tensor that takes up most of it.
const MAX_KEPT_BYTES: u64 = 32 << 20;

/// The mapped file, and what is known about the storages in it.
#[derive(Debug)]
pub(crate) struct Source {
    map: Map,
    storages: StorageTable,
    archive: Option<Archive>,
    big_endian: bool,
    /// Storages whose checksum was found right.
    verified: Vec<OnceLock<()>>,
    /// The deflated storage that was used last: tensors that share one follow on each other.
    inflated: Mutex<Option<(StorageId, Arc<Vec<u8>>)>>,
}

impl Source {
    pub(crate) fn new(map: Map, storages: StorageTable, archive: Option<Archive>, big_endian: bool) -> Self {
        let verified = storages.iter().map(|_| OnceLock::new()).collect();
        Self { map, storages, archive, big_endian, verified, inflated: Mutex::new(None) }
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// The bytes of a slice of a storage; the storage's checksum is verified the first time.
    pub(crate) fn slice(&self, slice: StorageSlice) -> Result<Content<'_>, ErrorKind> {
        let storage = self.known(slice.storage)?;
        let whole = self.storage(slice.storage, storage)?;
        whole.part(slice).ok_or_else(|| storage.error(StorageProblem::Ended))
    }

    fn known(&self, id: StorageId) -> Result<&Storage, ErrorKind> {
        let missing = || ErrorKind::Storage { key: String::new(), problem: StorageProblem::Ended };
        self.storages.get(id).ok_or_else(missing)
    }

    fn storage(&self, id: StorageId, storage: &Storage) -> Result<Content<'_>, ErrorKind> {
        let ended = || storage.error(StorageProblem::Ended);
        let (data, entry) = self.place(storage)?;
        let Some(entry) = entry else { return Ok(Content::Mapped(data)) };
        let verified = self.verified.get(id as usize).ok_or_else(ended)?;
        if entry.is_stored() {
            if verified.get().is_none() {
                let parts = data.chunks(RELEASE_BYTES).inspect(|_| self.release(id));
                entry.check_crc_of(parts)?;
                let _ = verified.set(());
            }
            return Ok(Content::Mapped(data));
        }
        let mut last = self.inflated.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, content)) = last.as_ref().filter(|(last, _)| *last == id) {
            return Ok(Content::inflated(content));
        }
        // The one before is given back before memory is taken for the next.
        *last = None;
        let content = Arc::new(entry.inflate(data)?);
        let _ = verified.set(());
        *last = Some((id, Arc::clone(&content)));
        Ok(Content::inflated(&content))
    }

    /// Reads bytes of a storage slice from its byte `start` into `target`, and compares the storage's checksum, unless
    /// that was done before. `false` when the storage is deflated.
    pub(crate) fn read_stored(&self, slice: StorageSlice, start: u64, target: &mut [u8]) -> Result<bool, ErrorKind> {
        let storage = self.known(slice.storage)?;
        let ended = || storage.error(StorageProblem::Ended);
        let (first, length, entry) = self.extent(storage)?;
        if entry.is_some_and(|entry| !entry.is_stored()) {
            return Ok(false);
        }
        let bytes = target.len() as u64;
        let inside = |inner: u64, outer: u64| start.checked_add(inner).is_some_and(|end| end <= outer);
        if !inside(bytes, slice.length) || !inside(slice.start.saturating_add(bytes), length) {
            return Err(ended());
        }
        let verified = self.verified.get(slice.storage as usize).ok_or_else(ended)?;
        let unverified = entry.filter(|_| verified.get().is_none());
        let position = first + slice.start + start;
        match unverified {
            Some(entry) if bytes == length => {
                let mut position = position;
                let parts = target.chunks_mut(READ_BYTES).map(|part| {
                    self.map.read_at(position, part)?;
                    position += part.len() as u64;
                    Ok::<_, ErrorKind>(&*part)
                });
                entry.check_crc_while(parts)?;
                let _ = verified.set(());
            }
            _ => {
                self.verify_storage(slice.storage)?;
                self.map.read_at(position, target)?;
            }
        }
        Ok(true)
    }

    pub(crate) fn is_deflated(&self, id: StorageId) -> bool {
        let entry = self.storages.get(id).and_then(|storage| self.place(storage).ok()?.1);
        entry.is_some_and(|entry| !entry.is_stored())
    }

    /// The bytes of a storage as they lie in the file, and its zip entry where it has one.
    fn place(&self, storage: &Storage) -> Result<(&[u8], Option<&Entry>), ErrorKind> {
        let (start, length, entry) = self.extent(storage)?;
        let bytes = crate::bytes::part(&self.map, start, length);
        Ok((bytes.ok_or_else(|| storage.error(StorageProblem::Ended))?, entry))
    }

    /// From which byte of the file, and how many, with the zip entry where there is one.
    fn extent(&self, storage: &Storage) -> Result<(u64, u64, Option<&Entry>), ErrorKind> {
        let ended = || storage.error(StorageProblem::Ended);
        match storage.place {
            Place::Unknown => Err(ended()),
            Place::File(start) => Ok((start, storage.bytes(), None)),
            Place::Entry { index, start } => {
                let entry = self.archive.as_ref().and_then(|archive| archive.entries.get(index)).ok_or_else(ended)?;
                Ok((start, entry.compressed, Some(entry)))
            }
        }
    }

    /// The data of a deflated storage that is too large to be inflated at once.
    pub(crate) fn large(&self, id: StorageId) -> Option<Large<'_>> {
        let storage = self.storages.get(id).filter(|storage| storage.bytes() > MAX_KEPT_BYTES)?;
        let (data, entry) = self.place(storage).ok()?;
        Some(Large { source: self, id, data, entry: entry.filter(|entry| !entry.is_stored())? })
    }

    /// Bytes of a storage.
    pub(crate) fn length(&self, id: StorageId) -> Option<u64> {
        Some(self.storages.get(id)?.bytes())
    }

    pub(crate) fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// Hands all of a storage on in chunks; whether it is damaged is known at the end only.
    pub(crate) fn for_each_chunk_of(&self, id: StorageId, mut each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        if let Some(large) = self.large(id) {
            return large.for_each_chunk(each);
        }
        let Some(storage) = self.storages.get(id) else { return Ok(()) };
        for part in self.storage(id, storage)?.chunks(RELEASE_BYTES) {
            each(part);
            self.release(id);
        }
        Ok(())
    }

    /// Reads every storage whose checksum was not verified yet.
    pub(crate) fn verify(&self) -> Result<(), ErrorKind> {
        (0..self.verified.len()).try_for_each(|id| self.verify_storage(id as StorageId))
    }

    /// Reads a storage whose checksum was not verified yet, and compares it where there is one.
    pub(crate) fn verify_storage(&self, id: StorageId) -> Result<(), ErrorKind> {
        let (Some(storage), Some(verified)) = (self.storages.get(id), self.verified.get(id as usize)) else {
            return Ok(());
        };
        if verified.get().is_some() {
            return Ok(());
        }
        match self.large(id) {
            Some(large) => large.for_each_chunk(|_| {}),
            None => self.storage(id, storage).map(drop),
        }
    }

    /// Gives all pages of the file back.
    pub(crate) fn release_all(&self) {
        self.map.release(0..self.map.len());
    }

    pub(crate) fn release(&self, id: StorageId) {
        let Some(storage) = self.storages.get(id) else { return };
        let (Place::File(start) | Place::Entry { start, .. }) = storage.place else { return };
        let (Ok(start), Ok(length)) = (usize::try_from(start), usize::try_from(storage.bytes())) else { return };
        self.map.release(start..start.saturating_add(length).min(self.map.len()));
    }
}

/// A deflated storage that is inflated piece by piece.
pub(crate) struct Large<'a> {
    source: &'a Source,
    id: StorageId,
    data: &'a [u8],
    entry: &'a Entry,
}

impl Large<'_> {
    /// Bytes that it inflates to.
    pub(crate) fn length(&self) -> u64 {
        self.entry.size
    }

    /// Hands all of it on in chunks, and gives the pages of the file back meanwhile.
    pub(crate) fn for_each_chunk(&self, mut each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        let mut unreleased = 0;
        let inflated = self.entry.inflate_chunks(self.data, |chunk| {
            each(chunk);
            unreleased += chunk.len();
            if unreleased >= RELEASE_BYTES {
                self.source.release(self.id);
                unreleased = 0;
            }
        });
        self.source.release(self.id);
        if let (Ok(()), Some(verified)) = (&inflated, self.source.verified.get(self.id as usize)) {
            let _ = verified.set(());
        }
        inflated
    }
}

/// Bytes of a storage.
pub(crate) enum Content<'a> {
    Mapped(&'a [u8]),
    Inflated(Arc<Vec<u8>>, Range<usize>),
}

impl Content<'_> {
    fn inflated(content: &Arc<Vec<u8>>) -> Self {
        Self::Inflated(Arc::clone(content), 0..content.len())
    }

    fn part(self, slice: StorageSlice) -> Option<Self> {
        let StorageSlice { start, length, .. } = slice;
        match self {
            Self::Mapped(bytes) => crate::bytes::part(bytes, start, length).map(Self::Mapped),
            Self::Inflated(content, _) => {
                crate::bytes::part(&content, start, length)?;
                let start = usize::try_from(start).ok()?;
                Some(Self::Inflated(content, start..start + usize::try_from(length).ok()?))
            }
        }
    }
}

impl Deref for Content<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Inflated(content, range) => content.get(range.clone()).unwrap_or_default(),
        }
    }
}
