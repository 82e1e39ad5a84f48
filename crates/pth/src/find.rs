//! Where in a file the state dict is.

use crate::any::AnyCheckpoint;
use crate::checkpoint::{Checkpoint, Format};
use crate::error::{Error, ErrorKind};
use crate::opaque;
use crate::pickle::{Node, Value};
use crate::raw::RawTensor;

/// Keys under which training programs put the state dict, the first that is there.
const WRAPPERS: [&str; 4] = ["state_dict", "model", "ema", "blobs"];
/// Mappings within mappings in which a state dict is looked for.
const MAX_LEVELS: usize = 4;

/// The tensors of a state dict, and where in the file it is.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// The entry, a dotted path; empty for the whole file.
    pub entry: String,
    /// The tensors, with keys that start there.
    pub tensors: Vec<RawTensor<'a>>,
    /// Where no tensor is in the entry itself, but further down: the mappings that hold some, those with the most tensors
    /// first. Then one of these is the state dict, as a rule.
    pub deeper: Vec<Place>,
}

/// A mapping that holds tensors itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The dotted path from the root of the file.
    pub entry: String,
    /// How many tensors are in it and below.
    pub tensors: usize,
}

impl AnyCheckpoint {
    /// The tensors of the state dict: those below `entry`, a dotted path such as `state_dict_ema` or `nets.teacher`, or where
    /// none is given those below the first of `state_dict`, `model`, `ema` and `blobs` that holds tensors, else all.
    ///
    /// # Errors
    /// The file has no tensors, or none below `entry`; the error has the entries that could be given.
    pub fn find(&self, entry: Option<&str>) -> Result<Found<'_>, Error> {
        self.find_below(entry).map_err(|kind| Error::new(self.path(), kind))
    }

    pub(crate) fn find_below(&self, entry: Option<&str>) -> Result<Found<'_>, ErrorKind> {
        if self.tensors().next().is_none() {
            return Err(ErrorKind::NoTensors);
        }
        if let Some(entry) = entry {
            let tensors = self.below(entry);
            if tensors.is_empty() {
                return Err(ErrorKind::NoEntry { entry: entry.to_owned(), found: self.places() });
            }
            return Ok(self.found(entry, tensors));
        }
        for wrapper in WRAPPERS {
            let tensors = self.wrapped(wrapper);
            if !tensors.is_empty() {
                return Ok(self.found(wrapper, tensors));
            }
        }
        Ok(self.found("", self.tensors().collect()))
    }

    fn found<'a>(&'a self, entry: &str, tensors: Vec<RawTensor<'a>>) -> Found<'a> {
        let mut deeper = self.file().map_or_else(Vec::new, |file| file.places_below(entry));
        if deeper.iter().any(|place| place.entry == entry) {
            deeper.clear();
        }
        Found { entry: entry.to_owned(), tensors, deeper }
    }

    /// What is under one of the usual entries.
    fn wrapped(&self, wrapper: &str) -> Vec<RawTensor<'_>> {
        // In a flat file a part of a network may be called `model`, so that only this one says what it is.
        if wrapper == "state_dict" {
            return self.below(wrapper);
        }
        let mut found = self.file().and_then(|file| file.tensors_below(&[wrapper])).unwrap_or_default();
        // A tensor of that name is no state dict.
        found.retain(|raw| !raw.key().is_empty());
        found
    }

    /// The mappings that hold tensors themselves, those with the most tensors first; of a flat file and of several files
    /// what their keys have before the first dot.
    pub fn places(&self) -> Vec<Place> {
        let nested = self.file().map_or_else(Vec::new, |file| file.places_below(""));
        if nested.iter().any(|place| !place.entry.is_empty()) {
            return nested;
        }
        let count = |entry: &String| self.tensors().filter(|raw| raw.without(&format!("{entry}.")).is_some()).count();
        let entries = self.entries().into_iter();
        let mut places: Vec<_> = entries.map(|entry| Place { tensors: count(&entry), entry }).collect();
        places.retain(|place| place.tensors > 0);
        places.sort_by_key(|place| std::cmp::Reverse(place.tensors));
        places
    }
}

impl Checkpoint {
    /// The mappings at and below `entry` that hold tensors themselves, those with the most tensors first.
    fn places_below(&self, entry: &str) -> Vec<Place> {
        let nested = matches!(self.format(), Format::PthZip | Format::PthLegacy | Format::Pickle);
        let Some(start) = self.resolve(self.graph().root, entry).filter(|_| nested) else { return Vec::new() };
        let mut places = Vec::new();
        self.add_places(start, entry.to_owned(), MAX_LEVELS, &mut places);
        places.sort_by_key(|place| std::cmp::Reverse(place.tensors));
        places
    }

    fn add_places(&self, value: Value, entry: String, levels: usize, places: &mut Vec<Place>) {
        let graph = self.graph();
        if levels == 0 || !self.holders().holds_tensor(value) {
            return;
        }
        let (mapping, module) = match graph.node(value) {
            Some(Node::Mapping(mapping)) => (Some(mapping), false),
            Some(Node::Opaque(object)) => (None, opaque::is_module(graph, object)),
            _ => (None, false),
        };
        let holds_some = |mapping: &crate::pickle::Mapping| {
            mapping.items.iter().any(|&(_, value)| matches!(graph.node(value), Some(Node::Tensor(_))))
        };
        if module || mapping.is_some_and(|mapping| holds_some(mapping)) {
            let tensors = self.count_below(value);
            places.push(Place { entry, tensors });
            return;
        }
        for &(key, value) in mapping.into_iter().flat_map(|mapping| &mapping.items) {
            let key = crate::json::render_key(graph, key);
            let entry = if entry.is_empty() { key.into_owned() } else { format!("{entry}.{key}") };
            self.add_places(value, entry, levels - 1, places);
        }
    }

    /// The value at a dotted path of keys, which may have dots themselves: of two such keys the longer one.
    pub(crate) fn resolve(&self, value: Value, entry: &str) -> Option<Value> {
        if entry.is_empty() {
            return Some(value);
        }
        let dots = entry.match_indices('.').map(|(at, _)| at);
        let ends: Vec<usize> = dots.chain([entry.len()]).collect();
        for end in ends.into_iter().rev() {
            let (key, rest) = entry.split_at_checked(end)?;
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            let found = self.child(value, key).and_then(|child| self.resolve(child, rest));
            if found.is_some() {
                return found;
            }
        }
        None
    }
}
