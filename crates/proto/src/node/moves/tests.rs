//! What a node that is alone does with slots on their way to it.

use std::sync::Arc;

use super::*;
use crate::cluster::portion::Portion;
use crate::cluster::slots::Slot;
use crate::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};
use crate::nak::acks::{Ack, Held, WriteId};
use crate::node::Config;
use crate::record::{HybridClock, KeyHash};
use crate::table::{self, Table};
use crate::time::{Now, Wall};

const NOW: Now =
    Now { instant: Instant::from_micros(1_000_000), wall: Wall::from_millis(1_700_000_000_000) };
/// The slot of the hash 0.
const SLOT: Slot = Slot(0);

/// A node that keeps everything, and has not joined anybody.
fn node() -> Node {
    let key = FarmKey::new([7; FARM_KEY_BYTES]);
    let keyring = Keyring::new(vec![key]).expect("one key is enough");
    let placement_secret = keyring.placement_secret();
    let table = table::Config { capacity_bytes: 1 << 20, placement_secret, own_secret: [3; 32] };
    let config = Config {
        name: "alone".to_owned(),
        incarnation: Incarnation(1),
        keyring,
        begins_after: 0,
        address: ([10, 0, 0, 1], 7_700).into(),
        multicast: false,
        peers: vec![([10, 0, 0, 2], 7_700).into()],
        ring_bytes: 64 << 10,
        credit: 100,
        portion: Portion::default(),
        compare_every: Duration::MAX,
        lookup_timeout: Config::LOOKUP_TIMEOUT,
        seed: [1; 32],
    };
    let holdings = Arc::new(Holdings::new(Table::new(table)));
    Node::new(config, holdings, Arc::new(HybridClock::default()), NOW)
}

fn one_slot() -> SlotSet {
    [SLOT].into_iter().collect()
}

#[test]
fn what_is_on_its_way_has_not_arrived() {
    let mut node = node();
    let (hash, other) = (KeyHash(0), KeyHash(u64::MAX));
    node.become_ready();
    assert!(node.holdings.arrived().keeps(hash) && node.is_certain_of(hash));

    let all = SlotSet::all();
    node.portions.moves.divide(NOW.instant, &one_slot(), (&all, &all));
    node.review_arrived();
    assert!(node.keeps(hash) && !node.holdings.arrived().keeps(hash));
    assert!(!node.is_certain_of(hash) && node.is_certain_of(other));

    let source = Source::Slots { runs: one_slot().runs(), positions: false };
    let pull = Pull { from: Incarnation(2), source, purpose: Purpose::Move };
    node.moved(NOW.instant, &pull, &one_slot());
    assert!(!node.is_certain_of(hash), "its giver lacks it");
    assert!(node.has_slots().is_some_and(|has| !has.contains(SLOT) && has.contains(Slot(1))));
    node.moved(NOW.instant, &pull, &SlotSet::none());
    assert!(node.holdings.arrived().keeps(hash) && node.is_certain_of(hash));
}

#[test]
fn who_joins_those_that_share_becomes_ready_when_the_last_of_them_is_gone() {
    let mut node = node();
    node.portions.moves.joining = Some(Offers::default());
    node.portions.moves.wanted.want_all(NOW.instant, &one_slot());
    assert!(!node.portions.sharing && !node.is_ready());
    node.keep_portion(NOW);
    assert!(node.is_ready());
    assert!(node.is_certain_of(KeyHash(0)));
}

#[test]
fn what_nobody_holds_is_not_confirmed_by_all() {
    let node = node();
    assert!(node.portions.settled.holders(SLOT).is_empty());
    let held = |ack| Held { sequence: 1, write: WriteId(1), ack, slots: [SLOT; 2] };
    assert!(node.is_held(&held(Ack::Local)));
    assert!(!node.is_held(&held(Ack::One)));
    assert!(!node.is_held(&held(Ack::All)));
}
