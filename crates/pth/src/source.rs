//! The file of a checkpoint: its storages, their checksums, and what of them is deflated.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::{ErrorKind, StorageProblem};
use crate::file::{BLOCK_BYTES, File};
use crate::storage::{Place, Storage, StorageTable};
use crate::tensor::{StorageId, StorageSlice};
use crate::zip::{Archive, Entry};

/// Bytes that are read and then summed up while they are in the processor's cache.
const READ_BYTES: usize = 256 << 10;
/// Bytes of a deflated storage that are inflated at once and kept for the next tensor; a larger one is inflated piece by
/// piece for each tensor that takes up most of it.
const MAX_KEPT_BYTES: u64 = 32 << 20;

/// The open file, and what is known about the storages in it.
#[derive(Debug)]
pub(crate) struct Source {
    file: File,
    storages: StorageTable,
    archive: Option<Archive>,
    big_endian: bool,
    /// Storages whose checksum was found right.
    verified: Vec<OnceLock<()>>,
    /// The deflated storage that was used last: tensors that share one follow on each other.
    inflated: Mutex<Option<(StorageId, Arc<Vec<u8>>)>>,
}

/// Where the bytes of a storage are.
enum Extent<'a> {
    /// From which byte of the file, and how many, with the zip entry where there is one.
    File(u64, u64, Option<&'a Entry>),
    Memory(&'a [u8]),
}

impl Source {
    pub(crate) fn new(file: File, storages: StorageTable, archive: Option<Archive>, big_endian: bool) -> Self {
        let verified = storages.iter().map(|_| OnceLock::new()).collect();
        Self { file, storages, archive, big_endian, verified, inflated: Mutex::new(None) }
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.file.length()
    }

    /// Where the bytes of a slice of a storage are; the storage's checksum is verified the first time.
    pub(crate) fn slice(&self, slice: StorageSlice) -> Result<Content<'_>, ErrorKind> {
        let storage = self.known(slice.storage)?;
        let whole = self.storage(slice.storage, storage)?;
        whole.part(slice).ok_or_else(|| storage.error(StorageProblem::Ended))
    }

    fn known(&self, id: StorageId) -> Result<&Storage, ErrorKind> {
        self.storages.get(id).ok_or_else(ended)
    }

    fn storage(&self, id: StorageId, storage: &Storage) -> Result<Content<'_>, ErrorKind> {
        let (start, length, entry) = match self.extent(storage)? {
            Extent::Memory(bytes) => return Ok(Content::Memory(bytes)),
            Extent::File(start, length, entry) => (start, length, entry),
        };
        let whole = Content::File { file: &self.file, start, length };
        let Some(entry) = entry else { return Ok(whole) };
        let verified = self.verified.get(id as usize).ok_or_else(ended)?;
        if entry.is_stored() {
            if verified.get().is_none() {
                entry.check_crc_of_file(&self.file, start)?;
                let _ = verified.set(());
            }
            return Ok(whole);
        }
        let mut last = self.inflated.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, content)) = last.as_ref().filter(|(last, _)| *last == id) {
            return Ok(Content::inflated(content));
        }
        // The one before is given back before memory is taken for the next.
        *last = None;
        let content = Arc::new(entry.inflate(&self.file, start)?);
        let _ = verified.set(());
        *last = Some((id, Arc::clone(&content)));
        Ok(Content::inflated(&content))
    }

    /// Reads bytes of a storage slice from its byte `start` into `target`, and compares the storage's checksum, unless
    /// that was done before. `false` when they do not lie in the file as they are.
    pub(crate) fn read_stored(&self, slice: StorageSlice, start: u64, target: &mut [u8]) -> Result<bool, ErrorKind> {
        let storage = self.known(slice.storage)?;
        let ended = || storage.error(StorageProblem::Ended);
        let Extent::File(first, length, entry) = self.extent(storage)? else { return Ok(false) };
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
                    self.file.read_at(position, part)?;
                    position += part.len() as u64;
                    Ok::<_, ErrorKind>(&*part)
                });
                entry.check_crc_while(parts)?;
                let _ = verified.set(());
            }
            _ => {
                self.verify_storage(slice.storage)?;
                self.file.read_at(position, target)?;
            }
        }
        Ok(true)
    }

    /// Where the bytes of a storage are.
    fn extent(&self, storage: &Storage) -> Result<Extent<'_>, ErrorKind> {
        let ended = || storage.error(StorageProblem::Ended);
        match storage.place {
            Place::Unknown => Err(ended()),
            Place::File(start) => Ok(Extent::File(start, storage.bytes(), None)),
            Place::Memory(index) => self.storages.kept(index).map(Extent::Memory).ok_or_else(ended),
            Place::Entry { index, start } => {
                let entry = self.archive.as_ref().and_then(|archive| archive.entries.get(index)).ok_or_else(ended)?;
                Ok(Extent::File(start, entry.compressed, Some(entry)))
            }
        }
    }

    /// The data of a deflated storage that is too large to be inflated at once.
    pub(crate) fn large(&self, id: StorageId) -> Option<Large<'_>> {
        let storage = self.storages.get(id).filter(|storage| storage.bytes() > MAX_KEPT_BYTES)?;
        match self.extent(storage).ok()? {
            Extent::File(start, _, Some(entry)) if !entry.is_stored() => Some(Large { source: self, id, start, entry }),
            _ => None,
        }
    }

    /// Bytes of a storage.
    pub(crate) fn length(&self, id: StorageId) -> Option<u64> {
        Some(self.storages.get(id)?.bytes())
    }

    pub(crate) fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// Hands all of a storage on in chunks; whether it is damaged is known at the end only.
    pub(crate) fn for_each_chunk_of(&self, id: StorageId, each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        if let Some(large) = self.large(id) {
            return large.for_each_chunk(each);
        }
        let Some(storage) = self.storages.get(id) else { return Ok(()) };
        let content = self.storage(id, storage)?;
        content.for_each_block(0, content.length(), each)
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

    pub(crate) fn release(&self, id: StorageId) {
        let Some(storage) = self.storages.get(id) else { return };
        if let Ok(Extent::File(start, length, _)) = self.extent(storage) {
            self.file.release(start..start.saturating_add(length));
        }
    }
}

