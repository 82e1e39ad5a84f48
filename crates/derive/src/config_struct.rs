//! `#[derive(Config)]` for structs.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{DataStruct, DeriveInput, Error, Expr, Fields, GenericArgument, Ident, Path, PathArguments, Result, Type};

use crate::attributes::{self, FieldAttributes, NewDefault, TypeAttributes};

/// A field of the struct.
struct Argument<'a> {
    name: &'a Ident,
    r#type: &'a Type,
    docs: Vec<Expr>,
    kind: Kind,
    setter: Ident,
}

enum Kind {
    Required,
    /// Required, and set by the owner of the layer; until then -1, which every layer rejects.
    Channels,
    Optional {
        default: Expr,
    },
    Flattened {
        changed: Vec<NewDefault>,
        without: Vec<Ident>,
    },
}

pub(crate) fn expand(input: &DeriveInput, data: &DataStruct) -> Result<TokenStream> {
    let attributes = TypeAttributes::parse(&input.attrs)?;
    let arguments = arguments(data, &attributes)?;
    let implementation = inherent(&input.ident, &arguments);
    let traits = traits(&input.ident, &attributes.krate, &arguments);
    let conversions = conversions(&input.ident, &attributes);
    Ok(quote! { #implementation #traits #conversions })
}

fn arguments<'a>(data: &'a DataStruct, attributes: &TypeAttributes) -> Result<Vec<Argument<'a>>> {
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(&data.fields, "expected named fields: each is an argument"));
    };
    let mut arguments = Vec::new();
    for field in &fields.named {
        let Some(name) = &field.ident else { continue };
        let parsed = FieldAttributes::parse(&field.attrs)?;
        let kind = match (parsed.flatten, parsed.default) {
            (Some(_), Some(default)) => {
                return Err(Error::new_spanned(default, "a flattened field has the defaults of its arguments"));
            }
            (Some(changed), None) => Kind::Flattened { changed, without: parsed.without },
            (None, Some(default)) => Kind::Optional { default },
            (None, None) if attributes.channels.as_ref() == Some(name) => Kind::Channels,
            (None, None) => Kind::Required,
        };
        let setter = parsed.setter.unwrap_or_else(|| setter_of(name));
        arguments.push(Argument { name, r#type: &field.ty, docs: attributes::docs(&field.attrs), kind, setter });
    }
    Ok(arguments)
}

/// `new`, `Default` and the setters.
fn inherent(name: &Ident, arguments: &[Argument<'_>]) -> TokenStream {
    let (mut parameters, mut initial, mut setters, mut flattened) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for argument in arguments {
        let (field, r#type) = (argument.name, argument.r#type);
        let (parameter, value) = parameter(argument);
        match &argument.kind {
            Kind::Required => {
                parameters.push(parameter);
                initial.push(quote!(#field: #value));
                continue;
            }
            Kind::Channels => initial.push(quote!(#field: <#r#type as ::std::convert::From<i64>>::from(-1))),
            Kind::Optional { default } => initial.push(quote!(#field: #default)),
            Kind::Flattened { changed, .. } => {
                let (names, values): (Vec<_>, Vec<_>) =
                    changed.iter().map(|changed| (&changed.name, &changed.value)).unzip();
                let defaults = format_ident!("default_{}", field);
                flattened.push(quote! {
                    fn #defaults() -> #r#type {
                        #r#type { #(#names: #values,)* ..#r#type::new() }
                    }
                });
                initial.push(quote!(#field: Self::#defaults()));
            }
        }
        let (setter, docs) = (&argument.setter, setter_docs(argument));
        setters.push(quote! {
            #(#[doc = #docs])*
            #[must_use]
            pub fn #setter(mut self, #parameter) -> Self {
                self.#field = #value;
                self
            }
        });
    }
    let default = if parameters.is_empty() {
        quote! {
            impl ::std::default::Default for #name {
                fn default() -> Self {
                    Self::new()
                }
            }
        }
    } else {
        TokenStream::new()
    };
    quote! {
        #[allow(unreachable_pub, dead_code, clippy::too_many_arguments)]
        impl #name {
            /// The required arguments in order, and the defaults of the others.
            #[must_use]
            pub fn new(#(#parameters),*) -> Self {
                Self { #(#initial),* }
            }

            #(#setters)*
            #(#flattened)*
        }

        #default
    }
}

/// `ConfigStruct` and `FromConfig`.
fn traits(name: &Ident, krate: &Path, arguments: &[Argument<'_>]) -> TokenStream {
    let (mut own, mut reads, mut names, mut writes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut base = quote!(&[]);
    let (mut changed_defaults, mut left_out) = (Vec::new(), Vec::new());
    for argument in arguments {
        let (field, r#type) = (argument.name, argument.r#type);
        let (key, docs) = (field.to_string(), &argument.docs);
        names.push(field);
        match &argument.kind {
            Kind::Required | Kind::Channels => {
                own.push(quote! {
                    #krate::Field {
                        name: #key,
                        doc: ::std::concat!(#(#docs),*),
                        expected: <#r#type as #krate::FromConfig>::expected,
                        default: ::std::option::Option::None,
                    }
                });
                reads.push(quote!(let #field = decoder.required::<#r#type>(#key);));
            }
            Kind::Optional { default } => {
                own.push(quote! {
                    #krate::Field {
                        name: #key,
                        doc: ::std::concat!(#(#docs),*),
                        expected: <#r#type as #krate::FromConfig>::expected,
                        default: ::std::option::Option::Some(|| {
                            let default: #r#type = #default;
                            #krate::FromConfig::to_config(&default)
                        }),
                    }
                });
                reads.push(quote!(let #field = decoder.optional::<#r#type>(#key, || #default);));
            }
            Kind::Flattened { changed, without } => {
                base = quote!(<#r#type as #krate::ConfigStruct>::FIELDS);
                let defaults = format_ident!("default_{}", field);
                for NewDefault { name: changed, .. } in changed {
                    let key = changed.to_string();
                    changed_defaults.push(quote! {
                        (#key, || #krate::FromConfig::to_config(&#name::#defaults().#changed))
                    });
                    reads.push(quote! {
                        decoder.set_default(#key, || #krate::FromConfig::to_config(&#name::#defaults().#changed));
                    });
                }
                let without: Vec<String> = without.iter().map(Ident::to_string).collect();
                let skip = if without.is_empty() {
                    TokenStream::new()
                } else {
                    quote!(if [#(#without),*].contains(&key) { continue; })
                };
                reads.push(quote!(let #field = <#r#type as #krate::ConfigStruct>::decode_fields(decoder);));
                writes.push(quote! {
                    if let #krate::Config::Dict(inner) = #krate::FromConfig::to_config(&self.#field) {
                        for (key, value) in inner.iter() {
                            #skip
                            dict.insert(key, value.clone());
                        }
                    }
                });
                left_out.extend(without);
                continue;
            }
        }
        writes.push(quote!(dict.insert(#key, #krate::FromConfig::to_config(&self.#field));));
    }
    quote! {
        impl #krate::ConfigStruct for #name {
            const FIELDS: &'static [#krate::Field] = {
                const OWN: &[#krate::Field] = &[#(#own),*];
                const BASE: &[#krate::Field] = #base;
                const CHANGED: &[(&str, fn() -> #krate::Config)] = &[#(#changed_defaults),*];
                const WITHOUT: &[&str] = &[#(#left_out),*];
                &#krate::flatten::<{ OWN.len() + BASE.len() - WITHOUT.len() }>(OWN, BASE, CHANGED, WITHOUT)
            };

            fn decode_fields(
                decoder: &mut #krate::Decoder<'_>,
            ) -> ::std::result::Result<Self, #krate::Reported> {
                #(#reads)*
                ::std::result::Result::Ok(Self { #(#names: #names?),* })
            }
        }

        impl #krate::FromConfig for #name {
            fn expected() -> ::std::string::String {
                ::std::string::String::from("a dict")
            }

            fn from_config(
                value: &#krate::Config,
                path: &#krate::KeyPath,
            ) -> ::std::result::Result<Self, #krate::ConfigError> {
                match value {
                    #krate::Config::Dict(dict) => <Self as #krate::ConfigStruct>::decode(dict, path),
                    other => ::std::result::Result::Err(#krate::ConfigError::not_a_dict(path, other)),
                }
            }

            fn to_config(&self) -> #krate::Config {
                #[allow(unused_mut)]
                let mut dict = #krate::Dict::new();
                #(#writes)*
                #krate::Config::Dict(dict)
            }
        }
    }
}

/// The conversion into a dict with the type, for `#[config(type = "...")]`.
fn conversions(name: &Ident, attributes: &TypeAttributes) -> TokenStream {
    let (krate, Some(type_name)) = (&attributes.krate, &attributes.type_name) else { return TokenStream::new() };
    let channels = match &attributes.channels {
        Some(channels) => {
            let key = channels.to_string();
            quote!(dict.remove(#key);)
        }
        None => TokenStream::new(),
    };
    let typed = match &attributes.layer {
        Some(layer) => quote! {
            impl #krate::TypedConfig for #name {
                const TYPE: &'static str = #type_name;
                type Layer = #layer;
            }
        },
        None => TokenStream::new(),
    };
    quote! {
        #typed

        impl ::std::convert::From<#name> for #krate::Dict {
            fn from(config: #name) -> Self {
                let mut dict = #krate::Dict::new();
                dict.insert("type", #type_name);
                if let #krate::Config::Dict(arguments) = #krate::FromConfig::to_config(&config) {
                    for (key, value) in arguments.iter() {
                        dict.insert(key, value.clone());
                    }
                }
                #channels
                dict
            }
        }

        impl ::std::convert::From<#name> for ::std::option::Option<#krate::Dict> {
            fn from(config: #name) -> Self {
                ::std::option::Option::Some(#krate::Dict::from(config))
            }
        }

        impl ::std::convert::From<#name> for #krate::Config {
            fn from(config: #name) -> Self {
                #krate::Config::Dict(#krate::Dict::from(config))
            }
        }
    }
}

/// The parameter of `new` and of a setter, and the expression that turns it into the field's value.
fn parameter(argument: &Argument<'_>) -> (TokenStream, TokenStream) {
    let (name, r#type) = (argument.name, argument.r#type);
    if is_plain(r#type) {
        return (quote!(#name: #r#type), quote!(#name));
    }
    (quote!(#name: impl ::std::convert::Into<#r#type>), quote!(#name.into()))
}

/// Whether a type is a scalar or a list of scalars, for which `impl Into` would hinder type inference.
fn is_plain(r#type: &Type) -> bool {
    let path = match r#type {
        Type::Path(path) => path,
        // A type that a `macro_rules!` macro hands on.
        Type::Group(group) => return is_plain(&group.elem),
        _ => return true,
    };
    let Some(last) = path.path.segments.last() else { return true };
    match &last.arguments {
        PathArguments::None => ["bool", "i64", "u64", "usize", "f64"].iter().any(|scalar| last.ident == scalar),
        PathArguments::AngleBracketed(arguments) if last.ident == "Vec" => {
            arguments.args.iter().all(|argument| match argument {
                GenericArgument::Type(item) => is_plain(item),
                _ => true,
            })
        }
        _ => false,
    }
}

/// The name of the setter: `with_norm` for `norm_cfg`, `with_spectral_norm` unchanged, `with_stride` for `stride`.
fn setter_of(name: &Ident) -> Ident {
    let text = name.to_string();
    let text = text.strip_prefix("with_").unwrap_or(&text);
    let text = text.strip_suffix("_cfg").unwrap_or(text);
    Ident::new(&format!("with_{text}"), name.span())
}

/// The documentation of the field, with its default.
fn setter_docs(argument: &Argument<'_>) -> Vec<Expr> {
    let mut docs = argument.docs.clone();
    let default = match &argument.kind {
        Kind::Optional { default } => format!("Default: `{}`.", spaced(&default.to_token_stream().to_string())),
        _ => return docs,
    };
    docs.push(syn::parse_quote!(""));
    docs.push(syn::parse_quote!(#default));
    docs
}

/// Removes the spaces between printed tokens.
fn spaced(tokens: &str) -> String {
    let mut text = tokens.to_owned();
    for (printed, written) in [
        (" :: ", "::"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        (" !", "!"),
        (" [", "["),
        ("[ ", "["),
        (" ]", "]"),
        (" ,", ","),
        (" .", "."),
        ("- ", "-"),
    ] {
        text = text.replace(printed, written);
    }
    text
}
