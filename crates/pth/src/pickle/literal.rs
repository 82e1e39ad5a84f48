//! Numbers and texts as the opcodes write them.

use crate::error::PickleProblem;
use crate::limits::MAX_INT_BYTES;

/// An integer within 64 bits, or its decimal digits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Integer {
    Small(i64),
    Big(String),
}

const BAD_INTEGER: PickleProblem = PickleProblem::BadLiteral("integer");
/// Decimal digits of an integer of [`MAX_INT_BYTES`], sign included.
const MAX_DIGITS: usize = MAX_INT_BYTES * 8 * 302 / 1000;

/// An integer in little-endian two's complement, as LONG1 and LONG4 have it.
pub(crate) fn long(bytes: &[u8]) -> Result<Integer, PickleProblem> {
    if bytes.len() > MAX_INT_BYTES {
        return Err(PickleProblem::BadLiteral("integer (too long)"));
    }
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let fill = if negative { 0xff } else { 0 };
    let significant = bytes.iter().rposition(|&byte| byte != fill).map_or(0, |last| last + 1);
    let mut word = [fill; 8];
    if let (Some(target), Some(source)) = (word.get_mut(..significant), bytes.get(..significant)) {
        target.copy_from_slice(source);
        let value = i64::from_le_bytes(word);
        if significant < 8 || (value < 0) == negative {
            return Ok(Integer::Small(value));
        }
    }
    Ok(Integer::Big(decimal(bytes, negative)))
}

/// The decimal digits of a two's complement number of any length.
fn decimal(bytes: &[u8], negative: bool) -> String {
    const CHUNK: u64 = 1_000_000_000;
    let mut limbs = magnitude(bytes, negative);
    let mut chunks = Vec::new();
    while !limbs.is_empty() {
        let mut remainder = 0;
        for limb in limbs.iter_mut().rev() {
            let value = (remainder << 32) | u64::from(*limb);
            // The quotient is below 2^32, because the remainder is below the divisor.
            *limb = (value / CHUNK) as u32;
            remainder = value % CHUNK;
        }
        chunks.push(remainder);
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
    }
    let mut text = String::from(if negative { "-" } else { "" });
    let mut chunks = chunks.into_iter().rev();
    text.push_str(&chunks.next().unwrap_or(0).to_string());
    chunks.for_each(|chunk| text.push_str(&format!("{chunk:09}")));
    text
}

/// The absolute value in limbs of 32 bits, the least significant first, without leading zeros.
fn magnitude(bytes: &[u8], negative: bool) -> Vec<u32> {
    let fill = if negative { 0xff } else { 0 };
    let mut carry = negative;
    let mut limbs: Vec<u32> = bytes
        .chunks(4)
        .map(|chunk| {
            let mut limb = [fill; 4];
            limb.iter_mut().zip(chunk).for_each(|(target, &source)| *target = source);
            let limb = u32::from_le_bytes(limb);
            if !negative {
                return limb;
            }
            let (limb, overflow) = (!limb).overflowing_add(u32::from(carry));
            carry = overflow;
            limb
        })
        .collect();
    if carry {
        limbs.push(1);
    }
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
    limbs
}

/// An integer in decimal, as LONG has it (`12L`), or a bool, as INT has it (`00`, `01`).
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
    // Whatever does not fit 64 bits has a digit other than 0, so that something is left.
    let digits = digits.trim_start_matches('0');
    let text = format!("{sign}{digits}");
    Ok(text.parse().map_or(Integer::Big(text), Integer::Small))
}

/// A floating-point number as Python's `repr` writes it.
pub(crate) fn float_line(line: &[u8]) -> Result<f64, PickleProblem> {
    let text = std::str::from_utf8(line).ok().map(str::trim);
    text.and_then(|text| text.parse().ok()).ok_or(PickleProblem::BadLiteral("float"))
}

/// The number of a memo entry in decimal, as GET and PUT have it.
pub(crate) fn memo_line(line: &[u8]) -> Result<u32, PickleProblem> {
    let text = std::str::from_utf8(line).ok().map(str::trim);
    text.and_then(|text| text.parse().ok()).ok_or(PickleProblem::BadLiteral("memo number"))
}

/// A quoted and escaped string, as STRING has it.
pub(crate) fn string_line(line: &[u8]) -> Result<Vec<u8>, PickleProblem> {
    let bad = || PickleProblem::BadLiteral("string");
    let line = line.trim_ascii();
    let (quote, rest) = line.split_first().ok_or_else(bad)?;
    let (end, inner) = rest.split_last().ok_or_else(bad)?;
    if quote != end || !matches!(quote, b'\'' | b'"') {
        return Err(bad());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut source = inner.iter().copied();
    while let Some(byte) = source.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let escaped = match source.next().ok_or_else(bad)? {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'x' => {
                let high = hexadecimal(source.next()).ok_or_else(bad)?;
                (high * 16 + hexadecimal(source.next()).ok_or_else(bad)?) as u8
            }
            byte @ (b'\\' | b'\'' | b'"') => byte,
            _ => return Err(bad()),
        };
        bytes.push(escaped);
    }
    Ok(bytes)
}

/// Text in Latin-1 with `\uXXXX` and `\UXXXXXXXX`, as UNICODE has it.
pub(crate) fn unicode_line(line: &[u8]) -> Result<String, PickleProblem> {
    let bad = || PickleProblem::BadLiteral("unicode text");
    let mut text = String::with_capacity(line.len());
    let mut source = line.iter().copied().peekable();
    while let Some(byte) = source.next() {
        let digits = match (byte, source.peek()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            (b'\\', Some(&other)) => {
                // A backslash and what follows it are one: the second of two starts no escape.
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
            let digit = hexadecimal(source.next()).ok_or_else(bad)?;
            code = code.checked_mul(16).ok_or_else(bad)? | digit;
        }
        text.push(char::from_u32(code).ok_or_else(bad)?);
    }
    Ok(text)
}

fn hexadecimal(byte: Option<u8>) -> Option<u32> {
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
