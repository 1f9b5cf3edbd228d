//! Values of every type, drawn at random from ranges so small that what two
//! servers do often meets.

use proptest::prelude::*;

use super::cart::Lane;
use super::index::{Entry, Order};
use super::payment::{Amount, Step};
use super::{Card, Cart, Index, Payment, StateId};
use crate::record::{Hlc, Kind, Version, Writer};
use crate::time::Wall;

/// A value that joins, as a payload.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) kind: Kind,
    /// The number of its type.
    pub(crate) of: u8,
    pub(crate) payload: Vec<u8>,
}

/// A value of any type that joins.
pub(crate) fn joining() -> impl Strategy<Value = Value> {
    prop_oneof![joining_of(Kind::Auth), joining_of(Kind::Purchase)]
}

/// A value that joins, of a kind of records.
pub(crate) fn joining_of(kind: Kind) -> BoxedStrategy<Value> {
    let value = move |payload: &[u8]| Value { kind, of: payload[2], payload: payload.to_vec() };
    if kind == Kind::Auth {
        return indexes().prop_map(move |index| value(&index.encode())).boxed();
    }
    let carts = carts().prop_map(move |cart| value(&cart.encode()));
    let payments = payments().prop_map(move |payment| value(&payment.encode()));
    prop_oneof![3 => carts, 1 => payments].boxed()
}

/// What somebody does with a cart.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Add { sku: &'static str, pieces: u64, lane: Lane },
    Take { sku: &'static str, pieces: u64, lane: Lane },
    Remove { sku: &'static str, time: u64 },
    Set { sku: &'static str, value: Option<&'static str>, version: Version },
}

impl Edit {
    /// Does it, if it can be done.
    pub(super) fn apply(&self, cart: &mut Cart) -> bool {
        match *self {
            Self::Add { sku, pieces, lane } => cart.add(sku, pieces, lane).is_ok(),
            Self::Take { sku, pieces, lane } => cart.take(sku, pieces, lane).is_ok(),
            Self::Remove { sku, time } => {
                let version = Version { time: Hlc(time), writer: Writer(0) };
                cart.remove(sku, version) == Ok(true)
            }
            Self::Set { sku, value, version } => {
                cart.set_attribute(sku, ("colour", value), version).is_ok()
            }
        }
    }
}

/// Edits of one lane.
pub(super) fn edits(lane: Lane) -> impl Strategy<Value = Edit> {
    let skus = prop::sample::select(vec!["mug", "hat", "pen"]);
    let values = prop::sample::select(vec![None, Some("red"), Some("blue")]);
    let writer = Writer(lane.0);
    prop_oneof![
        4 => (skus.clone(), 1..5_u64).prop_map(move |(sku, pieces)| Edit::Add { sku, pieces, lane }),
        2 => (skus.clone(), 1..4_u64)
            .prop_map(move |(sku, pieces)| Edit::Take { sku, pieces, lane }),
        2 => (skus.clone(), 1..5_u64).prop_map(|(sku, time)| Edit::Remove { sku, time }),
        2 => (skus, values, 1..5_u64).prop_map(move |(sku, value, time)| {
            Edit::Set { sku, value, version: Version { time: Hlc(time), writer } }
        }),
    ]
}

/// Carts as one server has made them, or as several have.
pub(super) fn carts() -> impl Strategy<Value = Cart> {
    let of = |lane| prop::collection::vec(edits(Lane(lane)), 0..6);
    (of(1), of(2)).prop_map(|(one, other)| {
        let made = |edits: Vec<Edit>| {
            let mut cart = Cart::default();
            for edit in edits {
                edit.apply(&mut cart);
            }
            cart
        };
        let mut cart = made(one);
        cart.join(&made(other));
        cart
    })
}

/// Indexes of up to four sessions.
pub(super) fn indexes() -> impl Strategy<Value = Index> {
    let entry = (1..6_u64, 1..6_u64, 0..3_u8).prop_map(|(order, ends, id)| Entry {
        order: Order(order),
        ends: Wall::from_millis(ends),
        id: StateId::new([id; StateId::BYTES]),
    });
    let added = prop::collection::vec((entry, 0..4_u64), 0..4);
    (added, prop::option::weighted(0.2, Just(()))).prop_map(|(added, ended)| {
        let mut index = Index::default();
        for (entry, now) in added {
            index.add(entry, Wall::from_millis(now));
        }
        if ended.is_some() {
            index.end_all(Wall::from_millis(0));
        }
        index
    })
}

/// Payments at any step.
pub(super) fn payments() -> impl Strategy<Value = Payment> {
    let ways: [&[Step]; 6] = [
        &[],
        &[Step::Authorized],
        &[Step::Failed],
        &[Step::Authorized, Step::Failed],
        &[Step::Authorized, Step::Captured],
        &[Step::Authorized, Step::Captured, Step::Refunded],
    ];
    let way = prop::sample::select(ways.to_vec());
    (way, 1..3_u64, 1..3_u64, any::<bool>()).prop_map(|(way, token, minor, by_card)| {
        let at = Wall::from_millis(5);
        let amount = Amount::new(minor, "EUR").expect("a small amount");
        let payment = Payment::new(amount, "order", at, at).expect("a short name");
        let card = Card::masked("411111", "1111").expect("digits");
        let payment = if by_card { payment.by(card) } else { payment };
        way.iter().fold(payment, |payment, &step| {
            payment.advance(step, token, at).expect("the way is one")
        })
    })
}
