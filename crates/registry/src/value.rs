//! [`Config`](enum@Config) and [`Dict`]: ordered config values.

use std::fmt;

use indexmap::IndexMap;

use crate::error::cut;

/// A config value, read from YAML or JSON, or written in Rust with [`config!`](crate::config).
///
/// A tuple, from a Python config or an override, is decoded and written as a list is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Config {
    /// `null` in YAML and JSON, `None` in Python.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number written with a point or an exponent, an infinity, or NaN.
    Float(f64),
    /// A string.
    Str(String),
    /// A list.
    List(Vec<Config>),
    /// A tuple of Python.
    Tuple(Vec<Config>),
    /// A dict with string keys, in the order they were written.
    Dict(Dict),
}

/// A dict of config values: string keys in the order they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dict(IndexMap<String, Config>);

impl Config {
    /// The dict, or `None` for any other value.
    #[must_use]
    pub fn as_dict(&self) -> Option<&Dict> {
        match self {
            Self::Dict(dict) => Some(dict),
            _ => None,
        }
    }

    /// The text, or `None` if this is not a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The value under `key`, or `None` if this is not a dict or lacks the key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Config> {
        self.as_dict()?.get(key)
    }

    /// The kind of value, for messages: `a string`, `a dict`, and so on.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Str(_) => "a string",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Dict(_) => "a dict",
        }
    }

    /// The value as text for messages, truncated if it is long.
    #[must_use]
    pub fn quoted(&self) -> String {
        cut(&self.to_string()).into_owned()
    }
}

impl Dict {
    /// An empty dict.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Config> {
        self.0.get(key)
    }

    /// A mutable reference to the value under `key`.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Config> {
        self.0.get_mut(key)
    }

    /// Whether there is a value under `key`.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Inserts a value, and returns the previous one. An existing key keeps its position.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Config>) -> Option<Config> {
        self.0.insert(key.into(), value.into())
    }

    /// Inserts a value unless the key exists.
    pub fn set_default(&mut self, key: &str, value: impl Into<Config>) {
        if !self.contains_key(key) {
            self.insert(key, value);
        }
    }

    /// Removes and returns the value under `key`; the other keys keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Config> {
        self.0.shift_remove(key)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Config)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>, V: Into<Config>> FromIterator<(K, V)> for Dict {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        Self(items.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl IntoIterator for Dict {
    type Item = (String, Config);
    type IntoIter = indexmap::map::IntoIter<String, Config>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

macro_rules! from_value {
    ($($source:ty => |$value:ident| $config:expr;)*) => {
        $(impl From<$source> for Config {
            fn from($value: $source) -> Self {
                $config
            }
        })*
    };
}

from_value! {
    bool => |value| Config::Bool(value);
    i64 => |value| Config::Int(value);
    i32 => |value| Config::Int(value.into());
    u32 => |value| Config::Int(value.into());
    f64 => |value| Config::Float(value);
    f32 => |value| Config::Float(value.into());
    &str => |value| Config::Str(value.to_owned());
    String => |value| Config::Str(value);
    Dict => |value| Config::Dict(value);
    &Config => |value| value.clone();
}

impl<T: Into<Config>> From<Vec<T>> for Config {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Config>, const N: usize> From<[T; N]> for Config {
    fn from(items: [T; N]) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Config>> From<Option<T>> for Config {
    fn from(value: Option<T>) -> Self {
        match value {
            Some(value) => value.into(),
            None => Self::Null,
        }
    }
}

/// Writes the value on one line in YAML's flow style: `{type: BN, eps: 0.001}` with strings in quotes.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => write!(f, "null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) if value.is_nan() => write!(f, ".nan"),
            Self::Float(value) if value.is_infinite() => write!(f, "{}.inf", if *value < 0.0 { "-" } else { "" }),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Str(value) => write!(f, "{value:?}"),
            Self::List(items) | Self::Tuple(items) => {
                write!(f, "[")?;
                for (position, item) in items.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(f, "{separator}{item}")?;
                }
                write!(f, "]")
            }
            Self::Dict(dict) => write!(f, "{dict}"),
        }
    }
}

impl fmt::Display for Dict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{")?;
        for (position, (key, value)) in self.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{key}: {value}")?;
        }
        write!(f, "}}")
    }
}

