//! What moves when a node comes or goes: its own share, and no more.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, there and then")]

use std::collections::BTreeSet;
use std::time::Duration;

use proto::cluster::slots::{Slot, SlotSet};
use proto::nak::acks::Ack;
use proto::node::PortionFigures;
use proto::record::{Body, Deadlines, Key, Kind, Record, Version};
use proto::time::Wall;
use proto::wire::frame::Frame;
use sim::farm::{Farm, Layout, Portions};
use sim::weather::Weather;

const RECORDS: u64 = 20_000;
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

fn farm(nodes: usize, replicas: u8) -> Farm {
    let weather = Weather::calm(Duration::from_micros(100));
    let portions = Portions::Share(replicas);
    let layout = Layout {
        compares: true,
        audited: false,
        portions,
        ring_bytes: 8 << 20,
        ..Layout::of(nodes, weather)
    };
    Farm::empty(layout, 1)
}

fn key(number: u64) -> Key {
    Key::new(Kind::Web, &number.to_be_bytes()).unwrap()
}

fn write(farm: &mut Farm, at: usize, number: u64) {
    let written = farm.write(at, Ack::Local, |version, wall| {
        let deadlines = Deadlines::at(wall + LIFETIME);
        Record { key: key(number), version, deadlines, body: Body::Value(&[7; 200]) }
    });
    written.expect("there is room");
}

/// Writes all records, by all nodes in turn.
fn fill(farm: &mut Farm) {
    let running = farm.running();
    for number in 0..RECORDS {
        write(farm, running[usize::try_from(number).unwrap() % running.len()], number);
        if number % 20 == 0 {
            farm.run(Duration::from_millis(1)).unwrap();
        }
    }
    farm.run(Duration::from_secs(1)).unwrap();
}

/// Lets time pass while nodes go on writing.
fn work(farm: &mut Farm, seconds: u64) {
    for step in 0..seconds * 100 {
        let running = farm.running();
        write(farm, running[0], RECORDS + step % 100);
        farm.run(Duration::from_millis(10)).unwrap();
    }
}

fn figures(farm: &Farm, number: usize) -> PortionFigures {
    farm.nodes[number].as_ref().unwrap().node.portion()
}

/// The slots that a node holds.
fn slots(farm: &Farm, number: usize) -> SlotSet {
    let running = farm.nodes[number].as_ref().unwrap();
    running.node.placement().slots_of(running.incarnation())
}

/// How many of the records lie in these slots.
fn records_in(farm: &Farm, slots: &SlotSet) -> u64 {
    let holdings = &farm.nodes[farm.running()[0]].as_ref().unwrap().holdings;
    let held = (0..RECORDS).filter(|&number| slots.contains(Slot::of(holdings.hash(&key(number)))));
    held.count() as u64
}

/// What a record takes of a page.
fn record_bytes() -> u64 {
    let deadlines = Deadlines::at(Wall::from_millis(1));
    let version = Version::default();
    let record = Record { key: key(1), version, deadlines, body: Body::Value(&[7; 200]) };
    Frame::Record(record).encoded_len() as u64
}

fn check_close(found: u64, ideal: u64, what: &str) {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let ratio = found as f64 / ideal as f64;
    assert!((0.95..=1.05).contains(&ratio), "{what}: {found}, and not {ideal}");
}

/// Every record is at as many nodes as there are replicas, and nowhere else.
fn check_replicas(farm: &Farm, replicas: usize) {
    for number in (0..RECORDS).step_by(7) {
        let hash = farm.nodes[farm.running()[0]].as_ref().unwrap().holdings.hash(&key(number));
        let at = farm.running().into_iter().filter(|&node| {
            let holdings = &farm.nodes[node].as_ref().unwrap().holdings;
            holdings.portion().holds(hash)
        });
        let at: BTreeSet<usize> = at.collect();
        assert_eq!(at.len(), replicas, "record {number} is at {at:?}");
    }
}

fn who_comes_and_goes_moves_its_share(nodes: usize, replicas: u8) {
    let mut farm = farm(nodes, replicas);
    (0..nodes - 1).for_each(|number| farm.start(number));
    farm.run(Duration::from_secs(3)).unwrap();
    fill(&mut farm);
    let before: Vec<u64> = (0..nodes - 1).map(|node| figures(&farm, node).moved_records).collect();
    assert!(before.iter().all(|&moved| moved == 0), "{before:?}");

    farm.start(nodes - 1);
    work(&mut farm, 4);
    let came = figures(&farm, nodes - 1);
    let ideal = records_in(&farm, &slots(&farm, nodes - 1));
    check_close(came.moved_records, ideal, "who came fetched");
    check_close(came.moved_bytes, ideal * record_bytes(), "in bytes");
    check_close(ideal, RECORDS * u64::from(replicas) / nodes as u64, "its share");
    for node in 0..nodes - 1 {
        assert_eq!(figures(&farm, node).moved_records, 0, "the others fetched nothing");
    }
    work(&mut farm, 8);
    check_replicas(&farm, replicas.into());

    let lost = slots(&farm, 1);
    let ideal = records_in(&farm, &lost);
    let moved = |farm: &Farm| -> u64 {
        farm.running().into_iter().map(|node| figures(farm, node).moved_records).sum()
    };
    let before = moved(&farm);
    farm.leave(1).unwrap();
    work(&mut farm, 8);
    check_close(moved(&farm) - before, ideal, "of who left was restored");
    check_replicas(&farm, replicas.into());
}

#[test]
fn in_a_farm_of_four() {
    who_comes_and_goes_moves_its_share(4, 2);
}

#[test]
fn in_a_farm_of_ten() {
    who_comes_and_goes_moves_its_share(10, 3);
}
