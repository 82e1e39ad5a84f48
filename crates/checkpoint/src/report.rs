//! [`LoadReport`]: what was loaded, and what was not.

use std::fmt;

use serde::Serialize;
use tch::Tensor;

use crate::dtype;
use crate::suggestion::{self, Suggestion};

/// At most this many names of each group are shown.
const MAX_SHOWN: usize = 4;

/// The result of loading a state dict, or of an attempt that was refused, by the names of the module's tensors.
///
/// Its text has a line for each group that is not empty: the number of names, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Whether the tensors were written; false if loading was refused.
    pub written: bool,
    /// Tensors that were loaded, or would have been.
    pub loaded: Vec<String>,
    /// How many of `loaded` are parameters; the others are buffers.
    pub parameters: usize,
    /// Those of `loaded` that were converted from another type.
    pub cast: Vec<Difference>,
    /// Tensors of the module that the state dict lacks.
    pub missing: Vec<String>,
    /// Tensors of the state dict that the module lacks.
    pub unexpected: Vec<String>,
    /// Tensors with another shape or type in the state dict, which were not loaded.
    pub mismatched: Vec<Difference>,
    /// Required tensors of the module that were not loaded: all of `missing`, and those of `mismatched` that a checkpoint
    /// may not lack. They keep their initial values.
    pub unset: Vec<String>,
    /// Tensors of the state dict that belong to a head, if the module is a backbone alone.
    pub of_head: Vec<String>,
    /// The key mapping of the state dict, such as `dialect torchvision`; `None` for the module's own names.
    pub layout: Option<String>,
    /// The number of names that the key mapping changed.
    pub rewritten: usize,
    /// The wrapper that was removed from the names, such as ``prefix `_orig_mod.` ``.
    pub wrapper: Option<String>,
    /// Options with which more tensors would be loaded. Several ones load the same number.
    pub suggestions: Vec<Suggestion>,
    /// The names of the classes in the file; see
    /// [`CheckpointFile::classes`](crate::CheckpointFile::classes).
    pub classes: Option<Vec<String>>,
}

/// A tensor with another shape or type in the state dict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The name in the module.
    pub name: String,
    /// Type and shape in the module.
    pub expected: TensorType,
    /// Type and shape in the state dict.
    pub found: TensorType,
    /// Whether a cast makes it fit: the shapes are the same, and [`DtypePolicy::Cast`](crate::DtypePolicy::Cast) allows it.
    pub castable: bool,
}

/// Type and shape of a tensor; its text is `float32 [64, 3, 7, 7]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorType {
    /// PyTorch's name of the type, or of a layout without plain elements: `sparse_coo`.
    pub dtype: String,
    /// The sizes; empty for a scalar.
    pub shape: Vec<i64>,
}

impl TensorType {
    pub(crate) fn of(tensor: &Tensor) -> Self {
        let dtype = match tensor.f_kind() {
            Ok(kind) => dtype::name(kind),
            Err(_) => "unknown".to_owned(),
        };
        Self { dtype, shape: tensor.size() }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.dtype, self.shape)
    }
}

impl LoadReport {
    /// Whether the module and the state dict have exactly the same tensors.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }

    /// Whether tensors were changed so that they fit: cast to another type, or renamed without a wrapper's prefix.
    #[must_use]
    pub fn is_converted(&self) -> bool {
        !self.cast.is_empty() || self.wrapper.is_some()
    }

    /// The number of tensors of the module.
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
        suggestion::describe(f, &self.suggestions)?;
        group(f, "of a head that the network does not have", &self.of_head)?;
        group(f, "missing", &self.missing)?;
        group(f, "unexpected", &self.unexpected)?;
        self.describe_mismatches(f)?;
        self.describe_casts(f)
    }
}

impl LoadReport {
    fn describe_mismatches(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        let mut castable = 0;
        for Difference { name, expected, found, castable: is_castable } in &self.mismatched {
            lines.push(format!("{name}: {expected} in the network, {found} in the file"));
            castable += usize::from(*is_castable);
        }
        group(f, "mismatched", &lines)?;
        if castable > 0 {
            write!(f, "\n{castable} of these would be converted with the dtype policy `cast`")?;
        }
        Ok(())
    }

    /// A line for each type in the file.
    fn describe_casts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for difference in &self.cast {
            let from = difference.cast_from();
            match groups.iter_mut().find(|(known, _)| *known == from) {
                Some((_, names)) => names.push(difference.name.clone()),
                None => groups.push((from, vec![difference.name.clone()])),
            }
        }
        for (from, names) in groups {
            group(f, &format!("cast from {from}"), &names)?;
        }
        Ok(())
    }
}

impl Difference {
    /// The type in the file, with the shape if that differs too.
    fn cast_from(&self) -> String {
        if self.expected.shape == self.found.shape { self.found.dtype.clone() } else { self.found.to_string() }
    }
}

/// Writes a line with the number of items and the first of them.
fn group(f: &mut fmt::Formatter<'_>, title: &str, items: &[String]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    let shown = &items[..items.len().min(MAX_SHOWN)];
    let more = if items.len() > MAX_SHOWN { ", ..." } else { "" };
    write!(f, "\n{} {title} ({}{more})", items.len(), shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_is_a_line_and_long_ones_are_truncated() {
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
