//! Reader and writer of PyTorch's file formats; nothing in a file is ever executed.
//!
//! [`Checkpoint::open`] reads the files of `torch.save` (zip and legacy), TorchScript archives and safetensors. It looks
//! at the content only, and checks the whole structure; the [bytes](RawTensor::bytes) of a tensor are read when they are
//! asked for. A file that becomes shorter meanwhile is an error; only bytes that are lent, by [`RawTensor::mapped`], must not
//! go away. [`inspect`] is the same for people and scripts.
//!
//! [`Sharded::open`] reads a state dict that is in several of them, and [`AnyCheckpoint::open`] either.
//!
//! A pickle in such a file is read by a machine that knows a fixed list of classes and functions by name and gives a
//! meaning to them itself. All else is an [`Error`] that names it.
#![deny(clippy::indexing_slicing)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod any;
mod archive;
mod bare;
mod bytes;
mod cast;
mod checkpoint;
mod compare;
mod convert;
mod dtype;
mod error;
mod file;
mod find;
mod gather;
mod inspect;
mod json;
mod legacy;
mod limits;
mod number;
mod object;
mod opaque;
mod options;
mod pickle;
mod raw;
mod read;
mod safetensors;
mod sharded;
mod source;
mod storage;
mod tensor;
mod tree;
mod write;
mod zip;

pub use any::AnyCheckpoint;
pub use checkpoint::{Checkpoint, Format};
pub use compare::{CompareOptions, Comparison, Different, Values, compare};
pub use convert::{ConvertOptions, Converted, Target, convert};
pub use dtype::Dtype;
pub use error::{Error, ErrorKind, LegacyProblem, PickleProblem, StorageProblem, TreeProblem, ZipProblem, printable};
pub use find::{Found, Place};
pub use inspect::{Inspection, inspect};
pub use options::{Options, UnknownClasses};
pub use raw::RawTensor;
pub use read::read_all;
pub use sharded::Sharded;
pub use write::{Item, TensorData, destination, replace_file, write_pth, write_safetensors};
