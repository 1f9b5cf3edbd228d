//! A payment: what is paid, and how far it has come.
//!
//! It only goes forward. Its steps are made by one writer at a time, who has a
//! lease with a fencing token; whoever had an earlier lease is refused. Where
//! it is decided who that is, and which of two steps was made, is not here: it
//! takes an operation that needs one answer.
//!
//! Where two copies differ all the same, the one that has come further stays.
//! Money that has moved must not be forgotten because of who wrote last, so the
//! step decides before the token does.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::codec::{self, Writing};
use super::error::StateError;
use super::{Card, Text, Type};
use crate::time::Wall;
use crate::wire::codec::{Malformed, Reader};

/// The largest amount, in minor units: a hundred thousand millions, and far from
/// where floating-point numbers of other languages end (2^53).
pub const MAX_MINOR: u64 = 10_000_000_000_000;
/// The longest key or reference: those of payment providers have up to 255
/// characters at most, and usually 36.
pub const MAX_REFERENCE_BYTES: usize = 255;
const SCHEMA: u8 = 1;

/// How far a payment has come, in the order of which of two copies stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Step {
    /// It is to be made.
    Created = 1,
    /// The payer's bank has agreed.
    Authorized = 2,
    /// It will not be made.
    Failed = 3,
    /// The money has moved.
    Captured = 4,
    /// The money has moved back.
    Refunded = 5,
}

impl Step {
    /// Whether a payment at this step may go on to another.
    #[must_use]
    pub const fn leads_to(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Created, Self::Authorized | Self::Failed)
                | (Self::Authorized, Self::Captured | Self::Failed)
                | (Self::Captured, Self::Refunded)
        )
    }

    const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Created),
            2 => Some(Self::Authorized),
            3 => Some(Self::Failed),
            4 => Some(Self::Captured),
            5 => Some(Self::Refunded),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Authorized => "authorized",
            Self::Failed => "failed",
            Self::Captured => "captured",
            Self::Refunded => "refunded",
        })
    }
}

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount {
    minor: u64,
    currency: [u8; 3],
}

impl Amount {
    /// So many minor units (cents, pence, yen) of a currency (ISO 4217).
    ///
    /// # Errors
    ///
    /// [`StateError`].
    pub fn new(minor: u64, currency: &str) -> Result<Self, StateError> {
        if minor == 0 || minor > MAX_MINOR {
            return Err(StateError::Amount { found: minor, limit: MAX_MINOR });
        }
        let letters = <[u8; 3]>::try_from(currency.as_bytes()).ok();
        let letters = letters.filter(|letters| letters.iter().all(u8::is_ascii_uppercase));
        let expected = "three capital letters (ISO 4217)";
        let malformed = StateError::Form { field: "the currency", expected };
        Ok(Self { minor, currency: letters.ok_or(malformed)? })
    }

    /// How many minor units.
    #[must_use]
    pub const fn minor(&self) -> u64 {
        self.minor
    }

    /// Three capital letters (ISO 4217).
    #[must_use]
    pub fn currency(&self) -> &str {
        std::str::from_utf8(&self.currency).expect("capital letters")
    }
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payment {
    // In the order of which of two copies stays.
    step: Step,
    token: u64,
    changed: Wall,
    amount: Amount,
    order: Text,
    card: Option<Card>,
    reference: Option<Text>,
    ends: Wall,
}

impl Payment {
    /// A payment of an amount for an order, kept until `ends`.
    ///
    /// # Errors
    ///
    /// [`StateError`] for a name that cannot be one.
    pub fn new(amount: Amount, order: &str, now: Wall, ends: Wall) -> Result<Self, StateError> {
        let order = Text::new("the order", order, MAX_REFERENCE_BYTES)?;
        let step = Step::Created;
        Ok(Self { step, token: 0, changed: now, amount, order, card: None, reference: None, ends })
    }

    /// The same, by a card.
    #[must_use]
    pub fn by(self, card: Card) -> Self {
        Self { card: Some(card), ..self }
    }

    /// What the payment of an idempotency key is found by.
    ///
    /// # Errors
    ///
    /// [`StateError`] for a key that cannot be one.
    pub fn name(idempotency_key: &str) -> Result<[u8; 32], StateError> {
        let key = Text::new("the idempotency key", idempotency_key, MAX_REFERENCE_BYTES)?;
        let named = digest(&SHA256, &[b"segue payment ", key.as_str().as_bytes()].concat());
        Ok(*named.as_ref().first_chunk().expect("a digest has 32 bytes"))
    }

    /// The payment one step on, by the writer whose lease has this token. A step
    /// that this writer has made already is not made again.
    ///
    /// # Errors
    ///
    /// [`StateError::Token`] when a later lease has written,
    /// [`StateError::Step`] when the payment does not go that way.
    pub fn advance(&self, to: Step, token: u64, now: Wall) -> Result<Self, StateError> {
        if token < self.token {
            return Err(StateError::Token { found: token, newest: self.token });
        }
        if self.step == to && self.token == token {
            return Ok(self.clone());
        }
        if !self.step.leads_to(to) {
            return Err(StateError::Step { from: self.step, to });
        }
        Ok(Self { step: to, token, changed: self.changed.max(now), ..self.clone() })
    }

