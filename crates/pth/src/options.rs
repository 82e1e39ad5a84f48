//! [`Options`]: how a file is opened.

/// How a checkpoint is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub(crate) inert: Vec<(String, String)>,
    pub(crate) unknown: UnknownClasses,
    /// Whether plain pickles of numpy arrays are read.
    pub(crate) plain_pickles: bool,
}

impl Options {
    /// Nothing beyond the built-in lists.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also allows objects of the class `module.name` in a file. They stay data that is never looked into.
    #[must_use]
    pub fn allow_inert(mut self, module: impl Into<String>, name: impl Into<String>) -> Self {
        self.inert.push((module.into(), name.into()));
        self
    }

    /// What happens to a class or function that is on no list. Default: [`UnknownClasses::Refuse`].
    #[must_use]
    pub fn unknown_classes(mut self, unknown: UnknownClasses) -> Self {
        self.unknown = unknown;
        self
    }
}

/// What happens to a class or function that a file names and that is on no list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownClasses {
    /// The file is refused, with an error that names the class.
    #[default]
    Refuse,
    /// A record of the name and the arguments stands in the object's place. Nothing is imported or called. The tensors in
    /// such an object are read: a pickled `torch.nn.Module` has those of its `state_dict()`, under the same keys, and the
    /// attributes, items and arguments of any other object are parts of the keys.
    Opaque,
}
