//! Names that programs put around a module: `_orig_mod` of `torch.compile`, `module` of parallel training, and others.

/// Parts of a name that no network uses: those of `torch.compile`, FSDP, Lightning Fabric and activation checkpointing.
const MARKERS: [&str; 5] =
    ["_orig_mod", "_fsdp_wrapped_module", "_fpw_module", "_forward_module", "_checkpoint_wrapped_module"];
/// Leading parts that networks may use themselves: those of Lightning, and of DeepSpeed and other parallel training.
const LEADING: [&str; 2] = ["model", "module"];
/// The maximum number of leading parts.
const MAX_LEADING: usize = 3;

/// Which parts of names are removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Unwrap {
    #[default]
    None,
    /// The markers, and at most this many leading parts.
    Leading(usize),
    /// Also `module` inside a name, for networks whose parts were wrapped one by one.
    Anywhere,
}

impl Unwrap {
    /// All variants; those that remove the least come first.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::None];
        all.extend((0..=MAX_LEADING).map(Self::Leading));
        all.push(Self::Anywhere);
        all
    }

    /// The name without these parts. Its last part is kept.
    pub(crate) fn apply(self, name: &str) -> String {
        let max_leading = match self {
            Self::None => return name.to_owned(),
            Self::Leading(max) => max,
            Self::Anywhere => MAX_LEADING,
        };
        let mut kept = Vec::new();
        let mut leading = 0;
        let mut parts = name.split('.').peekable();
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            if !is_last && MARKERS.contains(&part) {
                continue;
            }
            if !is_last && kept.is_empty() && leading < max_leading && LEADING.contains(&part) {
                leading += 1;
                continue;
            }
            if !is_last && self == Self::Anywhere && part == "module" {
                continue;
            }
            kept.push(part);
        }
        kept.join(".")
    }
}

/// Describes what was removed: the prefix that all names have lost, or else the parts that some have. Each pair is a name
/// before and after.
pub(crate) fn describe(pairs: &[(String, String)]) -> Option<String> {
    let (wrapped, name) = pairs.iter().find(|(wrapped, name)| wrapped != name)?;
    if let Some(prefix) = wrapped.strip_suffix(name.as_str())
        && pairs.iter().all(|(wrapped, name)| wrapped.strip_suffix(name.as_str()) == Some(prefix))
    {
        return Some(format!("prefix `{prefix}`"));
    }
    let mut parts: Vec<&str> = Vec::new();
    for (wrapped, name) in pairs {
        if wrapped == name {
            continue;
        }
        for part in wrapped.split('.') {
            if (MARKERS.contains(&part) || LEADING.contains(&part)) && !parts.contains(&part) {
                parts.push(part);
            }
        }
    }
    let parts: Vec<String> = parts.iter().map(|part| format!("`{part}.`")).collect();
    Some(parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_removed_wherever_they_are() {
        for (name, unwrap, expected) in [
            ("_orig_mod.conv1.weight", Unwrap::None, "_orig_mod.conv1.weight"),
            ("_orig_mod.conv1.weight", Unwrap::Leading(0), "conv1.weight"),
            ("backbone._orig_mod.conv1.weight", Unwrap::Leading(0), "backbone.conv1.weight"),
            ("layer1._fsdp_wrapped_module._fpw_module.0.conv1.bias", Unwrap::Leading(0), "layer1.0.conv1.bias"),
            ("model._orig_mod.module.conv1.weight", Unwrap::Leading(1), "module.conv1.weight"),
            ("model._orig_mod.module.conv1.weight", Unwrap::Leading(2), "conv1.weight"),
            ("model.model.model.weight", Unwrap::Leading(3), "weight"),
            ("_forward_module.model.weight", Unwrap::Leading(1), "weight"),
            ("backbone.module.conv1.weight", Unwrap::Leading(3), "backbone.module.conv1.weight"),
            ("backbone.module.conv1.weight", Unwrap::Anywhere, "backbone.conv1.weight"),
            ("module", Unwrap::Anywhere, "module"),
        ] {
            assert_eq!(unwrap.apply(name), expected, "{name} {unwrap:?}");
        }
    }

    #[test]
    fn removed_wrappers_are_described() {
        let described = |names: &[&str]| {
            let pair = |name: &&str| ((*name).to_owned(), Unwrap::Leading(3).apply(name));
            describe(&names.iter().map(pair).collect::<Vec<_>>())
        };
        assert_eq!(described(&["model._orig_mod.a.weight", "model._orig_mod.b"]).unwrap(), "prefix `model._orig_mod.`");
        assert_eq!(described(&["a._orig_mod.weight", "model.b"]).unwrap(), "`_orig_mod.`, `model.`");
        assert_eq!(described(&["a.weight"]), None);
    }
}
