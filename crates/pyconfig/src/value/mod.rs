//! [`Value`]: what an expression evaluates to.

pub(crate) mod compare;
pub(crate) mod copy;
pub(crate) mod cycle;
mod discard;
pub(crate) mod iterate;
pub(crate) mod key;
pub(crate) mod number;
pub(crate) mod repr;

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;

use num_bigint::BigInt;

use crate::builtins::{Builtin, Method};
use crate::error::{Fault, Result, Source};
use crate::interpreter::{Frame, Imports, KeywordValue};
use crate::origin::Origin;
use crate::syntax::ast::{Comprehension, FunctionDef};
use key::Key;

/// A map in the order of insertion. Its hash is fast, and seeded at random.
pub(crate) type IndexMap<K, V> = indexmap::IndexMap<K, V, foldhash::fast::RandomState>;

/// A Python value. Containers are shared: a clone is the same object.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    None,
    Bool(bool),
    /// A whole number that fits 64 bits; larger ones are `Big`.
    Int(i64),
    Big(Rc<BigInt>),
    Float(f64),
    Str(Rc<str>),
    List(Rc<List>),
    Tuple(Rc<Tuple>),
    Dict(Rc<Dict>),
    Set(Rc<Set>),
    Range(Rc<Range>),
    /// Keys, values or items of a dict.
    View(Rc<Dict>, View),
    Iterator(Rc<Iterator>),
    Slice(Rc<[Value; 3]>),
    Function(Rc<Function>),
    Builtin(Builtin),
    Method(Rc<BoundMethod>),
    Partial(Rc<Partial>),
    Module(Module),
    Lazy(Rc<Lazy>),
    Ellipsis,
}

#[derive(Debug, Default)]
pub(crate) struct List(pub RefCell<Vec<Value>>);

#[derive(Debug)]
pub(crate) struct Tuple(pub Vec<Value>);

/// A dict, or mmengine's `ConfigDict`.
#[derive(Debug, Default)]
pub(crate) struct Dict {
    pub entries: RefCell<IndexMap<Key, Entry>>,
    pub is_config: Cell<bool>,
}

/// A value in a dict, and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub value: Value,
    pub origin: Option<Rc<Origin>>,
}

#[derive(Debug, Default)]
pub(crate) struct Set {
    pub keys: RefCell<IndexMap<Key, ()>>,
    pub is_frozen: bool,
}

#[derive(Debug)]
pub(crate) struct Range {
    pub start: i64,
    pub stop: i64,
    pub step: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Keys,
    Values,
    Items,
}

/// An iterator over values that are known already, or will be when it is looked at.
#[derive(Debug)]
pub(crate) struct Iterator {
    pub items: RefCell<std::vec::IntoIter<Value>>,
    /// A generator that was stored, and not yet evaluated.
    pub pending: RefCell<Option<Box<PendingGenerator>>>,
    /// The type in messages, such as `generator`.
    pub type_name: &'static str,
}

/// A generator that a variable holds: it is evaluated when the variable is used.
#[derive(Debug)]
pub(crate) struct PendingGenerator {
    pub frame: Frame,
    pub comprehension: Rc<Comprehension>,
    /// The first iterable, which Python evaluates at once.
    pub iterable: Value,
}

/// A function or a lambda of the config.
#[derive(Debug)]
pub(crate) struct Function {
    pub definition: Rc<FunctionDef>,
    /// The values of the defaults, for the parameters that have one, in order.
    pub defaults: Vec<Option<Value>>,
    pub scope: Option<Rc<Scope>>,
    pub globals: Rc<Dict>,
    pub source: Rc<Source>,
    pub imports: Rc<Imports>,
}

/// The variables of a function call or of a comprehension.
#[derive(Debug)]
pub(crate) struct Scope {
    pub variables: RefCell<IndexMap<Rc<str>, Value>>,
    /// The function; `None` for a comprehension.
    pub definition: Option<Rc<FunctionDef>>,
    pub parent: Option<Rc<Scope>>,
}

