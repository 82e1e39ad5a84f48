//! [`KeyMapping`]: maps the tensor names of another library to ours.

use std::collections::HashMap;

/// Maps the tensor names of another library to ours, by their prefixes.
///
/// A network lists its key mappings in [`Module::key_mappings`](crate::Module::key_mappings). Loading a checkpoint uses
/// the one that fits best.
///
/// ```
/// use mmcv_layers::KeyMapping;
///
/// let mapping = KeyMapping::new("torchvision").with_head("fc.").with([("stem.0.", "conv1."), ("stem.1.", "bn1.")]);
/// assert_eq!(mapping.rename("stem.0.weight"), "conv1.weight");
/// assert_eq!(mapping.rename("layer1.0.bn1.bias"), "layer1.0.bn1.bias");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMapping {
    name: &'static str,
    /// Prefixes of the classifier's names; the first is that of its linear layer.
    heads: Vec<&'static str>,
    /// From their prefix, which is empty or ends with a dot, to ours.
    prefixes: HashMap<String, String>,
}

impl KeyMapping {
    /// A mapping that keeps all names.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, heads: Vec::new(), prefixes: HashMap::new() }
    }

    /// Adds pairs of their prefix and ours. Each ends with a dot; the longest prefix that matches a name applies.
    #[must_use]
    pub fn with<T: Into<String>, O: Into<String>>(mut self, pairs: impl IntoIterator<Item = (T, O)>) -> Self {
        for (theirs, ours) in pairs {
            self.prefixes.insert(theirs.into(), ours.into());
        }
        self
    }

    /// Adds a prefix of the classifier on top of a backbone, such as `fc.`. The first one is that of the linear layer
    /// that returns the scores.
    #[must_use]
    pub fn with_head(mut self, head: &'static str) -> Self {
        self.heads.push(head);
        self
    }

    /// The library that uses these names.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether a name of the other library belongs to the classifier on top.
    #[must_use]
    pub fn is_of_head(&self, name: &str) -> bool {
        self.heads.iter().any(|head| name.starts_with(head))
    }

    /// Our name for the tensor that the other library calls `name`.
    #[must_use]
    pub fn rename(&self, name: &str) -> String {
        let dots = name.rmatch_indices('.').map(|(at, _)| at + 1);
        for end in dots.chain([0]) {
            let (prefix, rest) = name.split_at(end);
            if let Some(ours) = self.prefixes.get(prefix) {
                return format!("{ours}{rest}");
            }
        }
        name.to_owned()
    }

    /// The mapping of a classifier with this mapping's backbone under the prefix `backbone` and its linear layer
    /// under the prefix `head`.
    #[must_use]
    pub fn of_classifier(&self, backbone: &str, head: Option<&str>) -> Self {
        let mut prefixes = HashMap::from([(String::new(), backbone.to_owned())]);
        for (theirs, ours) in &self.prefixes {
            prefixes.insert(theirs.clone(), format!("{backbone}{ours}"));
        }
        let mut heads = self.heads.clone();
        if let Some(ours) = head
            && !heads.is_empty()
        {
            prefixes.insert(heads.remove(0).to_owned(), ours.to_owned());
        }
        Self { name: self.name, heads, prefixes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_counts() {
        let mapping = KeyMapping::new("other").with([("features.", "layers."), ("features.0.", "conv1.")]);
        assert_eq!(mapping.rename("features.0.weight"), "conv1.weight");
        assert_eq!(mapping.rename("features.10.weight"), "layers.10.weight");
        assert_eq!(mapping.rename("fc.weight"), "fc.weight");
    }

    #[test]
    fn a_classifier_has_its_backbone_and_its_head() {
        let mapping = KeyMapping::new("torchvision").with_head("fc.").with([("stem.0.", "conv1.")]);
        assert!(mapping.is_of_head("fc.bias"));
        let whole = mapping.of_classifier("backbone.", Some("head.fc."));
        assert!(!whole.is_of_head("fc.bias"));
        for (theirs, ours) in [
            ("stem.0.weight", "backbone.conv1.weight"),
            ("layer1.0.conv1.weight", "backbone.layer1.0.conv1.weight"),
            ("fc.bias", "head.fc.bias"),
        ] {
            assert_eq!(whole.rename(theirs), ours);
        }
        assert!(mapping.of_classifier("backbone.", None).is_of_head("fc.bias"));
    }
}
