//! Tensors of a file: element types, views of storages, and reading their elements.

mod cast;
mod desc;
mod dtype;
mod element;
mod raw_tensor;
mod read_all;
mod storage;
mod storage_reader;
mod strided_copy;

pub(crate) use cast::{cast, is_cast_target, is_floating_point};
pub(crate) use desc::{StorageId, StorageSlice, Strided, TensorDesc, element_count, row_major_strides};
pub use dtype::Dtype;
pub(crate) use element::Element;
pub use raw_tensor::RawTensor;
pub(crate) use raw_tensor::{MemoryRange, strip_prefix};
pub use read_all::read_all;
pub(crate) use storage::{Place, StorageTable};
pub(crate) use storage_reader::{StorageBytes, StorageReader};
pub(crate) use strided_copy::StridedCopy;
