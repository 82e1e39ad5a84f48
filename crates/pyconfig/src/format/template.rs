//! The templates of `str.format`.

use crate::error::{Fault, Result};

/// A part of a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Literal(String),
    Value {
        /// The argument: a number, a name, or nothing for the next one.
        argument: String,
        /// `.name` and `[index]`, in order.
        steps: Vec<Step>,
        conversion: Option<char>,
        /// A template itself.
        spec: String,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Attribute(String),
    Item(String),
}

/// Splits a template into its parts.
pub(crate) fn parse_template(template: &str) -> Result<Vec<Field>> {
    let characters: Vec<char> = template.chars().collect();
    let (mut fields, mut literal, mut at) = (Vec::new(), String::new(), 0);
    while let Some(c) = characters.get(at).copied() {
        at += 1;
        match c {
            '{' | '}' if characters.get(at) == Some(&c) => {
                literal.push(c);
                at += 1;
            }
            '}' => return Err(Fault::value_error("Single '}' encountered in format string")),
            '{' => {
                if !literal.is_empty() {
                    fields.push(Field::Literal(std::mem::take(&mut literal)));
                }
                let end = closing(&characters, at)?;
                let inner: Vec<char> = characters.get(at..end).unwrap_or_default().to_vec();
                fields.push(field(&inner)?);
                at = end + 1;
            }
            c => literal.push(c),
        }
    }
    if !literal.is_empty() {
        fields.push(Field::Literal(literal));
    }
    Ok(fields)
}

/// The position of the brace that closes the field which begins at `start`.
fn closing(characters: &[char], start: usize) -> Result<usize> {
    let (mut depth, mut in_brackets) = (0, false);
    for (index, c) in characters.iter().enumerate().skip(start) {
        match c {
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            '{' if !in_brackets => depth += 1,
            '}' if !in_brackets && depth == 0 => return Ok(index),
            '}' if !in_brackets => depth -= 1,
            _ => {}
        }
    }
    Err(Fault::value_error(if start == characters.len() {
        "Single '{' encountered in format string"
    } else {
        "expected '}' before end of string"
    }))
}

fn field(inner: &[char]) -> Result<Field> {
    let mut at = 0;
    let mut in_brackets = false;
    while let Some(c) = inner.get(at) {
        match c {
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            '!' | ':' if !in_brackets => break,
            _ => {}
        }
        at += 1;
    }
    let name: String = inner.iter().take(at).collect();
    let mut conversion = None;
    if inner.get(at) == Some(&'!') {
        conversion = inner.get(at + 1).copied();
        at += 2;
        if conversion.is_none() || !matches!(inner.get(at), None | Some(':')) {
            return Err(Fault::value_error("expected ':' after conversion specifier"));
        }
    }
    let spec = inner.iter().skip(at + 1).collect();
    let (argument, steps) = steps(&name)?;
    Ok(Field::Value { argument, steps, conversion, spec })
}

fn steps(name: &str) -> Result<(String, Vec<Step>)> {
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (argument, mut rest) = name.split_at(end);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (attribute, next) = after.split_at(end);
            if attribute.is_empty() {
                return Err(Fault::value_error("Empty attribute in format string"));
            }
            steps.push(Step::Attribute(attribute.to_owned()));
            rest = next;
        } else if let Some(after) = rest.strip_prefix('[') {
            let Some((item, next)) = after.split_once(']') else {
                return Err(Fault::value_error("Missing ']' in format string"));
            };
            if item.is_empty() {
                return Err(Fault::value_error("Empty attribute in format string"));
            }
            steps.push(Step::Item(item.to_owned()));
            rest = next;
        } else {
            return Err(Fault::value_error("Only '.' or '[' may follow ']' in format field specifier"));
        }
    }
    Ok((argument.to_owned(), steps))
}
