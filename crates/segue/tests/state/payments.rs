//! Payments that several nodes want to make.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use segue::Node;
use segue::state::{Amount, Card, PaymentError, Payments, Request, StateError, Step};

use super::{eventually, farm};

const MINUTE: Duration = Duration::from_secs(60);

/// Three nodes that agree on who votes.
async fn voters() -> [Node; 3] {
    let nodes = farm(|config| config).await;
    for node in &nodes {
        eventually("all three vote", || node.status().one_answer.voters == 3).await;
    }
    nodes
}

fn request(key: &str, minor: u64) -> Request<'_> {
    let card = Some(Card::masked("411111", "1111").unwrap());
    let amount = Amount::new(minor, "EUR").unwrap();
    Request { idempotency_key: key, amount, order: "order 7", card }
}

fn payments(node: &Node) -> Payments {
    Payments::new(node.cache())
}

/// Pays as a server does that a customer has sent his order to: whoever has the
/// lease charges the card, the others have nothing to do.
async fn pay(payments: &Payments, key: &str, charged: &AtomicU32) -> Result<(), PaymentError> {
    payments.begin(&request(key, 4_200)).await?;
    let Some(lease) = payments.lease(key, "server", MINUTE).await? else { return Ok(()) };
    payments.advance(key, lease, Step::Authorized, Some("pi_3Mtw")).await?;
    charged.fetch_add(1, Ordering::Relaxed);
    payments.advance(key, lease, Step::Captured, None).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_pay_at_once_make_one_payment() {
    let nodes = voters().await;
    for round in 0..5 {
        let (key, charged) = (format!("k-{round}"), Arc::new(AtomicU32::new(0)));
        let payers: Vec<_> = nodes
            .iter()
            .cycle()
            .take(9)
            .map(|node| {
                let (payments, key, charged) = (payments(node), key.clone(), Arc::clone(&charged));
                tokio::spawn(async move { pay(&payments, &key, &charged).await })
            })
            .collect();
        for payer in payers {
            payer.await.unwrap().unwrap();
        }
        assert_eq!(charged.load(Ordering::Relaxed), 1);
        for node in &nodes {
            let paid = payments(node).get(&key).await.unwrap().unwrap();
            assert_eq!((paid.step(), paid.reference()), (Step::Captured, Some("pi_3Mtw")));
            eventually("it is published", || {
                payments(node).peek(&key).is_some_and(|heard| heard == paid)
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_with_another_amount_is_refused_at_every_node() {
    let nodes = voters().await;
    let begun = payments(&nodes[0]).begin(&request("k", 4_200)).await.unwrap();
    for node in &nodes {
        assert_eq!(payments(node).begin(&request("k", 4_200)).await, Ok(begun.clone()));
        let other = payments(node).begin(&request("k", 4_201)).await;
        assert_eq!(other, Err(PaymentError::Conflict));
        let other = Request { order: "order 8", ..request("k", 4_200) };
        assert_eq!(payments(node).begin(&other).await, Err(PaymentError::Conflict));
    }
    assert_eq!(payments(&nodes[2]).get("k").await, Ok(Some(begun)));
    assert_eq!(payments(&nodes[2]).get("unknown").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_lease_is_over_is_refused_and_another_node_goes_on() {
    let [a, b, _c] = voters().await;
    payments(&a).begin(&request("k", 4_200)).await.unwrap();
    let lease = payments(&a).lease("k", "a", MINUTE).await.unwrap().unwrap();
    payments(&a).advance("k", lease, Step::Authorized, None).await.unwrap();
    // The same once more is the same.
    payments(&a).advance("k", lease, Step::Authorized, None).await.unwrap();
    assert_eq!(payments(&b).lease("k", "b", MINUTE).await, Ok(None));
    assert_eq!(payments(&a).release("k", lease).await, Ok(true));
    let next = payments(&b).lease("k", "b", MINUTE).await.unwrap().unwrap();
    payments(&b).advance("k", next, Step::Captured, None).await.unwrap();
    let stopped = payments(&a).advance("k", lease, Step::Failed, None).await;
    let refused = StateError::Token { found: lease.token, newest: next.token };
    assert_eq!(stopped, Err(PaymentError::State(refused)));
    let back = payments(&b).advance("k", next, Step::Authorized, None).await;
    let refused = StateError::Step { from: Step::Captured, to: Step::Authorized };
    assert_eq!(back, Err(PaymentError::State(refused)));
    payments(&b).advance("k", next, Step::Refunded, None).await.unwrap();
    assert_eq!(payments(&a).get("k").await.unwrap().unwrap().step(), Step::Refunded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_goes_on_when_its_writers_node_is_gone() {
    let [a, b, c] = voters().await;
    let at_a = payments(&a);
    at_a.begin(&request("k", 4_200)).await.unwrap();
    let lease = at_a.lease("k", "a", Duration::from_millis(500)).await.unwrap().unwrap();
    at_a.advance("k", lease, Step::Authorized, Some("pi_3Mtw")).await.unwrap();
    a.shutdown().await;
    for node in [&b, &c] {
        eventually("a votes no more", || node.status().one_answer.voters == 2).await;
    }
    let next = loop {
        if let Some(lease) = payments(&b).lease("k", "b", MINUTE).await.unwrap() {
            break lease;
        }
    };
    let paid = payments(&b).advance("k", next, Step::Captured, None).await.unwrap();
    assert_eq!(paid.reference(), Some("pi_3Mtw"));
    assert!(next.token > lease.token);
}
