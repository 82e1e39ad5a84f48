//! [`LoadReport`]: what was loaded and what was not.

use std::fmt;

/// What loading a checkpoint did, by the names of the module's tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Tensors that were loaded.
    pub loaded: Vec<String>,
    /// Tensors of the module that the file lacks.
    pub missing: Vec<String>,
    /// Tensors of the file that the module lacks.
    pub unexpected: Vec<String>,
    /// Tensors whose shape or type is another in the file.
    pub mismatched: Vec<Mismatch>,
}

/// A tensor whose shape or type is another in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The name in the module.
    pub name: String,
    /// Type and shape in the module: `float32 [64, 3, 7, 7]`.
    pub expected: String,
    /// Type and shape in the file.
    pub found: String,
}

impl LoadReport {
    /// Whether every tensor of the module was in the file and the other way round.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} loaded", self.loaded.len())?;
        group(f, "missing", &self.missing)?;
        group(f, "unexpected", &self.unexpected)?;
        let mismatched: Vec<_> = self
            .mismatched
            .iter()
            .map(|Mismatch { name, expected, found }| format!("{name}: {expected} in the network, {found} in the file"))
            .collect();
        group(f, "mismatched", &mismatched)
    }
}

/// The number of names, and the first of them.
fn group(f: &mut fmt::Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    const SHOWN: usize = 4;
    if names.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    write!(f, "; {} {what} ({}{more})", names.len(), shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_groups_are_cut() {
        let names = |count: usize| (0..count).map(|index| format!("k{index}")).collect();
        let report = LoadReport { loaded: names(2), missing: names(6), ..LoadReport::default() };
        assert_eq!(report.to_string(), "2 loaded; 6 missing (k0, k1, k2, k3, ...)");
        assert!(!report.is_complete());
    }
}
