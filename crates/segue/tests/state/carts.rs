//! Carts and addresses that several nodes change.

use segue::state::{Address, AddressForm, Addresses, Carts, Error, StateError, StateId};
use segue::{Ack, Config, Kind, Node, WriteError};

use super::{eventually, farm, key};

fn carts(node: &Node) -> Carts {
    Carts::new(node.cache())
}

/// How many mugs a node has heard of.
fn mugs(node: &Node, id: &StateId) -> u64 {
    let held = node.cache().peek(&key(Kind::Purchase, b'c', id.as_bytes()));
    let cart = held.and_then(|held| segue::state::Cart::decode(&held.value).ok());
    cart.map_or(0, |cart| cart.quantity("mug"))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_edit_a_cart_at_once_and_both_edits_stay() {
    let [a, b] = farm(|config| config).await;
    let id = carts(&a).begin().await.unwrap();
    for round in 1..=20 {
        let (at_a, at_b) = (carts(&a), carts(&b));
        let (one, other) = tokio::join!(at_a.add(&id, "mug", 2), at_b.add(&id, "mug", 1));
        assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
        assert_eq!((mugs(&a, &id), mugs(&b, &id)), (3 * round, 3 * round));
    }
    // At once: one removes what he sees, the other one adds.
    let (at_a, at_b) = (carts(&a), carts(&b));
    let (removed, added) = tokio::join!(at_a.remove(&id, "mug"), at_b.add(&id, "mug", 5));
    assert!(removed.is_ok() && added.is_ok(), "{removed:?} {added:?}");
    // Five are left where neither knew of the other; none or five where one did.
    let left = mugs(&a, &id);
    assert!(left == mugs(&b, &id) && (left == 0 || left == 5), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_edit_is_lost_where_packets_are() {
    let lossy = |config| Config { drop_received: 0.1, ..config };
    let nodes = farm::<3>(lossy).await;
    let id = carts(&nodes[0]).begin().await.unwrap();
    let edit = |carts: Carts, sku: String| {
        tokio::spawn(async move {
            for _ in 0..15 {
                carts.add(&id, "mug", 2).await.unwrap();
                carts.take(&id, "mug", 1).await.unwrap();
                carts.add(&id, &sku, 1).await.unwrap();
            }
        })
    };
    let twice = nodes.iter().chain(&nodes).enumerate();
    let edits: Vec<_> =
        twice.map(|(task, node)| edit(carts(node), format!("hat {task}"))).collect();
    for edits in edits {
        edits.await.unwrap();
    }
    for node in &nodes {
        let cart = carts(node).get(&id).await.unwrap();
        assert_eq!(cart.quantity("mug"), 90);
        assert_eq!(cart.lines().filter(|line| line.quantity == 15).count(), 6);
    }
    let versions = nodes
        .each_ref()
        .map(|node| node.cache().peek(&key(Kind::Purchase, b'c', id.as_bytes())).unwrap().version);
    assert!(versions.iter().all(|version| *version == versions[0]), "{versions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_stays_removed_and_a_cart_outlives_its_nodes() {
    let [a, b, c] = farm(|config| config).await;
    let id = carts(&a).begin().await.unwrap();
    carts(&a).add(&id, "mug", 2).await.unwrap();
    carts(&a).set_attribute(&id, "mug", ("colour", Some("blue"))).await.unwrap();
    let key = key(Kind::Purchase, b'c', id.as_bytes());
    let old = a.cache().peek(&key).unwrap();
    carts(&b).remove(&id, "mug").await.unwrap();
    carts(&b).add(&id, "hat", 1).await.unwrap();
    // A copy from before comes late, and as a new write at that.
    a.cache().put(&key, &old.value, old.deadlines, Ack::All).await.unwrap();
    a.shutdown().await;
    b.shutdown().await;
    let cart = carts(&c).add(&id, "mug", 1).await.unwrap();
    let line = cart.lines().find(|line| line.sku == "mug").unwrap();
    assert_eq!((line.quantity, line.attribute("colour")), (1, None));
    assert_eq!(cart.quantity("hat"), 1);
    assert!(carts(&c).end(&id).await.unwrap());
    assert!(matches!(carts(&c).add(&id, "mug", 1).await, Err(Error::NotFound)));
    let late = c.cache().put(&key, &old.value, old.deadlines, Ack::Local).await;
    assert!(matches!(late, Err(WriteError::Deleted)), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_refused_and_nothing_is_written() {
    let [a] = farm(|config| config).await;
    let at_a = carts(&a);
    let id = at_a.begin().await.unwrap();
    let absurd = at_a.add(&id, "mug", u64::MAX).await;
    assert!(matches!(absurd, Err(Error::State(StateError::Quantity { .. }))), "{absurd:?}");
    let card = at_a.add(&id, "4111 1111 1111 1111", 1).await.unwrap_err();
    assert!(!card.to_string().contains("4111"), "{card}");
    let unknown = at_a.add(&StateId::new([1; 32]), "mug", 1).await;
    assert!(matches!(unknown, Err(Error::NotFound)), "{unknown:?}");
    assert_eq!(at_a.get(&id).await.unwrap().lines().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_kept_at_every_node() {
    let [a, b] = farm(|config| config).await;
    let [at_a, at_b] = [&a, &b].map(|node| Addresses::new(node.cache()));
    let form = AddressForm {
        name: "Ada Lovelace",
        lines: &["12 St James's Square"],
        city: "London",
        region: "",
        postcode: "SW1Y 4JH",
        country: "GB",
    };
    let id = at_a.add(&Address::new(&form).unwrap()).await.unwrap();
    assert_eq!(at_b.get(&id).await.unwrap().city(), "London");
    let moved = Address::new(&AddressForm { city: "Bath", ..form }).unwrap();
    at_b.replace(&id, &moved).await.unwrap();
    eventually("a has heard", || {
        let held = a.cache().peek(&key(Kind::Purchase, b'a', id.as_bytes()));
        held.and_then(|held| Address::decode(&held.value).ok()).as_ref() == Some(&moved)
    })
    .await;
    assert!(at_a.remove(&id).await.unwrap());
    assert!(at_b.get(&id).await.is_none());
    assert!(matches!(at_b.replace(&id, &moved).await, Err(Error::NotFound)));
}
