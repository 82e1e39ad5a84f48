//! [`StorageReader`]: reads the storages of an open file, verifies their checksums and inflates compressed ones.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::cursor::{is_inside, part};
use crate::error::{ErrorKind, StorageProblem};
use crate::file::{BLOCK_BYTES, File};
use crate::format::zip::{Archive, Entry};
use crate::tensor::storage::Storage;
use crate::tensor::{Place, StorageId, StorageSlice, StorageTable};

/// Deflated storages up to this size are inflated at once and kept for the next tensor. Larger ones are inflated piece by
/// piece for each tensor that takes up most of the storage.
const MAX_KEPT_BYTES: u64 = 32 << 20;

/// An open file and its storages.
#[derive(Debug)]
pub(crate) struct StorageReader {
    file: File,
    storages: StorageTable,
    archive: Option<Archive>,
    big_endian: bool,
    /// For each storage, whether its checksum was verified.
    verified: Vec<OnceLock<()>>,
    /// The deflated storage that was used last. Tensors that share a storage usually follow each other.
    inflated: Mutex<Option<(StorageId, Arc<Vec<u8>>)>>,
}

/// The location of the bytes of a storage.
enum Extent<'a> {
    /// In the file, possibly as the data of a zip entry.
    File {
        start: u64,
        length: u64,
        entry: Option<&'a Entry>,
    },
    Memory(&'a [u8]),
}

impl StorageReader {
    pub(crate) fn new(file: File, storages: StorageTable, archive: Option<Archive>, big_endian: bool) -> Self {
        let verified = storages.iter().map(|_| OnceLock::new()).collect();
        Self { file, storages, archive, big_endian, verified, inflated: Mutex::new(None) }
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.file.length()
    }

    pub(crate) fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// The number of bytes of a storage.
    pub(crate) fn length(&self, id: StorageId) -> Option<u64> {
        Some(self.storages.get(id)?.bytes())
    }

    fn storage(&self, id: StorageId) -> Result<(&Storage, &OnceLock<()>), ErrorKind> {
        match (self.storages.get(id), self.verified.get(id as usize)) {
            (Some(storage), Some(verified)) => Ok((storage, verified)),
            _ => Err(ErrorKind::storage_ended()),
        }
    }

    fn extent(&self, storage: &Storage) -> Result<Extent<'_>, ErrorKind> {
        match storage.place {
            Place::Unknown => {}
            Place::File(start) => return Ok(Extent::File { start, length: storage.bytes(), entry: None }),
            Place::Memory(index) => {
                if let Some(bytes) = self.storages.kept(index) {
                    return Ok(Extent::Memory(bytes));
                }
            }
            Place::Entry { index, start } => {
                if let Some(archive) = &self.archive
                    && let Some(entry) = archive.entries.get(index)
                {
                    return Ok(Extent::File { start, length: entry.compressed, entry: Some(entry) });
                }
            }
        }
        Err(storage.error(StorageProblem::Ended))
    }

    /// The bytes of a slice. The checksum of the storage is verified on first use.
    pub(crate) fn slice(&self, slice: StorageSlice) -> Result<StorageBytes<'_>, ErrorKind> {
        let (storage, _) = self.storage(slice.storage)?;
        let whole = self.whole(slice.storage)?;
        whole.slice(slice.start, slice.length).ok_or_else(|| storage.error(StorageProblem::Ended))
    }

    /// The bytes of a whole storage. The checksum is verified on first use.
    fn whole(&self, id: StorageId) -> Result<StorageBytes<'_>, ErrorKind> {
        let (storage, verified) = self.storage(id)?;
        let (start, length, entry) = match self.extent(storage)? {
            Extent::Memory(bytes) => return Ok(StorageBytes::Memory(bytes)),
            Extent::File { start, length, entry } => (start, length, entry),
        };
        let whole = StorageBytes::File { file: &self.file, start, length };
        let Some(entry) = entry else { return Ok(whole) };
        if !entry.is_stored() {
            return self.inflate(id, entry, start, verified);
        }
        if verified.get().is_none() {
            entry.check_crc_of_file(&self.file, start)?;
            let _ = verified.set(());
        }
        Ok(whole)
    }

    fn inflate(
        &self,
        id: StorageId,
        entry: &Entry,
        start: u64,
        verified: &OnceLock<()>,
    ) -> Result<StorageBytes<'_>, ErrorKind> {
        let mut last = self.inflated.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last_id, content)) = &*last
            && *last_id == id
        {
            return Ok(StorageBytes::inflated(content));
        }
        // The previous storage is freed before memory is allocated for the next.
        *last = None;
        let content = Arc::new(entry.inflate(&self.file, start)?);
        let _ = verified.set(());
        let bytes = StorageBytes::inflated(&content);
        *last = Some((id, content));
        Ok(bytes)
    }

    /// Fills `target` with the bytes of a slice from its byte `start`, and verifies the checksum of the storage on first
    /// use. Returns false if the bytes are not stored uncompressed in the file.
    pub(crate) fn read_stored(&self, slice: StorageSlice, start: u64, target: &mut [u8]) -> Result<bool, ErrorKind> {
        let (storage, verified) = self.storage(slice.storage)?;
        let Extent::File { start: first, length, entry } = self.extent(storage)? else { return Ok(false) };
        if entry.is_some_and(|entry| !entry.is_stored()) {
            return Ok(false);
        }
        let bytes = target.len() as u64;
        let start_in_storage = slice.start.saturating_add(start);
        if !is_inside(start, bytes, slice.length) || !is_inside(start_in_storage, bytes, length) {
            return Err(storage.error(StorageProblem::Ended));
        }
        let position = first + start_in_storage;
        if let Some(entry) = entry
            && verified.get().is_none()
        {
            if bytes == length {
                entry.read_checked(&self.file, position, target)?;
                let _ = verified.set(());
                return Ok(true);
            }
            self.verify_storage(slice.storage)?;
        }
        self.file.read_at(position, target)?;
        Ok(true)
    }

    /// A deflated storage that is too large to be inflated at once.
    pub(crate) fn large(&self, id: StorageId) -> Option<LargeStorage<'_>> {
        let (storage, verified) = self.storage(id).ok()?;
        if storage.bytes() <= MAX_KEPT_BYTES {
            return None;
        }
        match self.extent(storage).ok()? {
            Extent::File { start, entry: Some(entry), .. } if !entry.is_stored() => {
                Some(LargeStorage { file: &self.file, entry, start, verified })
            }
            _ => None,
        }
    }

    /// Passes a whole storage to `each` in chunks. Damage may be detected only at the end.
    pub(crate) fn for_each_chunk_of(&self, id: StorageId, each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        if let Some(large) = self.large(id) {
            return large.for_each_chunk(each);
        }
        let bytes = self.whole(id)?;
        bytes.for_each_block(0, bytes.length(), each)
    }

    /// Reads every storage whose checksum was not verified yet.
    pub(crate) fn verify(&self) -> Result<(), ErrorKind> {
        (0..self.verified.len()).try_for_each(|id| self.verify_storage(id as StorageId))
    }

    /// Reads a storage whose checksum was not verified yet, and compares the checksum if there is one.
    pub(crate) fn verify_storage(&self, id: StorageId) -> Result<(), ErrorKind> {
        let (_, verified) = self.storage(id)?;
        if verified.get().is_some() {
            return Ok(());
        }
        match self.large(id) {
            Some(large) => large.for_each_chunk(|_| {}),
            None => self.whole(id).map(drop),
        }
    }
}

