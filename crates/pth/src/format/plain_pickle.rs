//! Plain pickles of NumPy arrays, as written by Detectron2 and Caffe2.

use crate::error::{ErrorKind, PickleProblem};
use crate::file::File;
use crate::format::{Contents, Format};
use crate::limits::MAX_TEXT_BYTES;
use crate::tensor::StorageTable;
use crate::tree::parts;
use crate::unpickler::{AllowList, Graph, Input, Node, Persistence, Unpickler, Value, python_2_string};

/// Whether a file starts like a pickle of protocol 2 or later.
pub(super) fn is_pickle(head: &[u8]) -> bool {
    matches!(head, [0x80, 2..=5, ..])
}

/// Reads a file that consists of one pickle.
pub(super) fn read(file: &File, allowed: AllowList<'_>) -> Result<Contents, ErrorKind> {
    let mut storages = StorageTable::default();
    let allowed = AllowList { arrays: true, ..allowed };
    let input = Input::from_file(file, 0, u64::MAX);
    let (mut graph, length) = Unpickler::new(input, allowed, Persistence::None, &mut storages).run()?;
    if length != file.length() {
        return Err(PickleProblem::trailing(length, file.length()));
    }
    read_strings(file, &mut graph)?;
    Ok(Contents::new(Format::Pickle, graph, storages))
}

/// Reads the long strings that are not the elements of an array.
fn read_strings(file: &File, graph: &mut Graph) -> Result<(), ErrorKind> {
    let mut total = 0_u64;
    for (value, start, length) in find_strings(graph) {
        total = total.saturating_add(length);
        ErrorKind::check_limit("bytes of keys and strings", total, MAX_TEXT_BYTES)?;
        let bytes = file.bytes(start, length)?.unwrap_or_default();
        if let Some(node) = graph.node_mut(value) {
            *node = python_2_string(bytes);
        }
    }
    Ok(())
}

/// The strings left in the file that are reachable from the root, with their start and length.
fn find_strings(graph: &Graph) -> Vec<(Value, u64, u64)> {
    let mut seen = vec![false; graph.nodes.len()];
    let mut pending = vec![graph.root];
    let mut strings = Vec::new();
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
    strings
}
