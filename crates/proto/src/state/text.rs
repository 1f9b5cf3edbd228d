//! A text that a person wrote, or that names one.

use std::fmt;

use zeroize::Zeroizing;

use super::cart::MAX_SKU_BYTES;
use super::error::StateError;
use super::luhn::{holds_card_number, is_article_number};

/// A text: bounded, without control characters, without a card's number, and
/// overwritten when it is dropped. `Debug` shows its length.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Zeroizing<String>);

impl Text {
    /// The text of a field, of 1 to `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`StateError`], which names `field` and does not repeat the text.
    pub fn new(field: &'static str, text: &str, limit: usize) -> Result<Self, StateError> {
        let text = Self::plain(field, text, limit)?;
        if holds_card_number(text.as_str()) {
            return Err(StateError::CardNumber { field });
        }
        Ok(text)
    }

    /// The name of an article. Its international number may have as many digits
    /// as a card's, and one of ten checks as such: where it checks as what it is,
    /// it is taken for that.
    pub(super) fn article(sku: &str) -> Result<Self, StateError> {
        let field = "the item's name";
        if is_article_number(sku) {
            return Self::plain(field, sku, MAX_SKU_BYTES);
        }
        Self::new(field, sku, MAX_SKU_BYTES)
    }

    /// A text that may hold digits of any meaning.
    fn plain(field: &'static str, text: &str, limit: usize) -> Result<Self, StateError> {
        let found = text.len();
        if found == 0 {
            return Err(StateError::Empty { field });
        }
        if found > limit {
            return Err(StateError::TooLong { field, found, limit });
        }
        if text.chars().any(char::is_control) {
            return Err(StateError::Control { field });
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl std::borrow::Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}
