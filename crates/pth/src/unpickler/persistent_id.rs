//! Persistent ids: a pickle can refer only to storages of the same file.

use crate::error::PickleProblem;
use crate::tensor::{Dtype, StorageSlice};
use crate::unpickler::fault::Fault;
use crate::unpickler::globals::{Global, GlobalKind};
use crate::unpickler::value::{Node, Value};
use crate::unpickler::{Persistence, Unpickler};

const NO_STORAGE: Fault = Fault::Problem(PickleProblem::PersistentId);

impl Unpickler<'_> {
    /// The storage that `id` describes: `("storage", class, key, location, count)`. In legacy files, the sixth item is a view,
    /// `None` or `(key, offset, count)`.
    pub(super) fn persistent_load(&mut self, id: Value) -> Result<Value, Fault> {
        let Some(items) = self.graph.tuple(id) else { return Err(NO_STORAGE) };
        let (tag, class, key, location, count, view) = match (self.persistence, items) {
            (Persistence::Zip, &[tag, class, key, location, count]) => (tag, class, key, location, count, Value::None),
            (Persistence::Legacy, &[tag, class, key, location, count, view]) => {
                (tag, class, key, location, count, view)
            }
            (Persistence::Legacy, &[tag, class, _file, _source])
                if self.graph.text(tag) == Some("module") && self.opaque_class(class).is_some() =>
            {
                // Old files store the source code of a module with its class; it is ignored.
                return Ok(class);
            }
            _ => return Err(NO_STORAGE),
        };
        if self.graph.text(tag) != Some("storage") || self.graph.text(location).is_none() {
            return Err(NO_STORAGE);
        }
        let (dtype, global) = self.storage_class(class)?;
        let count = non_negative(count).ok_or(NO_STORAGE)?;
        let length = self.graph.text(key).ok_or(NO_STORAGE)?.len();
        // Looking up a known key takes time, and a new one is kept twice.
        self.charge(2 * length as u64 + 128)?;
        let key = self.graph.text(key).ok_or(NO_STORAGE)?;
        let mut slice = self.storages.declare(key, dtype, count)?;
        let mut extra = 0;
        if view != Value::None {
            (slice, extra) = self.storage_view(slice, view)?;
        }
        self.node(Node::Storage(slice, global), extra)
    }

    /// The view `(key, offset, count)` of a storage, and the memory that it takes.
    fn storage_view(&mut self, storage: StorageSlice, view: Value) -> Result<(StorageSlice, usize), Fault> {
        let Some(&[key, offset, count]) = self.graph.tuple(view) else { return Err(NO_STORAGE) };
        let (Some(key), Some(offset), Some(count)) = (self.graph.text(key), non_negative(offset), non_negative(count))
        else {
            return Err(NO_STORAGE);
        };
        let slice = self.storages.view(key, storage, offset, count)?;
        Ok((slice, key.len() + 96))
    }

    fn storage_class(&self, class: Value) -> Result<(Option<Dtype>, Global), Fault> {
        match self.graph.node(class) {
            Some(&Node::Global(global @ Global { kind: GlobalKind::Storage(dtype), .. })) => Ok((dtype, global)),
            _ => Err(NO_STORAGE),
        }
    }
}

/// The value of an int that is not negative. A bool is not an int.
pub(super) fn non_negative(value: Value) -> Option<u64> {
    match value {
        Value::Int(value) => u64::try_from(value).ok(),
        _ => None,
    }
}
