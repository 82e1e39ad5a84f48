//! [`compare`]: the differences between the tensors of two checkpoints.

use std::collections::HashMap;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::tensor::{Dtype, Element, RawTensor};
use crate::tree::Float;

/// Options of [`compare`].
#[derive(Clone, Copy, Default)]
pub struct CompareOptions<'a> {
    /// Compares only the tensors below this entry, a dotted path, in a file that has it, and removes that part from the keys.
    /// Default: all tensors.
    pub entry: Option<&'a str>,
    /// Elements `a` and `b` with a distance of at most `atol + rtol * |b|` are equal, whatever their types. Default: 0. If
    /// `rtol` is 0, too, only elements of the same type with the same bits are equal.
    pub atol: f64,
    /// See `atol`. Default: 0.
    pub rtol: f64,
    /// Called from time to time with the number of bytes compared and their total number.
    pub progress: Option<&'a dyn Fn(u64, u64)>,
}

impl std::fmt::Debug for CompareOptions<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { entry, atol, rtol, .. } = self;
        let mut options = formatter.debug_struct("CompareOptions");
        options.field("entry", entry).field("atol", atol).field("rtol", rtol).finish_non_exhaustive()
    }
}

impl CompareOptions<'_> {
    fn is_exact(&self) -> bool {
        self.atol == 0.0 && self.rtol == 0.0
    }
}

/// The differences between the tensors of two files, `a` and `b`.
///
/// Serializes to an object with the keys `equal`, `same`, `only_in_a`, `only_in_b` and `different`, which maps each key to a
/// [`TensorDifference`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// The number of equal tensors.
    pub same: usize,
    /// The keys that only the first file has, in its order.
    pub only_in_a: Vec<String>,
    /// The keys that only the second file has, in its order.
    pub only_in_b: Vec<String>,
    /// The tensors that differ, in the order of the first file.
    pub different: Vec<TensorDifference>,
}

impl Comparison {
    /// Whether there are no differences.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.only_in_a.is_empty() && self.only_in_b.is_empty() && self.different.is_empty()
    }
}

impl Serialize for Comparison {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Comparison", 5)?;
        object.serialize_field("equal", &self.is_same())?;
        object.serialize_field("same", &self.same)?;
        object.serialize_field("only_in_a", &self.only_in_a)?;
        object.serialize_field("only_in_b", &self.only_in_b)?;
        object.serialize_field("different", &DifferencesByKey(&self.different))?;
        object.end()
    }
}

struct DifferencesByKey<'a>(&'a [TensorDifference]);

impl Serialize for DifferencesByKey<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|difference| (&difference.key, difference)))
    }
}

/// Two tensors with the same key that differ. Serializes to an object with the keys `a` and `b`, each with `dtype` and
/// `shape`, and `values`.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorDifference {
    /// The key.
    pub key: String,
    /// The element types: torch's names, or the kinds of tensors without plain bytes.
    pub dtypes: [&'static str; 2],
    /// The shapes.
    pub shapes: [Vec<u64>; 2],
    /// The differences between the elements; `None` if the shapes differ or there are no plain bytes to compare.
    pub values: Option<ValueDifference>,
}

#[derive(serde::Serialize)]
struct TypeAndShape<'a> {
    dtype: &'static str,
    shape: &'a [u64],
}

impl Serialize for TensorDifference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ([dtype_a, dtype_b], [shape_a, shape_b]) = (self.dtypes, &self.shapes);
        let mut object = serializer.serialize_struct("TensorDifference", 3)?;
        object.serialize_field("a", &TypeAndShape { dtype: dtype_a, shape: shape_a })?;
        object.serialize_field("b", &TypeAndShape { dtype: dtype_b, shape: shape_b })?;
        object.serialize_field("values", &self.values)?;
        object.end()
    }
}

/// The differences between the elements of two tensors. An infinite number is serialized as `{"$float": "inf"}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct ValueDifference {
    /// The number of elements that differ.
    pub elements: u64,
    /// The number of all elements; `of` in JSON.
    #[serde(rename = "of")]
    pub total: u64,
    /// The largest distance of two elements: infinite if only one of them is NaN, and 0 if only their bits differ.
    #[serde(serialize_with = "serialize_float")]
    pub max_abs: f64,
    /// The largest distance in relation to the larger magnitude.
    #[serde(serialize_with = "serialize_float")]
    pub max_rel: f64,
}

fn serialize_float<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Float(*value).serialize(serializer)
}

