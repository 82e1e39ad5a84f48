//! [`LoadReport`]: what was loaded and what was not.

use std::fmt;

use tch::Tensor;

use crate::proposal::{self, Proposal};
use crate::tensor;

/// Names that are shown of each group.
const SHOWN: usize = 4;

/// What loading a state dict did, or would have done where it was refused, by the names of the module's tensors.
///
/// Its text has a line for each group that is not empty: the number of names, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Whether the tensors were written; false where loading was refused and nothing was.
    pub written: bool,
    /// Tensors that were loaded, or would have been.
    pub loaded: Vec<String>,
    /// How many of `loaded` are parameters; the others are buffers.
    pub parameters: usize,
    /// Those of `loaded` whose type is another in the file, and that were converted.
    pub cast: Vec<Difference>,
    /// Tensors of the module that the state dict lacks.
    pub missing: Vec<String>,
    /// Tensors of the state dict that the module lacks.
    pub unexpected: Vec<String>,
    /// Tensors whose shape or type is another in the state dict, and that were left as they are.
    pub mismatched: Vec<Difference>,
    /// Tensors of the module that the state dict gave no value, and that need one: all of `missing`, and those of
    /// `mismatched` that a checkpoint may not lack. What depends on them is random.
    pub unset: Vec<String>,
    /// Tensors of the state dict that belong to what stands on a backbone, where the module is the backbone alone.
    pub of_head: Vec<String>,
    /// How the names in the state dict are made, such as `dialect torchvision`; `None` where they are the module's own.
    pub layout: Option<String>,
    /// How many names the layout changed.
    pub rewritten: usize,
    /// What programs put around a network and was taken off the names, such as ``prefix `_orig_mod.` ``.
    pub wrapper: Option<String>,
    /// Other options with which more tensors would be loaded; several of them load the same.
    pub proposals: Vec<Proposal>,
    /// The names of the classes that the file has beside its tensors; see
    /// [`CheckpointFile::classes`](crate::CheckpointFile::classes).
    pub classes: Option<Vec<String>>,
}

/// A tensor whose shape or type is another in the state dict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The name in the module.
    pub name: String,
    /// Type and shape in the module.
    pub expected: TensorType,
    /// Type and shape in the state dict.
    pub found: TensorType,
    /// Whether a cast would make it fit: the shapes are the same, and the types are such that values keep their kind.
    pub castable: bool,
}

/// Type and shape of a tensor; its text is `float32 [64, 3, 7, 7]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorType {
    /// torch's name of the type, or the word for a kind of tensor without plain elements: `sparse_coo`.
    pub dtype: String,
    /// The sizes; empty for a scalar.
    pub shape: Vec<i64>,
}

impl TensorType {
    pub(crate) fn of(tensor: &Tensor) -> Self {
        let dtype = tensor.f_kind().map_or_else(|_| "unknown".to_owned(), tensor::name);
        Self { dtype, shape: tensor.size() }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.dtype, self.shape)
    }
}

impl LoadReport {
    /// Whether every tensor of the module is in the state dict and the other way round.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }

    /// How many tensors the module has.
    #[must_use]
    pub fn total(&self) -> usize {
        self.loaded.len() + self.missing.len() + self.mismatched.len()
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.written || self.loaded.is_empty() { "loaded" } else { "would fit" };
        write!(f, "{} of {} {word}", self.loaded.len(), self.total())?;
        if let Some(layout) = &self.layout {
            write!(f, "; {layout}, {} names rewritten", self.rewritten)?;
        }
        if let Some(wrapper) = &self.wrapper {
            write!(f, "; {wrapper} taken off")?;
        }
        if !self.written && !self.loaded.is_empty() && self.parameters == 0 {
            write!(f, ", none of which is a parameter")?;
        }
        proposal::describe(f, &self.proposals)?;
        group(f, "of a head that the network does not have", &self.of_head, String::clone)?;
        group(f, "missing", &self.missing, String::clone)?;
        group(f, "unexpected", &self.unexpected, String::clone)?;
        group(f, "mismatched", &self.mismatched, |Difference { name, expected, found, .. }| {
            format!("{name}: {expected} in the network, {found} in the file")
        })?;
        let castable = self.mismatched.iter().filter(|difference| difference.castable).count();
        if castable > 0 {
            write!(f, "\n{castable} of these would be converted with the dtype policy `cast`")?;
        }
        let mut types: Vec<String> = Vec::new();
        for difference in &self.cast {
            let from = difference.cast_from();
            if !types.contains(&from) {
                types.push(from);
            }
        }
        for from in types {
            let cast: Vec<_> = self.cast.iter().filter(|difference| difference.cast_from() == from).collect();
            group(f, &format!("cast from {from}"), &cast, |difference| difference.name.clone())?;
        }
        Ok(())
    }
}

impl Difference {
    /// What the file has: its type, and its shape where that is another too.
    fn cast_from(&self) -> String {
        if self.expected.shape == self.found.shape { self.found.dtype.clone() } else { self.found.to_string() }
    }
}

/// A line with the number of items, and the first of them.
fn group<T>(f: &mut fmt::Formatter<'_>, what: &str, items: &[T], text: impl Fn(&T) -> String) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = items.iter().take(SHOWN).map(text).collect();
    let more = if items.len() > SHOWN { ", ..." } else { "" };
    write!(f, "\n{} {what} ({}{more})", items.len(), shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_is_a_line_and_long_ones_are_cut() {
        let names = |count: usize| (0..count).map(|index| format!("k{index}")).collect();
        let difference = Difference {
            name: "w".to_owned(),
            expected: TensorType { dtype: "float32".to_owned(), shape: vec![3] },
            found: TensorType { dtype: "float64".to_owned(), shape: vec![3] },
            castable: true,
        };
        let report = LoadReport {
            written: true,
            loaded: names(2),
            missing: names(6),
            mismatched: vec![difference],
            ..LoadReport::default()
        };
        let text = "2 of 9 loaded\n6 missing (k0, k1, k2, k3, ...)\n\
                    1 mismatched (w: float32 [3] in the network, float64 [3] in the file)\n\
                    1 of these would be converted with the dtype policy `cast`";
        assert_eq!(report.to_string(), text);
        assert!(!report.is_complete());
    }
}
