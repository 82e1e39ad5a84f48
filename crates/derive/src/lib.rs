//! The derive macros of mmcv-rs. Use them through the crates that re-export them: `mmcv_registry::Config` and
//! `mmcv_layers::Module`.

mod attributes;
mod config_enum;
mod config_struct;
mod module;

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, Error, parse_macro_input};

/// Declares the arguments of a layer (structs), or the words that are valid for an argument (enums).
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
/// | `#[config(without(name, ...))]` | with `flatten`: arguments that this struct does not have; they keep their default |
/// | `#[config(setter = NAME)]` | the name of the setter, instead of the derived one |
///
/// The struct implements `FromConfig` and `ConfigStruct`: a table of its arguments, and decoding from a dict that
/// reports every error at once. It gets `new`, which takes the required arguments in order, a setter `with_NAME` for
/// each optional argument (`with_norm` for `norm_cfg`), and `Default` if nothing is required.
///
/// `#[config(type = "GELU")]` names the registered type of the arguments: the struct then converts into the dict
/// `{type: GELU, ...}` and can be used wherever a config names a layer. `layer = GELU` names the layer that the
/// arguments build (`TypedConfig`). For a normalization, `channels = num_channels` names the argument that the
/// layer's owner sets: `new` does not take it, and the dict does not contain it.
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

/// Implements `mmcv_layers::Module` for a struct whose fields are its parts, in the order of registration in the reference.
///
/// | attribute of a field | effect |
/// | --- | --- |
/// | `#[module(parameter)]` | the tensor is a parameter; an `Option` where the layer may lack it |
/// | `#[module(buffer)]` | the tensor is a buffer |
/// | `#[module(child)]` | the module is a child |
/// | `#[module(child = "0")]` | as above, with a name of its own instead of the field's; also for the other two |
///
/// Fields of the types `Training` and `InitCfg` are the switch between training and evaluation, and the rules of
/// initialization. The class is the struct's name with the base class `BaseModule` if it has an `InitCfg`, or else `Module`;
/// `#[module(class("Name", "Base", ...))]` on the type names another.
///
/// The generated code refers to `::mmcv_layers`; `#[module(crate = mmcv::layers)]` on the type names another path.
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    module::expand(&input).unwrap_or_else(Error::into_compile_error).into()
}
