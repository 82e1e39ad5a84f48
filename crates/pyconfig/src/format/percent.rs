//! `text % values`.

use crate::budget::Budget;
use crate::error::{Fault, Result};
use crate::format::format;
use crate::value::key::Key;
use crate::value::number::{Number, as_big, float_to_integer};
use crate::value::{Value, repr};

/// The values of a `%` operation, taken in order.
struct Values<'a> {
    value: &'a Value,
    used: usize,
}

impl Values<'_> {
    fn next(&mut self) -> Result<Value> {
        let item = match self.value {
            Value::Tuple(tuple) => tuple.0.get(self.used).cloned(),
            value if self.used == 0 => Some(value.clone()),
            _ => None,
        };
        self.used += 1;
        item.ok_or_else(|| Fault::type_error("not enough arguments for format string"))
    }

    fn all_used(&self) -> bool {
        match self.value {
            Value::Tuple(tuple) => self.used >= tuple.0.len(),
            Value::Dict(_) | Value::List(_) => true,
            _ => self.used > 0,
        }
    }

    fn named(&self, name: &str) -> Result<Value> {
        match self.value {
            Value::Dict(dict) => dict.get(&Key::from(name)).ok_or_else(|| Fault::key_error(repr::quoted(name))),
            _ => Err(Fault::type_error("format requires a mapping")),
        }
    }
}

/// `template % value`.
pub(crate) fn percent(budget: &mut Budget, template: &str, value: &Value) -> Result<String> {
    budget.text(template.len())?;
    let characters: Vec<char> = template.chars().collect();
    let mut values = Values { value, used: 0 };
    let (mut out, mut at, mut is_named) = (String::new(), 0, false);
    while let Some(c) = characters.get(at).copied() {
        at += 1;
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut name = None;
        if characters.get(at) == Some(&'(') {
            name = Some(key(&characters, &mut at)?);
            is_named = true;
        }
        let mut flags = String::new();
        while let Some(flag @ ('-' | '+' | ' ' | '#' | '0')) = characters.get(at) {
            flags.push(*flag);
            at += 1;
        }
        let mut width = size(&characters, &mut at, &mut values)?;
        let mut precision = None;
        if characters.get(at) == Some(&'.') {
            at += 1;
            precision = Some(size(&characters, &mut at, &mut values)?.unwrap_or(0).max(0));
        }
        while matches!(characters.get(at), Some('h' | 'l' | 'L')) {
            at += 1;
        }
        let Some(kind) = characters.get(at).copied() else { return Err(Fault::value_error("incomplete format")) };
        at += 1;
        if kind == '%' {
            out.push('%');
            continue;
        }
        if width.is_some_and(|width| width < 0) {
            flags.push('-');
            width = width.map(i64::wrapping_neg);
        }
        let item = match &name {
            Some(name) => values.named(name)?,
            None => values.next()?,
        };
        out.push_str(&conversion(budget, kind, &item, &flags, width.unwrap_or(0), precision)?);
        budget.text(0)?;
    }
    if !is_named && !values.all_used() {
        return Err(Fault::type_error("not all arguments converted during string formatting"));
    }
    Ok(out)
}

/// The name in `%(name)s`.
fn key(characters: &[char], at: &mut usize) -> Result<String> {
    let (mut name, mut depth) = (String::new(), 0);
    while let Some(c) = characters.get(*at) {
        *at += 1;
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(name.chars().skip(1).collect());
        }
        name.push(*c);
    }
    Err(Fault::value_error("incomplete format key"))
}

/// A width or a precision: digits, or `*` for the next value.
fn size(characters: &[char], at: &mut usize, values: &mut Values<'_>) -> Result<Option<i64>> {
    if characters.get(*at) == Some(&'*') {
        *at += 1;
        return match values.next()? {
            Value::Int(size) => Ok(Some(size)),
            _ => Err(Fault::type_error("* wants int")),
        };
    }
    let mut number: Option<i64> = None;
    while let Some(digit) = characters.get(*at).and_then(|c| c.to_digit(10)) {
        *at += 1;
        let next = number.unwrap_or(0).checked_mul(10).and_then(|number| number.checked_add(i64::from(digit)));
        match next {
            Some(next) if next <= i64::from(i32::MAX) => number = Some(next),
            _ => return Err(Fault::value_error("width too big")),
        }
    }
    Ok(number)
}

