//! Persistent ids: the only thing that a pickle may refer to outside of itself is a storage of the same file.

use crate::error::PickleProblem;
use crate::pickle::Fault;
use crate::pickle::globals::{Global, GlobalKind};
use crate::pickle::machine::{Machine, Persistence};
use crate::pickle::value::{Node, Value};

const NO_STORAGE: Fault = Fault::Problem(PickleProblem::PersistentId);

impl Machine<'_> {
    /// The storage that `id` describes: `("storage", class, key, location, count)`, in legacy files with a view,
    /// `None` or `(key, offset, count)`, as a sixth item.
    pub(super) fn persistent_load(&mut self, id: Value) -> Result<Value, Fault> {
        let items = self.graph.tuple(id).ok_or(NO_STORAGE)?;
        if let (Persistence::Legacy, &[tag, class, _file, _source]) = (self.persistence, items)
            && self.graph.text(tag) == Some("module")
            && self.opaque_class(class).is_some()
        {
            // With the class of a module, old files have the text of its program, which is nothing to us.
            return Ok(class);
        }
        let (&[tag, class, key, location, count], view) = match (self.persistence, items) {
            (Persistence::Zip, items) => (items.try_into().map_err(|_| NO_STORAGE)?, None),
            (Persistence::Legacy, [items @ .., view]) => (items.try_into().map_err(|_| NO_STORAGE)?, Some(*view)),
            _ => return Err(NO_STORAGE),
        };
        if self.graph.text(tag) != Some("storage") || self.graph.text(location).is_none() {
            return Err(NO_STORAGE);
        }
        let (dtype, global) = self.storage_class(class)?;
        let count = non_negative(count).ok_or(NO_STORAGE)?;
        let length = self.graph.text(key).ok_or(NO_STORAGE)?.len();
        // A key that is known takes time, and a new one is kept twice.
        self.charge(2 * length as u64 + 128)?;
        let key = self.graph.text(key).ok_or(NO_STORAGE)?;
        let mut slice = self.storages.declare(key, dtype, count)?;
        let mut extra = 0;
        if let Some(view) = view.filter(|&view| view != Value::None) {
            let &[key, offset, count] = self.graph.tuple(view).ok_or(NO_STORAGE)? else { return Err(NO_STORAGE) };
            let key = self.graph.text(key).ok_or(NO_STORAGE)?;
            let offset = non_negative(offset).ok_or(NO_STORAGE)?;
            let count = non_negative(count).ok_or(NO_STORAGE)?;
            slice = self.storages.view(key, slice, offset, count)?;
            extra += key.len() + 96;
        }
        self.node(Node::Storage(slice, global), extra)
    }

    fn storage_class(&self, class: Value) -> Result<(Option<crate::dtype::Dtype>, Global), Fault> {
        match self.graph.node(class) {
            Some(&Node::Global(global @ Global { kind: GlobalKind::Storage(dtype), .. })) => Ok((dtype, global)),
            _ => Err(NO_STORAGE),
        }
    }
}

/// An int that is 0 or more; a bool is none.
pub(super) fn non_negative(value: Value) -> Option<u64> {
    match value {
        Value::Int(value) => u64::try_from(value).ok(),
        _ => None,
    }
}
