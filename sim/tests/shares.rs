//! Farms whose nodes keep shares: that the checkers find what they are there
//! for, and what is done about slots that cannot be fetched.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, there and then")]

use std::time::Duration;

use proto::nak::acks::Ack;
use proto::node::PortionFigures;
use proto::record::{Body, Deadlines, Key, Kind, Record};
use sim::farm::{Farm, Layout, Portions};
use sim::shares::run_tampered;
use sim::shares::tamper::Tamper;
use sim::weather::Weather;

const RECORDS: u64 = 400;
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Nodes that keep a share, of so many replicas, and compare nothing: what
/// they come to have, they have by moving. None has started.
fn farm(nodes: usize, replicas: u8) -> Farm {
    let weather = Weather::calm(Duration::from_micros(100));
    let portions = Portions::Share(replicas);
    let layout = Layout { audited: false, portions, ..Layout::of(nodes, weather) };
    Farm::empty(layout, 1)
}

fn key(number: u64) -> Key {
    Key::new(Kind::Web, &number.to_be_bytes()).unwrap()
}

/// Writes these records at a node.
fn write(farm: &mut Farm, at: usize, numbers: impl Iterator<Item = u64>) {
    for number in numbers {
        let written = farm.write(at, Ack::Local, |version, wall| {
            let deadlines = Deadlines::at(wall + LIFETIME);
            Record { key: key(number), version, deadlines, body: Body::Value(&[7; 50]) }
        });
        written.expect("there is room");
        farm.run(Duration::from_micros(100)).unwrap();
    }
}

fn figures(farm: &Farm, number: usize) -> PortionFigures {
    farm.nodes[number].as_ref().unwrap().node.portion()
}

fn is_ready(farm: &Farm, number: usize) -> bool {
    farm.nodes[number].as_ref().unwrap().node.is_ready()
}

/// At how many nodes each record is, as a part of what these keep.
fn copies(farm: &Farm) -> Vec<usize> {
    let holds = |node: usize, number| {
        let holdings = &farm.nodes[node].as_ref().unwrap().holdings;
        holdings.portion().holds(holdings.hash(&key(number)))
    };
    let at = |number| farm.running().into_iter().filter(|&node| holds(node, number)).count();
    (0..RECORDS).map(at).collect()
}

/// Whether a checker finds what is broken, in one of some seeds.
fn check(tamper: Tamper) {
    let found = (10..20).find_map(|seed| run_tampered(seed, tamper).err());
    found.unwrap_or_else(|| panic!("{tamper:?} goes unnoticed"));
}

#[test]
fn a_node_that_lets_go_too_early_is_found() {
    check(Tamper::LetsGoEarly);
}

#[test]
fn a_node_that_takes_slots_for_arrived_is_found() {
    check(Tamper::TakesForArrived);
}

/// A joining node hears a holder that does not hear it: that holder has what
/// nobody else has.
#[test]
fn a_slot_that_its_holder_does_not_give_is_waited_for() {
    let mut farm = farm(3, 1);
    (0..2).for_each(|number| farm.start(number));
    farm.run(Duration::from_secs(3)).unwrap();
    write(&mut farm, 0, 0..RECORDS);
    farm.start(2);
    farm.run(Duration::from_millis(60)).unwrap();
    farm.network.cut(2, 0);
    farm.run(Duration::from_secs(12)).unwrap();
    assert!(!is_ready(&farm, 2), "what it is to hold is not here");
    assert!(copies(&farm).iter().all(|&at| at >= 1), "nobody let go of it");
    farm.network.heal();
    farm.run(Duration::from_secs(30)).unwrap();
    assert!(is_ready(&farm, 2));
    assert!(copies(&farm).iter().all(|&at| at == 1), "each is at its holder");
    assert!((0..3).all(|number| figures(&farm, number).lingering == 0));
}

/// What both sides of a partition took over from the other is asked for again
/// when it heals, and each side keeps it until then.
#[test]
fn what_was_nowhere_is_asked_for_again_when_somebody_comes() {
    let mut farm = farm(4, 1);
    (0..4).for_each(|number| farm.start(number));
    farm.run(Duration::from_secs(3)).unwrap();
    write(&mut farm, 0, 0..RECORDS / 2);
    farm.network.part(vec![0, 0, 1, 1]);
    farm.run(Duration::from_secs(8)).unwrap();
    assert!((0..4).all(|number| figures(&farm, number).moving == 0), "what is lost is lost");
    write(&mut farm, 0, RECORDS / 2..RECORDS);
    // Who is never heard again had half of it.
    farm.network.heal();
    farm.run(Duration::from_secs(20)).unwrap();
    farm.leave(1).unwrap();
    farm.run(Duration::from_secs(20)).unwrap();
    let copies = copies(&farm);
    let lost = copies.iter().filter(|&&at| at == 0).count() as u64;
    assert!(lost <= RECORDS / 2, "{lost} are lost");
    assert!(copies.iter().all(|&at| at <= 1), "{copies:?}");
}

