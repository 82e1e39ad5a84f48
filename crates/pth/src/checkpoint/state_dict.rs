//! Finding the state dict in a checkpoint.

use std::cmp::Reverse;

use crate::checkpoint::tensor_group::TensorGroup;
use crate::checkpoint::{Checkpoint, FileCheckpoint};
use crate::error::{Error, ErrorKind};
use crate::tensor::RawTensor;
use crate::tree::{is_module, render_key};
use crate::unpickler::{Mapping, Node, Value};

/// Keys under which training programs store the state dict, in order of preference.
const WRAPPERS: [&str; 4] = ["state_dict", "model", "ema", "blobs"];
/// Levels of nested mappings that are searched for state dicts.
const MAX_LEVELS: usize = 4;

/// The tensors of a state dict, and its location in the file.
#[derive(Debug, Clone)]
pub struct StateDict<'a> {
    /// The entry, a dotted path; empty for the whole file.
    pub entry: String,
    /// The tensors, with keys that start at the entry.
    pub tensors: Vec<RawTensor<'a>>,
    /// If the entry holds no tensor directly: the mappings below it that do, largest first. One of these usually is the
    /// actual state dict.
    pub nested: Vec<TensorGroup>,
}

impl Checkpoint {
    /// Finds the tensors of the state dict: those below `entry`, a dotted path such as `state_dict_ema` or `nets.teacher`.
    /// Without `entry`: those below the first of `state_dict`, `model`, `ema` and `blobs` that holds tensors, or all tensors.
    ///
    /// # Errors
    /// Returns an error if the file has no tensors, or none below `entry`. The error lists the entries that hold tensors.
    pub fn find(&self, entry: Option<&str>) -> Result<StateDict<'_>, Error> {
        self.find_state_dict(entry).map_err(|kind| Error::new(self.path(), kind))
    }

    pub(crate) fn find_state_dict(&self, entry: Option<&str>) -> Result<StateDict<'_>, ErrorKind> {
        if self.tensors().next().is_none() {
            return Err(ErrorKind::NoTensors);
        }
        if let Some(entry) = entry {
            let tensors = self.below(entry);
            if tensors.is_empty() {
                return Err(ErrorKind::NoEntry { entry: entry.to_owned(), found: self.tensor_groups() });
            }
            return Ok(self.state_dict(entry, tensors));
        }
        for wrapper in WRAPPERS {
            let tensors = self.wrapped(wrapper);
            if !tensors.is_empty() {
                return Ok(self.state_dict(wrapper, tensors));
            }
        }
        Ok(self.state_dict("", self.tensors().collect()))
    }

    fn state_dict<'a>(&'a self, entry: &str, tensors: Vec<RawTensor<'a>>) -> StateDict<'a> {
        let mut nested = self.file().map_or_else(Vec::new, |file| file.groups_below(entry));
        if nested.iter().any(|group| group.entry == entry) {
            nested.clear();
        }
        StateDict { entry: entry.to_owned(), tensors, nested }
    }

    /// The tensors below one of the usual entries.
    fn wrapped(&self, wrapper: &str) -> Vec<RawTensor<'_>> {
        // A part of a network may be called `model` in a flat file, but only a state dict is called `state_dict`.
        if wrapper == "state_dict" {
            return self.below(wrapper);
        }
        let Some(file) = self.file() else { return Vec::new() };
        let mut tensors = file.tensors_below(&[wrapper]).unwrap_or_default();
        // A tensor of that name is not a state dict.
        tensors.retain(|tensor| !tensor.key().is_empty());
        tensors
    }

    /// The mappings that directly hold tensors, largest first. For a flat file or several files: the entries before the first
    /// dot of the keys.
    pub fn tensor_groups(&self) -> Vec<TensorGroup> {
        if let Some(file) = self.file() {
            let nested = file.groups_below("");
            if nested.iter().any(|group| !group.entry.is_empty()) {
                return nested;
            }
        }
        let mut groups = Vec::new();
        for entry in self.entries() {
            let tensors = self.below(&entry).len();
            if tensors > 0 {
                groups.push(TensorGroup { entry, tensors });
            }
        }
        groups.sort_by_key(|group| Reverse(group.tensors));
        groups
    }
}

impl FileCheckpoint {
    /// The mappings at and below `entry` that directly hold tensors, largest first.
    fn groups_below(&self, entry: &str) -> Vec<TensorGroup> {
        let mut groups = Vec::new();
        if self.format().is_pickled_tree()
            && let Some(start) = self.resolve(self.graph().root, entry)
        {
            self.add_groups(start, entry.to_owned(), MAX_LEVELS, &mut groups);
            groups.sort_by_key(|group| Reverse(group.tensors));
        }
        groups
    }

    fn add_groups(&self, value: Value, entry: String, levels: usize, groups: &mut Vec<TensorGroup>) {
        if levels == 0 || !self.holders().holds_tensor(value) {
            return;
        }
        let graph = self.graph();
        let mapping = match graph.node(value) {
            Some(Node::Mapping(mapping)) => mapping,
            Some(Node::Opaque(object)) if is_module(graph, object) => {
                groups.push(TensorGroup { entry, tensors: self.count_below(value) });
                return;
            }
            _ => return,
        };
        if self.holds_tensor_directly(mapping) {
            groups.push(TensorGroup { entry, tensors: self.count_below(value) });
            return;
        }
        for &(key, value) in &mapping.items {
            let key = render_key(graph, key);
            let entry = if entry.is_empty() { key.into_owned() } else { format!("{entry}.{key}") };
            self.add_groups(value, entry, levels - 1, groups);
        }
    }

    fn holds_tensor_directly(&self, mapping: &Mapping) -> bool {
        mapping.items.iter().any(|&(_, value)| matches!(self.graph().node(value), Some(Node::Tensor(_))))
    }

    /// The value at a dotted path of keys. Keys may contain dots themselves; longer keys are preferred.
    pub(crate) fn resolve(&self, value: Value, entry: &str) -> Option<Value> {
        if entry.is_empty() {
            return Some(value);
        }
        let mut end = entry.len();
        loop {
            let (key, rest) = entry.split_at_checked(end)?;
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            if let Some(child) = self.child(value, key)
                && let Some(found) = self.resolve(child, rest)
            {
                return Some(found);
            }
            end = key.rfind('.')?;
        }
    }
}
