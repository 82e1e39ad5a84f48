//! Command-line overrides `a.b.0.c=value`, as mmengine's `--cfg-options`.

use crate::error::nearest;
use crate::literal::parse_literal;
use crate::{Config, ConfigError, ConfigErrorKind, KeyPath};

impl Config {
    /// Applies one override `a.b.0.c=value`.
    ///
    /// The value is a Python or YAML literal: `1e-3`, `true`/`True`, `None`/`null`, `[1,2]`, `(1,2)`, `1,2`,
    /// `{type: GN}`, a quoted string, or else a plain string. Keys and indices on the way have to exist; the last
    /// key of a dict may be new. Reference: `DictAction` of mmengine/config/config.py.
    ///
    /// # Errors
    /// Where there is no `=`, a literal is broken, a key on the way does not exist, or an index is out of range; the
    /// error names the path.
    pub fn set_option(&mut self, option: &str) -> Result<(), ConfigError> {
        let syntax = |reason: &str| {
            let kind = ConfigErrorKind::Syntax { text: option.to_owned(), reason: reason.to_owned() };
            ConfigError::new(&KeyPath::root(), kind)
        };
        let (keys, value) = option.split_once('=').ok_or_else(|| syntax("an option is written KEY.KEY=VALUE"))?;
        let keys = keys.trim();
        if keys.split('.').any(str::is_empty) {
            return Err(syntax("an option is written KEY.KEY=VALUE, with a key between every two dots"));
        }
        let value = parse_literal(value)?;

        let mut path = KeyPath::root();
        let mut target = self;
        let mut rest = keys.split('.').peekable();
        while let Some(key) = rest.next() {
            (target, path) = target.step(key, rest.peek().is_none(), &path)?;
        }
        *target = value;
        Ok(())
    }

    /// Applies several overrides in order.
    ///
    /// # Errors
    /// As [`Self::set_option`], at the first that fails.
    pub fn set_options<S: AsRef<str>>(&mut self, options: impl IntoIterator<Item = S>) -> Result<(), ConfigError> {
        options.into_iter().try_for_each(|option| self.set_option(option.as_ref()))
    }

    /// Goes one key further; a new key of a dict is made only where it is the last one.
    fn step(&mut self, key: &str, is_last: bool, path: &KeyPath) -> Result<(&mut Config, KeyPath), ConfigError> {
        match self {
            Config::Dict(dict) => {
                let next = path.key(key);
                if !dict.contains_key(key) {
                    if !is_last {
                        let kind = ConfigErrorKind::NoSuchKey {
                            nearest: nearest(key, dict.keys()),
                            allowed: dict.keys().map(str::to_owned).collect(),
                        };
                        return Err(ConfigError::new(&next, kind));
                    }
                    dict.insert(key, Config::Null);
                }
                match dict.get_mut(key) {
                    Some(value) => Ok((value, next)),
                    None => Err(ConfigError::new(&next, ConfigErrorKind::Missing { expected: "a value".to_owned() })),
                }
            }
            Config::List(items) => {
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
    fn what_does_not_exist_is_named() {
        for (option, message) in [
            ("backbon.type=X", "backbon: no such key, did you mean \"backbone\"?"),
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
