//! What a node does with slots on their way to it, alone and with others.

use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::cluster::portion::Portion;
use crate::cluster::slots::Slot;
use crate::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};
use crate::nak::acks::{Ack, Held, WriteId};
use crate::node::{Config, Origin, Way};
use crate::record::{HybridClock, KeyHash};
use crate::table::{self, Table};
use crate::time::{Now, Wall};
use crate::wire::control::{Message, Part};

const NOW: Now =
    Now { instant: Instant::from_micros(1_000_000), wall: Wall::from_millis(1_700_000_000_000) };
/// The slot of the hash 0.
const SLOT: Slot = Slot(0);

fn address(number: u8) -> SocketAddr {
    ([10, 0, 0, number], 7_700).into()
}

/// A node that keeps everything, and has not joined anybody.
fn node() -> Node {
    node_of(1, Portion::default())
}

fn node_of(number: u8, portion: Portion) -> Node {
    let key = FarmKey::new([7; FARM_KEY_BYTES]);
    let keyring = Keyring::new(vec![key]).expect("one key is enough");
    let placement_secret = keyring.placement_secret();
    let table = table::Config { capacity_bytes: 1 << 20, placement_secret, own_secret: [3; 32] };
    let config = Config {
        name: format!("node-{number}"),
        incarnation: Incarnation(number.into()),
        keyring,
        begins_after: 0,
        address: address(number),
        multicast: false,
        peers: vec![address(99)],
        ring_bytes: 64 << 10,
        credit: 100,
        portion,
        compare_every: Duration::MAX,
        lookup_timeout: Config::LOOKUP_TIMEOUT,
        seed: [1; 32],
    };
    let holdings = Arc::new(Holdings::new(Table::new(table)));
    Node::new(config, holdings, Arc::new(HybridClock::default()), NOW)
}

fn one_slot() -> SlotSet {
    slots(&[SLOT.0])
}

fn slots(slots: &[u16]) -> SlotSet {
    slots.iter().copied().map(Slot).collect()
}

/// Hands all that one node has to send to another.
fn hand_over(from: &mut Node, to: &mut Node) {
    let origin = Origin { address: from.config.address, way: Way::Unicast };
    while let Some(transmit) = from.poll_transmit(NOW) {
        let mut bytes = transmit.bytes.to_vec();
        to.handle_datagram(NOW, origin, &mut bytes);
    }
}

/// Has a node meet another that is ready.
fn meet(node: &mut Node, number: u8, portion: Portion) {
    let mut other = node_of(number, portion);
    other.become_ready();
    acquaint(node, &mut other);
    assert!(node.is_ready_member(other.config.incarnation));
}

fn acquaint(node: &mut Node, other: &mut Node) {
    node.call_unknown(other.config.address);
    hand_over(node, other);
    hand_over(other, node);
    assert!(node.peers.contains_key(&other.config.incarnation));
}

/// A share of a farm that has each record once.
fn share() -> Portion {
    Portion { keep: Keep::Share, replicas: 1, ..Portion::default() }
}

/// A node that had everything, and keeps half of it until another that shares
/// has that.
fn with_lingering() -> Node {
    let mut node = node_of(1, share());
    node.become_ready();
    node.review_members(NOW.instant);
    meet(&mut node, 2, share());
    node.review_members(NOW.instant);
    node
}

/// A survivor has more of a stream than this node.
fn tell_of_more(node: &mut Node, survivor: u8) {
    let theirs = Remains { through: 5, beyond: Vec::new() };
    node.handle_orphan(NOW.instant, Incarnation(survivor.into()), Incarnation(77), theirs);
}

