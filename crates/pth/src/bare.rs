//! Plain pickles of numpy arrays, as Detectron2 and Caffe2 have them.

use crate::error::{ErrorKind, PickleProblem};
use crate::file::File;
use crate::limits::MAX_TEXT_BYTES;
use crate::pickle::{AllowList, Graph, Input, Machine, Node, Persistence, Value, python_2_string};
use crate::storage::StorageTable;
use crate::tree::parts;

/// Whether a file begins as a pickle of protocol 2 or later does.
pub(crate) fn is_pickle(head: &[u8]) -> bool {
    matches!(head, [0x80, 2..=5, ..])
}

/// The values and arrays of a pickle that is the whole file.
pub(crate) fn read(file: &File, allowed: AllowList<'_>) -> Result<(Graph, StorageTable), ErrorKind> {
    let mut storages = StorageTable::default();
    let allowed = AllowList { arrays: true, ..allowed };
    let machine = Machine::new(Input::of_file(file, 0, u64::MAX), allowed, Persistence::None, &mut storages);
    let (mut graph, length) = machine.run()?;
    if length != file.length() {
        let trailing = usize::try_from(file.length() - length).unwrap_or(usize::MAX);
        let offset = usize::try_from(length).unwrap_or(usize::MAX);
        return Err(ErrorKind::Pickle { offset, problem: PickleProblem::Trailing(trailing) });
    }
    read_strings(file, &mut graph)?;
    Ok((graph, storages))
}

/// Reads the long strings that are no elements of arrays.
fn read_strings(file: &File, graph: &mut Graph) -> Result<(), ErrorKind> {
    let mut seen = vec![false; graph.nodes.len()];
    let (mut pending, mut strings) = (vec![graph.root], Vec::new());
    while let Some(value) = pending.pop() {
        let (Value::Node(index), Some(node)) = (value, graph.node(value)) else { continue };
        match seen.get_mut(index as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        match node {
            &Node::FileBytes { start, length } => strings.push((value, start, length)),
            node => pending.extend(parts(graph, node)),
        }
    }
    let mut total = 0_u64;
    for (value, start, length) in strings {
        total = total.saturating_add(length);
        ErrorKind::check_limit("bytes of keys and strings", total, MAX_TEXT_BYTES)?;
        let bytes = file.bytes(start, length)?.unwrap_or_default();
        if let Some(node) = graph.node_mut(value) {
            *node = python_2_string(bytes);
        }
    }
    Ok(())
}
