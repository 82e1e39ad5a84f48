//! [`ShapeMismatch`]: the shape of an input does not fit an argument of a layer.

use std::fmt;

use mmcv_registry::Config;

/// An input whose shape does not fit an argument of the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeMismatch {
    /// The argument of the layer, such as `in_channels`; `type` if the layer takes inputs of another rank.
    pub argument: &'static str,
    /// Its value.
    pub value: String,
    /// The shape of the input.
    pub input: Vec<i64>,
    /// The corresponding property of the input, such as `has 8 channels`.
    pub found: String,
    /// A change of the argument, such as `set in_channels to 8`; empty if it cannot be changed.
    pub change: String,
    /// A change elsewhere.
    pub remedy: String,
}

impl fmt::Display for ShapeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { argument, value, input, found, .. } = self;
        write!(f, "{argument} is {value}, but the input of shape {input:?} {found}; {}", self.advice())
    }
}

/// Arguments for the same number, of layers and of the modules that pass it to them.
const SAME: [&str; 6] = ["in_channels", "in_features", "num_features", "num_channels", "embed_dims", "channels"];

impl ShapeMismatch {
    /// The possible changes, as text.
    #[must_use]
    pub fn advice(&self) -> String {
        if self.change.is_empty() { self.remedy.clone() } else { format!("{}, or {}", self.change, self.remedy) }
    }

    /// Removes the change of the argument.
    #[must_use]
    pub fn without_change(mut self) -> Self {
        self.change.clear();
        self
    }

    /// Replaces the argument by another one that passes its value to it.
    #[must_use]
    pub fn with_argument(mut self, argument: &'static str) -> Self {
        self.change = self.change.replace(self.argument, argument);
        self.argument = argument;
        self
    }

    /// The argument, and others that may pass their value to it.
    pub(crate) fn arguments(&self) -> Vec<&'static str> {
        let mut arguments = vec![self.argument];
        if SAME.contains(&self.argument) {
            for other in SAME {
                if other != self.argument {
                    arguments.push(other);
                }
            }
        }
        arguments
    }

    /// Whether `value` in a config is that of the argument. A kernel size may be one number for all dimensions.
    pub(crate) fn has_value(&self, value: &Config) -> bool {
        let expected = self.value.split(" with dilation").next().unwrap_or_default();
        match value {
            Config::Int(size) if expected.starts_with('[') => {
                expected.trim_matches(['[', ']']).split(", ").all(|expected| expected == size.to_string())
            }
            Config::Str(text) => text == expected,
            value => value.to_json().replace([' ', '\n'], "") == expected.replace(' ', ""),
        }
    }
}
