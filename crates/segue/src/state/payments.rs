//! Payments: each made once, by one writer at a time.

use std::time::Duration;

use proto::record::Key;
use proto::state::payment::{Amount, Step};
use proto::state::{Card, Payment, StateError};
use zeroize::Zeroizing;

use super::Of;
use crate::cache::Cache;
use crate::one_answer::{Lease, OneAnswerError};

/// How often it is tried to write over what another node has written meanwhile:
/// a payment has no more steps than this.
const TRIES: usize = 6;

/// Why something was not done to a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PaymentError {
    /// What was given cannot be kept, or the payment does not go that way, or a
    /// later lease has written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The farm gave no certain answer, or none at all.
    #[error(transparent)]
    OneAnswer(#[from] OneAnswerError),
    /// The idempotency key was used for another amount or another order.
    #[error(
        "the idempotency key was used for another payment: another amount or order needs a key of \
         its own"
    )]
    Conflict,
    /// There is no payment of that idempotency key.
    #[error("there is no payment of that idempotency key")]
    NotFound,
    /// What is there was written by a later version of Segue, or by something
    /// else.
    #[error("what is kept there is not to be read: a later version of Segue may have written it")]
    Unreadable,
}

/// A payment that is asked for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// What makes two requests the same one: drawn by who pays, once for each
    /// payment, and used again when it is tried again.
    pub idempotency_key: &'a str,
    /// How much.
    pub amount: Amount,
    /// What for.
    pub order: &'a str,
    /// What may be kept of the card.
    pub card: Option<Card>,
}

/// Payments in a farm.
///
/// Every step is one answer of the farm (`docs/one-answer.md`): of two nodes that
/// begin a payment of one idempotency key, one does, and the other one is given
/// what that has begun. Who makes its steps holds the payment's lease, and each
/// step carries the lease's fencing token: a writer that was stopped, and wakes
/// when another has taken over, is refused. An error whose
/// [`OneAnswerError::is_unknown`] holds may mean that the step was made; asking
/// again for the same step under the same lease makes it once.
///
/// ```no_run
/// use std::time::Duration;
/// use segue::state::{Amount, PaymentError, Payments, Request, Step};
/// # use segue::{Config, Node};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = Node::start(Config::single("a"))?;
/// # node.ready().await;
/// let payments = Payments::new(node.cache());
/// let amount = Amount::new(4_200, "EUR")?;
/// let request = Request { idempotency_key: "k-1", amount, order: "order 7", card: None };
/// payments.begin(&request).await?;
/// let lease = payments.lease("k-1", "a", Duration::from_secs(30)).await?.expect("it is free");
/// payments.advance("k-1", lease, Step::Authorized, Some("pi_3Mtw")).await?;
/// // The same once more is the same payment; another amount is another one.
/// assert_eq!(payments.begin(&request).await?.step(), Step::Authorized);
/// let dearer = Request { amount: Amount::new(9_900, "EUR")?, ..request };
/// assert_eq!(payments.begin(&dearer).await, Err(PaymentError::Conflict));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Payments {
    cache: Cache,
    /// How long a payment is kept, and with it that its key was used: thirty
    /// days unless set.
    pub lifetime: Duration,
}

impl Payments {
    /// Payments in a farm's cache.
    #[must_use]
    pub const fn new(cache: Cache) -> Self {
        Self { cache, lifetime: Duration::from_secs(30 * 24 * 60 * 60) }
    }

