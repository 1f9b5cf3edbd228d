//! What a web session is called. It is as good as a password: `Debug` does not
//! show it.

use std::fmt;

use super::Error;

/// The id of a web session: 128 random bits, which nobody can guess.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WebId([u8; Self::BYTES]);

impl WebId {
    /// How long an id is, in bytes: twice the entropy that OWASP's session
    /// management asks for, and what tower-sessions has room for.
    pub const BYTES: usize = 16;

    /// The id of these bytes, which somebody says is one. It finds only what
    /// was begun under it.
    #[must_use]
    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// An id that no session has had.
    pub(super) fn random() -> Result<Self, Error> {
        let mut bytes = [0; Self::BYTES];
        getrandom::fill(&mut bytes).map_err(|_| Error::Random)?;
        Ok(Self(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// For a cookie: 32 hexadecimal digits.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    /// Reads what [`WebId::to_text`] wrote; none of anything else, capitals
    /// included, so that a session has one name only.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_id = text.len() == 2 * Self::BYTES && text.bytes().all(is_digit);
        let number = is_id.then(|| u128::from_str_radix(text, 16).ok())??;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Debug for WebId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebId(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::WebId;

    #[test]
    fn an_id_has_one_text() {
        let id = WebId::random().unwrap();
        assert_eq!(WebId::parse(&id.to_text()), Some(id));
        let low = WebId::new([1; WebId::BYTES]);
        assert_eq!(low.to_text(), "01".repeat(16));
        assert_eq!(format!("{low:?}"), "WebId(..)");
        for text in ["", "0", &"AB".repeat(16), &"+1".repeat(16), &"01".repeat(17), &"é".repeat(16)]
        {
            assert_eq!(WebId::parse(text), None, "{text}");
        }
    }
}
