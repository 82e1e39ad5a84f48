//! The table of URL schemes. Everything that depends on the set of schemes is derived from it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

use crate::error::Error;
use crate::tables::json;

/// A table of model names: each maps to a URL or a path. Other values are kept, and rejected when they are used.
pub(crate) type Table = BTreeMap<String, Value>;

/// The scheme of names without `scheme://`.
pub(crate) const DEFAULT: &str = "open-mmlab";

/// The built-in schemes. `docs/adding-a-scheme.md` explains how to add one.
pub static SCHEMES: [Scheme; 5] = [
    Scheme::url("http"),
    Scheme::url("https"),
    Scheme::table("open-mmlab", &OPEN_MMLAB)
        .with_aliases(&["openmmlab"])
        .with_user_names()
        .with_replacements(&REPLACEMENTS),
    Scheme::table("torchvision", &TORCHVISION)
        .with_deprecated_aliases(&["modelzoo"])
        .with_normalization(normalize_torchvision),
    Scheme::table("mmcls", &MMCLS).with_prefix("backbone."),
];

static OPEN_MMLAB: NameTable = NameTable::new("open_mmlab.json", include_str!("../model_zoo/open_mmlab.json"));
static TORCHVISION: NameTable = NameTable::new("torchvision.json", include_str!("../model_zoo/torchvision.json"));
static MMCLS: NameTable = NameTable::new("mmcls.json", include_str!("../model_zoo/mmcls.json"));
/// Deprecated names of `open-mmlab://`, and those that replace them.
static REPLACEMENTS: NameTable = NameTable::new("deprecated.json", include_str!("../model_zoo/deprecated.json"));

/// A JSON object in the program: model name to URL. It is parsed once, when a name is first looked up.
///
/// ```
/// static NAMES: mmcv_zoo::NameTable = mmcv_zoo::NameTable::new(
///     "acme.json",
///     r#"{"resnet50": "https://models.example/resnet50-0676ba61.pth"}"#,
/// );
/// ```
#[derive(Debug)]
pub struct NameTable {
    file: &'static str,
    text: &'static str,
    parsed: OnceLock<Table>,
}

impl NameTable {
    /// A table from JSON text. `file` is its name in error messages.
    pub const fn new(file: &'static str, text: &'static str) -> Self {
        Self { file, text, parsed: OnceLock::new() }
    }

    pub(crate) fn get(&self) -> Result<&Table, Error> {
        json::read_once(&self.parsed, || json::parse(self.file, self.text.as_bytes()))
    }
}

/// A URL scheme, and how its names are looked up.
///
/// [`SCHEMES`] lists the built-in ones; [`Zoo::with_scheme`](crate::Zoo::with_scheme) adds others:
///
/// ```
/// use mmcv_zoo::{NameTable, Resolved, Scheme, Zoo};
///
/// static NAMES: NameTable =
///     NameTable::new("acme.json", r#"{"resnet50": "https://models.example/resnet50-0676ba61.pth"}"#);
/// static ACME: Scheme = Scheme::table("acme", &NAMES);
///
/// let zoo = Zoo::new("cache")?.with_scheme(&ACME)?;
/// assert!(matches!(zoo.resolve("acme://resnet50")?, Resolved::Url(url) if url.file_name() == "resnet50-0676ba61.pth"));
/// # Ok::<(), mmcv_zoo::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Scheme {
    name: &'static str,
    aliases: &'static [&'static str],
    deprecated_aliases: &'static [&'static str],
    /// `None` if the source is a URL itself.
    names: Option<&'static NameTable>,
    has_user_names: bool,
    replacements: Option<&'static NameTable>,
    normalize: Option<fn(&str) -> String>,
    prefix: Option<&'static str>,
}

