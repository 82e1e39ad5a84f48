//! [`ConfigError`]: an error in a config, with its key path.

use std::borrow::Cow;
use std::fmt;

use crate::KeyPath;

/// An error in a config, with its key path.
///
/// Displayed as `backbone.norm_cfg.epz: unknown key, did you mean "eps"?`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigError {
    /// The key path from the root of the config.
    pub path: KeyPath,
    /// The cause.
    pub kind: Box<ConfigErrorKind>,
    /// The registered type whose arguments were read, if known.
    pub type_name: Option<String>,
}

/// The cause of a [`ConfigError`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// An unknown key.
    #[error("unknown key{}; allowed: {}", did_you_mean(nearest), list(allowed))]
    UnknownKey {
        /// The most similar allowed key.
        nearest: Option<String>,
        /// The allowed keys.
        allowed: Vec<String>,
    },
    /// A required key is missing.
    #[error("missing: expected {expected}")]
    Missing {
        /// A description of the accepted values.
        expected: String,
    },
    /// A value of the wrong type.
    #[error("expected {expected}, got {found}")]
    WrongType {
        /// A description of the accepted values.
        expected: String,
        /// The value found.
        found: String,
    },
    /// A value of the right type that is not allowed, with the reason and the remedy.
    #[error("{reason}, got {found}")]
    Invalid {
        /// The value found.
        found: String,
        /// The values allowed.
        reason: String,
    },
    /// A value that conflicts with another one.
    #[error("{found} {reason}")]
    Conflict {
        /// The value found.
        found: String,
        /// The value that it conflicts with, and the values that would fit.
        reason: String,
    },
    /// A key that appears both in the config and as an argument.
    #[error("given twice, in the config and as an argument of the builder; remove one of them")]
    Duplicate,
    /// A `type` that is not registered.
    #[error("{:?} is not in registry {registry:?}{}{}", cut(name), did_you_mean(nearest), further_help(hint, names))]
    UnknownType {
        /// The name that was looked up.
        name: String,
        /// The registry that was searched, and its parents.
        registry: String,
        /// The most similar registered name.
        nearest: Option<String>,
        /// Further help, or an empty string.
        hint: String,
        /// The registered names, if none is similar and there is no further help.
        names: Vec<String>,
    },
    /// A name that is already registered.
    #[error("{name:?} is already in registry {registry:?}; call `replace` to register another type under this name")]
    NameTaken {
        /// The name.
        name: String,
        /// The registry.
        registry: String,
    },
    /// An override whose index is past the end of the list.
    #[error("index {index} is out of range: the list has {len} items")]
    IndexOutOfRange {
        /// The index.
        index: usize,
        /// The length of the list.
        len: usize,
    },
    /// An override or a literal that cannot be read.
    #[error("{:?}: {reason}", cut(text))]
    Syntax {
        /// The value found.
        text: String,
        /// The mistake, and the correct syntax.
        reason: String,
    },
    /// A text that is not valid YAML or JSON, or has values that a config cannot represent.
    #[error("not a valid {format} config: {reason}")]
    Parse {
        /// The format.
        format: &'static str,
        /// The parser's message, with line and column.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// The reason.
        reason: String,
    },
    /// Further errors of one kind that are not listed individually.
    #[error("and {count} more")]
    More {
        /// Their number.
        count: usize,
    },
    /// Several errors in one dict.
    #[error("{}", join(.0))]
    Many(Vec<ConfigError>),
}

impl ConfigError {
    /// An error of the given kind at `path`.
    #[must_use]
    pub fn new(path: &KeyPath, kind: ConfigErrorKind) -> Self {
        Self { path: path.clone(), kind: Box::new(kind), type_name: None }
    }

    /// A value of the wrong type at `path`.
    #[must_use]
    pub fn wrong_type(path: &KeyPath, expected: impl Into<String>, found: &crate::Config) -> Self {
        Self::new(path, ConfigErrorKind::WrongType { expected: expected.into(), found: found.quoted() })
    }

    /// A value at `path` that should be a dict. For a name alone, as in `act_cfg: ReLU`, the message suggests
    /// `{type: ReLU}`.
    #[must_use]
    pub fn not_a_dict(path: &KeyPath, found: &crate::Config) -> Self {
        match found.as_str() {
            Some(name) => Self::wrong_type(path, format!("a dict such as {{type: {name:?}}}"), found),
            None => Self::wrong_type(path, "a dict", found),
        }
    }

    /// A value at `path` that is not allowed; `reason` states the allowed values.
    #[must_use]
    pub fn invalid(path: &KeyPath, found: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self::new(path, ConfigErrorKind::Invalid { found: found.to_string(), reason: reason.into() })
    }

