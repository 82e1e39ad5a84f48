//! `#[derive(Config)]` for enums.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, DeriveInput, Error, Fields, LitStr, Result};

use crate::attributes::{self, TypeAttributes};

pub(crate) fn expand(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let TypeAttributes { krate, .. } = TypeAttributes::parse(&input.attrs)?;
    let name = &input.ident;
    let (mut variants, mut words) = (Vec::new(), Vec::new());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(&variant.fields, "a variant is one word and has no fields"));
        }
        let derived = LitStr::new(&snake_case(&variant.ident.to_string()), variant.ident.span());
        words.push(attributes::word(&variant.attrs)?.unwrap_or(derived));
        variants.push(&variant.ident);
    }
    Ok(quote! {
        impl #name {
            /// The word for this value in a config.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { #(Self::#variants => #words,)* }
            }
        }

        impl #krate::FromConfig for #name {
            fn expected() -> ::std::string::String {
                #krate::one_of(&[#(#words),*])
            }

            fn from_config(
                value: &#krate::Config,
                path: &#krate::KeyPath,
            ) -> ::std::result::Result<Self, #krate::ConfigError> {
                match value.as_str() {
                    #(::std::option::Option::Some(#words) => ::std::result::Result::Ok(Self::#variants),)*
                    _ => ::std::result::Result::Err(
                        #krate::ConfigError::wrong_type(path, <Self as #krate::FromConfig>::expected(), value)
                    ),
                }
            }

            fn to_config(&self) -> #krate::Config {
                #krate::Config::from(self.word())
            }
        }
    })
}

/// `AfterConv1` as `after_conv1`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (index, character) in name.chars().enumerate() {
        if character.is_ascii_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}
