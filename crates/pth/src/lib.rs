//! Reader and writer of PyTorch's file formats; nothing in a file is ever executed.
//!
//! [`Checkpoint::open`] reads files of `torch.save` (zip and legacy), TorchScript archives, safetensors, plain pickles of
//! NumPy arrays, and sharded checkpoints with an index. [`FileCheckpoint`] and [`ShardedCheckpoint`] read one or the other.
//! The format is detected from the content. Opening a file checks its whole structure; the [bytes](RawTensor::bytes) of a
//! tensor are read on demand. If a file becomes shorter in the meantime, reading it returns an error; only bytes borrowed by
//! [`RawTensor::mapped`] must not go away. [`inspect`] summarizes a file for people and scripts.
//!
//! The unpickler knows a fixed list of classes and functions by name and implements them itself. Anything else in a pickle
//! is an [`Error`] that names it.
#![deny(clippy::indexing_slicing)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod checkpoint;
mod cursor;
mod error;
mod file;
mod format;
mod limits;
mod options;
mod tensor;
mod tools;
mod tree;
mod unpickler;
mod write;

pub use checkpoint::{Checkpoint, FileCheckpoint, ShardedCheckpoint, StateDict, TensorGroup};
pub use error::{
    Error, ErrorKind, FileSignature, LegacyProblem, PickleProblem, StorageProblem, TreeProblem, ZipProblem, printable,
};
pub use format::Format;
pub use options::{OpenOptions, UnknownClasses};
pub use tensor::{Dtype, RawTensor, read_all};
pub use tools::{
    CompareOptions, Comparison, ConversionReport, ConvertOptions, Inspection, OutputFormat, TensorDifference,
    ValueDifference, compare, convert, inspect,
};
pub use write::{PthItem, TensorData, replace_file, resolve_destination, write_pth, write_safetensors};
