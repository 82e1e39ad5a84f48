//! Names that programs put around a module: `_orig_mod` of `torch.compile`, `module` of parallel training, and others.

/// Parts of a name that are never those of a network, wherever they stand: those of `torch.compile`, FSDP, Lightning
/// Fabric and activation checkpointing.
const MARKED: [&str; 5] =
    ["_orig_mod", "_fsdp_wrapped_module", "_fpw_module", "_forward_module", "_checkpoint_wrapped_module"];
/// Parts that a network may have itself, which wrappers put in front: those of Lightning, and of DeepSpeed and other
/// parallel training.
const LEADING: [&str; 2] = ["model", "module"];
/// So many of them at most.
const MOST_LEADING: usize = 3;

/// Which parts of names are taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwrap {
    /// None.
    Nothing,
    /// Those that no network has, and so many of the others at the beginning.
    Leading(usize),
    /// Also `module` inside a name, of networks whose parts were wrapped one by one.
    Anywhere,
}

impl Unwrap {
    /// All, the least first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let leading = (0..=MOST_LEADING).map(Self::Leading);
        std::iter::once(Self::Nothing).chain(leading).chain([Self::Anywhere])
    }

    /// The name without these parts; its last part always stays.
    pub(crate) fn apply(self, name: &str) -> String {
        let most = match self {
            Self::Nothing => return name.to_owned(),
            Self::Leading(most) => most,
            Self::Anywhere => MOST_LEADING,
        };
        let mut parts: Vec<&str> = name.split('.').collect();
        let last = parts.pop();
        parts.retain(|part| !MARKED.contains(part));
        let leading = parts.iter().take_while(|part| LEADING.contains(part)).count().min(most);
        parts.drain(..leading);
        if self == Self::Anywhere {
            parts.retain(|part| *part != "module");
        }
        parts.extend(last);
        parts.join(".")
    }
}

/// What was taken off, in words: the beginning that all names have lost, or else the parts that some have.
pub(crate) fn describe(pairs: &[(String, String)]) -> Option<String> {
    let mut changed = pairs.iter().filter(|(wrapped, name)| wrapped != name).peekable();
    let (wrapped, name) = changed.peek()?;
    if let Some(first) = wrapped.strip_suffix(name.as_str()).filter(|first| !first.is_empty())
        && pairs.iter().all(|(wrapped, name)| wrapped.strip_suffix(name.as_str()) == Some(first))
    {
        return Some(format!("prefix `{first}`"));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in changed.flat_map(|(wrapped, _)| wrapped.split('.')) {
        if (MARKED.contains(&part) || LEADING.contains(&part)) && !parts.contains(&part) {
            parts.push(part);
        }
    }
    let parts: Vec<String> = parts.iter().map(|part| format!("`{part}.`")).collect();
    Some(parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_taken_off_wherever_they_stand() {
        for (name, unwrap, expected) in [
            ("_orig_mod.conv1.weight", Unwrap::Nothing, "_orig_mod.conv1.weight"),
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
    fn what_was_taken_off_is_told() {
        let said = |names: &[&str]| {
            let pair = |name: &&str| ((*name).to_owned(), Unwrap::Leading(3).apply(name));
            describe(&names.iter().map(pair).collect::<Vec<_>>())
        };
        assert_eq!(said(&["model._orig_mod.a.weight", "model._orig_mod.b"]).unwrap(), "prefix `model._orig_mod.`");
        assert_eq!(said(&["a._orig_mod.weight", "model.b"]).unwrap(), "`_orig_mod.`, `model.`");
        assert_eq!(said(&["a.weight"]), None);
    }
}
