use std::collections::{BTreeMap, BTreeSet};

use crdts::{CmRDT, CvRDT, LWWReg, Orswot};
use proptest::prelude::*;

use super::super::testing;
use super::*;
use crate::record::{Hlc, Writer};

const SKUS: [&str; 3] = ["mug", "hat", "pen"];

fn version(time: u64, writer: u32) -> Version {
    Version { time: Hlc(time), writer: Writer(writer) }
}

/// The same cart by the `crdts` crate: each piece that was put in or taken out
/// is a member of its own of an observed-remove set, and the colour is a
/// register.
#[derive(Clone, Default)]
struct Oracle {
    added: Orswot<(&'static str, u64), u32>,
    taken: Orswot<(&'static str, u64), u32>,
    colours: BTreeMap<&'static str, LWWReg<Option<&'static str>, Version>>,
    removed: BTreeMap<&'static str, LWWReg<(), Version>>,
}

impl Oracle {
    fn pieces(set: &Orswot<(&'static str, u64), u32>, sku: &str) -> BTreeSet<(&'static str, u64)> {
        set.read().val.into_iter().filter(|piece| piece.0 == sku).collect()
    }

    fn insert(set: &mut Orswot<(&'static str, u64), u32>, piece: (&'static str, u64), lane: Lane) {
        let context = set.read_ctx().derive_add_ctx(lane.0);
        set.apply(set.add(piece, context));
    }

    fn remove(&mut self, sku: &'static str) {
        for set in [&mut self.added, &mut self.taken] {
            let pieces = Self::pieces(set, sku);
            let context = set.read().derive_rm_ctx();
            set.apply(set.rm_all(pieces, context));
        }
    }

    fn quantity(&self, sku: &str) -> u64 {
        let count = |set| Self::pieces(set, sku).len() as u64;
        count(&self.added).saturating_sub(count(&self.taken))
    }

    fn colour(&self, sku: &str) -> Option<&'static str> {
        let colour = self.colours.get(sku).filter(|_| self.quantity(sku) > 0)?;
        let removed = self.removed.get(sku).map_or_else(Version::default, |removed| removed.marker);
        colour.val.filter(|_| colour.marker > removed)
    }

    fn merge(&mut self, other: Self) {
        self.added.merge(other.added);
        self.taken.merge(other.taken);
        for (sku, colour) in other.colours {
            self.colours.entry(sku).or_default().merge(colour);
        }
        for (sku, removed) in other.removed {
            self.removed.entry(sku).or_default().merge(removed);
        }
    }
}

/// What happens in a farm of three.
#[derive(Debug, Clone)]
enum Step {
    Add { at: usize, sku: &'static str, pieces: u64 },
    Take { at: usize, sku: &'static str, pieces: u64 },
    Remove { at: usize, sku: &'static str, time: u64 },
    Colour { at: usize, sku: &'static str, colour: Option<&'static str>, time: u64 },
    Hear { at: usize, of: usize },
}

fn steps() -> impl Strategy<Value = Step> {
    let sku = prop::sample::select(SKUS.to_vec());
    let colour = prop::sample::select(vec![None, Some("red"), Some("blue")]);
    let at = 0..3_usize;
    prop_oneof![
        4 => (at.clone(), sku.clone(), 1..4_u64)
            .prop_map(|(at, sku, pieces)| Step::Add { at, sku, pieces }),
        2 => (at.clone(), sku.clone(), 1..3_u64)
            .prop_map(|(at, sku, pieces)| Step::Take { at, sku, pieces }),
        1 => (at.clone(), sku.clone(), 1..9_u64)
            .prop_map(|(at, sku, time)| Step::Remove { at, sku, time }),
        2 => (at.clone(), sku, colour, 1..9_u64)
            .prop_map(|(at, sku, colour, time)| Step::Colour { at, sku, colour, time }),
        5 => (at.clone(), at).prop_map(|(at, of)| Step::Hear { at, of }),
    ]
}

/// Does a step at a cart and its oracle; `number` tells it from all others.
fn go(farm: &mut [(Cart, Oracle); 3], step: &Step, number: u64) {
    let unique = u32::try_from(number).unwrap();
    let lane = |at: usize| Lane(u32::try_from(at).unwrap());
    let piece = |sku, nth: u64| (sku, number << 8 | nth);
    match *step {
        Step::Add { at, sku, pieces } => {
            let (cart, oracle) = &mut farm[at];
            if cart.quantity(sku) == 0 {
                oracle.remove(sku);
            }
            cart.add(sku, pieces, lane(at)).unwrap();
            (0..pieces).for_each(|n| Oracle::insert(&mut oracle.added, piece(sku, n), lane(at)));
        }
        Step::Take { at, sku, pieces } => {
            let (cart, oracle) = &mut farm[at];
            if cart.take(sku, pieces, lane(at)).is_ok() {
                (0..pieces)
                    .for_each(|n| Oracle::insert(&mut oracle.taken, piece(sku, n), lane(at)));
            }
        }
        Step::Remove { at, sku, time } => {
            let (cart, oracle) = &mut farm[at];
            let version = version(time, unique);
            let is_known = cart.items.contains_key(sku);
            assert_eq!(cart.remove(sku, version), Ok(oracle.quantity(sku) > 0));
            if is_known {
                oracle.remove(sku);
                oracle.removed.entry(sku).or_default().merge(LWWReg { val: (), marker: version });
            }
        }
        Step::Colour { at, sku, colour, time } => {
            let (cart, oracle) = &mut farm[at];
            let version = version(time, unique);
            if cart.set_attribute(sku, ("colour", colour), version).is_ok() {
                let written = LWWReg { val: colour, marker: version };
                oracle.colours.entry(sku).or_default().merge(written);
            }
        }
        Step::Hear { at, of } => {
            let (cart, oracle) = farm[of].clone();
            farm[at].0.join(&cart);
            farm[at].1.merge(oracle);
        }
    }
}

fn check(cart: &Cart, oracle: &Oracle) {
    for sku in SKUS {
        assert_eq!(cart.quantity(sku), oracle.quantity(sku), "pieces of {sku}");
        let line = cart.lines().find(|line| line.sku == sku);
        assert_eq!(line.is_some(), oracle.quantity(sku) > 0);
        assert_eq!(line.and_then(|line| line.attribute("colour")), oracle.colour(sku), "{sku}");
    }
}

proptest! {
    #[test]
    fn carts_are_what_observed_remove_sets_of_pieces_are(
        steps in prop::collection::vec(steps(), 1..60),
    ) {
        let mut farm: [(Cart, Oracle); 3] = Default::default();
        for (number, step) in (1..).zip(&steps) {
            go(&mut farm, step, number);
            farm.iter().for_each(|(cart, oracle)| check(cart, oracle));
        }
        let mut joined = [Cart::default(), Cart::default()];
        farm.iter().for_each(|(cart, _)| joined[0].join(cart));
        farm.iter().rev().for_each(|(cart, _)| joined[1].join(cart));
        prop_assert!(joined[0] == joined[1] && joined[0].encode() == joined[1].encode());
    }

    #[test]
    fn a_cart_reads_as_it_was_written(cart in testing::carts()) {
        let bytes = cart.encode();
        let read = Cart::decode(&bytes).unwrap();
        prop_assert!(read == cart);
        prop_assert_eq!(read.encode(), bytes);
    }

    #[test]
    fn what_reads_is_written_again_as_it_was(cart in testing::carts(), at: usize, byte: u8) {
        let mut bytes = cart.encode();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(read) = Cart::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn an_edit_that_fails_changes_nothing(cart in testing::carts(), edit in testing::edits(Lane(1))) {
        let mut edited = cart.clone();
        if !edit.apply(&mut edited) {
            // Removing what is there without pieces is no news, and yet noted.
            let removes = matches!(edit, testing::Edit::Remove { .. });
            prop_assert!(removes || edited == cart);
        }
    }
}

#[test]
fn two_servers_edits_stay_and_what_is_removed_stays_removed() {
    let (mut here, mut there) = (Cart::default(), Cart::default());
    here.add("mug", 2, Lane(1)).unwrap();
    there.join(&here);
    let before = there.clone();
    // At once: one removes the mugs, the other puts one more in.
    assert_eq!(here.remove("mug", version(5, 1)), Ok(true));
    there.add("mug", 1, Lane(2)).unwrap();
    there.add("hat", 1, Lane(2)).unwrap();
    here.join(&there);
    here.join(&before);
    assert_eq!((here.quantity("mug"), here.quantity("hat")), (1, 1));
}

#[test]
fn absurd_edits_are_refused_and_change_nothing() {
    let mut cart = Cart::default();
    cart.add("mug", 2, Lane(1)).unwrap();
    let before = cart.clone();
    let limit = MAX_QUANTITY;
    for pieces in [0, limit + 1, u64::MAX] {
        let refused = Err(StateError::Quantity { found: pieces, limit });
        assert_eq!(cart.add("hat", pieces, Lane(1)), refused);
    }
    let refused = Err(StateError::Quantity { found: limit + 2, limit });
    assert_eq!(cart.add("mug", limit, Lane(1)), refused);
    let refused = Err(StateError::TooFew { found: 2, wanted: 3 });
    assert_eq!(cart.take("mug", 3, Lane(1)), refused);
    let long = "x".repeat(MAX_SKU_BYTES + 1);
    assert!(matches!(cart.add(&long, 1, Lane(1)), Err(StateError::TooLong { .. })));
    let card = cart.add("4111111111111111", 1, Lane(1));
    assert!(matches!(card, Err(StateError::CardNumber { .. })));
    let card = ("note", Some("4111 1111 1111 1111"));
    assert!(cart.set_attribute("mug", card, version(1, 1)).is_err());
    assert!(cart.set_attribute("hat", ("colour", Some("red")), version(1, 1)).is_err());
    let long = "x".repeat(1 << 20);
    assert!(cart.set_attribute("mug", ("note", Some(&long)), version(1, 1)).is_err());
    assert!(cart == before);
    // The number of an article may check as a card's does.
    assert_eq!(cart.add("4006381333931", 1, Lane(1)), Ok(()));
}

#[test]
fn ten_thousand_items_are_too_many_and_the_cart_can_still_be_emptied() {
    let mut cart = Cart::default();
    let refused = (0..10_000).find_map(|item| cart.add(&format!("item {item}"), 1, Lane(1)).err());
    let found = MAX_ITEMS + 1;
    assert_eq!(refused, Some(StateError::TooMany { field: "items", found, limit: MAX_ITEMS }));
    assert_eq!(cart.lines().count(), MAX_ITEMS);
    let mut other = Cart::default();
    (0..MAX_ITEMS).for_each(|item| other.add(&format!("other {item}"), 1, Lane(2)).unwrap());
    cart.join(&other);
    assert!(cart.add("one more", 1, Lane(1)).is_err());
    assert_eq!(cart.remove("item 7", version(1, 1)), Ok(true));
    assert_eq!(cart.clear(version(2, 1)), Ok(()));
    assert_eq!(cart.lines().count(), 0);
}

#[test]
fn taken_out_twice_at_once_is_out_and_one_more_is_one() {
    let (mut here, mut there) = (Cart::default(), Cart::default());
    here.add("mug", 1, Lane(1)).unwrap();
    there.join(&here);
    here.take("mug", 1, Lane(1)).unwrap();
    there.take("mug", 1, Lane(2)).unwrap();
    here.join(&there);
    assert_eq!(here.quantity("mug"), 0);
    here.add("mug", 1, Lane(1)).unwrap();
    assert_eq!(here.quantity("mug"), 1);
}
