//! What names a session, a cart or an address.

use std::fmt;

use super::error::StateError;

/// A random name of 256 bits: who has it has the session or the cart that it
/// names. It is never taken from a client that made it up, only compared with
/// those that were given. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateId([u8; Self::BYTES]);

impl StateId {
    /// How long it is. Of 2^64 sessions none is guessed in 2^190 tries.
    pub const BYTES: usize = 32;

    /// The id of bytes that nobody can guess.
    #[must_use]
    pub const fn new(random: [u8; Self::BYTES]) -> Self {
        Self(random)
    }

    /// As bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// As 64 hexadecimal digits, for a cookie.
    #[must_use]
    pub fn to_text(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }

    /// The id that [`StateId::to_text`] gave this of.
    ///
    /// # Errors
    ///
    /// [`StateError::Form`] for anything else.
    pub fn parse(text: &str) -> Result<Self, StateError> {
        let malformed =
            StateError::Form { field: "an id", expected: "64 lower-case hexadecimal digits" };
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(malformed),
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(malformed) };
        if pairs.len() != Self::BYTES {
            return Err(malformed);
        }
        let mut id = [0; Self::BYTES];
        for (byte, &[high, low]) in id.iter_mut().zip(pairs) {
            *byte = value(high)? << 4 | value(low)?;
        }
        Ok(Self(id))
    }
}

impl fmt::Debug for StateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateId({} bytes)", Self::BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_it_was_written_and_nothing_else_does() {
        let id = StateId::new(std::array::from_fn(|at| u8::try_from(at * 8).unwrap()));
        let text = id.to_text();
        assert_eq!(StateId::parse(&text), Ok(id));
        assert_eq!(format!("{id:?}"), "StateId(32 bytes)");
        let wrong = ["", &text[1..], &text[2..], &text.to_uppercase(), &format!("{text}00")];
        for wrong in wrong {
            let found = StateId::parse(wrong);
            assert!(matches!(found, Err(StateError::Form { .. })), "{wrong}: {found:?}");
        }
    }
}
