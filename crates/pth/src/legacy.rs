//! Files of torch before 1.6, Python 2 included: five pickles, then the storages.

use std::collections::HashSet;

use crate::error::{ErrorKind, LegacyProblem, StorageProblem};
use crate::file::File;
use crate::options::UnknownClasses;
use crate::pickle::{AllowList, Graph, Input, Machine, Node, Persistence, Value};
use crate::storage::{Place, StorageTable};

/// The first pickle, 0x1950a86a20f9469cfc6c, in decimal.
const MAGIC: &str = "119547037146038801333356";
/// Bytes of the count of elements before those of a storage.
const COUNT_BYTES: u64 = 8;
const PROTOCOL_VERSION: Value = Value::Int(1001);

/// Whether the first pickle of `file` is the magic number of legacy files.
pub(crate) fn is_legacy(file: &[u8]) -> bool {
    // The number alone takes a few bytes, with any protocol.
    let start = file.get(..64).unwrap_or(file);
    let allowed = AllowList { inert: &[], unknown: UnknownClasses::Refuse, torchscript: false, arrays: false };
    let pickle = Machine::new(Input::of_memory(start), allowed, Persistence::None, &mut StorageTable::default()).run();
    pickle.is_ok_and(|(graph, _)| matches!(graph.node(graph.root), Some(Node::BigInt(digits)) if **digits == *MAGIC))
}

/// The values and storages of a legacy file.
pub(crate) fn read(file: &File, allowed: AllowList<'_>) -> Result<(Graph, StorageTable), ErrorKind> {
    let mut storages = StorageTable::default();
    let mut position = 0;
    let mut next = |persistence, storages: &mut StorageTable| {
        let machine = Machine::new(Input::of_file(file, position, u64::MAX), allowed, persistence, storages);
        let (graph, length) = machine.run().map_err(|error| match error {
            ErrorKind::Pickle { offset, problem } => {
                let before = usize::try_from(position).unwrap_or(usize::MAX);
                ErrorKind::Pickle { offset: before.saturating_add(offset), problem }
            }
            error => error,
        })?;
        position += length;
        Ok::<_, ErrorKind>((graph, position))
    };
    next(Persistence::None, &mut storages)?;
    if next(Persistence::None, &mut storages)?.0.root != PROTOCOL_VERSION {
        return Err(LegacyProblem::Protocol.into());
    }
    let _system_information = next(Persistence::None, &mut storages)?;
    let (graph, _) = next(Persistence::Legacy, &mut storages)?;
    let (keys, position) = next(Persistence::None, &mut storages)?;
    place_storages(file, position, &keys, &mut storages)?;
    Ok((graph, storages))
}

/// Finds the record of each storage: its count of elements, then its bytes, in the order of the key list.
fn place_storages(file: &File, mut position: u64, keys: &Graph, storages: &mut StorageTable) -> Result<(), ErrorKind> {
    let not_a_list = || LegacyProblem::Keys(keys.kind(keys.root).to_owned());
    let Some(Node::List(list)) = keys.node(keys.root) else { return Err(not_a_list().into()) };
    let mut seen = HashSet::with_capacity(list.len());
    for &key in list {
        let key = keys.text(key).ok_or_else(not_a_list)?;
        let unknown = || ErrorKind::from(LegacyProblem::Keys(key.to_owned()));
        if !seen.insert(key) {
            return Err(unknown());
        }
        let storage = storages.by_key(key).ok_or_else(unknown)?;
        let count = file.bytes(position, COUNT_BYTES)?.and_then(|bytes| bytes.try_into().ok());
        let found = u64::from_le_bytes(count.ok_or_else(|| storage.error(StorageProblem::Ended))?);
        if found != storage.count {
            return Err(storage.error(StorageProblem::Size { found, declared: storage.count }));
        }
        storage.place = Place::File(position + COUNT_BYTES);
        let end = (position + COUNT_BYTES).checked_add(storage.bytes()).filter(|end| *end <= file.length());
        position = end.ok_or_else(|| storage.error(StorageProblem::Ended))?;
    }
    match storages.iter().find(|storage| matches!(storage.place, Place::Unknown)) {
        Some(storage) => Err(LegacyProblem::Keys(storage.key.to_string()).into()),
        None => Ok(()),
    }
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
