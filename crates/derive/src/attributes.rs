//! The attributes `#[config(...)]`.

use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Expr, Ident, LitStr, Path, Result, Token, parenthesized, parse_quote};

/// `#[config(...)]` on a type.
pub(crate) struct TypeAttributes {
    /// The path of mmcv-registry.
    pub krate: Path,
    /// The registered type of the arguments.
    pub type_name: Option<LitStr>,
    /// The layer that the arguments build.
    pub layer: Option<Path>,
    /// The argument that the owner of a normalization sets.
    pub channels: Option<Ident>,
}

/// `#[config(...)]` on a field.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    pub default: Option<Expr>,
    pub flatten: Option<Vec<NewDefault>>,
    pub without: Vec<Ident>,
    pub setter: Option<Ident>,
}

/// A changed default of a flattened argument.
pub(crate) struct NewDefault {
    pub name: Ident,
    pub value: Expr,
}

impl TypeAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut parsed = Self { krate: parse_quote!(::mmcv_registry), type_name: None, layer: None, channels: None };
        for attribute in config_attributes(attributes) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("crate") {
                    parsed.krate = meta.value()?.call(Path::parse_mod_style)?;
                } else if meta.path.is_ident("type") {
                    parsed.type_name = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("layer") {
                    parsed.layer = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("channels") {
                    parsed.channels = Some(meta.value()?.parse()?);
                } else {
                    return Err(meta.error("expected `crate`, `type`, `layer` or `channels`"));
                }
                Ok(())
            })?;
        }
        Ok(parsed)
    }
}

impl FieldAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut parsed = Self::default();
        for attribute in config_attributes(attributes) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("default") {
                    parsed.default = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("flatten") {
                    parsed.flatten = Some(new_defaults(meta.input)?);
                } else if meta.path.is_ident("without") {
                    let names;
                    parenthesized!(names in meta.input);
                    parsed.without = Punctuated::<Ident, Token![,]>::parse_terminated(&names)?.into_iter().collect();
                } else if meta.path.is_ident("setter") {
                    parsed.setter = Some(meta.value()?.parse()?);
                } else {
                    return Err(meta.error("expected `default`, `flatten`, `without` or `setter`"));
                }
                Ok(())
            })?;
        }
        if parsed.flatten.is_none() && !parsed.without.is_empty() {
            return Err(Error::new_spanned(&parsed.without[0], "`without` needs `flatten`"));
        }
        Ok(parsed)
    }
}

/// The word of an enum's variant: `#[config(word = "BASIC")]`.
pub(crate) fn word(attributes: &[Attribute]) -> Result<Option<LitStr>> {
    let mut word = None;
    for attribute in config_attributes(attributes) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("word") {
                return Err(meta.error("expected `word`"));
            }
            word = Some(meta.value()?.parse()?);
            Ok(())
        })?;
    }
    Ok(word)
}

/// The documentation of an item: one string for each line.
pub(crate) fn docs(attributes: &[Attribute]) -> Vec<Expr> {
    let mut lines = Vec::new();
    for attribute in attributes {
        if !attribute.path().is_ident("doc") {
            continue;
        }
        if let Ok(pair) = attribute.meta.require_name_value() {
            lines.push(pair.value.clone());
        }
    }
    lines
}

fn config_attributes(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("config"))
}

/// `(name = EXPR, ...)`, or nothing.
fn new_defaults(input: ParseStream<'_>) -> Result<Vec<NewDefault>> {
    let mut defaults = Vec::new();
    if !input.peek(syn::token::Paren) {
        return Ok(defaults);
    }
    let content;
    parenthesized!(content in input);
    while !content.is_empty() {
        let name = content.parse()?;
        content.parse::<Token![=]>()?;
        defaults.push(NewDefault { name, value: content.parse()? });
        if !content.is_empty() {
            content.parse::<Token![,]>()?;
        }
    }
    Ok(defaults)
}