/// A deflated storage that is inflated piece by piece.
pub(crate) struct LargeStorage<'a> {
    file: &'a File,
    entry: &'a Entry,
    start: u64,
    verified: &'a OnceLock<()>,
}

impl LargeStorage<'_> {
    /// The inflated size.
    pub(crate) fn length(&self) -> u64 {
        self.entry.size
    }

    /// Passes the whole storage to `each` in chunks.
    pub(crate) fn for_each_chunk(&self, each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        self.entry.inflate_chunks(self.file, self.start, each)?;
        let _ = self.verified.set(());
        Ok(())
    }
}

/// Bytes of a storage: in the file, or in memory.
pub(crate) enum StorageBytes<'a> {
    File { file: &'a File, start: u64, length: u64 },
    Memory(&'a [u8]),
    Inflated(Arc<Vec<u8>>, Range<usize>),
}

impl<'a> StorageBytes<'a> {
    fn inflated(content: &Arc<Vec<u8>>) -> Self {
        Self::Inflated(Arc::clone(content), 0..content.len())
    }

    /// The `length` bytes from `start`, if they lie inside.
    fn slice(self, start: u64, length: u64) -> Option<Self> {
        if !is_inside(start, length, self.length()) {
            return None;
        }
        Some(match self {
            Self::File { file, start: first, .. } => Self::File { file, start: first + start, length },
            Self::Memory(bytes) => Self::Memory(part(bytes, start, length)?),
            Self::Inflated(content, range) => {
                let start = range.start + usize::try_from(start).ok()?;
                Self::Inflated(content, start..start + usize::try_from(length).ok()?)
            }
        })
    }

    fn length(&self) -> u64 {
        match self {
            Self::File { length, .. } => *length,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Inflated(_, range) => range.len() as u64,
        }
    }

    /// The `length` bytes from `start`, in memory.
    pub(crate) fn load(&self, start: u64, length: u64) -> Result<Cow<'_, [u8]>, ErrorKind> {
        if !is_inside(start, length, self.length()) {
            return Err(ErrorKind::storage_ended());
        }
        let bytes = match self {
            Self::File { file, start: first, .. } => file.bytes(first + start, length)?.map(Cow::Owned),
            Self::Memory(bytes) => part(bytes, start, length).map(Cow::Borrowed),
            Self::Inflated(content, range) => {
                let bytes = content.get(range.clone()).unwrap_or_default();
                part(bytes, start, length).map(Cow::Borrowed)
            }
        };
        bytes.ok_or_else(ErrorKind::storage_ended)
    }

    /// Passes the `length` bytes from `start` to `each` in blocks of [`BLOCK_BYTES`]; the last one may be shorter.
    pub(crate) fn for_each_block(&self, start: u64, length: u64, each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        match self {
            Self::File { file, start: first, length: available } => {
                if !is_inside(start, length, *available) {
                    return Err(ErrorKind::storage_ended());
                }
                file.for_each_block(first + start, length, each)
            }
            _ => {
                self.load(start, length)?.chunks(BLOCK_BYTES).for_each(each);
                Ok(())
            }
        }
    }

    /// The `length` bytes from `start` borrowed from the map of the file; `None` if they are compressed.
    pub(crate) fn mapped(&self, start: u64, length: u64) -> Result<Option<&'a [u8]>, ErrorKind> {
        match self {
            Self::File { file, start: first, length: available } => {
                if !is_inside(start, length, *available) {
                    return Err(ErrorKind::storage_ended());
                }
                part(file.mapped()?, first + start, length).map(Some).ok_or(ErrorKind::Shortened)
            }
            Self::Memory(bytes) => Ok(part(bytes, start, length)),
            Self::Inflated(..) => Ok(None),
        }
    }
}
