//! Who takes the money.
//!
//! A provider is asked under the payment's idempotency key and has to charge
//! once for it, however often it is asked: the server that asked may have died
//! before it noted the answer.

use std::fmt::Debug;
use std::pin::Pin;

use aws_lc_rs::digest::{SHA256, digest};
use segue::state::Amount;

use crate::letters;

/// What is to be charged.
#[derive(Debug, Clone, Copy)]
pub struct Charge<'a> {
    /// Names the payment: the same key is the same charge.
    pub idempotency_key: &'a str,
    /// How much.
    pub amount: Amount,
    /// The card's token, as the provider gave it.
    pub card: &'a str,
}

/// What a provider has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The money is there.
    Approved {
        /// What the provider calls the charge.
        reference: String,
    },
    /// It is not, and will not be.
    Declined,
}

/// A charge that is under way.
pub type Charging<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// A provider of payments.
pub trait Provider: Debug + Send + Sync {
    /// Charges a card, once for each idempotency key.
    fn charge<'a>(&'a self, charge: Charge<'a>) -> Charging<'a>;
}

/// A provider that moves no money. Its answer is a function of what it is asked,
/// so it needs to remember nothing to give the same one again.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestProvider;

impl TestProvider {
    /// The token of a card that is charged.
    pub const APPROVED: &'static str = "tok_approved";
    /// The token of a card that is declined, as all others are.
    pub const DECLINED: &'static str = "tok_declined";
}

impl Provider for TestProvider {
    fn charge<'a>(&'a self, charge: Charge<'a>) -> Charging<'a> {
        let verdict = if charge.card == Self::APPROVED {
            let named = digest(&SHA256, charge.idempotency_key.as_bytes());
            // 64 bits tell a demonstration's payments apart.
            Verdict::Approved { reference: format!("test-{}", letters::of(&named.as_ref()[..8])) }
        } else {
            Verdict::Declined
        };
        Box::pin(std::future::ready(verdict))
    }
}
