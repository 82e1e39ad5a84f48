//! [`ConfigStruct`]: the arguments of a type, declared once with `#[derive(Config)]`.

use crate::{Config, ConfigError, Decoder, Dict, Field, FromConfig, KeyPath, Reported};

/// The arguments of a registered type: a struct with `#[derive(Config)]`.
///
/// The struct is the only place that states the arguments, their documentation and their defaults. Decoding, error
/// messages, the table of arguments and the typed setters are derived from it.
///
/// ```
/// use mmcv_registry::{Config, ConfigStruct, KeyPath, dict};
///
/// /// Arguments of `MyUpsample`.
/// #[derive(Debug, Clone, PartialEq, Config)]
/// pub struct MyUpsampleConfig {
///     /// Factor by which height and width grow, at least 1.
///     pub scale_factor: i64,
///     /// How values between pixels are found: `nearest` or `bilinear`.
///     #[config(default = "nearest".to_owned())]
///     pub mode: String,
/// }
///
/// let typed = MyUpsampleConfig::new(2).with_mode("bilinear");
/// let dict = dict! { scale_factor: 2, mode: "bilinear" };
/// assert_eq!(MyUpsampleConfig::decode(&dict, &KeyPath::root()).unwrap(), typed);
///
/// let dict = dict! { scale_factor: 2, mod: "nearest" };
/// let error = MyUpsampleConfig::decode(&dict, &KeyPath::root().key("upsample_cfg")).unwrap_err();
/// assert!(error.to_string().starts_with("upsample_cfg.mod: unknown key, did you mean \"mode\"?"));
/// ```
///
/// A type can flatten the arguments of another one, change their defaults and leave some of them out. Flattened
/// arguments must be optional.
///
/// ```
/// use mmcv_registry::{Config, ConfigStruct};
///
/// /// Arguments of several networks.
/// #[derive(Debug, Clone, PartialEq, Config)]
/// pub struct CommonConfig {
///     /// Input channels.
///     #[config(default = 3)]
///     pub in_channels: i64,
///     /// Output channels of the stem.
///     #[config(default = 64)]
///     pub stem_channels: i64,
///     /// Whether the stem has three convolutions.
///     #[config(default = false)]
///     pub deep_stem: bool,
/// }
///
/// /// Arguments of one network.
/// #[derive(Debug, Clone, PartialEq, Config)]
/// pub struct NetworkConfig {
///     /// Number of layers.
///     pub depth: i64,
///     /// The arguments of all networks.
///     #[config(flatten(stem_channels = 32), without(deep_stem))]
///     pub common: CommonConfig,
/// }
///
/// let names: Vec<&str> = NetworkConfig::FIELDS.iter().map(|field| field.name).collect();
/// assert_eq!(names, ["depth", "in_channels", "stem_channels"]);
/// assert_eq!(NetworkConfig::new(50).common.stem_channels, 32);
/// ```
pub trait ConfigStruct: FromConfig {
    /// The arguments in order.
    const FIELDS: &'static [Field];

    /// Reads the arguments from the dict at `path`.
    ///
    /// # Errors
    /// Returns an error if keys are missing or unknown, or values have the wrong type; it lists all of them.
    fn decode(dict: &Dict, path: &KeyPath) -> Result<Self, ConfigError> {
        let mut decoder = Decoder::new(dict, path);
        let decoded = Self::decode_fields(&mut decoder);
        decoder.finish(Self::FIELDS.iter().map(|field| field.name))?;
        Ok(decoded?)
    }

    /// Reads the arguments one by one; `decoder` collects the errors.
    ///
    /// # Errors
    /// Returns an error if an argument cannot be read.
    #[doc(hidden)]
    fn decode_fields(decoder: &mut Decoder<'_>) -> Result<Self, Reported>;

    /// The arguments as a dict, which [`Self::decode`] reads again.
    fn to_dict(&self) -> Dict {
        match self.to_config() {
            Config::Dict(dict) => dict,
            _ => Dict::new(),
        }
    }
}

/// The arguments of one registered type, which can build its layer: declared with
/// `#[config(type = "GELU", layer = GELU)]`.
pub trait TypedConfig: ConfigStruct {
    /// The name of the type in a registry.
    const TYPE: &'static str;

    /// The layer.
    type Layer;
}

/// The name of an argument and its new default.
type NewDefault<'a> = (&'a str, fn() -> Config);

/// The fields of a struct that flattens `base`: `own`, then those of `base` except the names in `without`, with the
/// defaults in `changed`.
#[doc(hidden)]
#[must_use]
pub const fn flatten<const N: usize>(
    own: &[Field],
    base: &[Field],
    changed: &[NewDefault<'_>],
    without: &[&str],
) -> [Field; N] {
    let mut all = [Field { name: "", doc: "", expected: String::new, default: None }; N];
    let mut count = 0;
    let mut index = 0;
    while index < own.len() {
        all[count] = own[index];
        count += 1;
        index += 1;
    }
    index = 0;
    while index < base.len() {
        if position(without, base[index].name).is_none() {
            assert!(count < N, "`without` names an argument that the flattened struct does not have");
            all[count] = base[index];
            count += 1;
        }
        index += 1;
    }
    assert!(count == N, "`without` names an argument twice");
    index = own.len();
    while index < N {
        let mut number = 0;
        while number < changed.len() {
            if same(all[index].name, changed[number].0) {
                all[index].default = Some(changed[number].1);
            }
            number += 1;
        }
        index += 1;
    }
    all
}

const fn position(names: &[&str], name: &str) -> Option<usize> {
    let mut index = 0;
    while index < names.len() {
        if same(names[index], name) {
            return Some(index);
        }
        index += 1;
    }
    None
}

/// `==` for strings in a const context.
const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::{Config, ConfigErrorKind, ConfigStruct, KeyPath, config};

    /// Arguments for the tests.
    #[derive(Debug, Clone, PartialEq, Config)]
    struct Arguments {
        /// Channels of the input.
        pub in_channels: i64,
        /// Channels of the output.
        pub out_channels: i64,
        /// Small number.
        #[config(default = 1e-5)]
        pub eps: f64,
        /// Sizes.
        #[config(default = None)]
        pub sizes: Option<Vec<i64>>,
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
        use crate::{Dict, FromConfig};
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

    /// Arguments that are inherited.
    #[derive(Debug, Clone, PartialEq, Config)]
    struct Common {
        /// Small number.
        #[config(default = 1e-5)]
        pub eps: f64,
        /// Sizes.
        #[config(default = None)]
        pub sizes: Option<Vec<i64>>,
        /// A switch.
        #[config(default = false)]
        pub switch: bool,
    }

    /// Arguments that inherit.
    #[derive(Debug, Clone, PartialEq, Config)]
    struct Heir {
        /// A number.
        pub depth: i64,
        /// The arguments that several types have.
        #[config(flatten(eps = 0.5), without(switch))]
        pub common: Common,
    }

    /// Arguments that inherit what inherits.
    #[derive(Debug, Clone, PartialEq, Config)]
    struct Grandchild {
        /// A word.
        #[config(default = "a".to_owned())]
        pub word: String,
        /// The arguments that several types have.
        #[config(flatten(sizes = Some(vec![1])))]
        pub heir: Heirless,
    }

    /// Between both.
    #[derive(Debug, Clone, PartialEq, Config)]
    struct Heirless {
        /// Sizes.
        #[config(default = None)]
        pub sizes: Option<Vec<i64>>,
        /// The arguments that several types have.
        #[config(flatten(switch = true), without(sizes))]
        pub common: Common,
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