    /// Begins a payment, or gives what has become of it where it was begun
    /// before.
    ///
    /// # Errors
    ///
    /// [`PaymentError::Conflict`] when the idempotency key is another payment's;
    /// else [`PaymentError`].
    pub async fn begin(&self, request: &Request<'_>) -> Result<Payment, PaymentError> {
        let key = payment_key(request.idempotency_key)?;
        let now = self.cache.now();
        let payment = Payment::new(request.amount, request.order, now, now + self.lifetime)?;
        let payment = match &request.card {
            Some(card) => payment.by(card.clone()),
            None => payment,
        };
        for _ in 0..TRIES {
            if self.cache.set_if_absent(&key, &payment.encode(), payment.ends()).await? {
                return Ok(payment);
            }
            // It may have ended meanwhile.
            if let Some((_, begun)) = self.read(&key).await? {
                let is_same = payment.is_same_request(&begun);
                return if is_same { Ok(begun) } else { Err(PaymentError::Conflict) };
            }
        }
        Err(OneAnswerError::Busy.into())
    }

    /// What has become of a payment, by the farm's one answer.
    ///
    /// # Errors
    ///
    /// [`PaymentError`].
    pub async fn get(&self, idempotency_key: &str) -> Result<Option<Payment>, PaymentError> {
        let read = self.read(&payment_key(idempotency_key)?).await?;
        Ok(read.map(|(_, payment)| payment))
    }

    /// What this node has heard of a payment: at once, and perhaps a moment ago.
    #[must_use]
    pub fn peek(&self, idempotency_key: &str) -> Option<Payment> {
        let found = self.cache.peek(&payment_key(idempotency_key).ok()?)?;
        Payment::decode(&found.value).ok()
    }

    /// The lease of a payment for so long, if nobody has it. `owner` is for
    /// people. [`Cache::renew`] is not needed: a step takes no longer than a
    /// provider does, and whoever comes too late is refused.
    ///
    /// # Errors
    ///
    /// [`PaymentError`].
    pub async fn lease(
        &self,
        idempotency_key: &str,
        owner: &str,
        lasts: Duration,
    ) -> Result<Option<Lease>, PaymentError> {
        let key = Of::Lease.key(&Payment::name(idempotency_key)?);
        Ok(self.cache.lock(&key, owner, lasts).await?)
    }

    /// Gives a lease back. Gives whether it was still held.
    ///
    /// # Errors
    ///
    /// [`PaymentError`].
    pub async fn release(&self, idempotency_key: &str, lease: Lease) -> Result<bool, PaymentError> {
        let key = Of::Lease.key(&Payment::name(idempotency_key)?);
        Ok(self.cache.unlock(&key, lease).await?)
    }

    /// Makes a payment's next step, and notes what the provider calls it.
    ///
    /// # Errors
    ///
    /// [`StateError::Token`] when a later lease has written,
    /// [`StateError::Step`] when the payment does not go that way; else
    /// [`PaymentError`].
    pub async fn advance(
        &self,
        idempotency_key: &str,
        lease: Lease,
        to: Step,
        reference: Option<&str>,
    ) -> Result<Payment, PaymentError> {
        let key = payment_key(idempotency_key)?;
        for _ in 0..TRIES {
            let (bytes, payment) = self.read(&key).await?.ok_or(PaymentError::NotFound)?;
            let mut next = payment.advance(to, lease.token, self.cache.now())?;
            if let Some(reference) = reference {
                next = next.referred(reference)?;
            }
            if next == payment {
                return Ok(payment);
            }
            let ends = payment.ends();
            if self.cache.compare_and_set(&key, &bytes, &next.encode(), ends).await? {
                return Ok(next);
            }
        }
        Err(OneAnswerError::Busy.into())
    }

    async fn read(&self, key: &Key) -> Result<Option<(Zeroizing<Vec<u8>>, Payment)>, PaymentError> {
        // Brought about by this node where it is a voter: the key's home may have died
        // a moment ago, and what a customer is shown should not wait for that.
        let Some(bytes) = self.cache.registers().read(key).await? else { return Ok(None) };
        let payment = Payment::decode(&bytes).map_err(|_| PaymentError::Unreadable)?;
        Ok(Some((bytes, payment)))
    }
}

fn payment_key(idempotency_key: &str) -> Result<Key, PaymentError> {
    Ok(Of::Payment.key(&Payment::name(idempotency_key)?))
}
