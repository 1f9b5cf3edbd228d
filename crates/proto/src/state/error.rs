//! Why a value is refused. None of it repeats what was given: that may be what
//! must not be kept.

use super::payment::Step;

/// Why a value is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A text that has to be there is not.
    #[error("{field} is empty: it has to be given")]
    Empty {
        /// Which.
        field: &'static str,
    },
    /// A text is too long.
    #[error("{field} has {found} bytes: at most {limit} are allowed")]
    TooLong {
        /// Which.
        field: &'static str,
        /// How long it is, in bytes.
        found: usize,
        /// How long it may be.
        limit: usize,
    },
    /// A text has control characters.
    #[error("{field} has control characters: only text is allowed")]
    Control {
        /// Which.
        field: &'static str,
    },
    /// A text has what looks like the number of a payment card.
    #[error(
        "{field} holds what looks like the number of a payment card: keep a token, the first six \
         to eight and the last four digits, or a keyed hash, and nothing else of it"
    )]
    CardNumber {
        /// Which.
        field: &'static str,
    },
    /// A text does not have its form.
    #[error("{field} does not have its form: expected {expected}")]
    Form {
        /// Which.
        field: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// There are too many of something.
    #[error("{found} {field}: at most {limit} are allowed")]
    TooMany {
        /// Of what.
        field: &'static str,
        /// How many there are, or would be.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A quantity that no customer orders.
    #[error("a quantity of {found}: at least 1 and at most {limit} are allowed")]
    Quantity {
        /// What it is, or would be.
        found: u64,
        /// What it may be.
        limit: u64,
    },
    /// Less is in the cart than is to be taken out.
    #[error("{wanted} are to be taken out, and the cart has {found}")]
    TooFew {
        /// How many there are.
        found: u64,
        /// How many were to be taken out.
        wanted: u64,
    },
    /// An amount of nothing, or of more than is paid at once.
    #[error("an amount of {found} minor units: at least 1 and at most {limit} are allowed")]
    Amount {
        /// What it is.
        found: u64,
        /// What it may be.
        limit: u64,
    },
    /// The value is larger than a value may be made.
    #[error("the value has {found} bytes: at most {limit} are allowed")]
    TooLarge {
        /// Its size, in bytes.
        found: usize,
        /// How large it may be.
        limit: usize,
    },
    /// A payment does not go that way.
    #[error("a payment that is {from} cannot become {to}")]
    Step {
        /// What it is.
        from: Step,
        /// What it was to become.
        to: Step,
    },
    /// The lease that the writer had has been given to another since.
    #[error("the lease of token {found} is over: token {newest} has written since")]
    Token {
        /// The writer's.
        found: u64,
        /// The newest that has written.
        newest: u64,
    },
}
