//! The limits of a config. Real ones are far smaller: names for 20,000 classes take half a megabyte.

/// Bytes of a text, and of all texts that one config is merged from.
pub(super) const MOST_BYTES: usize = 16 << 20;

/// Values of a text, including those that aliases repeat.
pub(super) const MOST_VALUES: usize = 300_000;

/// Bytes of all strings, including those that aliases repeat.
pub(super) const MOST_STRINGS: usize = 32 << 20;

/// The nesting depth of lists and dicts.
pub(super) const MOST_DEPTH: usize = 100;

/// Lines that begin with `%`: the parser compares each of them with all others.
pub(super) const MOST_DIRECTIVES: usize = 16;

/// Files that one config is merged from.
pub(super) const MOST_FILES: usize = 1000;
