//! [`KeyDialect`]: how another library names the tensors of a network.

use std::collections::HashMap;

/// Names that another library gives to the tensors of a network, as a table of beginnings.
///
/// A network lists its dialects in [`Module::key_dialects`](crate::Module::key_dialects); when a checkpoint is loaded, the
/// one that fits best is used.
///
/// ```
/// use mmcv_layers::KeyDialect;
///
/// let dialect = KeyDialect::new("torchvision").with_head("fc.").with([("stem.0.", "conv1."), ("stem.1.", "bn1.")]);
/// assert_eq!(dialect.rename("stem.0.weight"), "conv1.weight");
/// assert_eq!(dialect.rename("layer1.0.bn1.bias"), "layer1.0.bn1.bias");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDialect {
    name: &'static str,
    /// Beginnings of the classifier's names; the first is that of its linear layer.
    heads: Vec<&'static str>,
    /// From their beginning, which is empty or ends with a dot, to ours.
    beginnings: HashMap<String, String>,
}

impl KeyDialect {
    /// A dialect in which all names are our own.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, heads: Vec::new(), beginnings: HashMap::new() }
    }

    /// The same, with pairs of a beginning in the dialect and ours. Each ends with a dot; of several that fit a name, the
    /// longest counts.
    #[must_use]
    pub fn with<T: Into<String>, O: Into<String>>(mut self, pairs: impl IntoIterator<Item = (T, O)>) -> Self {
        self.beginnings.extend(pairs.into_iter().map(|(theirs, ours)| (theirs.into(), ours.into())));
        self
    }

    /// The same, where names that begin with `head`, such as `fc.`, are those of the classifier on top of a backbone. Of
    /// several the first is the linear layer that gives the scores.
    #[must_use]
    pub fn with_head(mut self, head: &'static str) -> Self {
        self.heads.push(head);
        self
    }

    /// What the dialect is called: the library that writes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the name, in the dialect, is that of a part of the classifier on top.
    #[must_use]
    pub fn is_of_head(&self, name: &str) -> bool {
        self.heads.iter().any(|head| name.starts_with(head))
    }

    /// Our name of the tensor that the dialect calls `name`.
    #[must_use]
    pub fn rename(&self, name: &str) -> String {
        let dots = name.rmatch_indices('.').map(|(at, _)| at + 1);
        for end in dots.chain([0]) {
            let (beginning, rest) = name.split_at(end);
            if let Some(ours) = self.beginnings.get(beginning) {
                return format!("{ours}{rest}");
            }
        }
        name.to_owned()
    }

    /// The dialect of a classifier whose backbone, under `backbone.`, has this dialect, and whose linear layer is called
    /// `head`.
    #[must_use]
    pub fn of_classifier(&self, backbone: &str, head: Option<&str>) -> Self {
        let mut beginnings: HashMap<String, String> =
            self.beginnings.iter().map(|(theirs, ours)| (theirs.clone(), format!("{backbone}{ours}"))).collect();
        beginnings.entry(String::new()).or_insert_with(|| backbone.to_owned());
        let mut heads = self.heads.clone();
        if let (Some(ours), false) = (head, heads.is_empty()) {
            beginnings.insert(heads.remove(0).to_owned(), ours.to_owned());
        }
        Self { name: self.name, heads, beginnings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_counts() {
        let dialect = KeyDialect::new("other").with([("features.", "layers."), ("features.0.", "conv1.")]);
        assert_eq!(dialect.rename("features.0.weight"), "conv1.weight");
        assert_eq!(dialect.rename("features.10.weight"), "layers.10.weight");
        assert_eq!(dialect.rename("fc.weight"), "fc.weight");
    }

    #[test]
    fn a_classifier_has_its_backbone_and_its_head() {
        let dialect = KeyDialect::new("torchvision").with_head("fc.").with([("stem.0.", "conv1.")]);
        assert!(dialect.is_of_head("fc.bias"));
        let whole = dialect.of_classifier("backbone.", Some("head.fc."));
        assert!(!whole.is_of_head("fc.bias"));
        for (theirs, ours) in [
            ("stem.0.weight", "backbone.conv1.weight"),
            ("layer1.0.conv1.weight", "backbone.layer1.0.conv1.weight"),
            ("fc.bias", "head.fc.bias"),
        ] {
            assert_eq!(whole.rename(theirs), ours);
        }
        assert!(dialect.of_classifier("backbone.", None).is_of_head("fc.bias"));
    }
}
