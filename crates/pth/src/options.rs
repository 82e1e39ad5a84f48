//! [`OpenOptions`]: how a file is opened.

/// How a checkpoint is opened.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    pub(crate) inert: Vec<(String, String)>,
    pub(crate) unknown: UnknownClasses,
    /// Whether plain pickles of NumPy arrays are read.
    pub(crate) plain_pickles: bool,
}

impl OpenOptions {
    /// The default options: only the built-in lists of classes and functions are allowed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also allows objects of the class `module.name`. They stay inert data that is never inspected.
    #[must_use]
    pub fn allow_inert(mut self, module: impl Into<String>, name: impl Into<String>) -> Self {
        self.inert.push((module.into(), name.into()));
        self
    }

    /// Sets the treatment of classes and functions that are on no list. Default: [`UnknownClasses::Refuse`].
    #[must_use]
    pub fn unknown_classes(mut self, unknown: UnknownClasses) -> Self {
        self.unknown = unknown;
        self
    }
}

/// The treatment of classes and functions that a file names and that are on no list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownClasses {
    /// The file is refused with an error that names the class.
    #[default]
    Refuse,
    /// The object is replaced by a record of its class name and its arguments. Nothing is imported or called. Tensors inside
    /// the object are read: a pickled `torch.nn.Module` contributes the tensors of its `state_dict()` under the same keys;
    /// for any other object, the names of attributes, items and arguments become parts of the keys.
    Opaque,
}
