//! The file formats: detection from the content, and a reader for each.

mod json_object;
mod legacy;
mod plain_pickle;
mod safetensors;
mod torch_zip;
pub(crate) mod zip;

use std::fmt;

use serde::{Serialize, Serializer};

use crate::error::{ErrorKind, FileSignature};
use crate::file::File;
use crate::options::OpenOptions;
use crate::tensor::StorageTable;
use crate::unpickler::{AllowList, Graph};

pub(crate) use json_object::{JsonObject, StringEntries};
pub(crate) use safetensors::METADATA;

/// Bytes at the start of a file from which its format is detected.
const HEAD_BYTES: u64 = 512;

/// The supported file formats. They are detected from the content, never from the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `torch.save` since torch 1.6.
    PthZip,
    /// `torch.save` before torch 1.6.
    PthLegacy,
    /// `torch.jit.save`.
    TorchScript,
    /// The `safetensors` library.
    Safetensors,
    /// A plain pickle of NumPy arrays, as written by Detectron2 and Caffe2. Read by
    /// [`Checkpoint::open`](crate::Checkpoint::open).
    Pickle,
}

impl Format {
    /// Whether the file holds a pickled tree of values and not just named tensors.
    pub(crate) fn is_pickled_tree(self) -> bool {
        matches!(self, Self::PthZip | Self::PthLegacy | Self::Pickle)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::PthZip => "pth-zip",
            Self::PthLegacy => "pth-legacy",
            Self::TorchScript => "torchscript",
            Self::Safetensors => "safetensors",
            Self::Pickle => "pickle",
        })
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The contents of a file: its values, and the storages that its tensors view.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) format: Format,
    pub(crate) graph: Graph,
    pub(crate) storages: StorageTable,
    pub(crate) archive: Option<zip::Archive>,
    pub(crate) big_endian: bool,
}

impl Contents {
    /// The contents of a file that is not a zip archive.
    fn new(format: Format, graph: Graph, storages: StorageTable) -> Self {
        Self { format, graph, storages, archive: None, big_endian: false }
    }
}

/// Detects the format of `file` and reads its structure. The bytes of tensors are not read.
pub(crate) fn read(file: &File, options: &OpenOptions) -> Result<Contents, ErrorKind> {
    let head = file.head(HEAD_BYTES)?;
    let allowed = AllowList { inert: &options.inert, unknown: options.unknown, torchscript: false, arrays: false };
    if head.starts_with(&zip::LOCAL_SIGNATURE) {
        return torch_zip::read(file, allowed);
    }
    if let Some(length) = safetensors::header_length(&head, file.length()) {
        return safetensors::read(file, length);
    }
    if legacy::is_legacy(&head) {
        return legacy::read(file, allowed);
    }
    if options.plain_pickles && plain_pickle::is_pickle(&head) {
        return plain_pickle::read(file, allowed);
    }
    Err(ErrorKind::UnknownFormat { found: signature(&head) })
}

/// What the start of a file in an unknown format looks like.
fn signature(head: &[u8]) -> FileSignature {
    let text = head.trim_ascii_start();
    match head {
        [] => FileSignature::Empty,
        [b'P', b'K', ..] => FileSignature::Zip,
        [0x1f, 0x8b, ..] => FileSignature::Gzip,
        [b'7', b'z', 0xbc, 0xaf, ..] => FileSignature::SevenZip,
        [0x80, 1..=5, ..] => FileSignature::Pickle,
        _ if head.get(257..262) == Some(b"ustar") => FileSignature::Tar,
        _ if text.starts_with(b"<") => FileSignature::Html,
        _ if text.starts_with(b"{") => FileSignature::Json,
        _ if text.starts_with(b"version https://git-lfs") => FileSignature::GitLfs,
        _ => FileSignature::Unknown,
    }
}
