//! The text of a key file. No message repeats any of it.

use zeroize::Zeroizing;

use super::{FARM_KEY_BYTES, KeyFile, Role, Secret};

/// The digits of a key.
pub(super) const DIGITS: usize = 2 * FARM_KEY_BYTES;
/// The longest text: three lines of a word, a space, a key and a newline.
pub(super) const MAX_BYTES: usize = 3 * ("placement ".len() + DIGITS + 1);

/// Why a text is none of a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TextError {
    /// A plain key has something else than digits.
    #[error("found no hexadecimal digit at byte {at}, expected {DIGITS} of them and a newline")]
    Digit {
        /// Where, from 0.
        at: usize,
    },
    /// A line is none.
    #[error(
        "line {line}: expected \"seals\", \"next\", \"old\" or \"placement\", a space and \
         {DIGITS} hexadecimal digits"
    )]
    Line {
        /// Which, from 1.
        line: usize,
    },
    /// A line says what another one says.
    #[error("line {line}: expected one key that seals, one beside it, and one placement")]
    Twice {
        /// Which, from 1.
        line: usize,
    },
    /// There are lines, but none for the key that seals.
    #[error("found no line of the key that \"seals\"")]
    NoneSeals,
}

/// Reads the text of a file: a key by itself, or lines that say what is what.
///
/// # Errors
///
/// [`TextError`] when it is neither.
pub(super) fn parse(text: &[u8]) -> Result<KeyFile, TextError> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if !text.contains(&b' ') {
        let seals = secret(text).map_err(|at| TextError::Digit { at })?;
        return Ok(KeyFile { seals, other: None, placement: None });
    }
    let (mut seals, mut other, mut placement) = (None, None, None);
    for (line, text) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let space = text.iter().position(|&byte| byte == b' ');
        let (word, digits) = text.split_at(space.ok_or(TextError::Line { line })?);
        let secret = secret(&digits[1..]).map_err(|_| TextError::Line { line })?;
        let before = match word {
            b"seals" => seals.replace(secret).is_some(),
            b"next" => other.replace((Role::Next, secret)).is_some(),
            b"old" => other.replace((Role::Old, secret)).is_some(),
            b"placement" => placement.replace(secret).is_some(),
            _ => return Err(TextError::Line { line }),
        };
        if before {
            return Err(TextError::Twice { line });
        }
    }
    Ok(KeyFile { seals: seals.ok_or(TextError::NoneSeals)?, other, placement })
}

/// The text of a file that holds `keys`.
pub(super) fn print(keys: &KeyFile) -> Zeroizing<Vec<u8>> {
    // In one allocation, so that no part of it stays behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    let mut push = |word: &str, secret: &Secret| {
        text.extend_from_slice(word.as_bytes());
        for byte in secret.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.push(b"0123456789abcdef"[usize::from(digit)]);
            }
        }
        text.push(b'\n');
    };
    if keys.other.is_none() && keys.placement.is_none() {
        push("", &keys.seals);
        return text;
    }
    push("seals ", &keys.seals);
    match &keys.other {
        Some((Role::Next, secret)) => push("next ", secret),
        Some((Role::Old, secret)) => push("old ", secret),
        None => {}
    }
    if let Some(secret) = &keys.placement {
        push("placement ", secret);
    }
    text
}

/// The bytes that hexadecimal digits stand for, or where there is something
/// else, from 0.
fn secret(digits: &[u8]) -> Result<Secret, usize> {
    let mut secret = Zeroizing::new([0; FARM_KEY_BYTES]);
    if digits.len() != DIGITS {
        return Err(digits.len().min(DIGITS));
    }
    for (at, &digit) in digits.iter().enumerate() {
        let value = char::from(digit).to_digit(16).ok_or(at)?;
        secret[at / 2] = secret[at / 2] << 4 | u8::try_from(value).expect("a digit is below 16");
    }
    Ok(secret)
}