/// Has the node that is asked for slots answer; `None` when nobody is asked.
fn answer(node: &mut Node, now: Instant, lacks: &SlotSet) -> Option<Incarnation> {
    let (from, message) = node.puller.poll_request(now)?;
    assert!(matches!(message, Message::Pull { source: Source::Slots { .. }, .. }));
    let pull = node.puller.give_up(from).pop().expect("it was just asked");
    node.moved(now, &pull, lacks);
    Some(from)
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

/// Two givers lack a slot; before the second says so another slot is missed,
/// and asked for.
#[test]
fn a_round_ends_though_something_was_missed_in_its_midst() {
    let mut node = node();
    meet(&mut node, 2, Portion::default());
    meet(&mut node, 3, Portion::default());
    node.portions.moves.joining = Some(Offers::default());
    node.portions.moves.wanted.want_all(NOW.instant, &one_slot());
    node.go_on_moving(NOW.instant);
    assert_eq!(answer(&mut node, NOW.instant, &one_slot()), Some(Incarnation(2)));
    node.portions.moves.wanted.want(NOW.instant, &slots(&[1]));
    assert_eq!(answer(&mut node, NOW.instant, &one_slot()), Some(Incarnation(3)));
    let mut now = NOW.instant;
    for _ in 0..100 {
        now += Duration::from_millis(100);
        node.go_on_moving(now);
        while answer(&mut node, now, &one_slot()).is_some() {}
    }
    assert!(node.portions.moves.is_at_rest() && node.is_ready(), "all have said that they lack it");
}

#[test]
fn what_lingers_is_not_here_as_a_whole_when_something_was_missed() {
    let check = |miss: fn(&mut Node, Slot), stays: bool| {
        let mut node = with_lingering();
        let lingering = node.portions.lingering.slots();
        let [slot, other] = [lingering.iter().next(), lingering.iter().nth(1)];
        let (slot, other) = (slot.expect("half of all"), other.expect("half of all"));
        let hash = |slot: Slot| KeyHash(u64::from(slot.0) << 48);
        assert!(node.is_certain_of(hash(slot)) && node.is_certain_of(hash(other)));
        miss(&mut node, slot);
        assert!(node.keeps(hash(slot)) && !node.is_certain_of(hash(slot)));
        assert_eq!(node.is_certain_of(hash(other)), stays);
        assert!(node.has_slots().is_some_and(|has| !has.contains(slot)));
        assert!(node.portions.moves.is_at_rest(), "others are to have it");
        // It is the node's own again.
        node.handle_leave(NOW.instant, Incarnation(2));
        node.review_members(NOW.instant);
        assert!(node.portions.moves.wanted.pending().contains(slot), "it is fetched");
    };
    check(|node, _| tell_of_more(node, 2), false);
    let miss_hole = |node: &mut Node, slot: Slot| {
        let hole = (Incarnation(2), Range { first: 1, last: 1 });
        assert!(!node.fetch_hole(NOW.instant, hole, &slots(&[slot.0])));
    };
    check(miss_hole, true);
}

#[test]
fn what_is_kept_on_for_who_is_gone_is_fetched_anew_when_something_was_missed() {
    let keep = Keep::Of(vec!["node-2".to_owned()]);
    let mut node = node_of(1, Portion { keep, ..Portion::default() });
    node.become_ready();
    meet(&mut node, 2, share());
    meet(&mut node, 3, share());
    node.review_members(NOW.instant);
    node.handle_leave(NOW.instant, Incarnation(2));
    node.review_members(NOW.instant);
    let kept = node.portions.desired().clone();
    assert!(!kept.is_empty() && kept != SlotSet::all());
    node.portions.moves.wanted.want_nothing();
    tell_of_more(&mut node, 3);
    assert_eq!(node.portions.moves.wanted.pending(), &kept);
}

#[test]
fn who_gives_a_slot_away_is_told_of_it_until_then() {
    let mut node = node_of(1, share());
    node.become_ready();
    meet(&mut node, 2, share());
    acquaint(&mut node, &mut node_of(3, share()));
    node.review_members(NOW.instant);
    let [settled, coming] = [&node.portions.settled, &node.portions.coming];
    let gives = settled.slots_of(Incarnation(2)).without(&coming.slots_of(Incarnation(2)));
    assert!(!gives.is_empty(), "some of it is to be that of who joins");
    assert!(gives.without(&node.portions.all_slots_of(Incarnation(2))).is_empty());
}

/// A page that cannot be read ends the pull, be it its last or not: its giver
/// is asked for no more in this round.
#[test]
fn who_gives_what_cannot_be_read_is_not_asked_again_in_a_round() {
    for (next, bytes) in [(None, &[0][..]), (Some(1), &[0]), (Some(0), &[0; 4])] {
        let mut node = node();
        meet(&mut node, 2, Portion::default());
        meet(&mut node, 3, Portion::default());
        node.portions.moves.joining = Some(Offers::default());
        node.portions.moves.wanted.want_all(NOW.instant, &one_slot());
        node.go_on_moving(NOW.instant);
        let (from, message) = node.puller.poll_request(NOW.instant).expect("one is asked");
        let Message::Pull { page, .. } = message else { panic!("{message:?}") };
        let part = Part { page, edition: 1, next, index: 0, count: 1, bytes };
        assert!(node.handle_part(NOW, from, &part).is_err());
        assert!(!node.puller.has(&Purpose::Move), "it has failed");
        node.go_on_moving(NOW.instant);
        assert_eq!(answer(&mut node, NOW.instant, &SlotSet::none()), Some(Incarnation(3)));
        assert!(node.is_ready());
    }
}

#[test]
fn one_that_keeps_a_part_does_not_have_the_stream_of_a_dead_node() {
    let (mut node, dead) = (with_lingering(), Incarnation(77));
    meet(&mut node, 3, Portion { keep: Keep::Of(Vec::new()), ..Portion::default() });
    meet(&mut node, 4, Portion::default());
    let theirs = || Remains { through: 5, beyond: Vec::new() };
    tell_of_more(&mut node, 3);
    assert!(node.puller.poll_request(NOW.instant).is_none(), "there is nothing to be had");
    assert_eq!(node.join.remains(dead), Remains::default());
    tell_of_more(&mut node, 2);
    let asked = node.puller.poll_request(NOW.instant).map(|(from, _)| from);
    assert_eq!(asked, Some(Incarnation(2)));
    node.puller.give_up(Incarnation(2));
    node.orphan_pulled(NOW.instant, (Incarnation(2), dead), theirs());
    assert_eq!(node.join.remains(dead), Remains::default(), "others have more of it");
    tell_of_more(&mut node, 2);
    assert!(node.puller.poll_request(NOW.instant).is_none(), "not of the same one again");
    node.orphan_pulled(NOW.instant, (Incarnation(4), dead), theirs());
    assert_eq!(node.join.remains(dead), theirs(), "it keeps everything");
}

#[test]
fn what_is_gone_is_fetched_though_too_much_of_it_waits() {
    let mut node = with_lingering();
    let own: Vec<Slot> = node.portions.desired().iter().take(2).collect();
    let mut miss = |number: usize, slot: Slot| {
        let first = number as u64 + 1;
        let hole = (Incarnation(2), Range { first, last: first });
        assert!(node.fetch_hole(NOW.instant, hole, &slots(&[slot.0])), "it is not here yet");
        let moves = &node.portions.moves;
        (moves.holes.len(), moves.wanted.pending().contains(slot))
    };
    for number in 0..MAX_HOLES {
        assert_eq!(miss(number, own[0]), (number + 1, true));
    }
    assert_eq!(miss(MAX_HOLES, own[1]), (MAX_HOLES, true));
}
