//! Decoding the numbers and strings of opcodes.

use std::str::FromStr;

use num_bigint::BigInt;

use crate::error::PickleProblem;
use crate::limits::MAX_INT_BYTES;

/// An integer: its value if it fits 64 bits, otherwise its decimal digits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Integer {
    Small(i64),
    Big(String),
}

const BAD_INTEGER: PickleProblem = PickleProblem::BadLiteral("integer");
/// Decimal digits of an integer of [`MAX_INT_BYTES`], sign included.
const MAX_DIGITS: usize = MAX_INT_BYTES * 8 * 302 / 1000;

/// The operand of LONG1 and LONG4: an integer in little-endian two's complement.
pub(crate) fn long(bytes: &[u8]) -> Result<Integer, PickleProblem> {
    if bytes.len() > MAX_INT_BYTES {
        return Err(PickleProblem::BadLiteral("integer (too long)"));
    }
    let value = BigInt::from_signed_bytes_le(bytes);
    match i64::try_from(&value) {
        Ok(value) => Ok(Integer::Small(value)),
        Err(_) => Ok(Integer::Big(value.to_string())),
    }
}

/// The operand of INT and LONG: an integer in decimal, possibly with the suffix `L`.
pub(crate) fn integer_line(line: &[u8]) -> Result<Integer, PickleProblem> {
    let text = std::str::from_utf8(line).map_err(|_| BAD_INTEGER)?.trim();
    let text = text.strip_suffix('L').unwrap_or(text);
    if let Ok(value) = text.parse() {
        return Ok(Integer::Small(value));
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BAD_INTEGER);
    }
    // An integer that does not fit 64 bits has a digit other than 0, so something is left.
    let digits = digits.trim_start_matches('0');
    let text = format!("{sign}{digits}");
    match text.parse() {
        Ok(value) => Ok(Integer::Small(value)),
        Err(_) => Ok(Integer::Big(text)),
    }
}

/// The operand of FLOAT: a number as written by Python's `repr`.
pub(crate) fn float_line(line: &[u8]) -> Result<f64, PickleProblem> {
    parse(line, "float")
}

/// The operand of GET and PUT: the number of a memo entry in decimal.
pub(crate) fn memo_line(line: &[u8]) -> Result<u32, PickleProblem> {
    parse(line, "memo number")
}

fn parse<T: FromStr>(line: &[u8], what: &'static str) -> Result<T, PickleProblem> {
    if let Ok(text) = std::str::from_utf8(line)
        && let Ok(value) = text.trim().parse()
    {
        return Ok(value);
    }
    Err(PickleProblem::BadLiteral(what))
}

/// The operand of STRING: a quoted and escaped string.
pub(crate) fn string_line(line: &[u8]) -> Result<Vec<u8>, PickleProblem> {
    unescape(line.trim_ascii()).ok_or(PickleProblem::BadLiteral("string"))
}

fn unescape(quoted: &[u8]) -> Option<Vec<u8>> {
    let ([b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"']) = quoted else { return None };
    let mut bytes = Vec::with_capacity(inner.len());
    let mut source = inner.iter().copied();
    while let Some(byte) = source.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let escaped = match source.next()? {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'x' => {
                let high = hex_digit(source.next())?;
                (high * 16 + hex_digit(source.next())?) as u8
            }
            byte @ (b'\\' | b'\'' | b'"') => byte,
            _ => return None,
        };
        bytes.push(escaped);
    }
    Some(bytes)
}

/// The operand of UNICODE: text in Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
pub(crate) fn unicode_line(line: &[u8]) -> Result<String, PickleProblem> {
    decode_unicode(line).ok_or(PickleProblem::BadLiteral("unicode text"))
}

fn decode_unicode(line: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(line.len());
    let mut source = line.iter().copied().peekable();
    while let Some(byte) = source.next() {
        let digits = match (byte, source.peek()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            (b'\\', Some(&other)) => {
                // A backslash and the next character belong together: the second of two starts no escape.
                text.extend(['\\', char::from(other)]);
                source.next();
                continue;
            }
            _ => {
                text.push(char::from(byte));
                continue;
            }
        };
        source.next();
        let mut code = 0_u32;
        for _ in 0..digits {
            code = code.checked_mul(16)? | hex_digit(source.next())?;
        }
        text.push(char::from_u32(code)?);
    }
    Some(text)
}

fn hex_digit(byte: Option<u8>) -> Option<u32> {
    char::from(byte?).to_digit(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_are_two_s_complement() {
        assert_eq!(long(&[]), Ok(Integer::Small(0)));
        assert_eq!(long(&[0xff]), Ok(Integer::Small(-1)));
        assert_eq!(long(&[0xff, 0]), Ok(Integer::Small(255)));
        assert_eq!(long(&i64::MIN.to_le_bytes()), Ok(Integer::Small(i64::MIN)));
        assert_eq!(long(&i64::MAX.to_le_bytes()), Ok(Integer::Small(i64::MAX)));
        assert_eq!(long(&[0, 0, 0, 0, 0, 0, 0, 0x80, 0xff]), Ok(Integer::Small(i64::MIN)));
        assert_eq!(long(&[0, 0, 0, 0, 0, 0, 0, 0x80, 0]), Ok(Integer::Big("9223372036854775808".into())));
        assert_eq!(long(&[0xff; 8].map(|byte: u8| byte)), Ok(Integer::Small(-1)));
        let big = i128::MIN + 1;
        assert_eq!(long(&big.to_le_bytes()), Ok(Integer::Big(big.to_string())));
        assert_eq!(long(&i128::MIN.to_le_bytes()), Ok(Integer::Big(i128::MIN.to_string())));
        let power = 10_i128.pow(27);
        assert_eq!(long(&power.to_le_bytes()), Ok(Integer::Big(power.to_string())));
        assert_eq!(long(&(-power).to_le_bytes()), Ok(Integer::Big((-power).to_string())));
        assert!(long(&[1; MAX_INT_BYTES + 1]).is_err());
    }

    #[test]
    fn lines_are_decoded_or_refused() {
        assert_eq!(integer_line(b"12L"), Ok(Integer::Small(12)));
        assert_eq!(integer_line(b"-0012345678901234567890"), Ok(Integer::Big("-12345678901234567890".into())));
        assert!(integer_line(b"1x").is_err());
        assert!(integer_line(b"").is_err());
        assert_eq!(float_line(b"-1.5e-3"), Ok(-1.5e-3));
        assert_eq!(string_line(br"'a\x41\'\n'"), Ok(b"aA'\n".to_vec()));
        assert!(string_line(b"'a").is_err());
        assert!(string_line(b"'").is_err());
        assert_eq!(unicode_line(b"\xe9\\u20ac\\U0001f600\\n"), Ok("é€😀\\n".into()));
        assert_eq!(unicode_line(br"\\u20ac\\\u20ac"), Ok(r"\\u20ac\\€".into()));
        assert!(unicode_line(b"\\ud800").is_err());
    }
}
