//! Tools on top of reading and writing: inspection, comparison and conversion.

mod compare;
mod convert;
mod inspect;
mod side_data;

pub use compare::{CompareOptions, Comparison, TensorDifference, ValueDifference, compare};
pub use convert::{ConversionReport, ConvertOptions, OutputFormat, convert};
pub use inspect::{Inspection, inspect};