    /// A value at `path` that conflicts with another one. `reason` continues the sentence after the value and states
    /// which values would fit.
    #[must_use]
    pub fn conflict(path: &KeyPath, found: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self::new(path, ConfigErrorKind::Conflict { found: found.to_string(), reason: reason.into() })
    }

    /// Combines errors: a single one is returned unchanged, several become [`ConfigErrorKind::Many`] at `path`.
    #[must_use]
    pub fn many(path: &KeyPath, mut errors: Vec<ConfigError>) -> Self {
        match (errors.pop(), errors.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                errors.extend(last);
                Self::new(path, ConfigErrorKind::Many(errors))
            }
        }
    }

    /// Applies `change` to every path in the error.
    #[must_use]
    pub fn map_paths(mut self, change: &impl Fn(KeyPath) -> KeyPath) -> Self {
        self.path = change(self.path);
        if let ConfigErrorKind::Many(errors) = &mut *self.kind {
            *errors = std::mem::take(errors).into_iter().map(|error| error.map_paths(change)).collect();
        }
        self
    }

    /// Adds the registered type whose arguments were read, unless an inner type is set.
    #[must_use]
    pub fn in_type(mut self, name: &str) -> Self {
        if let ConfigErrorKind::Many(errors) = &mut *self.kind {
            *errors = std::mem::take(errors).into_iter().map(|error| error.in_type(name)).collect();
        } else if self.type_name.is_none() {
            self.type_name = Some(name.to_owned());
        }
        self
    }

    /// Puts `outer` in front of every path in the error.
    #[must_use]
    pub fn below(self, outer: &KeyPath) -> Self {
        self.map_paths(&|path| path.below(outer))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(*self.kind, ConfigErrorKind::Many(_)) || self.path.is_root() {
            write!(f, "{}", self.kind)?;
        } else {
            write!(f, "{}: {}", self.path, self.kind)?;
        }
        match &self.type_name {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The most similar of `names`, or `None` if none is similar enough.
#[must_use]
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const LEAST_SIMILARITY: f64 = 0.8;
    // A comparison takes time proportional to the product of both lengths.
    const LONGEST: usize = 100;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase();
    let mut nearest = None;
    let mut highest = LEAST_SIMILARITY;
    for candidate in names {
        if candidate.len() > LONGEST {
            continue;
        }
        let similarity = strsim::jaro_winkler(&name, &candidate.to_lowercase());
        // Of equals the last one wins.
        if similarity >= highest {
            highest = similarity;
            nearest = Some(candidate.to_owned());
        }
    }
    nearest
}

/// A text for messages, truncated if it is long.
pub(crate) fn cut(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

/// Quotes and joins words: `"a", "b" or "c"`.
#[must_use]
pub fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

fn further_help(hint: &str, names: &[String]) -> String {
    if names.is_empty() { hint.to_owned() } else { format!("; it holds {}", names.join(", ")) }
}

fn did_you_mean(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!(", did you mean {name:?}?"),
        None => String::new(),
    }
}

fn list(names: &[String]) -> String {
    const MOST: usize = 200;
    if names.is_empty() {
        return "no keys".to_owned();
    }
    let mut shown: Vec<Cow<'_, str>> = names.iter().take(MOST).map(|name| cut(name)).collect();
    if names.len() > MOST {
        shown.push(format!("and {} more", names.len() - MOST).into());
    }
    shown.join(", ")
}

fn join(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips_and_nothing_far_away() {
        assert_eq!(nearest("epz", ["eps", "momentum"]).as_deref(), Some("eps"));
        assert_eq!(nearest("relu", ["ReLU", "ELU"]).as_deref(), Some("ReLU"));
        assert_eq!(nearest("typ", ["eps", "type"]).as_deref(), Some("type"));
        assert_eq!(nearest("zzzz", ["eps", "momentum"]), None);
        assert_eq!(nearest("ResNet", ["reflect", "ReLU"]), None);
    }

    #[test]
    fn errors_move_outwards_together() {
        let inner = KeyPath::root().key("eps");
        let error = ConfigError::many(
            &KeyPath::root(),
            vec![
                ConfigError::new(&inner, ConfigErrorKind::Duplicate),
                ConfigError::new(&KeyPath::root().key("x"), ConfigErrorKind::Duplicate),
            ],
        );
        let text = error.below(&KeyPath::root().key("norm_cfg")).in_type("BN").to_string();
        assert!(text.contains("norm_cfg.eps: given twice"), "{text}");
        assert!(text.contains("norm_cfg.x: given twice"), "{text}");
        assert!(text.contains("(BN)"), "{text}");
    }
}