impl Scheme {
    /// A scheme whose sources are URLs.
    const fn url(name: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            deprecated_aliases: &[],
            names: None,
            has_user_names: false,
            replacements: None,
            normalize: None,
            prefix: None,
        }
    }

    /// A scheme whose names are looked up in a table. `name` is lowercase, without `://`.
    pub const fn table(name: &'static str, names: &'static NameTable) -> Self {
        Self { names: Some(names), ..Self::url(name) }
    }

    /// Sets other names of the scheme, lowercase.
    #[must_use]
    pub const fn with_aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// Sets other names of the scheme whose use logs a warning.
    #[must_use]
    pub const fn with_deprecated_aliases(self, deprecated_aliases: &'static [&'static str]) -> Self {
        Self { deprecated_aliases, ..self }
    }

    /// Sets the prefix of the tensors that count in files of this scheme; it is removed from their names. Default: all
    /// tensors count.
    #[must_use]
    pub const fn with_prefix(self, prefix: &'static str) -> Self {
        Self { prefix: Some(prefix), ..self }
    }

    /// Sets a second spelling of names, tried if a name is not in the table.
    #[must_use]
    pub const fn with_normalization(self, normalize: fn(&str) -> String) -> Self {
        Self { normalize: Some(normalize), ..self }
    }

    /// The user's `open_mmlab.json` in the cache folder adds names, which take precedence.
    const fn with_user_names(self) -> Self {
        Self { has_user_names: true, ..self }
    }

    /// Deprecated names map to their replacements.
    const fn with_replacements(self, replacements: &'static NameTable) -> Self {
        Self { replacements: Some(replacements), ..self }
    }

    /// The name of the scheme, without `://`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The name followed by all aliases.
    pub fn all_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied()).chain(self.deprecated_aliases.iter().copied())
    }

    /// The prefix of the tensors that count in a file, such as `backbone.`; `None` for all.
    pub fn prefix(&self) -> Option<&'static str> {
        self.prefix
    }

    pub(crate) fn is_deprecated_alias(&self, name: &str) -> bool {
        self.deprecated_aliases.contains(&name)
    }

    pub(crate) fn names(&self) -> Option<&'static NameTable> {
        self.names
    }

    pub(crate) fn has_user_names(&self) -> bool {
        self.has_user_names
    }

    /// The name that replaces a deprecated one.
    pub(crate) fn replacement(&self, name: &str) -> Result<Option<&'static str>, Error> {
        let Some(table) = self.replacements else { return Ok(None) };
        match table.get()?.get(name) {
            Some(Value::String(replacement)) => Ok(Some(replacement)),
            _ => Ok(None),
        }
    }

    pub(crate) fn normalized(&self, name: &str) -> Option<String> {
        self.normalize.map(|normalize| normalize(name))
    }
}

/// Whether a text can be the name of a scheme: a lowercase letter, then lowercase letters, digits, `+`, `-` and `.`.
pub fn is_scheme_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let Some(first) = bytes.next() else { return false };
    first.is_ascii_lowercase()
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte))
}

/// `ResNet50_Weights.IMAGENET1K_V1` is `resnet50.imagenet1k_v1` in the table.
fn normalize_torchvision(name: &str) -> String {
    name.replace("_Weights.", ".").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_built_in_tables_are_complete() {
        assert_eq!(OPEN_MMLAB.get().unwrap().len(), 48);
        assert_eq!(TORCHVISION.get().unwrap().values().filter(|value| value.is_null()).count(), 2);
        let is_url = |value: &Value| value.as_str().is_some_and(|url| url.starts_with("https://"));
        assert!(MMCLS.get().unwrap().values().all(is_url));
        let open_mmlab = &SCHEMES[2];
        assert_eq!(open_mmlab.replacement("resnet50_caffe").unwrap(), Some("detectron/resnet50_caffe"));
        assert_eq!(open_mmlab.replacement("resnet50").unwrap(), None);
    }

    #[test]
    fn names_are_valid_and_unique() {
        let mut seen = HashSet::new();
        for name in SCHEMES.iter().flat_map(Scheme::all_names) {
            assert!(is_scheme_name(name) && seen.insert(name), "{name}");
        }
        assert!(seen.contains(DEFAULT));
    }

    #[test]
    fn the_read_me_lists_all_schemes() {
        let page = include_str!("../README.md");
        for name in SCHEMES.iter().flat_map(Scheme::all_names) {
            assert!(page.contains(&format!("`{name}://")), "README.md lacks {name}://");
        }
    }
}
