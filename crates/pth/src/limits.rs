//! Limits on the resources that a file may use. Each is checked before memory or time is spent.

/// Levels of nested containers.
pub(crate) const MAX_DEPTH: u32 = 500;
/// Values in the result: containers, scalars, tensors and the dimensions of tensors.
pub(crate) const MAX_VALUES: u64 = 1_000_000;
/// Parts of containers visited on the way to tensors, counted for each path.
pub(crate) const MAX_STEPS: u64 = 32 << 20;
/// Total bytes of keys and strings in the result.
pub(crate) const MAX_TEXT_BYTES: u64 = 64 << 20;
/// Bytes of tensors or inflated entries that any file may have, however small it is.
pub(crate) const MIN_UNFOLDED_BYTES: u64 = 64 << 20;
/// Bytes of tensors or inflated entries that a larger file may have, as a multiple of its size.
pub(crate) const MAX_UNFOLDED_FACTOR: u64 = 16;
/// The largest compression ratio of an entry that inflates to more than [`MIN_UNFOLDED_BYTES`].
pub(crate) const MAX_DEFLATE_RATIO: u64 = 100;
/// Bytes of the central directory of a zip archive.
pub(crate) const MAX_DIRECTORY_BYTES: u64 = 80 << 20;
/// Entries of a zip archive.
pub(crate) const MAX_ZIP_ENTRIES: u64 = 1 << 20;
/// Bytes of one pickle.
pub(crate) const MAX_PICKLE_BYTES: usize = 128 << 20;
/// Bytes of memory for the values of one pickle; usage is overestimated.
pub(crate) const MAX_PICKLE_MEMORY: u64 = 256 << 20;
/// Values on the stack of the unpickler.
pub(crate) const MAX_STACK: usize = 2 << 20;
/// Bytes of one line of a text opcode.
pub(crate) const MAX_LINE_BYTES: usize = 1 << 20;
/// Bytes of the module and name of one global.
pub(crate) const MAX_NAME_BYTES: usize = 1 << 16;
/// Bytes of one integer (2466 decimal digits).
pub(crate) const MAX_INT_BYTES: usize = 1024;
/// Parts of one tuple used as a mapping key, including all levels.
pub(crate) const MAX_KEY_PARTS: usize = 1024;
/// Parts of all such keys of a pickle. 64 bytes of any other key count as one part.
pub(crate) const MAX_ALL_KEY_PARTS: usize = 2 << 20;
/// Bytes of a safetensors header, as in its specification.
pub(crate) const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Dimensions of a tensor in a safetensors file.
pub(crate) const MAX_HEADER_RANK: usize = 4096;
/// Bytes of the index of a sharded checkpoint.
pub(crate) const MAX_INDEX_BYTES: u64 = 64 << 20;
/// Files of a sharded checkpoint.
pub(crate) const MAX_SHARDS: u64 = 10_000;

/// Bytes of tensors or inflated entries that a file of `file_bytes` may have.
pub(crate) fn max_unfolded_bytes(file_bytes: u64) -> u64 {
    file_bytes.saturating_mul(MAX_UNFOLDED_FACTOR).max(MIN_UNFOLDED_BYTES)
}