/// A method with the value it belongs to.
#[derive(Debug)]
pub(crate) struct BoundMethod {
    pub receiver: Value,
    pub method: Method,
}

/// A function with some of its arguments; `functools.partial`.
#[derive(Debug)]
pub(crate) struct Partial {
    pub function: Value,
    pub positional: Vec<Value>,
    pub keywords: Vec<KeywordValue>,
}

/// A module of Python's library: only what computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Module {
    Copy,
    Functools,
    Itertools,
    Json,
    Math,
    Os,
    OsPath,
    /// What `except ... as e` binds: nothing can be done with it, since its text differs between versions of Python.
    Exception,
    /// `typing` and `__future__`, and all names in them: for annotations alone.
    Typing,
}

/// An imported name of another package, which is never imported: mmengine's `LazyObject` and `LazyAttr`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lazy {
    /// `import torch.nn as nn`.
    Module(Rc<str>),
    /// `import mmdet.models`, which binds `mmdet`.
    Packages(Vec<Rc<str>>),
    /// `from mmdet.models import ResNet`.
    Name { module: Rc<str>, name: Rc<str> },
    /// An attribute of one of them.
    Attribute { module: Rc<str>, name: Rc<str> },
}

impl Lazy {
    /// The attribute `name`.
    pub(crate) fn attribute(&self, name: &Rc<str>) -> Self {
        let module = match self {
            Self::Module(module) => Rc::clone(module),
            Self::Packages(_) => self.name().into(),
            Self::Name { module, name } | Self::Attribute { module, name } => format!("{module}.{name}").into(),
        };
        Self::Attribute { module, name: Rc::clone(name) }
    }

    /// Its text by itself.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Module(module) => module,
            Self::Packages(names) => names.first().and_then(|name| name.split('.').next()).unwrap_or_default(),
            Self::Name { name, .. } | Self::Attribute { name, .. } => name,
        }
    }

    /// The module that it is from.
    pub(crate) fn module(&self) -> &str {
        match self {
            Self::Module(_) | Self::Packages(_) => self.name(),
            Self::Name { module, .. } | Self::Attribute { module, .. } => module,
        }
    }

    /// Its text in a result: `mmdet.models.ResNet`.
    pub(crate) fn dotted(&self) -> String {
        format!("{}.{}", self.module(), self.name())
    }
}

impl Value {
    pub(crate) fn str(text: impl Into<Rc<str>>) -> Self {
        Self::Str(text.into())
    }

    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(List(RefCell::new(items))))
    }

    pub(crate) fn tuple(items: Vec<Self>) -> Self {
        Self::Tuple(Rc::new(Tuple(items)))
    }

    pub(crate) fn iterator(items: Vec<Self>, type_name: &'static str) -> Self {
        let items = RefCell::new(items.into_iter());
        Self::Iterator(Rc::new(Iterator { items, pending: RefCell::default(), type_name }))
    }

    /// The name of the type, as in Python's messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Big(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(dict) if dict.is_config.get() => "ConfigDict",
            Self::Dict(_) => "dict",
            Self::Set(set) if set.is_frozen => "frozenset",
            Self::Set(_) => "set",
            Self::Range(_) => "range",
            Self::View(_, View::Keys) => "dict_keys",
            Self::View(_, View::Values) => "dict_values",
            Self::View(_, View::Items) => "dict_items",
            Self::Iterator(iterator) => iterator.type_name,
            Self::Slice(_) => "slice",
            Self::Function(_) => "function",
            Self::Builtin(builtin) if builtin.is_type() => "type",
            Self::Builtin(_) | Self::Method(_) => "builtin_function_or_method",
            Self::Partial(_) => "functools.partial",
            Self::Module(Module::Exception) => "exception",
            Self::Module(_) => "module",
            Self::Lazy(_) => "LazyObject",
            Self::Ellipsis => "ellipsis",
        }
    }

    /// Whether both are the same object.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) | (Self::Ellipsis, Self::Ellipsis) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Int(left), Self::Int(right)) => left == right,
            (Self::Float(left), Self::Float(right)) => left.to_bits() == right.to_bits(),
            (Self::Str(left), Self::Str(right)) => left == right,
            (Self::List(left), Self::List(right)) => Rc::ptr_eq(left, right),
            (Self::Tuple(left), Self::Tuple(right)) => {
                Rc::ptr_eq(left, right) || left.0.is_empty() && right.0.is_empty()
            }
            (Self::Dict(left), Self::Dict(right)) => Rc::ptr_eq(left, right),
            (Self::Set(left), Self::Set(right)) => Rc::ptr_eq(left, right),
            (Self::Function(left), Self::Function(right)) => Rc::ptr_eq(left, right),
            (Self::Partial(left), Self::Partial(right)) => Rc::ptr_eq(left, right),
            (Self::Iterator(left), Self::Iterator(right)) => Rc::ptr_eq(left, right),
            (Self::Range(left), Self::Range(right)) => Rc::ptr_eq(left, right),
            (Self::Lazy(left), Self::Lazy(right)) => Rc::ptr_eq(left, right),
            (Self::Builtin(left), Self::Builtin(right)) => left == right,
            (Self::Module(left), Self::Module(right)) => left == right,
            _ => false,
        }
    }
}

