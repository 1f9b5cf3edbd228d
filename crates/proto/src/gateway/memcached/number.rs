//! Numbers as memcached reads them: with C's `strtol` and its kin, so with a
//! sign, after white space, and followed by the end of the word or white
//! space. What is longer than the type that is wanted loses its upper half.

#[cfg(test)]
mod tests;

/// A signed number of 32 bits.
pub(super) fn signed(word: &[u8]) -> Option<i32> {
    let (negative, magnitude) = read(word)?;
    let value = if negative {
        0i64.checked_sub_unsigned(magnitude)?
    } else {
        i64::try_from(magnitude).ok()?
    };
    #[expect(clippy::cast_possible_truncation, reason = "as memcached does")]
    Some(value as i32)
}

/// An unsigned number of 64 bits.
pub(super) fn unsigned(word: &[u8]) -> Option<u64> {
    let (negative, magnitude) = read(word)?;
    let value = if negative { magnitude.wrapping_neg() } else { magnitude };
    // A minus sign is looked for only where the result has the highest bit.
    (value <= i64::MAX as u64 || !word.contains(&b'-')).then_some(value)
}

/// An unsigned number of 32 bits.
pub(super) fn unsigned_32(word: &[u8]) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, reason = "as memcached does")]
    unsigned(word).map(|value| value as u32)
}

/// A sign and digits, and nothing but white space around them.
fn read(word: &[u8]) -> Option<(bool, u64)> {
    let start = word.iter().position(|byte| !is_space(*byte))?;
    let (negative, digits) = match &word[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    if digits.get(end).is_some_and(|byte| !is_space(*byte)) {
        return None;
    }
    crate::gateway::number::parse_u64(&digits[..end]).map(|magnitude| (negative, magnitude))
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}
