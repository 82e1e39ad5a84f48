//! Pickles in protocol 2 that `torch.load(weights_only=True)` accepts.

use std::collections::{HashMap, HashSet};

use serde_json::Value as JsonValue;

use crate::error::ErrorKind;
use crate::limits::MAX_DEPTH;
use crate::tensor::Dtype;
use crate::unpickler::opcode::*;
use crate::write::storage_data::{Identity, StorageData};
use crate::write::{PthItem, TensorData, VERSIONS};

/// A pickle and the storages that it refers to by number.
#[derive(Debug)]
pub(super) struct Pickled<'a> {
    pub(super) pickle: Vec<u8>,
    pub(super) storages: Vec<StorageData<'a>>,
}

/// The pickle of one value, which `value` pushes onto the stack.
pub(super) fn pickle<'a>(
    value: impl FnOnce(&mut Pickler<'a>) -> Result<(), ErrorKind>,
) -> Result<Pickled<'a>, ErrorKind> {
    let mut pickler = Pickler { out: vec![PROTO, 2], storages: Vec::new(), numbers: HashMap::new() };
    value(&mut pickler)?;
    pickler.out.push(STOP);
    Ok(Pickled { pickle: pickler.out, storages: pickler.storages })
}

/// A pickle that grows: each method pushes a value onto the stack.
pub(super) struct Pickler<'a> {
    pub(super) out: Vec<u8>,
    storages: Vec<StorageData<'a>>,
    numbers: HashMap<Identity, usize>,
}

impl<'a> Pickler<'a> {
    pub(super) fn item(&mut self, item: &PthItem<'a>, depth: u32) -> Result<(), ErrorKind> {
        check_depth(depth)?;
        match item {
            PthItem::Tensor(tensor) => self.tensor(tensor),
            PthItem::Json(value) => self.json(value, depth),
            PthItem::List(items) => {
                self.out.extend([EMPTY_LIST, MARK]);
                for item in items {
                    self.item(item, depth + 1)?;
                }
                self.out.push(APPENDS);
                Ok(())
            }
            PthItem::Mapping { entries, metadata } => {
                let mut attributes = serde_json::Map::new();
                if let Some(metadata) = metadata {
                    attributes.insert(VERSIONS.to_owned(), metadata.clone());
                }
                self.mapping(entries, |pickler, item| pickler.item(item, depth + 1), &attributes, depth)
            }
        }
    }

    /// An `OrderedDict` with attributes.
    pub(super) fn mapping<T>(
        &mut self,
        entries: &[(String, T)],
        write: impl Fn(&mut Self, &T) -> Result<(), ErrorKind>,
        attributes: &serde_json::Map<String, JsonValue>,
        depth: u32,
    ) -> Result<(), ErrorKind> {
        self.ordered_dict();
        self.out.push(MARK);
        let mut keys = HashSet::new();
        for (key, value) in entries {
            if !keys.insert(key) {
                return Err(ErrorKind::DuplicateKey(key.clone()));
            }
            self.text(key)?;
            write(self, value)?;
        }
        self.out.push(SETITEMS);
        if attributes.is_empty() {
            return Ok(());
        }
        self.out.extend([EMPTY_DICT, MARK]);
        for (name, value) in attributes {
            self.text(name)?;
            match value {
                JsonValue::Object(entries) => {
                    self.ordered_dict();
                    self.entries(entries, depth)?;
                }
                other => self.json(other, depth)?,
            }
        }
        self.out.extend([SETITEMS, BUILD]);
        Ok(())
    }

