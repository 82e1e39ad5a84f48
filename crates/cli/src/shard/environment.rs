//! Variables of the environment as numbers, and errors that name them.

use super::{MAX_COUNT, ShardError};

/// Looks a variable up.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Variables by name; an empty one counts as not set.
#[derive(Clone, Copy)]
pub(super) struct Environment<'a>(pub(super) Lookup<'a>);

impl Environment<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?.trim().to_owned();
        if value.is_empty() { None } else { Some(value) }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn number(&self, name: &'static str) -> Result<Option<u64>, ShardError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if number <= MAX_COUNT => Ok(Some(number)),
            _ => Err(invalid(name, text, format!("a number from 0 to {MAX_COUNT}"))),
        }
    }

    /// A number that has to be there because another variable is.
    pub(super) fn required(
        &self,
        name: &'static str,
        because: &'static str,
        expected: &'static str,
    ) -> Result<u64, ShardError> {
        self.number(name)?.ok_or(ShardError::Missing { name, because, expected })
    }
}

pub(super) fn invalid(name: &'static str, found: impl ToString, expected: impl Into<String>) -> ShardError {
    ShardError::Variable { name, found: found.to_string(), expected: expected.into() }
}
