//! Everything in a checkpoint but its tensors, as texts for the metadata of a safetensors file.

use crate::checkpoint::FileCheckpoint;
use crate::format::{Format, METADATA};
use crate::tree::{self, Budget, Holders, Json, render_key};
use crate::unpickler::{Graph, Mapping, Value};
use crate::write::{Loss, describe_lossy_object, describe_opaque};

/// Texts by path, and the values that have no text.
#[derive(Debug, Default)]
pub(super) struct SideData {
    pub(super) texts: Vec<(String, String)>,
    pub(super) losses: Vec<Loss>,
}

impl SideData {
    /// The largest parts below `root` that hold no tensor, as JSON.
    pub(super) fn of_tree(file: &FileCheckpoint, root: Value) -> Self {
        let mut data = Self::default();
        data.visit(file.graph(), file.holders(), root, "");
        data
    }

    /// The texts in the metadata of a safetensors file. Files of other formats have none.
    pub(super) fn of_metadata(file: &FileCheckpoint) -> Self {
        let mut data = Self::default();
        let graph = file.graph();
        if file.format() == Format::Safetensors
            && let Some(root) = graph.mapping(graph.root)
            && let Some(metadata) = root.get(graph, METADATA)
            && let Some(texts) = graph.mapping(metadata)
        {
            data.add_texts(graph, texts);
        }
        data
    }

    fn visit(&mut self, graph: &Graph, holders: &Holders, value: Value, path: &str) {
        if !holders.holds_tensor(value) {
            return self.add_json(graph, value, path.to_owned());
        }
        if let Some(mapping) = graph.mapping(value) {
            for &(key, value) in &mapping.items {
                self.visit(graph, holders, value, &join(path, &render_key(graph, key)));
            }
            self.visit_attributes(graph, mapping, path);
        } else if let Some(items) = graph.sequence(value) {
            for (index, &item) in items.iter().enumerate() {
                self.visit(graph, holders, item, &join(path, &index.to_string()));
            }
        } else if let Some(reason) = describe_lossy_object(graph, value) {
            self.losses.push((path.to_owned(), reason));
        }
    }

    fn visit_attributes(&mut self, graph: &Graph, mapping: &Mapping, path: &str) {
        let Some(attributes) = mapping.attributes.and_then(|attributes| graph.mapping(attributes)) else { return };
        for &(key, value) in &attributes.items {
            let name = render_key(graph, key);
            if !is_plain(graph, value) {
                self.losses.push((join(path, &name), "an attribute with tensors".to_owned()));
                continue;
            }
            match graph.mapping(value) {
                Some(texts) if path.is_empty() && name == METADATA => self.add_texts(graph, texts),
                _ => self.add_json(graph, value, join(path, &name)),
            }
        }
    }

    fn add_texts(&mut self, graph: &Graph, texts: &Mapping) {
        for &(key, text) in &texts.items {
            if let (Some(key), Some(text)) = (graph.text(key), graph.text(text)) {
                self.texts.push((key.to_owned(), text.to_owned()));
            }
        }
    }

    fn add_json(&mut self, graph: &Graph, value: Value, path: String) {
        if let Some(reason) = find_opaque(graph, value) {
            self.losses.push((path.clone(), reason));
        }
        // Every value has JSON, because every key of an object is a string.
        if let Ok(json) = serde_json::to_string(&Json { graph, value }) {
            self.texts.push((path, json));
        }
    }
}

/// Whether an attribute holds no tensors and has JSON. Attributes are not part of the tree that was checked.
fn is_plain(graph: &Graph, value: Value) -> bool {
    match Holders::find(graph, value) {
        Ok(holders) => !holders.holds_tensor(value) && tree::check_json(graph, value, &mut Budget::default()).is_ok(),
        Err(_) => false,
    }
}

/// Describes the first part of a value without tensors of which JSON holds only the name.
fn find_opaque(graph: &Graph, value: Value) -> Option<String> {
    let mut pending = vec![value];
    while let Some(value) = pending.pop() {
        if let Some(reason) = describe_opaque(graph, value) {
            return Some(reason);
        }
        if let Some(node) = graph.node(value) {
            pending.extend(tree::parts(graph, node));
        }
    }
    None
}

fn join(path: &str, part: &str) -> String {
    if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") }
}
