//! Configs and the registry of mmcv-rs, without any tensor library.
//!
//! - [`Config`](enum@Config) is an ordered value from YAML, JSON or the [`config!`] macro; [`Config::set_option`] overrides parts of
//!   it.
//! - `#[derive(Config)]` declares the arguments of a type once, as a struct ([`ConfigStruct`]); decoding reports every
//!   error with its key path.
//! - [`Registry`] maps type names to [`Spec`]s, with aliases and scopes.
//!
//! ```
//! use mmcv_registry::{Config, KeyPath, Registry, Spec, config};
//!
//! let registry = Registry::new("mine");
//! let double: fn(i64) -> i64 = |value| 2 * value;
//! registry.add(Spec::new("Double", double))?;
//! let cfg = Config::from_yaml("{type: Double, of: 21}")?;
//! let (spec, arguments) = registry.resolve(&cfg, &KeyPath::root())?;
//! assert_eq!(arguments.get("of"), Some(&Config::Int(21)));
//! assert_eq!((spec.build)(21), 42);
//!
//! let error = registry.resolve(&config! { type: "Dubble" }, &KeyPath::root()).unwrap_err();
//! assert_eq!(error.to_string(), r#"type: "Dubble" is not in registry "mine", did you mean "Double"?"#);
//! # Ok::<(), mmcv_registry::ConfigError>(())
//! ```

mod config_struct;
mod decode;
mod error;
mod literal;
mod overrides;
mod path;
mod registry;
mod value;
mod yaml_json;

// The generated code of `#[derive(Config)]` names this crate by this path, here too.
extern crate self as mmcv_registry;

#[doc(hidden)]
pub use config_struct::flatten;
pub use config_struct::{ConfigStruct, TypedConfig};
pub use decode::{Decoder, Field, FromConfig, Reported};
pub use error::{ConfigError, ConfigErrorKind, nearest, one_of};
pub use literal::parse_literal;
pub use mmcv_derive::Config;
pub use path::KeyPath;
pub use registry::{Registry, ScopeRules, Spec};
pub use value::{Config, Dict};
#[cfg(feature = "pyconfig")]
pub use yaml_json::load_options;
