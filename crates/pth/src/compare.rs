//! The tensors of two checkpoints, compared.

use std::collections::HashMap;

use crate::any::AnyCheckpoint;
use crate::dtype::Dtype;
use crate::error::Error;
use crate::number::Number;
use crate::raw::RawTensor;

/// How [`compare`] goes about it.
#[derive(Clone, Copy, Default)]
pub struct CompareOptions<'a> {
    /// Only what is below this entry, a dotted path, in a file that has it; the keys lose that part. Default: everything.
    pub entry: Option<&'a str>,
    /// Elements `a` and `b` that are at most `atol + rtol * |b|` apart count as the same, whatever their types. Default: 0,
    /// and with `rtol` 0, too, only the same bits of the same type are the same.
    pub atol: f64,
    /// As `atol`. Default: 0.
    pub rtol: f64,
    /// Is told how many of how many bytes have been compared, now and then.
    pub progress: Option<&'a dyn Fn(u64, u64)>,
}

impl CompareOptions<'_> {
    fn is_exact(&self) -> bool {
        self.atol == 0.0 && self.rtol == 0.0
    }
}

/// What is different between the tensors of two files, `a` and `b`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// How many tensors are the same.
    pub same: usize,
    /// Keys that only the first file has, in its order.
    pub only_in_a: Vec<String>,
    /// Keys that only the second file has, in its order.
    pub only_in_b: Vec<String>,
    /// Tensors that both have and that are not the same, in the order of the first file.
    pub different: Vec<Different>,
}

impl Comparison {
    /// Whether no difference was found.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.only_in_a.is_empty() && self.only_in_b.is_empty() && self.different.is_empty()
    }
}

/// Two tensors of one key that are not the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Different {
    /// Their key.
    pub key: String,
    /// The types: torch's name, or the word for a kind of tensor without plain bytes.
    pub dtypes: [&'static str; 2],
    /// The sizes.
    pub shapes: [Vec<u64>; 2],
    /// How the elements differ; `None` where the shapes are not the same, or there are no plain bytes to compare.
    pub values: Option<Values>,
}

/// How far the elements of two tensors are apart.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Values {
    /// How many elements count as different.
    pub elements: u64,
    /// Of how many.
    pub of: u64,
    /// The largest distance of two elements; infinite where only one of them is NaN, and 0 where just their bits differ.
    pub max_abs: f64,
    /// The largest distance in proportion to the larger magnitude.
    pub max_rel: f64,
}

/// Compares the tensors of two open checkpoints by key: which are in one only, then shapes, types and elements.
///
/// Formats, strides, the number of files, and everything that is no tensor make no difference.
///
/// # Errors
/// The bytes of a tensor are damaged, or neither file has the entry.
pub fn compare(a: &AnyCheckpoint, b: &AnyCheckpoint, options: &CompareOptions<'_>) -> Result<Comparison, Error> {
    if let Some(entry) = options.entry.filter(|entry| a.below(entry).is_empty() && b.below(entry).is_empty()) {
        a.find(Some(entry))?;
    }
    let (left, right) = (tensors(a, options.entry), tensors(b, options.entry));
    let mut by_key: HashMap<&str, &RawTensor<'_>> = right.iter().map(|raw| (raw.key(), raw)).collect();
    let mut comparison = Comparison::default();
    let total: u64 = left.iter().filter(|raw| by_key.contains_key(raw.key())).map(RawTensor::byte_count).sum();
    let mut done = 0;
    for left in &left {
        let Some(right) = by_key.remove(left.key()) else {
            comparison.only_in_a.push(left.key().to_owned());
            continue;
        };
        match different(left, right, options)? {
            Some(different) => comparison.different.push(different),
            None => comparison.same += 1,
        }
        done += left.byte_count();
        if let Some(progress) = options.progress {
            progress(done, total);
        }
    }
    let rest = right.iter().map(RawTensor::key).filter(|key| by_key.contains_key(key));
    comparison.only_in_b = rest.map(str::to_owned).collect();
    Ok(comparison)
}

/// All tensors, or those below an entry where there are some.
fn tensors<'a>(checkpoint: &'a AnyCheckpoint, entry: Option<&str>) -> Vec<RawTensor<'a>> {
    let below = entry.map(|entry| checkpoint.below(entry)).filter(|found| !found.is_empty());
    below.unwrap_or_else(|| checkpoint.tensors().collect())
}

fn different(
    left: &RawTensor<'_>,
    right: &RawTensor<'_>,
    options: &CompareOptions<'_>,
) -> Result<Option<Different>, Error> {
    let word = |raw: &RawTensor<'_>| raw.dtype().map(Dtype::name).or(raw.unsupported()).unwrap_or_default();
    let same_shape = left.shape() == right.shape();
    let values = match (left.dtype(), right.dtype()) {
        (Some(left_type), Some(right_type)) if same_shape => {
            Some(compare_values((left, left_type), (right, right_type), options)?)
        }
        _ => None,
    };
    let dtypes = [word(left), word(right)];
    if (dtypes[0] == dtypes[1] || !options.is_exact()) && values.is_some_and(|values| values.elements == 0) {
        return Ok(None);
    }
    let shapes = [left.shape().to_vec(), right.shape().to_vec()];
    Ok(Some(Different { key: left.key().to_owned(), dtypes, shapes, values }))
}

/// Compares elements: the chunks of the one tensor with the same part of the other, which costs memory only where it does
/// not lie in the file as it is.
fn compare_values(
    (left, left_type): (&RawTensor<'_>, Dtype),
    (right, right_type): (&RawTensor<'_>, Dtype),
    options: &CompareOptions<'_>,
) -> Result<Values, Error> {
    let mut whole = Vec::new();
    if !left.read_part(0, &mut []).map_err(|kind| left.error(kind))? {
        whole = left.bytes()?;
    }
    let (left_size, right_size) = (left_type.size(), right_type.size());
    let mut values = Values { of: left.byte_count() / left_size as u64, ..Values::default() };
    let (mut position, mut failed, mut part) = (0, None, Vec::new());
    right.for_each_chunk(|chunk| {
        part.resize(chunk.len() / right_size * left_size, 0);
        let end = position + part.len();
        match whole.get(position..end) {
            Some(bytes) => part.copy_from_slice(bytes),
            None => failed = failed.take().or(left.read_part(position as u64, &mut part).err()),
        }
        position = end;
        if failed.is_some() || left_type == right_type && part == chunk {
            return;
        }
        for (left, right) in part.chunks_exact(left_size).zip(chunk.chunks_exact(right_size)) {
            if left_type != right_type || left != right {
                values.add(
                    Number::of(left_type, left),
                    Number::of(right_type, right),
                    left_type == right_type,
                    options,
                );
            }
        }
    })?;
    match failed {
        Some(kind) => Err(left.error(kind)),
        None => Ok(values),
    }
}

impl Values {
    /// Counts two elements whose bits differ; `same_type` tells whether that alone makes them different.
    fn add(&mut self, left: Number, right: Number, same_type: bool, options: &CompareOptions<'_>) {
        let (apart, magnitude) = left.distance(right);
        let allowed = options.atol + options.rtol * right.magnitude();
        // An infinite distance is never allowed.
        let within = if options.is_exact() {
            apart == 0.0 && !same_type
        } else {
            apart == 0.0 || apart <= allowed && apart.is_finite()
        };
        if within {
            return;
        }
        self.elements += 1;
        self.max_abs = self.max_abs.max(apart);
        if apart > 0.0 {
            self.max_rel = self.max_rel.max(if apart.is_finite() { apart / magnitude } else { f64::INFINITY });
        }
    }
}
