//! Variables of the environment, and errors that name them.

use crate::{Error, ErrorKind, Result};

/// Variables by name; an empty one counts as not set.
pub(super) struct Environment<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Environment<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup }
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of a variable that has to be there because another one is.
    pub(super) fn required(&self, name: &str, because: &str, expected: &str) -> Result<String> {
        self.get(name).ok_or_else(|| self.missing(name, because, expected))
    }

    pub(super) fn missing(&self, name: &str, because: &str, expected: &str) -> Error {
        ErrorKind::Missing { name: name.to_owned(), because: because.to_owned(), expected: expected.to_owned() }.into()
    }

    /// A number that has to be there because another variable is.
    pub(super) fn number(&self, name: &str, because: &str, expected: &str) -> Result<usize> {
        let text = self.required(name, because, expected)?;
        parse(name, &text)
    }

    pub(super) fn optional_number(&self, name: &str) -> Result<Option<usize>> {
        self.get(name).map(|text| parse(name, &text)).transpose()
    }

    /// A number of processes.
    pub(super) fn count(&self, name: &str, because: &str) -> Result<usize> {
        let count = self.number(name, because, "the number of processes")?;
        if count == 0 || i32::try_from(count).is_err() {
            return Err(invalid(name, &count.to_string(), "a number of processes, at least 1"));
        }
        Ok(count)
    }

    /// A number below that of another variable.
    pub(super) fn index(&self, name: &str, because: &str, below: &str, limit: usize) -> Result<usize> {
        let index = self.number(name, because, "the number of the process, from 0")?;
        if index >= limit {
            return Err(invalid(name, &index.to_string(), &format!("a number below {below}, which is {limit}")));
        }
        Ok(index)
    }

    /// `MASTER_PORT`; `None` if it is not set.
    pub(super) fn port(&self) -> Result<Option<u16>> {
        let Some(text) = self.get("MASTER_PORT") else { return Ok(None) };
        match text.parse() {
            Ok(0) | Err(_) => Err(invalid("MASTER_PORT", &text, "a port, from 1 to 65535")),
            Ok(port) => Ok(Some(port)),
        }
    }
}

pub(super) fn invalid(name: &str, found: &str, expected: &str) -> Error {
    ErrorKind::Variable { name: name.to_owned(), found: found.to_owned(), expected: expected.to_owned() }.into()
}

fn parse(name: &str, text: &str) -> Result<usize> {
    text.parse().map_err(|_| invalid(name, text, "a number"))
}