/// Something lies outside of what it is a part of, which was checked before.
fn ended() -> ErrorKind {
    ErrorKind::Storage { key: String::new(), problem: StorageProblem::Ended }
}

/// A deflated storage that is inflated piece by piece.
pub(crate) struct Large<'a> {
    source: &'a Source,
    id: StorageId,
    start: u64,
    entry: &'a Entry,
}

impl Large<'_> {
    /// Bytes that it inflates to.
    pub(crate) fn length(&self) -> u64 {
        self.entry.size
    }

    /// Hands all of it on in chunks.
    pub(crate) fn for_each_chunk(&self, each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        self.entry.inflate_chunks(&self.source.file, self.start, each)?;
        if let Some(verified) = self.source.verified.get(self.id as usize) {
            let _ = verified.set(());
        }
        Ok(())
    }
}

/// Where bytes are.
pub(crate) enum Content<'a> {
    File { file: &'a File, start: u64, length: u64 },
    Memory(&'a [u8]),
    Inflated(Arc<Vec<u8>>, Range<usize>),
}

impl<'a> Content<'a> {
    fn inflated(content: &Arc<Vec<u8>>) -> Self {
        Self::Inflated(Arc::clone(content), 0..content.len())
    }

    fn part(self, slice: StorageSlice) -> Option<Self> {
        let StorageSlice { start, length, .. } = slice;
        match self {
            Self::File { file, start: first, length: whole } => {
                let inside = start.checked_add(length).is_some_and(|end| end <= whole);
                inside.then_some(Self::File { file, start: first + start, length })
            }
            Self::Memory(bytes) => crate::bytes::part(bytes, start, length).map(Self::Memory),
            Self::Inflated(content, _) => {
                crate::bytes::part(&content, start, length)?;
                let start = usize::try_from(start).ok()?;
                Some(Self::Inflated(content, start..start + usize::try_from(length).ok()?))
            }
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::File { length, .. } => *length,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Inflated(_, range) => range.len() as u64,
        }
    }

    fn in_memory(&self) -> Option<&[u8]> {
        match self {
            Self::File { .. } => None,
            Self::Memory(bytes) => Some(bytes),
            Self::Inflated(content, range) => content.get(range.clone()),
        }
    }

    /// The bytes from `start`, in memory.
    pub(crate) fn load(&self, start: u64, length: u64) -> Result<Cow<'_, [u8]>, ErrorKind> {
        match self {
            Self::File { file, start: first, length: whole } => {
                let inside = start.checked_add(length).is_some_and(|end| end <= *whole);
                let bytes = if inside { file.bytes(first + start, length)? } else { None };
                bytes.map(Cow::Owned).ok_or_else(ended)
            }
            _ => {
                let bytes = self.in_memory().and_then(|bytes| crate::bytes::part(bytes, start, length));
                bytes.map(Cow::Borrowed).ok_or_else(ended)
            }
        }
    }

    /// Hands the bytes from `start` on in blocks, all but the last of them [`BLOCK_BYTES`] long.
    pub(crate) fn for_each_block(&self, start: u64, length: u64, each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        match self {
            Self::File { file, start: first, length: whole } => {
                if start.checked_add(length).is_none_or(|end| end > *whole) {
                    return Err(ended());
                }
                file.for_each_block(first + start, length, each)
            }
            _ => {
                self.load(start, length)?.chunks(BLOCK_BYTES).for_each(each);
                Ok(())
            }
        }
    }

    /// The bytes from `start` where they lie in the file, which is mapped for it.
    pub(crate) fn mapped(&self, start: u64, length: u64) -> Result<Option<&'a [u8]>, ErrorKind> {
        match self {
            Self::File { file, start: first, length: whole } => {
                let inside = start.checked_add(length).is_some_and(|end| end <= *whole);
                let Some(start) = first.checked_add(start).filter(|_| inside) else { return Err(ended()) };
                let bytes = crate::bytes::part(file.mapped()?, start, length);
                bytes.map(Some).ok_or(ErrorKind::Shortened)
            }
            Self::Memory(bytes) => Ok(crate::bytes::part(bytes, start, length)),
            Self::Inflated(..) => Ok(None),
        }
    }
}
