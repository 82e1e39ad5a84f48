//! Files of torch before 1.6, including those of Python 2: five pickles, then the storages.

use std::collections::HashSet;

use crate::error::{ErrorKind, LegacyProblem, StorageProblem};
use crate::file::File;
use crate::format::{Contents, Format};
use crate::options::UnknownClasses;
use crate::tensor::{Place, StorageTable};
use crate::unpickler::{AllowList, Graph, Input, Node, Persistence, Unpickler, Value};

/// The first pickle, 0x1950a86a20f9469cfc6c, in decimal.
const MAGIC: &str = "119547037146038801333356";
/// Bytes of the element count in front of each storage.
const COUNT_BYTES: u64 = 8;
const PROTOCOL_VERSION: Value = Value::Int(1001);

/// Whether the first pickle of a file is the magic number of legacy files.
pub(super) fn is_legacy(head: &[u8]) -> bool {
    // The pickled number takes only a few bytes in any protocol.
    let start = head.get(..64).unwrap_or(head);
    let allowed = AllowList { inert: &[], unknown: UnknownClasses::Refuse, torchscript: false, arrays: false };
    let mut storages = StorageTable::default();
    match Unpickler::new(Input::from_memory(start), allowed, Persistence::None, &mut storages).run() {
        Ok((graph, _)) => matches!(graph.node(graph.root), Some(Node::BigInt(digits)) if **digits == *MAGIC),
        Err(_) => false,
    }
}

/// Reads the values of a legacy file, and locates its storages.
pub(super) fn read(file: &File, allowed: AllowList<'_>) -> Result<Contents, ErrorKind> {
    let mut reader = PickleReader { file, allowed, position: 0, storages: StorageTable::default() };
    reader.next(Persistence::None)?;
    if reader.next(Persistence::None)?.root != PROTOCOL_VERSION {
        return Err(LegacyProblem::Protocol.into());
    }
    let _system_information = reader.next(Persistence::None)?;
    let graph = reader.next(Persistence::Legacy)?;
    let keys = reader.next(Persistence::None)?;
    let PickleReader { position, mut storages, .. } = reader;
    place_storages(file, position, &keys, &mut storages)?;
    Ok(Contents::new(Format::PthLegacy, graph, storages))
}

/// Reads the pickles of a file one after the other.
struct PickleReader<'a> {
    file: &'a File,
    allowed: AllowList<'a>,
    position: u64,
    storages: StorageTable,
}

impl PickleReader<'_> {
    fn next(&mut self, persistence: Persistence) -> Result<Graph, ErrorKind> {
        let input = Input::from_file(self.file, self.position, u64::MAX);
        match Unpickler::new(input, self.allowed, persistence, &mut self.storages).run() {
            Ok((graph, length)) => {
                self.position += length;
                Ok(graph)
            }
            Err(ErrorKind::Pickle { offset, problem }) => {
                let start = usize::try_from(self.position).unwrap_or(usize::MAX);
                Err(ErrorKind::Pickle { offset: start.saturating_add(offset), problem })
            }
            Err(error) => Err(error),
        }
    }
}

/// Locates the record of each storage. Records are in the order of the key list, an element count followed by the bytes.
fn place_storages(file: &File, mut position: u64, keys: &Graph, storages: &mut StorageTable) -> Result<(), ErrorKind> {
    let Some(Node::List(list)) = keys.node(keys.root) else {
        return Err(LegacyProblem::Keys(keys.kind(keys.root).to_owned()).into());
    };
    let mut seen = HashSet::with_capacity(list.len());
    for &key in list {
        let Some(key) = keys.text(key) else {
            return Err(LegacyProblem::Keys(keys.kind(keys.root).to_owned()).into());
        };
        let storage = match storages.by_key(key) {
            Some(storage) if seen.insert(key) => storage,
            _ => return Err(LegacyProblem::Keys(key.to_owned()).into()),
        };
        let Some(count) = file.bytes(position, COUNT_BYTES)? else {
            return Err(storage.error(StorageProblem::Ended));
        };
        let found = u64::from_le_bytes(count.try_into().unwrap_or_default());
        if found != storage.count {
            return Err(storage.error(StorageProblem::Size { found, declared: storage.count }));
        }
        let start = position + COUNT_BYTES;
        position = match start.checked_add(storage.bytes()) {
            Some(end) if end <= file.length() => end,
            _ => return Err(storage.error(StorageProblem::Ended)),
        };
        storage.place = Place::File(start);
    }
    for storage in storages.iter() {
        if matches!(storage.place, Place::Unknown) {
            return Err(LegacyProblem::Keys(storage.key.to_string()).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_magic_number_is_found_in_any_protocol() {
        let digits = 0x1950_a86a_20f9_469c_fc6c_u128;
        assert_eq!(digits.to_string(), MAGIC);
        let long = [b"\x8a\x0a".as_slice(), &digits.to_le_bytes()[..10], b"."].concat();
        assert!(is_legacy(&[b"\x80\x02".as_slice(), &long].concat()));
        assert!(is_legacy(&[b"\x80\x04\x95\x0d\0\0\0\0\0\0\0".as_slice(), &long].concat()));
        assert!(is_legacy(format!("L{digits}L\n.").as_bytes()));
        assert!(!is_legacy(b"\x80\x02}q\0."));
        assert!(!is_legacy(b""));
    }
}
