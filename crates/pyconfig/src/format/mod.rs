//! Formatting: `format()`, f-strings, `str.format` and `%`.

mod percent;
mod spec;
mod template;

pub(crate) use percent::{ascii, percent};
pub(crate) use spec::{format, round_to_digits};
pub(crate) use template::{Field, Step, parse_template};