fn conversion(
    budget: &mut Budget,
    kind: char,
    value: &Value,
    flags: &str,
    width: i64,
    precision: Option<i64>,
) -> Result<String> {
    let is_left = flags.contains('-');
    let has = |flag: char| if flags.contains(flag) { flag.to_string() } else { String::new() };
    let sign = if flags.contains('+') { "+".to_owned() } else { has(' ') };
    let align = if is_left { "<" } else { "" };
    let zero = if is_left { String::new() } else { has('0') };
    let precision_text = precision.map(|precision| format!(".{precision}")).unwrap_or_default();
    match kind {
        's' | 'r' | 'a' => {
            let text = match kind {
                's' => repr::text(budget, value)?,
                'r' => repr::repr(budget, value)?,
                _ => ascii(&repr::repr(budget, value)?),
            };
            let align = if is_left { "<" } else { ">" };
            format(budget, &Value::str(text), &format!("{align}{width}{precision_text}"))
        }
        'c' => {
            let text = match value {
                Value::Str(text) if text.chars().count() == 1 => text.to_string(),
                Value::Int(code) => match u32::try_from(*code).ok().and_then(char::from_u32) {
                    Some(c) => c.to_string(),
                    None => return Err(Fault::overflow("%c arg not in range(0x110000)")),
                },
                _ => return Err(Fault::type_error("%c requires int or char")),
            };
            format(budget, &Value::str(text), &format!("{}{width}", if is_left { "<" } else { ">" }))
        }
        'd' | 'i' | 'u' => {
            let number = match Number::of(value) {
                Some(Number::Float(float)) => float_to_integer(float.trunc()),
                Some(_) => as_big(value),
                None => None,
            };
            let Some(number) = number else {
                let reason = format!("%{kind} format: a real number is required, not {}", value.type_name());
                return Err(Fault::type_error(reason));
            };
            integer(budget, &number, 'd', &sign, align, &zero, width, precision, "")
        }
        'x' | 'X' | 'o' => match as_big(value) {
            Some(number) => integer(budget, &number, kind, &sign, align, &zero, width, precision, &has('#')),
            None => {
                Err(Fault::type_error(format!("%{kind} format: an integer is required, not {}", value.type_name())))
            }
        },
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => match Number::of(value) {
            Some(number) => {
                let float = Value::Float(number.float()?);
                format(budget, &float, &format!("{align}{sign}{}{zero}{width}{precision_text}{kind}", has('#')))
            }
            None => Err(Fault::type_error(format!("must be real number, not {}", value.type_name()))),
        },
        _ => Err(Fault::value_error(format!("unsupported format character '{kind}' (0x{:x})", u32::from(kind)))),
    }
}

/// A whole number, whose precision is the least number of digits.
#[allow(clippy::too_many_arguments)]
fn integer(
    budget: &mut Budget,
    number: &num_bigint::BigInt,
    kind: char,
    sign: &str,
    align: &str,
    zero: &str,
    width: i64,
    precision: Option<i64>,
    alternate: &str,
) -> Result<String> {
    let value = crate::value::number::integer(number.clone())?;
    let digits = format(budget, &value, &format!("{sign}{alternate}{kind}"))?;
    let Some(least) = precision else {
        let width = width.max(0);
        let zero = if width == 0 { "" } else { zero };
        let width = if width == 0 { String::new() } else { width.to_string() };
        return format(budget, &value, &format!("{align}{sign}{alternate}{zero}{width}{kind}"));
    };
    let start = digits.find(|c: char| c.is_ascii_hexdigit()).unwrap_or(0);
    let start = if alternate.is_empty() { start } else { start + 2 };
    let (prefix, magnitude) = digits.split_at(start.min(digits.len()));
    let missing = usize::try_from(least).unwrap_or(0).saturating_sub(magnitude.len());
    budget.text(missing)?;
    let text = format!("{prefix}{}{magnitude}", "0".repeat(missing));
    let align = if align.is_empty() { ">" } else { align };
    format(budget, &Value::str(text), &format!("{align}{width}"))
}

/// A text in which other characters than ASCII's are escaped.
pub(crate) fn ascii(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii() { out.push(c) } else { out.push_str(&repr::escape(c)) }
    }
    out
}
