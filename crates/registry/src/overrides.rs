//! Overrides `a.b.0.c=value`, with the syntax of mmengine.

use crate::literal::parse_literal;
use crate::{Config, ConfigError, ConfigErrorKind, Dict, KeyPath};

impl Config {
    /// Applies one override `a.b.0.c=value`.
    ///
    /// The value is a Python or YAML literal: `1e-3`, `true`/`True`, `None`/`null`, `[1,2]`, `(1,2)`, `1,2`,
    /// `{type: GN}`, a quoted string, or else a plain string. Missing dicts on the way are created, also in
    /// place of null; list indices must exist. Reference: `DictAction` of mmengine/config/config.py.
    ///
    /// # Errors
    /// Returns an error with the path if there is no `=`, the literal is malformed, a value on the way is not a dict
    /// or a list, or an index is out of range.
    pub fn set_option(&mut self, option: &str) -> Result<(), ConfigError> {
        let Some((keys, value)) = option.split_once('=') else {
            return Err(syntax_error(option, "an option is written KEY.KEY=VALUE"));
        };
        let keys = keys.trim();
        if keys.split('.').any(str::is_empty) {
            return Err(syntax_error(option, "an option is written KEY.KEY=VALUE, with a key between every two dots"));
        }
        let value = parse_literal(value)?;

        let mut path = KeyPath::root();
        let mut target = self;
        for key in keys.split('.') {
            (target, path) = target.step(key, &path)?;
        }
        *target = value;
        Ok(())
    }

    /// Applies several overrides in order.
    ///
    /// # Errors
    /// As [`Self::set_option`]; stops at the first override that fails.
    pub fn set_options<S: AsRef<str>>(&mut self, options: impl IntoIterator<Item = S>) -> Result<(), ConfigError> {
        options.into_iter().try_for_each(|option| self.set_option(option.as_ref()))
    }

    /// Goes one key further. Creates a key that a dict lacks, and a dict in place of null.
    fn step(&mut self, key: &str, path: &KeyPath) -> Result<(&mut Config, KeyPath), ConfigError> {
        if self.is_null() {
            *self = Config::Dict(Dict::new());
        }
        match self {
            Config::Dict(dict) => {
                let next = path.key(key);
                if !dict.contains_key(key) {
                    dict.insert(key, Config::Null);
                }
                match dict.get_mut(key) {
                    Some(value) => Ok((value, next)),
                    None => Err(ConfigError::new(&next, ConfigErrorKind::Missing { expected: "a value".to_owned() })),
                }
            }
            Config::List(items) | Config::Tuple(items) => {
                let len = items.len();
                let Ok(index) = key.parse::<usize>() else {
                    let reason = format!("this is a list of {len} items, so the key has to be an index");
                    return Err(ConfigError::invalid(&path.key(key), format!("{key:?}"), reason));
                };
                let next = path.index(index);
                match items.get_mut(index) {
                    Some(value) => Ok((value, next)),
                    None => Err(ConfigError::new(&next, ConfigErrorKind::IndexOutOfRange { index, len })),
                }
            }
            other => {
                let reason = format!("{key:?} cannot be looked up here: expected a dict or a list");
                Err(ConfigError::invalid(path, other.quoted(), reason))
            }
        }
    }
}

fn syntax_error(option: &str, reason: &str) -> ConfigError {
    let kind = ConfigErrorKind::Syntax { text: option.to_owned(), reason: reason.to_owned() };
    ConfigError::new(&KeyPath::root(), kind)
}

#[cfg(test)]
mod tests {
    use crate::{Config, ConfigErrorKind, config};

    fn sample() -> Config {
        config! { backbone: { type: "ResNet", stages: [{ depth: 1 }, { depth: 2 }], norm_cfg: { type: "BN" } } }
    }

    #[test]
    fn sets_existing_and_new_keys() {
        let mut cfg = sample();
        cfg.set_options(["backbone.stages.1.depth=5", "backbone.norm_cfg.eps=1e-3", "backbone.type=ResNet=x"]).unwrap();
        assert_eq!(
            cfg.to_string(),
            r#"{backbone: {type: "ResNet=x", stages: [{depth: 1}, {depth: 5}], norm_cfg: {type: "BN", eps: 0.001}}}"#
        );
    }

    #[test]
    fn dicts_are_made_where_there_is_nothing_or_null() {
        let mut cfg = config! { head: null, list: [null, { a: null }] };
        cfg.set_options(["head.fc.bias=false", "neck.type=X", "list.0.b=1", "list.1.a.c=2", "neck.dim=3"]).unwrap();
        assert_eq!(
            cfg.to_string(),
            r#"{head: {fc: {bias: false}}, list: [{b: 1}, {a: {c: 2}}], neck: {type: "X", dim: 3}}"#
        );
    }

    #[test]
    fn what_does_not_exist_is_named() {
        for (option, message) in [
            ("backbone.stages.2.depth=1", "backbone.stages[2]: index 2 is out of range: the list has 2 items"),
            ("backbone.stages.-1.depth=1", "backbone.stages.-1: "),
            ("backbone.stages.last=1", "backbone.stages.last: "),
            ("backbone.type.x=1", "backbone.type: "),
            ("backbone", "an option is written KEY.KEY=VALUE"),
            ("backbone..type=1", "an option is written KEY.KEY=VALUE"),
            ("=1", "an option is written KEY.KEY=VALUE"),
            ("backbone.type=[1", "not closed"),
        ] {
            let mut cfg = sample();
            let error = cfg.set_option(option).unwrap_err();
            assert!(error.to_string().contains(message), "{option}: {error}");
            assert_eq!(cfg, sample(), "{option} changed the config though it failed");
        }
    }

    #[test]
    fn the_kind_of_an_index_error_has_the_numbers() {
        let error = sample().set_option("backbone.stages.7=1").unwrap_err();
        assert_eq!(*error.kind, ConfigErrorKind::IndexOutOfRange { index: 7, len: 2 });
    }
}
