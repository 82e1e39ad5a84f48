//! Values in the form of Python's `repr`.

use mmcv_registry::Config;

use crate::Size;

/// A value: `1e-05`, `True`, `None`, `'zeros'`, `[1, 2]`, `{'type': 'Normal', 'std': 0.01}`.
#[must_use]
pub fn value(value: impl Into<Config>) -> String {
    match value.into() {
        Config::Null => "None".to_owned(),
        Config::Bool(true) => "True".to_owned(),
        Config::Bool(false) => "False".to_owned(),
        Config::Int(number) => number.to_string(),
        Config::Float(number) => float(number),
        Config::Str(text) => string(&text),
        Config::List(items) => format!("[{}]", joined(items)),
        Config::Tuple(items) => tuple(items),
        Config::Dict(dict) => {
            let entries = dict.into_iter().map(|(key, item)| format!("{}: {}", string(&key), self::value(item)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A tuple: `(3, 3)`, or `(3,)` with one item.
#[must_use]
pub fn tuple<T: Into<Config>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<Config> = items.into_iter().map(Into::into).collect();
    let comma = if items.len() == 1 { "," } else { "" };
    format!("({}{comma})", joined(items))
}

/// A size: `3`, or `(3, 3)`.
#[must_use]
pub fn size(size: &Size) -> String {
    match size {
        Size::All(size) => value(*size),
        Size::Each(sizes) => tuple(sizes.iter().copied()),
    }
}

fn joined(items: Vec<Config>) -> String {
    items.into_iter().map(value).collect::<Vec<_>>().join(", ")
}

/// Rust and Python write the same digits and switch to exponents at the same magnitudes, but Python's exponents have
/// a sign and two digits.
fn float(number: f64) -> String {
    let text = format!("{number:?}").to_lowercase();
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{digits}e-{exponent:0>2}"),
        None => format!("{digits}e+{exponent:0>2}"),
    }
}

/// A string in single quotes, or in double quotes if that avoids a backslash.
fn string(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for character in text.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\\' => quoted.push_str("\\\\"),
            character if character == quote => quoted.extend(['\\', quote]),
            character if character.is_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(character))),
            character => quoted.push(character),
        }
    }
    quoted.push(quote);
    quoted
}

#[cfg(test)]
mod tests {
    use mmcv_registry::config;

    use super::*;

    #[test]
    fn numbers_are_those_of_python() {
        for (number, expected) in [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (1.0 / 3.0, "0.3333333333333333"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e100, "1.25e+100"),
            (1e-300, "1e-300"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(value(number), expected);
        }
        assert_eq!(value(None::<f64>), "None");
    }

    #[test]
    fn a_tuple_of_one_item_has_a_comma() {
        assert_eq!(tuple([3i64]), "(3,)");
        assert_eq!(tuple([3i64, 4]), "(3, 4)");
        assert_eq!(tuple::<i64>([]), "()");
        assert_eq!(size(&Size::All(3)), "3");
    }

    #[test]
    fn strings_are_quoted_as_python_does() {
        for (text, expected) in
            [("a", "'a'"), ("it's", "\"it's\""), ("'\"", "'\\'\"'"), ("a\\b\n", "'a\\\\b\\n'"), ("\u{1b}é", "'\\x1bé'")]
        {
            assert_eq!(value(text), expected);
        }
    }

    #[test]
    fn dicts_and_lists_are_nested() {
        let cfg = config! { type: "Normal", layer: ["Conv2d", "Linear"], std: 1e-5, bias: null, inner: { flag: true } };
        let expected =
            "{'type': 'Normal', 'layer': ['Conv2d', 'Linear'], 'std': 1e-05, 'bias': None, 'inner': {'flag': True}}";
        assert_eq!(value(&cfg), expected);
    }
}
