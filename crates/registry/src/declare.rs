//! [`config_struct!`](crate::config_struct) and [`config_words!`](crate::config_words): arguments of a type, declared once.

/// Declares the arguments of a registered type once: a struct, its decoding, and the table for documentation.
///
/// ```
/// use mmcv_registry::{Dict, KeyPath, config, config_struct};
///
/// config_struct! {
///     /// Arguments of `MyUpsample`.
///     pub struct MyUpsampleConfig {
///         required {
///             /// Factor by which height and width grow, at least 1.
///             scale_factor: i64,
///         }
///         optional {
///             /// How values between pixels are found: `nearest` or `bilinear`.
///             mode: String = "nearest".to_owned(),
///         }
///     }
/// }
///
/// let mut arguments = Dict::new();
/// arguments.insert("scale_factor", 2);
/// let read = MyUpsampleConfig::decode(&arguments, &KeyPath::root()).unwrap();
/// assert_eq!((read.scale_factor, read.mode.as_str()), (2, "nearest"));
/// assert_eq!(MyUpsampleConfig::new(2).mode, "nearest");
///
/// arguments.insert("mod", "nearest");
/// let error = MyUpsampleConfig::decode(&arguments, &KeyPath::root().key("upsample_cfg")).unwrap_err();
/// assert!(error.to_string().starts_with("upsample_cfg.mod: unknown key, did you mean \"mode\"?"));
/// ```
///
/// The struct gets `FIELDS`, `new` (which takes the required arguments in order), `decode`, and [`FromConfig`](crate::FromConfig).
///
/// A type that has all arguments of another one inherits them: `inherit`, after the arguments of its own, names the field
/// that holds them, the arguments whose default is another one, and those that the type does not have, which keep their
/// default. All inherited arguments must be optional.
///
/// ```
/// # use mmcv_registry::{Dict, KeyPath, config_struct};
/// config_struct! {
///     /// Arguments that several networks have.
///     pub struct CommonConfig {
///         optional {
///             /// Channels of the input.
///             in_channels: i64 = 3,
///             /// Channels of the first convolution.
///             stem_channels: i64 = 64,
///             /// Whether the first convolution is three.
///             deep_stem: bool = false,
///         }
///     }
/// }
///
/// config_struct! {
///     /// Arguments of a network.
///     pub struct NetworkConfig {
///         required {
///             /// Number of layers.
///             depth: i64,
///         }
///         inherit common: CommonConfig { stem_channels = 32 } without { deep_stem }
///     }
/// }
///
/// let names: Vec<&str> = NetworkConfig::FIELDS.iter().map(|field| field.name).collect();
/// assert_eq!(names, ["depth", "in_channels", "stem_channels"]);
/// assert_eq!(NetworkConfig::new(50).common.stem_channels, 32);
/// ```
#[macro_export]
macro_rules! config_struct {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(required {
                $($(#[doc = $required_doc:expr])* $required:ident : $required_type:ty,)*
            })?
            $(optional {
                $($(#[doc = $optional_doc:expr])* $optional:ident : $optional_type:ty = $default:expr,)*
            })?
            $(
                inherit $base:ident : $base_type:ident { $($changed:ident = $changed_default:expr),* $(,)? }
                $(without { $($without:ident),* $(,)? })?
            )?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        #[allow(unreachable_pub)]
        pub struct $name {
            $($($(#[doc = $required_doc])* pub $required: $required_type,)*)?
            $($(
                $(#[doc = $optional_doc])*
                #[doc = concat!("\n\nDefault: `", stringify!($default), "`.")]
                pub $optional: $optional_type,
            )*)?
            $(
                /// The arguments that several types have.
                $(#[doc = concat!("\n\nDefault: `", stringify!($changed), " = ", stringify!($changed_default), "`.")])*
                pub $base: $base_type,
            )?
        }

        #[allow(unreachable_pub)]
        impl $name {
            /// The arguments, in order.
            pub const FIELDS: &'static [$crate::Field] = {
                const OWN: &[$crate::Field] = &[
                    $($($crate::Field {
                        name: stringify!($required),
                        doc: concat!($($required_doc,)*),
                        expected: <$required_type as $crate::FromConfig>::expected,
                        default: None,
                    },)*)?
                    $($($crate::Field {
                        name: stringify!($optional),
                        doc: concat!($($optional_doc,)*),
                        expected: <$optional_type as $crate::FromConfig>::expected,
                        default: Some(|| {
                            let default: $optional_type = $default;
                            $crate::FromConfig::to_config(&default)
                        }),
                    },)*)?
                ];
                #[allow(unused_mut, unused_assignments)]
                const INHERITED: &[$crate::Field] = {
                    let mut inherited: &[$crate::Field] = &[];
                    $(inherited = $base_type::FIELDS;)?
                    inherited
                };
                const CHANGED: &[(&str, fn() -> $crate::Config)] = &[$($((
                    stringify!($changed),
                    || $crate::FromConfig::to_config(&$name::inherited().$changed),
                ),)*)?];
                const WITHOUT: &[&str] = &[$($($(stringify!($without),)*)?)?];
                &$crate::inherit::<{ OWN.len() + INHERITED.len() - WITHOUT.len() }>(OWN, INHERITED, CHANGED, WITHOUT)
            };

            /// The required arguments as given, and the defaults of the others.
            #[must_use]
            #[allow(dead_code, clippy::too_many_arguments, clippy::new_without_default)]
            pub fn new($($($required: $required_type),*)?) -> Self {
                Self { $($($required,)*)? $($($optional: $default,)*)? $($base: Self::inherited(),)? }
            }

            $(fn inherited() -> $base_type {
                $base_type { $($changed: $changed_default,)* ..$base_type::new() }
            })?

            /// Reads the arguments from the dict that stands at `path`.
            ///
            /// # Errors
            /// All missing keys, unknown keys and values of a wrong type at once.
            pub fn decode(dict: &$crate::Dict, path: &$crate::KeyPath) -> Result<Self, $crate::ConfigError> {
                let mut decoder = $crate::Decoder::new(dict, path);
                let read = Self::decode_fields(&mut decoder);
                decoder.finish(Self::FIELDS.iter().map(|field| field.name))?;
                Ok(read?)
            }

            #[doc(hidden)]
            pub fn decode_fields(decoder: &mut $crate::Decoder<'_>) -> Result<Self, $crate::Recorded> {
                $($(let $required = decoder.required::<$required_type>(stringify!($required));)*)?
                $($(let $optional = decoder.optional::<$optional_type>(stringify!($optional), || $default);)*)?
                $(
                    $(decoder.set_default(stringify!($changed), || {
                        $crate::FromConfig::to_config(&Self::inherited().$changed)
                    });)*
                    let $base = $base_type::decode_fields(decoder);
                )?
                Ok(Self { $($($required: $required?,)*)? $($($optional: $optional?,)*)? $($base: $base?,)? })
            }
        }

        impl $crate::FromConfig for $name {
            fn expected() -> String {
                "a dict".to_owned()
            }

            fn from_config(value: &$crate::Config, path: &$crate::KeyPath) -> Result<Self, $crate::ConfigError> {
                Self::decode(&<$crate::Dict as $crate::FromConfig>::from_config(value, path)?, path)
            }

            fn to_config(&self) -> $crate::Config {
                #[allow(unused_mut)]
                let mut dict = $crate::Dict::new();
                $($(dict.insert(stringify!($required), $crate::FromConfig::to_config(&self.$required));)*)?
                $($(dict.insert(stringify!($optional), $crate::FromConfig::to_config(&self.$optional));)*)?
                $(
                    if let $crate::Config::Dict(inherited) = $crate::FromConfig::to_config(&self.$base) {
                        inherited.iter().for_each(|(key, value)| drop(dict.insert(key, value.clone())));
                    }
                    $($(dict.remove(stringify!($without));)*)?
                )?
                $crate::Config::Dict(dict)
            }
        }
    };
}

/// Declares an enum whose values are words of a config: the enum, its decoding, and its documentation.
///
/// ```
/// use mmcv_registry::{Config, FromConfig, KeyPath, config_words};
///
/// config_words! {
///     /// Where padding is added.
///     pub enum Side {
///         /// Before.
///         Left = "left",
///         /// After.
///         Right = "right",
///     }
/// }
///
/// let path = KeyPath::root().key("side");
/// assert_eq!(Side::from_config(&Config::from("left"), &path).unwrap(), Side::Left);
/// let error = Side::from_config(&Config::from("top"), &path).unwrap_err();
/// assert_eq!(error.to_string(), r#"side: expected "left" or "right", got "top""#);
/// ```
#[macro_export]
macro_rules! config_words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
        }

        impl $name {
            /// The word that stands for the value in a config.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl $crate::FromConfig for $name {
            fn expected() -> String {
                $crate::one_of(&[$($word),*])
            }

            fn from_config(value: &$crate::Config, path: &$crate::KeyPath) -> Result<Self, $crate::ConfigError> {
                match value.as_str() {
                    $(Some($word) => Ok(Self::$variant),)*
                    _ => Err($crate::ConfigError::wrong_type(path, Self::expected(), value)),
                }
            }

            fn to_config(&self) -> $crate::Config {
                self.word().into()
            }
        }
    };
}

/// The words in quotes: `"a", "b" or "c"`.
#[must_use]
pub fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{ConfigErrorKind, KeyPath, config};

    config_struct! {
        /// Arguments for the tests.
        pub struct Arguments {
            required {
                /// Channels of the input.
                in_channels: i64,
                /// Channels of the output.
                out_channels: i64,
            }
            optional {
                /// Small number.
                eps: f64 = 1e-5,
                /// Sizes.
                sizes: Option<Vec<i64>> = None,
            }
        }
    }

    #[test]
    fn all_mistakes_of_a_dict_are_reported_at_once() {
        let cfg = config! { in_channels: "three", epz: 1e-3, sizes: [1, "x"] };
        let error = Arguments::decode(cfg.as_dict().unwrap(), &KeyPath::root().key("norm_cfg")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("norm_cfg.in_channels: expected an integer, got \"three\""), "{text}");
        assert!(text.contains("norm_cfg.out_channels: missing: expected an integer"), "{text}");
        assert!(text.contains("norm_cfg.epz: unknown key, did you mean \"eps\"?"), "{text}");
        assert!(text.contains("norm_cfg.sizes[1]: expected an integer, got \"x\""), "{text}");
        assert!(matches!(*error.kind, ConfigErrorKind::Many(errors) if errors.len() == 4));
    }

    #[test]
    fn a_name_in_the_place_of_a_dict_is_shown_as_one() {
        use crate::{Config, Dict, FromConfig};
        let error = Option::<Dict>::from_config(&Config::from("ReLU"), &KeyPath::root().key("act_cfg")).unwrap_err();
        assert_eq!(error.to_string(), "act_cfg: expected a dict such as {type: \"ReLU\"} or null, got \"ReLU\"");
    }

    #[test]
    fn integers_are_numbers_and_null_is_none() {
        let cfg = config! { in_channels: 3, out_channels: 4, eps: 1, sizes: null };
        let read = Arguments::decode(cfg.as_dict().unwrap(), &KeyPath::root()).unwrap();
        assert_eq!(read, Arguments { eps: 1.0, ..Arguments::new(3, 4) });
    }

    #[test]
    fn every_default_is_read_again_as_itself() {
        use crate::FromConfig;
        let arguments = Arguments::new(3, 4);
        assert_eq!(Arguments::from_config(&arguments.to_config(), &KeyPath::root()).unwrap(), arguments);
        let default = Arguments::FIELDS[2].default.map(|default| default().to_string());
        assert_eq!(default.as_deref(), Some("1e-5"));
        assert_eq!(Arguments::FIELDS[2].doc.trim(), "Small number.");
    }

    config_struct! {
        /// Arguments that are inherited.
        pub struct Common {
            optional {
                /// Small number.
                eps: f64 = 1e-5,
                /// Sizes.
                sizes: Option<Vec<i64>> = None,
                /// A switch.
                switch: bool = false,
            }
        }
    }

    config_struct! {
        /// Arguments that inherit.
        pub struct Heir {
            required {
                /// A number.
                depth: i64,
            }
            inherit common: Common { eps = 0.5 } without { switch }
        }
    }

    config_struct! {
        /// Arguments that inherit what inherits.
        pub struct Grandchild {
            optional {
                /// A word.
                word: String = "a".to_owned(),
            }
            inherit heir: Heirless { sizes = Some(vec![1]) }
        }
    }

    config_struct! {
        /// Between both.
        pub struct Heirless {
            optional {
                /// Sizes.
                sizes: Option<Vec<i64>> = None,
            }
            inherit common: Common { switch = true } without { sizes }
        }
    }

    #[test]
    fn inherited_arguments_with_other_defaults() {
        use crate::{Field, FromConfig};
        let names = |fields: &[Field]| fields.iter().map(|field| field.name).collect::<Vec<_>>();
        assert_eq!(names(Heir::FIELDS), ["depth", "eps", "sizes"]);
        assert_eq!(names(Grandchild::FIELDS), ["word", "sizes", "eps", "switch"]);
        let default = |field: &Field| field.default.map(|default| default().to_string());
        assert_eq!(default(&Heir::FIELDS[1]).as_deref(), Some("0.5"));
        assert_eq!(default(&Grandchild::FIELDS[1]).as_deref(), Some("[1]"));
        assert_eq!(default(&Grandchild::FIELDS[3]).as_deref(), Some("true"));

        let read = Heir::from_config(&config! { depth: 3, sizes: [2] }, &KeyPath::root()).unwrap();
        assert_eq!((read.common.eps, read.common.sizes.clone()), (0.5, Some(vec![2])));
        assert_eq!(Heir::from_config(&read.to_config(), &KeyPath::root()).unwrap(), read);
        assert_eq!(Grandchild::from_config(&config! {}, &KeyPath::root()).unwrap(), Grandchild::new());
        assert_eq!(Grandchild::new().heir.sizes, Some(vec![1]));

        let wrong = config! { eps: "x", switch: true };
        let text = Heir::from_config(&wrong, &KeyPath::root()).unwrap_err().to_string();
        for part in ["depth: missing", "eps: expected a number", "switch: unknown key"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
