//! Numbers as the gateways' protocols write them: decimal text. It allocates
//! nothing but the room that it appends to.

use std::io::{Cursor, Write as _};

/// The digits of the longest `u64`: 2^64 is about 1.8 * 10^19.
const MAX_DIGITS: usize = 20;

/// The longest form of a double's digits and exponent: a sign, 17 digits, a
/// point, and `e-308`.
const MAX_SCIENTIFIC_BYTES: usize = 24;

/// Reads an integer as Redis does: decimal, a minus sign at most, no plus, no
/// leading zero, no blank.
#[must_use]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let magnitude = parse_u64(digits)?;
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Reads digits, and nothing but digits, leading zeros allowed.
#[must_use]
pub fn parse_u64(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Appends an integer in decimal.
pub fn append_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    append_u64(out, value.unsigned_abs());
}

/// Appends an integer in decimal.
pub fn append_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; MAX_DIGITS];
    let mut first = MAX_DIGITS;
    loop {
        first -= 1;
        digits[first] = b'0' + u8::try_from(value % 10).expect("a digit");
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Appends a double as Redis 7.2 does: the shortest digits that read as the
/// same double, whole numbers without an exponent as long as a 64-bit integer
/// holds twice their size, `inf`, `-inf` and `nan`.
pub fn append_f64(out: &mut Vec<u8>, value: f64) {
    // `double2ll` of Redis takes half of the range, to stay clear of its ends.
    const WHOLE: f64 = (i64::MAX / 2) as f64;
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.fract() == 0.0 && value.abs() <= WHOLE {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within the range")]
        append_i64(out, value as i64);
    } else {
        append_shortest(out, value);
    }
}

/// Lays out a double's digits as `fpconv_dtoa`, which Redis 7.2 uses, does.
fn append_shortest(out: &mut Vec<u8>, value: f64) {
    let mut text = Cursor::new([0u8; MAX_SCIENTIFIC_BYTES]);
    write!(text, "{:e}", value.abs()).expect("a double fits");
    let length = usize::try_from(text.position()).expect("at most 24");
    let text = &text.get_ref()[..length];
    let at = text.iter().position(|byte| *byte == b'e').expect("scientific");
    let (mantissa, exponent) = (&text[..at], &text[at + 1..]);
    let exponent = parse_i64(exponent).expect("an exponent is an integer");
    let (first, rest) = (mantissa[0], mantissa.get(2..).unwrap_or_default());
    let count = 1 + i64::try_from(rest.len()).expect("at most 16");
    // The value is the digits, as an integer, times ten to this power.
    let power = exponent - (count - 1);
    if value < 0.0 {
        out.push(b'-');
    }
    if power >= 0 && exponent < count + 7 {
        out.push(first);
        out.extend_from_slice(rest);
        append_zeros(out, power);
    } else if power < 0 && (power > -7 || exponent.abs() < 4) {
        if exponent < 0 {
            out.extend_from_slice(b"0.");
            append_zeros(out, -exponent - 1);
            out.push(first);
            out.extend_from_slice(rest);
        } else {
            let whole = usize::try_from(exponent).expect("not negative");
            out.push(first);
            out.extend_from_slice(&rest[..whole]);
            out.push(b'.');
            out.extend_from_slice(&rest[whole..]);
        }
    } else {
        out.push(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        append_u64(out, exponent.unsigned_abs());
    }
}

fn append_zeros(out: &mut Vec<u8>, count: i64) {
    out.extend((0..count).map(|_| b'0'));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn double(value: f64) -> String {
        let mut out = Vec::new();
        append_f64(&mut out, value);
        String::from_utf8(out).expect("digits")
    }

    #[test]
    fn integers_are_read_as_redis_reads_them() {
        for (text, value) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("18446744073709551616", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("01", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
            ("1a", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn doubles_are_written_as_redis_writes_them() {
        for (value, text) in [
            (0.1, "0.1"),
            (-0.1, "-0.1"),
            (3.0, "3"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (123.456, "123.456"),
            (1e18, "1000000000000000000"),
            (1e19, "1e+19"),
            (1.25e20, "1.25e+20"),
            (12_345_678_901_234_567_000.0, "12345678901234567000"),
            (1e-7, "1e-7"),
            (0.001, "0.001"),
            (0.000_001, "0.000001"),
            (1.234_567_89e-5, "1.23456789e-5"),
            (1.234_567_89e-3, "0.00123456789"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(double(value), text);
        }
    }

    proptest! {
        #[test]
        fn integers_read_as_they_are_written(value: i64) {
            let mut out = Vec::new();
            append_i64(&mut out, value);
            let text = value.to_string().into_bytes();
            prop_assert_eq!(&out, &text);
            prop_assert_eq!(parse_i64(&out), Some(value));
        }

        #[test]
        fn doubles_read_as_they_are_written(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            prop_assert_eq!(double(value).parse::<f64>().expect("a double"), value);
        }

        #[test]
        fn any_bytes_are_an_integer_or_none(text in prop::collection::vec(any::<u8>(), 0..24)) {
            if let Some(value) = parse_i64(&text) {
                prop_assert_eq!(value.to_string().into_bytes(), text);
            }
        }
    }
}
