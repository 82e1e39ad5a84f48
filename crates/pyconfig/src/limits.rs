//! All limits on what a config can take. They are far beyond what the largest published config needs.

/// The largest config file, in bytes.
pub(crate) const FILE_BYTES: u64 = 1 << 20;

/// Files that one config reads, bases of bases included.
pub(crate) const FILES: usize = 1_000;

/// Bytes of the values of files that are kept for further configs.
pub(crate) const KNOWN_MEMORY: usize = 64 << 20;

/// What a kept file takes at least, in bytes.
pub(crate) const KNOWN_FILE: usize = 4 << 10;

/// The longest name, in bytes.
pub(crate) const NAME_BYTES: usize = 1_000;

/// The longest message of an error, in bytes.
pub(crate) const MESSAGE_BYTES: usize = 1_000;

/// Bases below each other.
pub(crate) const BASE_DEPTH: usize = 100;

/// Evaluation steps of one config, bases included.
pub(crate) const STEPS: u64 = 5_000_000;

/// Bytes that one config allocates in total, whether freed or not.
pub(crate) const MEMORY: usize = 128 << 20;

/// Expressions and calls below each other.
pub(crate) const DEPTH: u32 = 4_000;

/// Calls of functions below each other: Python's own limit.
pub(crate) const CALLS: u32 = 950;

/// Bits of an integer.
pub(crate) const INTEGER_BITS: u64 = 1 << 16;

/// Digits of an integer that is converted to or from text: Python's own limit.
pub(crate) const INTEGER_DIGITS: usize = 4_300;

/// Containers below each other in a value that is copied, compared, printed or returned.
pub(crate) const NESTING: u32 = 200;

/// Values in a result. One list under two names counts twice.
pub(crate) const NODES: usize = 1_000_000;

/// Bytes of text in a result.
pub(crate) const RESULT_BYTES: usize = 64 << 20;

/// Threads that read configs.
pub(crate) const THREADS: usize = 4;

/// Stack of the thread that reads a config: reserved, and used only by deeply nested ones.
pub(crate) const STACK: usize = 256 << 20;
