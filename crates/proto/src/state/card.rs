//! What may be kept of a payment card: never its number, and there is no field
//! for its code, its track or its PIN.

use std::fmt;

use aws_lc_rs::hmac;

use super::codec::{self, Writing};
use super::error::StateError;
use super::{Text, luhn};
use crate::wire::codec::{Malformed, Reader};

/// The longest token of a payment provider.
const MAX_TOKEN_BYTES: usize = 128;

/// What is kept of a card.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Card {
    /// What a payment provider calls it.
    Token(Text),
    /// Its issuer's number and its last four digits: what receipts show.
    Masked {
        /// The first six to eight digits.
        bin: Text,
        /// The last four.
        last_four: [u8; 4],
    },
    /// A keyed hash of its number: finds the same card again.
    Hashed([u8; 32]),
}

impl Card {
    /// A provider's token.
    ///
    /// # Errors
    ///
    /// [`StateError`]; also where the token is itself a card's number.
    pub fn token(token: &str) -> Result<Self, StateError> {
        Text::new("a card's token", token, MAX_TOKEN_BYTES).map(Self::Token)
    }

    /// The first six to eight digits and the last four.
    ///
    /// # Errors
    ///
    /// [`StateError`] for anything else.
    pub fn masked(bin: &str, last_four: &str) -> Result<Self, StateError> {
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !(6..=8).contains(&bin.len()) || !are_digits(bin) {
            let expected = "six to eight digits";
            return Err(StateError::Form { field: "a card's first digits", expected });
        }
        let malformed = StateError::Form { field: "a card's last digits", expected: "four digits" };
        let digits = <[u8; 4]>::try_from(last_four.as_bytes()).map_err(|_| malformed)?;
        if !are_digits(last_four) {
            return Err(malformed);
        }
        Ok(Self::Masked { bin: Text::new("a card's first digits", bin, 8)?, last_four: digits })
    }

    /// The hash of a number under a key of the application's. The number is not
    /// kept.
    ///
    /// # Errors
    ///
    /// [`StateError::Form`] where the number is no card's.
    pub fn hashed(key: &[u8; 32], number: &str) -> Result<Self, StateError> {
        let digits: Vec<u8> = number.bytes().filter(u8::is_ascii_digit).collect();
        let other = number.bytes().any(|byte| !byte.is_ascii_digit() && byte != b' ');
        if other || digits.len() > 19 || !luhn::holds_card_number(number) {
            let expected = "13 to 19 digits of which the last checks the others";
            return Err(StateError::Form { field: "a card's number", expected });
        }
        let digits = zeroize::Zeroizing::new(digits);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &digits);
        Ok(Self::Hashed(*tag.as_ref().first_chunk().expect("a tag has 32 bytes")))
    }

    pub(super) fn write(&self, writing: &mut Writing) {
        match self {
            Self::Token(token) => {
                writing.u8(1);
                writing.text(token);
            }
            Self::Masked { bin, last_four } => {
                writing.u8(2);
                writing.text(bin);
                writing.bytes(last_four);
            }
            Self::Hashed(hash) => {
                writing.u8(3);
                writing.bytes(hash);
            }
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let malformed = Malformed::Invalid("card");
        match reader.u8("card")? {
            1 => codec::text(reader, "token", MAX_TOKEN_BYTES).map(Self::Token),
            2 => {
                let bin = codec::text(reader, "first digits", 8)?;
                let last_four: [u8; 4] = reader.array("last digits")?;
                let last_four = std::str::from_utf8(&last_four).map_err(|_| malformed)?;
                Self::masked(bin.as_str(), last_four).map_err(|_| malformed)
            }
            3 => reader.array("hash").map(Self::Hashed),
            _ => Err(malformed),
        }
    }
}

impl fmt::Debug for Card {
    /// Which of the three it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Token(_) => "token",
            Self::Masked { .. } => "masked",
            Self::Hashed(_) => "hashed",
        };
        write!(f, "Card({what})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_kept_in_no_form() {
        let number = "4111 1111 1111 1111";
        assert!(matches!(Card::token(number), Err(StateError::CardNumber { .. })));
        assert!(Card::masked(&number.replace(' ', ""), "1111").is_err());
        assert!(
            Card::masked("411111", "11111").is_err() && Card::masked("41111x", "1111").is_err()
        );
        let hashed = Card::hashed(&[1; 32], number).unwrap();
        assert_eq!(Card::hashed(&[1; 32], "4111111111111111"), Ok(hashed.clone()));
        assert_ne!(Card::hashed(&[2; 32], number), Ok(hashed.clone()));
        assert!(Card::hashed(&[1; 32], "4111 1111 1111 1112").is_err());
        assert_eq!(format!("{hashed:?}"), "Card(hashed)");
    }
}
