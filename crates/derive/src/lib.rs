//! The derive macros of mmcv-rs. Use them through the crates that re-export them: `mmcv_registry::Config` and
//! `mmcv_layers::Module`.

mod attributes;
mod config_enum;
mod config_struct;

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, Error, parse_macro_input};

/// Declares the arguments of a layer, or the words that an argument can be.
///
/// # Structs
///
/// Every field is an argument. It is required unless it has a default.
///
/// | attribute | effect |
/// | --- | --- |
/// | `#[config(default = EXPR)]` | the argument is optional |
/// | `#[config(flatten)]` | the field's own arguments become arguments of this struct; all of them must be optional |
/// | `#[config(flatten(name = EXPR, ...))]` | as above, with other defaults |
/// | `#[config(without(name, ...))]` | beside `flatten`: arguments that this struct does not take; they keep their default |
/// | `#[config(setter = NAME)]` | the name of the setter, when the derived one would not do |
///
/// The struct implements `ConfigStruct` (the table of arguments, and decoding from a dict with every mistake reported at
/// once) and `FromConfig`. It gets `new`, which takes the required arguments in order, a setter `with_NAME` for each
/// optional argument (`norm_cfg` has `with_norm`), and `Default` if nothing is required.
///
/// `#[config(type = "GELU")]` on the struct says which registered type the arguments belong to: the struct then converts
/// into the dict `{type: GELU, ...}`, so that it can be given wherever a config names a layer. `layer = GELU` beside it names
/// the layer that they build (`TypedConfig`). `channels = num_channels` says, for a normalization, which argument the layer's
/// owner fills in: it is left out of the dict, and `new` does not take it.
///
/// # Enums
///
/// Each variant is one word: its name in snake case, or the one in `#[config(word = "BASIC")]`.
///
/// # Names of crates
///
/// The generated code refers to `::mmcv_registry`; `#[config(crate = mmcv::registry)]` on the type names another path.
#[proc_macro_derive(Config, attributes(config))]
pub fn derive_config(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let expanded = match &input.data {
        Data::Struct(data) => config_struct::expand(&input, data),
        Data::Enum(data) => config_enum::expand(&input, data),
        Data::Union(_) => Err(Error::new_spanned(&input.ident, "Config can be derived for structs and enums")),
    };
    expanded.unwrap_or_else(Error::into_compile_error).into()
}