    pub(super) fn json(&mut self, value: &JsonValue, depth: u32) -> Result<(), ErrorKind> {
        check_depth(depth)?;
        match value {
            JsonValue::Null => self.out.push(NONE),
            JsonValue::Bool(true) => self.out.push(NEWTRUE),
            JsonValue::Bool(false) => self.out.push(NEWFALSE),
            JsonValue::String(text) => self.text(text)?,
            JsonValue::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => self.int(value.into()),
                (None, Some(value)) => self.int(value.into()),
                (None, None) => self.float(number.as_f64().unwrap_or(f64::NAN)),
            },
            JsonValue::Array(items) => {
                self.out.extend([EMPTY_LIST, MARK]);
                for item in items {
                    self.json(item, depth + 1)?;
                }
                self.out.push(APPENDS);
            }
            JsonValue::Object(entries) => {
                self.out.push(EMPTY_DICT);
                self.entries(entries, depth)?;
            }
        }
        Ok(())
    }

    fn entries(&mut self, entries: &serde_json::Map<String, JsonValue>, depth: u32) -> Result<(), ErrorKind> {
        self.out.push(MARK);
        for (key, value) in entries {
            self.text(key)?;
            self.json(value, depth + 1)?;
        }
        self.out.push(SETITEMS);
        Ok(())
    }

    /// Types with a storage class are written for any torch since 0.4, all others as in torch 2.
    pub(super) fn tensor(&mut self, tensor: &TensorData<'a>) -> Result<(), ErrorKind> {
        let (view, storage) = tensor.view_and_storage();
        let class = view.dtype.storage_class();
        let rebuild = if class.is_some() { "_rebuild_tensor_v2" } else { "_rebuild_tensor_v3" };
        self.global("torch._utils", rebuild);
        self.out.push(MARK);
        self.storage(storage, view.dtype)?;
        self.int(view.offset.into());
        self.sizes(&view.shape);
        self.sizes(&view.strides);
        self.out.push(NEWFALSE);
        self.ordered_dict();
        if class.is_none() {
            self.global("torch", view.dtype.name());
        }
        self.out.extend([TUPLE, REDUCE]);
        Ok(())
    }

    fn storage(&mut self, storage: StorageData<'a>, dtype: Dtype) -> Result<(), ErrorKind> {
        let (next, bytes) = (self.storages.len(), storage.length());
        let number = *self.numbers.entry(storage.identity(dtype)).or_insert(next);
        if number == next {
            self.storages.push(storage);
        }
        self.out.push(MARK);
        self.text("storage")?;
        let count = match dtype.storage_class() {
            Some(class) => {
                self.global("torch", &format!("{class}Storage"));
                bytes / dtype.size() as u64
            }
            None => {
                self.global("torch.storage", "UntypedStorage");
                bytes
            }
        };
        if dtype.storage_class().is_some() && !bytes.is_multiple_of(dtype.size() as u64) {
            return Err(ErrorKind::Write(format!("a storage of {bytes} bytes is no whole number of {dtype} elements")));
        }
        self.text(&number.to_string())?;
        self.text("cpu")?;
        self.int(count.into());
        self.out.extend([TUPLE, BINPERSID]);
        Ok(())
    }

    fn sizes(&mut self, sizes: &[u64]) {
        self.out.push(MARK);
        for &size in sizes {
            self.int(size.into());
        }
        self.out.push(TUPLE);
    }

    pub(super) fn ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.out.extend([EMPTY_TUPLE, REDUCE]);
    }

    pub(super) fn global(&mut self, module: &str, name: &str) {
        self.out.push(GLOBAL);
        self.out.extend(format!("{module}\n{name}\n").into_bytes());
    }

    pub(super) fn int(&mut self, value: i128) {
        if let Ok(value) = i32::try_from(value) {
            self.out.push(BININT);
            self.out.extend(value.to_le_bytes());
        } else {
            self.out.extend([LONG1, 16]);
            self.out.extend(value.to_le_bytes());
        }
    }

    pub(super) fn float(&mut self, value: f64) {
        self.out.push(BINFLOAT);
        self.out.extend(value.to_be_bytes());
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), ErrorKind> {
        let Ok(length) = u32::try_from(text.len()) else {
            return Err(ErrorKind::Write(format!("a string of {} bytes", text.len())));
        };
        self.out.push(BINUNICODE);
        self.out.extend(length.to_le_bytes());
        self.out.extend(text.as_bytes());
        Ok(())
    }
}

pub(super) fn check_depth(depth: u32) -> Result<(), ErrorKind> {
    ErrorKind::check_limit("levels of nesting", depth.into(), MAX_DEPTH.into())
}
