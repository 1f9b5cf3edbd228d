//! Numbers as the gateways' protocols write them: decimal text. It allocates
//! nothing but the room that it appends to.

#[cfg(test)]
mod tests;

use std::io::{Cursor, Write as _};

/// The digits of the longest `u64`: 2^64 is about 1.8 * 10^19.
pub const MAX_DIGITS: usize = 20;

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
pub fn append_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(digits(value, &mut [0; MAX_DIGITS]));
}

/// An integer in decimal, for which `room` is lent.
#[must_use]
pub fn digits(mut value: u64, room: &mut [u8; MAX_DIGITS]) -> &[u8] {
    let mut first = MAX_DIGITS;
    loop {
        first -= 1;
        room[first] = b'0' + u8::try_from(value % 10).expect("a digit");
        value /= 10;
        if value == 0 {
            return &room[first..];
        }
    }
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
