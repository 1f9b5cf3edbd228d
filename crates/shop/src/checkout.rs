//! How an order is paid: once, wherever and however often it is sent.
//!
//! A user's orders are numbered, and a payment's idempotency key is made of the
//! user and the number that the checkout's form has in it. So a form that is sent
//! twice, at one node or at two, names one payment; and all orders of a user are
//! found by counting.
//!
//! A payment goes forward under its lease alone: the card is charged, what was
//! ordered is taken out of the cart, and then the payment is captured. *Captured*
//! therefore means that nothing is left to do. A server that dies in between is
//! followed by the next one that the form is sent to; should it have died between
//! taking out and capturing, that one takes out what is there of it once more.

use std::sync::Arc;
use std::time::Duration;

use segue::state::{Amount, Card, Payment, PaymentError, Request, StateId, Step};
use segue::{Lease, OneAnswerError};
use tokio::time::{Instant, sleep};

use crate::Inner;
use crate::basket::{Basket, CURRENCY};
use crate::provider::{Charge, Verdict};
use crate::refusal::Refusal;
use crate::writes::made;

/// The most orders of a user that are kept: a page of them is 100 KB, and finding
/// the next number is as many look-ups in the node's own table.
pub(crate) const MAX_ORDERS: u32 = 500;

/// How long a server has the lease of a payment: far longer than a test provider
/// takes, and as long as a customer waits whose server died.
const LEASE: Duration = Duration::from_secs(10);

/// How long is waited for a lease: until that of a server that died is over by
/// any node's clock (they differ by half a second at the most), and some more.
const LEASE_PATIENCE: Duration = Duration::from_secs(13);

/// How often it is asked for meanwhile.
const LEASE_GLANCE: Duration = Duration::from_millis(100);

/// How often a step is asked for whose answer was not certain. Each takes as long
/// as the farm needs to notice that a voter is gone.
const TRIES: usize = 4;

/// An order as a form has it.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) user: String,
    pub(crate) number: u32,
    /// What the customer was shown as its price.
    pub(crate) shown_minor: u64,
    /// The token of the card.
    pub(crate) card: String,
    /// The customer's cart.
    pub(crate) cart: Option<StateId>,
}

/// What a user has ordered.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Paid or declined, the first one first.
    pub(crate) over: Vec<(u32, Payment)>,
    /// Under way: a server may have died with it.
    pub(crate) under_way: Option<(u32, Payment)>,
    /// The number of the next one, if there may be one.
    pub(crate) next: Option<u32>,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Paid,
    Declined,
}

/// The name of an order's payment.
pub(crate) fn key(user: &str, number: u32) -> String {
    format!("shop {user} {number}")
}

/// All orders of a user.
pub(crate) async fn orders(shop: &Inner, user: &str) -> Result<Orders, PaymentError> {
    let mut orders = Orders::default();
    for number in 1..=MAX_ORDERS {
        let key = key(user, number);
        // What is over stays so: this node's copy will do.
        let known = shop.payments.peek(&key).filter(is_over);
        let payment = match known {
            Some(payment) => Some(payment),
            None => shop.payments.get(&key).await?,
        };
        match payment {
            Some(payment) if is_over(&payment) => orders.over.push((number, payment)),
            Some(payment) => {
                orders.under_way = Some((number, payment));
                return Ok(orders);
            }
            None => {
                orders.next = Some(number);
                return Ok(orders);
            }
        }
    }
    Ok(orders)
}

/// Pays an order, or finds out that it is paid. It is seen through to the end
/// also if the customer goes away meanwhile.
pub(crate) async fn pay(shop: &Arc<Inner>, order: Order) -> Result<Outcome, Refusal> {
    let shop = Arc::clone(shop);
    let paying = tokio::spawn(async move {
        let key = key(&order.user, order.number);
        let payment = begin(&shop, &key, &order).await?;
        see_through(&shop, &key, payment, order.cart).await
    });
    // A task that panicked has said so in the log.
    let lost = |_| Err(PaymentError::from(OneAnswerError::Unknown).into());
    paying.await.unwrap_or_else(lost)
}

/// The payment of an order, begun here or before.
async fn begin(shop: &Inner, key: &str, order: &Order) -> Result<Payment, Refusal> {
    let shown = Amount::new(order.shown_minor, CURRENCY)?;
    if let Some(begun) = begun_before(shop, key, shown).await? {
        return Ok(begun);
    }
    let text = match due(shop, order).await {
        Ok(text) => text,
        // Another node may have begun it since, and have emptied the cart.
        Err(refusal) => return begun_before(shop, key, shown).await?.ok_or(refusal),
    };
    let request = Request {
        idempotency_key: key,
        amount: shown,
        order: &text,
        card: Some(Card::token(&order.card)?),
    };
    let mut tries = 1;
    loop {
        match shop.payments.begin(&request).await {
            Err(error) if is_unknown(error) && tries < TRIES => tries += 1,
            begun => return Ok(begun?),
        }
    }
}

