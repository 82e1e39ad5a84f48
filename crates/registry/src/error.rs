//! [`ConfigError`]: what is wrong in a config, and where.

use std::borrow::Cow;
use std::fmt;

use crate::KeyPath;

/// What is wrong in a config, and where.
///
/// Displayed as `backbone.norm_cfg.epz: unknown key, did you mean "eps"?`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigError {
    /// Where: the key path from the root of the config that was given.
    pub path: KeyPath,
    /// What.
    pub kind: Box<ConfigErrorKind>,
    /// The registered type whose arguments were read, where it is known.
    pub type_name: Option<String>,
}

/// What is wrong in a config.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// A key that nothing reads.
    #[error("unknown key{}; allowed: {}", did_you_mean(nearest), list(allowed))]
    UnknownKey {
        /// The allowed key that looks most like it.
        nearest: Option<String>,
        /// The keys that are allowed here.
        allowed: Vec<String>,
    },
    /// A key without a default that was not given.
    #[error("missing: expected {expected}")]
    Missing {
        /// What the key takes.
        expected: String,
    },
    /// A value of another type than the key takes.
    #[error("expected {expected}, got {found}")]
    WrongType {
        /// What the key takes.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A value of the right type that is not allowed, with the reason and the remedy.
    #[error("{reason}, got {found}")]
    Invalid {
        /// What was given.
        found: String,
        /// What is allowed.
        reason: String,
    },
    /// A value that is allowed as such, and does not go with another one.
    #[error("{found} {reason}")]
    Conflict {
        /// What was given.
        found: String,
        /// What it does not go with, and what does.
        reason: String,
    },
    /// A key that was given in the config and as an argument too.
    #[error("given twice, in the config and as an argument of the builder; remove one of them")]
    Duplicate,
    /// A `type` that the registry does not hold.
    #[error("{:?} is not in registry {registry:?}{}{}", cut(name), did_you_mean(nearest), hint)]
    UnknownType {
        /// What was looked for.
        name: String,
        /// Where it was looked for: the registry, with its parents.
        registry: String,
        /// The registered names that look most like it.
        nearest: Option<String>,
        /// What else could help, or an empty string.
        hint: String,
    },
    /// A name that is already in the registry.
    #[error("{name:?} is already in registry {registry:?}; use `replace` where it is meant to be another type")]
    NameTaken {
        /// The name.
        name: String,
        /// The registry.
        registry: String,
    },
    /// An override with an index that the list does not have.
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
        /// What was given.
        text: String,
        /// What is wrong with it, and how it is written.
        reason: String,
    },
    /// A text that is not YAML or JSON, or that holds what a config cannot hold.
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
    /// More mistakes of a kind, which are not told one by one.
    #[error("and {count} more")]
    More {
        /// How many.
        count: usize,
    },
    /// Several mistakes in one dict.
    #[error("{}", join(.0))]
    Many(Vec<ConfigError>),
}

impl ConfigError {
    /// An error of the given kind at `path`.
    #[must_use]
    pub fn new(path: &KeyPath, kind: ConfigErrorKind) -> Self {
        Self { path: path.clone(), kind: Box::new(kind), type_name: None }
    }

    /// A value at `path` that is of the wrong type.
    #[must_use]
    pub fn wrong_type(path: &KeyPath, expected: impl Into<String>, found: &crate::Config) -> Self {
        Self::new(path, ConfigErrorKind::WrongType { expected: expected.into(), found: found.quoted() })
    }

    /// A value at `path` where a dict is expected. A name alone is the usual slip: `act_cfg: ReLU` for `act_cfg: {type: ReLU}`.
    #[must_use]
    pub fn not_a_dict(path: &KeyPath, found: &crate::Config) -> Self {
        match found.as_str() {
            Some(name) => Self::wrong_type(path, format!("a dict such as {{type: {name:?}}}"), found),
            None => Self::wrong_type(path, "a dict", found),
        }
    }

    /// A value at `path` that is not allowed; `reason` says what is.
    #[must_use]
    pub fn invalid(path: &KeyPath, found: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self::new(path, ConfigErrorKind::Invalid { found: found.to_string(), reason: reason.into() })
    }

    /// A value at `path` that does not go with another one; `reason` goes on from the value and says what does.
    #[must_use]
    pub fn conflict(path: &KeyPath, found: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self::new(path, ConfigErrorKind::Conflict { found: found.to_string(), reason: reason.into() })
    }

    /// One error for all of `errors`: itself where there is one, else [`ConfigErrorKind::Many`] at `path`.
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

    /// The same error with every path in it changed by `change`.
    #[must_use]
    pub fn map_paths(mut self, change: &impl Fn(KeyPath) -> KeyPath) -> Self {
        self.path = change(self.path);
        if let ConfigErrorKind::Many(errors) = &mut *self.kind {
            *errors = std::mem::take(errors).into_iter().map(|error| error.map_paths(change)).collect();
        }
        self
    }

    /// Adds the registered type whose arguments were read, unless an inner one is known.
    #[must_use]
    pub fn in_type(mut self, name: &str) -> Self {
        if let ConfigErrorKind::Many(errors) = &mut *self.kind {
            *errors = std::mem::take(errors).into_iter().map(|error| error.in_type(name)).collect();
        } else if self.type_name.is_none() {
            self.type_name = Some(name.to_owned());
        }
        self
    }

    /// The same error seen from further out: `outer` is put before its path.
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

/// The name among `names` that looks most like `name`, where one looks like it at all.
#[must_use]
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const LEAST_LIKENESS: f64 = 0.8;
    // The time of a comparison grows with the product of both lengths, and nobody misspells so much.
    const LONGEST: usize = 100;
    if name.len() > LONGEST {
        return None;
    }
    let wanted = name.to_lowercase();
    names
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (strsim::jaro_winkler(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= LEAST_LIKENESS)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate.to_owned())
}

/// A text as it is quoted in messages: cut where it is long.
pub(crate) fn cut(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

/// The words in quotes: `"a", "b" or "c"`.
#[must_use]
pub fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!(", did you mean {name:?}?"))
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