/// Compares the tensors of two open checkpoints by key, then by shape, type and elements.
///
/// Formats, strides, the number of files, and everything but tensors are ignored.
///
/// # Errors
/// Returns an error if the bytes of a tensor are damaged, or neither file has the entry.
pub fn compare(a: &Checkpoint, b: &Checkpoint, options: &CompareOptions<'_>) -> Result<Comparison, Error> {
    if let Some(entry) = options.entry
        && a.below(entry).is_empty()
        && b.below(entry).is_empty()
    {
        a.find(Some(entry))?;
    }
    let (left, right) = (tensors(a, options.entry), tensors(b, options.entry));
    let mut by_key: HashMap<&str, &RawTensor<'_>> = right.iter().map(|tensor| (tensor.key(), tensor)).collect();
    let common = left.iter().filter(|tensor| by_key.contains_key(tensor.key()));
    let total = common.map(RawTensor::byte_count).sum();
    let mut comparison = Comparison::default();
    let mut done = 0;
    for left in &left {
        let Some(right) = by_key.remove(left.key()) else {
            comparison.only_in_a.push(left.key().to_owned());
            continue;
        };
        match compare_tensors(left, right, options)? {
            Some(difference) => comparison.different.push(difference),
            None => comparison.same += 1,
        }
        done += left.byte_count();
        if let Some(progress) = options.progress {
            progress(done, total);
        }
    }
    for tensor in &right {
        if by_key.contains_key(tensor.key()) {
            comparison.only_in_b.push(tensor.key().to_owned());
        }
    }
    Ok(comparison)
}

/// The tensors below an entry, or all tensors if there are none.
fn tensors<'a>(checkpoint: &'a Checkpoint, entry: Option<&str>) -> Vec<RawTensor<'a>> {
    if let Some(entry) = entry {
        let below = checkpoint.below(entry);
        if !below.is_empty() {
            return below;
        }
    }
    checkpoint.tensors().collect()
}

fn compare_tensors(
    left: &RawTensor<'_>,
    right: &RawTensor<'_>,
    options: &CompareOptions<'_>,
) -> Result<Option<TensorDifference>, Error> {
    let dtypes = [left.type_name(), right.type_name()];
    let values = match (left.dtype(), right.dtype()) {
        (Some(left_type), Some(right_type)) if left.shape() == right.shape() => {
            Some(compare_values((left, left_type), (right, right_type), options)?)
        }
        _ => None,
    };
    if let Some(values) = values
        && values.elements == 0
        && (dtypes[0] == dtypes[1] || !options.is_exact())
    {
        return Ok(None);
    }
    let shapes = [left.shape().to_vec(), right.shape().to_vec()];
    Ok(Some(TensorDifference { key: left.key().to_owned(), dtypes, shapes, values }))
}

/// Compares the chunks of `right` with the same parts of `left`. Memory for all of `left` is allocated only if its elements
/// are not stored in row-major order.
fn compare_values(
    (left, left_type): (&RawTensor<'_>, Dtype),
    (right, right_type): (&RawTensor<'_>, Dtype),
    options: &CompareOptions<'_>,
) -> Result<ValueDifference, Error> {
    let (left_size, right_size) = (left_type.size(), right_type.size());
    let is_plain = left.read_part(0, &mut []).map_err(|kind| left.error(kind))?;
    let whole = if is_plain { Vec::new() } else { left.bytes()? };
    let mut values = ValueDifference { total: left.byte_count() / left_size as u64, ..ValueDifference::default() };
    let mut position = 0;
    let mut part = Vec::new();
    let mut result = Ok(());
    right.for_each_chunk(|chunk| {
        if result.is_err() {
            return;
        }
        part.resize(chunk.len() / right_size * left_size, 0);
        match whole.get(position..position + part.len()) {
            Some(bytes) => part.copy_from_slice(bytes),
            None => result = left.read_part(position as u64, &mut part).map(drop),
        }
        position += part.len();
        if result.is_err() || left_type == right_type && part == chunk {
            return;
        }
        for (left, right) in std::iter::zip(part.chunks_exact(left_size), chunk.chunks_exact(right_size)) {
            if left_type != right_type || left != right {
                let (left, right) = (Element::decode(left_type, left), Element::decode(right_type, right));
                values.add(left, right, left_type == right_type, options);
            }
        }
    })?;
    match result {
        Ok(()) => Ok(values),
        Err(kind) => Err(left.error(kind)),
    }
}

impl ValueDifference {
    /// Adds two elements whose bits differ. If `same_type` is set, that makes them different in an exact comparison.
    fn add(&mut self, left: Element, right: Element, same_type: bool, options: &CompareOptions<'_>) {
        let (distance, magnitude) = left.distance(right);
        let is_equal = if options.is_exact() {
            distance == 0.0 && !same_type
        } else {
            let tolerance = options.atol + options.rtol * right.magnitude();
            // An infinite distance is never within the tolerance.
            distance == 0.0 || distance <= tolerance && distance.is_finite()
        };
        if is_equal {
            return;
        }
        self.elements += 1;
        self.max_abs = self.max_abs.max(distance);
        if distance > 0.0 {
            let relative = if distance.is_finite() { distance / magnitude } else { f64::INFINITY };
            self.max_rel = self.max_rel.max(relative);
        }
    }
}