/// The payment of that key, if there is one; it has to be of this amount.
async fn begun_before(
    shop: &Inner,
    key: &str,
    shown: Amount,
) -> Result<Option<Payment>, PaymentError> {
    match shop.payments.get(key).await? {
        Some(payment) if payment.amount() != shown => Err(PaymentError::Conflict),
        found => Ok(found),
    }
}

/// What is ordered, if the cart comes to what was shown and this order is the
/// next one.
async fn due(shop: &Inner, order: &Order) -> Result<String, Refusal> {
    let cart = match &order.cart {
        Some(cart) => shop.carts.get(cart).await,
        None => None,
    };
    let basket = cart.as_ref().map(Basket::of).unwrap_or_default();
    if basket.total_minor() != order.shown_minor {
        return Err(changed());
    }
    if basket.address.is_none() {
        let text = "Where the order is to be sent has to be known first.";
        return Err(Refusal::unusable(text).on("/address", "Your address"));
    }
    if orders(shop, &order.user).await?.next != Some(order.number) {
        return Err(changed());
    }
    Ok(basket.order())
}

fn changed() -> Refusal {
    let status = axum::http::StatusCode::CONFLICT;
    let text = "The cart or your orders have changed since you were shown the price, perhaps in \
                another window. Nothing was charged. Look at it again.";
    Refusal::new(status, "Not the same any more", text).on("/checkout", "To the checkout")
}

/// Brings a payment to its end, as its one writer.
async fn see_through(
    shop: &Inner,
    key: &str,
    payment: Payment,
    cart: Option<StateId>,
) -> Result<Outcome, Refusal> {
    if let Some(outcome) = outcome(&payment) {
        return Ok(outcome);
    }
    let until = Instant::now() + LEASE_PATIENCE;
    let lease = loop {
        if let Some(lease) = shop.payments.lease(key, &shop.node, LEASE).await? {
            break lease;
        }
        // Whoever has it may be through.
        let payment = shop.payments.get(key).await?.ok_or(PaymentError::NotFound)?;
        if let Some(outcome) = outcome(&payment) {
            return Ok(outcome);
        }
        if Instant::now() > until {
            let text = "Another server is at this order. Send it again in a moment: it is paid \
                        once.";
            return Err(Refusal::unanswered(text).on("/checkout", "To the checkout"));
        }
        sleep(LEASE_GLANCE).await;
    };
    let made = make_steps(shop, key, lease, cart).await;
    // It ends by itself where it is not given back.
    let _ = shop.payments.release(key, lease).await;
    made
}

/// Makes the steps that are left.
async fn make_steps(
    shop: &Inner,
    key: &str,
    lease: Lease,
    cart: Option<StateId>,
) -> Result<Outcome, Refusal> {
    let mut payment = shop.payments.get(key).await?.ok_or(PaymentError::NotFound)?;
    if payment.step() == Step::Created {
        let card = if let Some(Card::Token(token)) = payment.card() { token.as_str() } else { "" };
        let charge = Charge { idempotency_key: key, amount: payment.amount(), card };
        payment = match shop.provider.charge(charge).await {
            Verdict::Approved { reference } => {
                advance(shop, key, lease, (Step::Authorized, Some(&reference))).await?
            }
            Verdict::Declined => advance(shop, key, lease, (Step::Failed, None)).await?,
        };
    }
    if payment.step() == Step::Authorized {
        if let Some(cart) = cart {
            take_out(shop, &cart, payment.order()).await?;
        }
        payment = advance(shop, key, lease, (Step::Captured, None)).await?;
    }
    Ok(outcome(&payment).unwrap_or(Outcome::Paid))
}

async fn advance(
    shop: &Inner,
    key: &str,
    lease: Lease,
    (to, reference): (Step, Option<&str>),
) -> Result<Payment, PaymentError> {
    let mut tries = 1;
    loop {
        // The same step under the same lease is made once.
        match shop.payments.advance(key, lease, to, reference).await {
            Err(error) if is_unknown(error) && tries < TRIES => tries += 1,
            advanced => return advanced,
        }
    }
}

/// Takes what was ordered out of the cart, and not what has been put in since.
async fn take_out(shop: &Inner, cart: &StateId, order: &str) -> Result<(), Refusal> {
    for entry in Basket::ordered(order) {
        let Some(held) = shop.carts.get(cart).await else { return Ok(()) };
        let pieces = entry.pieces.min(held.quantity(entry.article.sku));
        if pieces > 0 {
            made(shop.carts.take(cart, entry.article.sku, pieces).await)?;
        }
    }
    Ok(())
}

const fn is_unknown(error: PaymentError) -> bool {
    matches!(error, PaymentError::OneAnswer(error) if error.is_unknown())
}

fn is_over(payment: &Payment) -> bool {
    outcome(payment).is_some()
}

/// What became of a payment, once that is certain.
pub(crate) fn outcome(payment: &Payment) -> Option<Outcome> {
    match payment.step() {
        Step::Captured | Step::Refunded => Some(Outcome::Paid),
        Step::Failed => Some(Outcome::Declined),
        Step::Created | Step::Authorized => None,
    }
}