/// What is no longer a node's stays while nobody says that he has it, and goes
/// as soon as the cache needs its room: before what is the node's own.
#[test]
fn what_nobody_confirms_stays_until_its_room_is_needed() {
    let weather = Weather::calm(Duration::from_micros(100));
    let (portions, table_bytes) = (Portions::Share(1), 1 << 20);
    let layout = Layout { audited: false, portions, table_bytes, ..Layout::of(2, weather) };
    let mut farm = Farm::empty(layout, 1);
    farm.tamper(Tamper::NobodyConfirms);
    (0..2).for_each(|number| farm.start(number));
    farm.run(Duration::from_secs(30)).unwrap();
    let lingering = figures(&farm, 0).lingering;
    assert!(lingering > 30_000, "both kept everything, and have half of it: {lingering}");
    write(&mut farm, 0, 0..RECORDS);
    assert!(copies(&farm).iter().all(|&at| at == 2), "it is kept as well as their own");
    write(&mut farm, 0, RECORDS..100 * RECORDS);
    farm.run(Duration::from_secs(1)).unwrap();
    assert_eq!(figures(&farm, 0).lingering, 0, "it went for its room");
}

/// The node that deletes dies before its packet has come to one that has a copy
/// near.
#[test]
fn a_near_copy_does_not_outlive_its_delete() {
    let weather = Weather::calm(Duration::from_micros(100));
    let portions = Portions::ShareAndAsks(2, 3);
    let layout = Layout { audited: false, portions, askers: 1, ..Layout::of(4, weather) };
    let mut farm = Farm::new(layout, 1);
    farm.run(Duration::from_secs(10)).unwrap();
    write(&mut farm, 0, 0..1);
    farm.look_up(3, &key(0));
    farm.run(Duration::from_millis(50)).unwrap();
    assert!(farm.held_of(3, &key(0)).is_some_and(|near| near.value.is_some()), "it is near");
    farm.network.cut(0, 3);
    let deleted = farm.write(0, Ack::Local, |version, wall| {
        let deadlines = Deadlines::at(wall + LIFETIME);
        Record { key: key(0), version, deadlines, body: Body::Deleted }
    });
    deleted.expect("there is room");
    farm.run(Duration::from_millis(5)).unwrap();
    farm.crash(0);
    farm.network.heal();
    farm.run(Duration::from_secs(15)).unwrap();
    let near = farm.held_of(3, &key(0));
    assert!(near.is_none_or(|near| near.value.is_none()), "it was deleted");
}

/// A holder misses more than its sender keeps for repair, and more than that
/// keeps near of what it wrote for others.
#[test]
fn what_its_sender_has_no_more_comes_from_who_holds_it() {
    let weather = Weather::calm(Duration::from_micros(100));
    let portions = Portions::Share(2);
    let table_bytes = 1 << 20;
    let layout = Layout { audited: false, portions, table_bytes, ..Layout::of(4, weather) };
    let mut farm = Farm::new(layout, 1);
    // Until each has let go of what it kept while it was alone.
    farm.run(Duration::from_secs(10)).unwrap();
    farm.network.cut(0, 1);
    // Fewer packets than shut the window, ten times what the ring has.
    for number in 0..2 * RECORDS {
        let written = farm.write(0, Ack::Local, |version, wall| {
            let deadlines = Deadlines::at(wall + LIFETIME);
            Record { key: key(number), version, deadlines, body: Body::Value(&[7; 700]) }
        });
        written.expect("there is room");
        farm.run(Duration::from_micros(500)).unwrap();
    }
    farm.network.heal();
    farm.run(Duration::from_secs(15)).unwrap();
    let node = &farm.nodes[1].as_ref().unwrap().node;
    assert!(node.counters().unrecovered > 0, "packets are gone");
    let writer = &farm.nodes[0].as_ref().unwrap();
    let own = &writer.holdings;
    let forgotten = (0..2 * RECORDS).filter(|&number| farm.held_of(0, &key(number)).is_none());
    assert!(forgotten.count() > 0, "not even their sender has all of it");
    assert!(own.near_stats().unwrap().evicted > 0);
    assert!(copies(&farm).iter().all(|&at| at == 2), "each is at its holders");
    assert!(node.peers()[&writer.incarnation()].receiver.is_complete());
}

/// Nodes that come and go more often than views come to rest.
#[test]
fn changes_without_end_put_off_no_acknowledgement() {
    let mut farm = farm(5, 2);
    (0..4).for_each(|number| farm.start(number));
    farm.run(Duration::from_secs(3)).unwrap();
    let mut confirmed = 0;
    for round in 0..20 {
        farm.start(4);
        farm.run(Duration::from_millis(700)).unwrap();
        farm.leave(4).unwrap();
        farm.write(0, Ack::One, |version, wall| {
            let deadlines = Deadlines::at(wall + LIFETIME);
            Record { key: key(round), version, deadlines, body: Body::Value(b"1") }
        });
        farm.run(Duration::from_millis(100)).unwrap();
        let events = std::mem::take(&mut farm.nodes[0].as_mut().unwrap().events);
        let is = |event: &proto::node::Event| matches!(event, proto::node::Event::Acknowledged(_));
        confirmed += events.iter().filter(|(event, _)| is(event)).count();
    }
    assert!(confirmed >= 18, "only {confirmed} of 20 writes were confirmed");
}