/// Builds a [`Config`](enum@Config) from a literal; keys keep their order.
///
/// ```
/// use mmcv_registry::config;
///
/// let norm_cfg = config! { type: "GN", num_groups: 4 };
/// let cfg = config! {
///     type: "ConvModule",
///     kernel_size: [3, 3],
///     act_cfg: null,
///     norm_cfg: norm_cfg,
///     conv_cfg: { type: "Conv2d" },
/// };
/// assert_eq!(cfg.get("norm_cfg").unwrap().to_string(), "{type: \"GN\", num_groups: 4}");
/// assert_eq!(cfg.get("act_cfg"), Some(&mmcv_registry::Config::Null));
/// ```
///
/// Values are `null`, nested `{ key: value }` dicts, lists `[...]` of such values, or any expression of a type that
/// converts [`Into`] a `Config`. Keys that are not identifiers are string literals: `"a-b": 1`.
#[macro_export]
macro_rules! config {
    ($($body:tt)*) => {
        $crate::Config::Dict($crate::dict!($($body)*))
    };
}

/// Builds a [`Dict`] from a literal, with the syntax of [`config!`].
#[macro_export]
macro_rules! dict {
    ($($body:tt)*) => {{
        #[allow(unused_mut)]
        let mut dict = $crate::Dict::new();
        $crate::__entries!(dict; $($body)*);
        dict
    }};
}

/// The part of [`config!`] that inserts the entries one by one.
#[doc(hidden)]
#[macro_export]
macro_rules! __entries {
    ($dict:ident;) => {};
    ($dict:ident; $key:tt : null $(, $($rest:tt)*)?) => {
        $dict.insert($crate::__key!($key), $crate::Config::Null);
        $crate::__entries!($dict; $($($rest)*)?);
    };
    ($dict:ident; $key:tt : { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $dict.insert($crate::__key!($key), $crate::config!($($inner)*));
        $crate::__entries!($dict; $($($rest)*)?);
    };
    ($dict:ident; $key:tt : [ $($items:tt)* ] $(, $($rest:tt)*)?) => {
        $dict.insert($crate::__key!($key), $crate::__list!($($items)*));
        $crate::__entries!($dict; $($($rest)*)?);
    };
    ($dict:ident; $key:tt : $value:expr $(, $($rest:tt)*)?) => {
        $dict.insert($crate::__key!($key), $value);
        $crate::__entries!($dict; $($($rest)*)?);
    };
}

/// The part of [`config!`] that builds a list.
#[doc(hidden)]
#[macro_export]
macro_rules! __list {
    ($($body:tt)*) => {{
        #[allow(unused_mut)]
        let mut list = ::std::collections::VecDeque::<$crate::Config>::new();
        $crate::__items!(list; $($body)*);
        $crate::Config::List(list.into())
    }};
}

/// The part of [`config!`] that appends the list items one by one.
#[doc(hidden)]
#[macro_export]
macro_rules! __items {
    ($list:ident;) => {};
    ($list:ident; null $(, $($rest:tt)*)?) => {
        $list.push_back($crate::Config::Null);
        $crate::__items!($list; $($($rest)*)?);
    };
    ($list:ident; { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $list.push_back($crate::config!($($inner)*));
        $crate::__items!($list; $($($rest)*)?);
    };
    ($list:ident; [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $list.push_back($crate::__list!($($inner)*));
        $crate::__items!($list; $($($rest)*)?);
    };
    ($list:ident; $value:expr $(, $($rest:tt)*)?) => {
        $list.push_back($crate::Config::from($value));
        $crate::__items!($list; $($($rest)*)?);
    };
}

/// The part of [`config!`] that turns an identifier or a string literal into a key.
#[doc(hidden)]
#[macro_export]
macro_rules! __key {
    ($key:ident) => {
        stringify!($key)
    };
    ($key:literal) => {
        $key
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macro_keeps_order_and_nesting() {
        let cfg = config! {
            type: "ResNet",
            blocks: [{ depth: 1 }, null, [1, 2.5], "x"],
            "a-b": true,
        };
        assert_eq!(cfg.to_string(), r#"{type: "ResNet", blocks: [{depth: 1}, null, [1, 2.5], "x"], a-b: true}"#);
    }

    #[test]
    fn insert_keeps_the_place_and_remove_keeps_the_order() {
        let mut dict: Dict = [("a", 1), ("b", 2), ("c", 3)].into_iter().collect();
        dict.insert("a", 9);
        dict.remove("b");
        assert_eq!(dict.to_string(), "{a: 9, c: 3}");
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let quoted = Config::from("x".repeat(200)).quoted();
        assert_eq!(quoted.chars().count(), 83);
    }
}
