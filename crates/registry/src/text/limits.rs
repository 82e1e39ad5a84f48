//! How large a config may be. Real ones are far smaller: a name for each of 20,000 classes takes half a megabyte.

/// The bytes of a text, and of all texts that one config is merged from.
pub(super) const MOST_BYTES: usize = 16 << 20;

/// The values of a text, those that aliases repeat included.
pub(super) const MOST_VALUES: usize = 300_000;

/// The bytes of all strings, those that aliases repeat included.
pub(super) const MOST_STRINGS: usize = 32 << 20;

/// How deep lists and dicts may nest.
pub(super) const MOST_DEPTH: usize = 100;

/// Lines that begin with `%`: the parser compares each with all others.
pub(super) const MOST_DIRECTIVES: usize = 16;

/// The files that one config may be merged from.
pub(super) const MOST_FILES: usize = 1000;