impl Dict {
    pub(crate) fn new(is_config: bool) -> Self {
        Self { entries: RefCell::default(), is_config: Cell::new(is_config) }
    }

    /// An empty dict with room for `capacity` entries.
    pub(crate) fn with_capacity(capacity: usize, is_config: bool) -> Self {
        let entries = IndexMap::with_capacity_and_hasher(capacity, foldhash::fast::RandomState::default());
        Self { entries: RefCell::new(entries), is_config: Cell::new(is_config) }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Value> {
        self.entries.borrow().get(key).map(|entry| entry.value.clone())
    }

    pub(crate) fn get_str(&self, key: &str) -> Option<Value> {
        self.get(&Key::from(key))
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.entries.borrow().contains_key(key)
    }

    /// Sets the value of a key. A key that is there keeps its place.
    pub(crate) fn insert(&self, key: Key, value: Value, origin: Option<Rc<Origin>>) {
        match self.entries.borrow_mut().entry(key) {
            indexmap::map::Entry::Occupied(mut entry) => {
                let replaced = std::mem::replace(entry.get_mut(), Entry { value, origin });
                discard::discard(replaced.value);
            }
            indexmap::map::Entry::Vacant(entry) => {
                entry.insert(Entry { value, origin });
            }
        }
    }

    pub(crate) fn remove(&self, key: &Key) -> Option<Value> {
        self.entries.borrow_mut().shift_remove(key).map(|entry| entry.value)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// The entries at this moment.
    pub(crate) fn snapshot(&self) -> Vec<(Key, Entry)> {
        self.entries.borrow().iter().map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }
}

impl Iterator {
    /// The items that are left.
    pub(crate) fn rest(&self) -> Result<RefMut<'_, std::vec::IntoIter<Value>>> {
        if self.pending.borrow().is_some() {
            return Err(Fault::refused(
                "a stored generator that is reached in another way than by its name; make it a list",
            ));
        }
        Ok(self.items.borrow_mut())
    }
}

impl Range {
    /// The number of items.
    pub(crate) fn len(&self) -> u64 {
        let (start, stop, step) = (i128::from(self.start), i128::from(self.stop), i128::from(self.step));
        let count = if step > 0 { (stop - start + step - 1) / step } else { (start - stop - step - 1) / -step };
        u64::try_from(count.max(0)).unwrap_or(u64::MAX)
    }

    /// The item at an index that is less than the length.
    pub(crate) fn get(&self, index: u64) -> i64 {
        let item = i128::from(self.start) + i128::from(index) * i128::from(self.step);
        i64::try_from(item).unwrap_or(self.stop)
    }
}