    /// The same, with what the provider calls it.
    ///
    /// # Errors
    ///
    /// [`StateError`] for a name that cannot be one.
    pub fn referred(self, reference: &str) -> Result<Self, StateError> {
        let reference = Text::new("the reference", reference, MAX_REFERENCE_BYTES)?;
        Ok(Self { reference: Some(reference), ..self })
    }

    /// Whether another payment of the same idempotency key is this one again.
    #[must_use]
    pub fn is_same_request(&self, other: &Self) -> bool {
        self.amount == other.amount && self.order == other.order
    }

    /// Of two copies, the one that stays.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        self.max(other)
    }

    /// How far it has come.
    #[must_use]
    pub const fn step(&self) -> Step {
        self.step
    }

    /// The token of the lease that wrote last; 0 before any has.
    #[must_use]
    pub const fn token(&self) -> u64 {
        self.token
    }

    /// When it came there.
    #[must_use]
    pub const fn changed(&self) -> Wall {
        self.changed
    }

    /// How much is paid.
    #[must_use]
    pub const fn amount(&self) -> Amount {
        self.amount
    }

    /// What for.
    #[must_use]
    pub fn order(&self) -> &str {
        self.order.as_str()
    }

    /// What is kept of the card.
    #[must_use]
    pub const fn card(&self) -> Option<&Card> {
        self.card.as_ref()
    }

    /// What the provider calls it.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_ref().map(Text::as_str)
    }

    /// Until when it is kept.
    #[must_use]
    pub const fn ends(&self) -> Wall {
        self.ends
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writing = Writing::new(Type::Payment, SCHEMA);
        writing.u8(self.step as u8);
        writing.u64(self.token);
        writing.u48(self.changed.as_millis());
        writing.u64(self.amount.minor);
        writing.bytes(&self.amount.currency);
        writing.text(&self.order);
        writing.option(self.card.as_ref(), |writing, card| card.write(writing));
        writing.option(self.reference.as_ref(), Writing::text);
        writing.u48(self.ends.as_millis());
        writing.finish()
    }

    /// Reads what [`Payment::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut reader, _) = codec::open(bytes, Type::Payment, SCHEMA)?;
        let reference =
            |reader: &mut Reader<'_>| codec::text(reader, "reference", MAX_REFERENCE_BYTES);
        let step = Step::from_u8(reader.u8("step")?).ok_or(Malformed::Invalid("step"))?;
        let payment = Self {
            step,
            token: reader.u64("token")?,
            changed: reader.wall("time")?,
            amount: read_amount(&mut reader)?,
            order: reference(&mut reader)?,
            card: codec::option(&mut reader, "card", Card::read)?,
            reference: codec::option(&mut reader, "reference", reference)?,
            ends: reader.wall("end")?,
        };
        reader.finish("payment")?;
        Ok(payment)
    }
}

fn read_amount(reader: &mut Reader<'_>) -> Result<Amount, Malformed> {
    let malformed = Malformed::Invalid("amount");
    let (minor, currency) = (reader.u64("amount")?, reader.array::<3>("currency")?);
    let currency = std::str::from_utf8(&currency).map_err(|_| malformed)?;
    Amount::new(minor, currency).map_err(|_| malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall::from_millis(1_000);

    fn payment() -> Payment {
        let amount = Amount::new(1_999, "EUR").unwrap();
        Payment::new(amount, "order 7", NOW, Wall::from_millis(9_000)).unwrap()
    }

    #[test]
    fn it_only_goes_forward() {
        use Step::{Authorized, Captured, Created, Failed, Refunded};
        let ways = [
            (Created, Authorized),
            (Created, Failed),
            (Authorized, Captured),
            (Authorized, Failed),
            (Captured, Refunded),
        ];
        let all = [Created, Authorized, Failed, Captured, Refunded];
        for from in all {
            for to in all {
                let at = Payment { step: from, token: 3, ..payment() };
                let went = at.advance(to, 4, NOW);
                let goes = ways.contains(&(from, to));
                assert_eq!(went.is_ok(), goes, "{from} to {to}");
                assert!(went.is_ok() || went == Err(StateError::Step { from, to }));
                assert!(!goes || from < to, "what has come further stays");
            }
        }
    }

    #[test]
    fn an_older_token_is_refused_and_a_step_is_made_once() {
        let authorized = payment().advance(Step::Authorized, 5, NOW).unwrap();
        let late = authorized.advance(Step::Captured, 4, NOW);
        assert_eq!(late, Err(StateError::Token { found: 4, newest: 5 }));
        assert_eq!(authorized.advance(Step::Authorized, 5, NOW), Ok(authorized.clone()));
        assert!(authorized.advance(Step::Authorized, 6, NOW).is_err());
        assert!(authorized.advance(Step::Captured, 6, NOW).is_ok());
    }

    #[test]
    fn absurd_amounts_are_refused() {
        for (minor, currency) in
            [(0, "EUR"), (MAX_MINOR + 1, "EUR"), (u64::MAX, "EUR"), (1, "eur"), (1, "EURO")]
        {
            assert!(Amount::new(minor, currency).is_err(), "{minor} {currency}");
        }
        assert!(Payment::name("").is_err() && Payment::name(&"k".repeat(256)).is_err());
    }

    #[test]
    fn it_reads_as_it_was_written() {
        let card = Card::masked("411111", "1111").unwrap();
        let paid = payment().by(card).referred("pi_3Mtw").unwrap();
        assert_eq!(Payment::decode(&paid.encode()), Ok(paid));
        assert!(payment().referred("4111111111111111").is_err());
    }
}
