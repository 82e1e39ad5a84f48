//! `#[derive(Module)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, DeriveInput, Error, Field, LitStr, Member, Path, Result, Token, Type, parenthesized, parse_quote,
};

/// `#[module(...)]` on a type.
struct TypeAttributes {
    /// The path of mmcv-layers.
    krate: Path,
    /// The class name, and those of its base classes.
    class: Option<Vec<LitStr>>,
}

/// What a field is to the module.
enum Part {
    Parameter(LitStr),
    Buffer(LitStr),
    Child(LitStr),
    Training,
    InitCfg,
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let syn::Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "Module can be derived for structs"));
    };
    let TypeAttributes { krate, class } = TypeAttributes::parse(&input.attrs)?;
    let mut parts = Vec::new();
    let mut base = "Module";
    for (member, field) in data.fields.members().zip(&data.fields) {
        let Some(part) = part(field)? else { continue };
        if matches!(part, Part::InitCfg) {
            base = "BaseModule";
        }
        parts.push(addition(&member, field, &part));
    }
    let name = &input.ident;
    let class = class.unwrap_or_else(|| {
        let class = name.unraw().to_string();
        vec![LitStr::new(&class, name.span()), LitStr::new(base, name.span())]
    });
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    Ok(quote! {
        impl #generics #krate::Module for #name #arguments #conditions {
            fn class(&self) -> &'static [&'static str] {
                &[#(#class),*]
            }

            fn parts<'a>(&'a self, parts: &mut #krate::Parts<'a>) {
                #(#parts)*
            }
        }
    })
}

impl TypeAttributes {
    fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut parsed = Self { krate: parse_quote!(::mmcv_layers), class: None };
        for attribute in module_attributes(attributes) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("crate") {
                    parsed.krate = meta.value()?.call(Path::parse_mod_style)?;
                } else if meta.path.is_ident("class") {
                    let names;
                    parenthesized!(names in meta.input);
                    let names = Punctuated::<LitStr, Token![,]>::parse_terminated(&names)?;
                    parsed.class = Some(names.into_iter().collect());
                } else {
                    return Err(meta.error("expected `class` or `crate`"));
                }
                Ok(())
            })?;
        }
        Ok(parsed)
    }
}

/// What the attribute of a field says, or else its type.
fn part(field: &Field) -> Result<Option<Part>> {
    let mut part = match last_segment(&field.ty).as_deref() {
        Some("InitCfg") => Some(Part::InitCfg),
        Some("Training") => Some(Part::Training),
        _ => None,
    };
    for attribute in module_attributes(&field.attrs) {
        attribute.parse_nested_meta(|meta| {
            let new: fn(LitStr) -> Part = if meta.path.is_ident("parameter") {
                Part::Parameter
            } else if meta.path.is_ident("buffer") {
                Part::Buffer
            } else if meta.path.is_ident("child") {
                Part::Child
            } else {
                return Err(meta.error("expected `parameter`, `buffer` or `child`"));
            };
            let name = match (&field.ident, meta.input.peek(Token![=])) {
                (_, true) => meta.value()?.parse()?,
                (Some(name), false) => LitStr::new(&name.unraw().to_string(), name.span()),
                (None, false) => return Err(meta.error("a field without a name needs one, as in `child = \"conv\"`")),
            };
            part = Some(new(name));
            Ok(())
        })?;
    }
    Ok(part)
}

/// The statement that adds a field to the parts.
fn addition(member: &Member, field: &Field, part: &Part) -> TokenStream {
    let is_optional = last_segment(&field.ty).as_deref() == Some("Option");
    match part {
        Part::Parameter(name) if is_optional => quote!(parts.parameter(#name, self.#member.as_ref());),
        Part::Parameter(name) => quote!(parts.parameter(#name, &self.#member);),
        Part::Buffer(name) if is_optional => quote!(parts.buffer(#name, self.#member.as_ref());),
        Part::Buffer(name) => quote!(parts.buffer(#name, &self.#member);),
        Part::Child(name) if is_optional => quote! {
            if let ::std::option::Option::Some(child) = &self.#member {
                parts.child(#name, child);
            }
        },
        Part::Child(name) => quote!(parts.child(#name, &self.#member);),
        Part::Training => quote!(parts.training(&self.#member);),
        Part::InitCfg => quote!(parts.init_cfg(&self.#member);),
    }
}

/// The name of a type without its path and arguments.
fn last_segment(r#type: &Type) -> Option<String> {
    match r#type {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
}

fn module_attributes(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("module"))
}
