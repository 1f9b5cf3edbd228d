//! What comparing finds, and what it costs.

use std::time::Duration;

use proto::nak::acks::Ack;
use proto::node::Config;
use proto::record::{Body, Deadlines, Hlc, Key, Kind, Record, Version, Writer};
use proto::time::Wall;
use sim::farm::{Farm, Layout};
use sim::weather::Weather;

/// A packet of digests is longer than this; in these farms no other is.
const DIGESTS_BYTES: usize = 1_024;

/// What a packet takes from one node to another.
const DELAY: Duration = Duration::from_millis(2);

/// A farm whose nodes have met.
fn farm(nodes: usize, multicast: bool) -> Farm {
    let layout = Layout::of(nodes, Weather::calm(DELAY));
    let mut farm = Farm::new(Layout { multicast, compares: true, ..layout }, 1);
    farm.run(Duration::from_secs(2)).expect("no invariant breaks");
    farm
}

/// Puts a record into a node's table that no packet tells of.
fn hold(farm: &Farm, node: usize, number: u64, value: &[u8]) {
    let key = Key::new(Kind::Tls, &number.to_be_bytes()).expect("eight bytes");
    let version = Version { time: Hlc(number), writer: Writer(1) };
    let (deadlines, body) = (Deadlines::at(Wall::MAX), Body::Value(value));
    let holdings = &farm.nodes[node].as_ref().expect("it runs").holdings;
    holdings.apply(&Record { key, version, deadlines, body }, Wall::from_millis(1));
}

fn ranges_fetched(farm: &Farm, node: usize) -> u64 {
    farm.nodes[node].as_ref().expect("it runs").node.counters().ranges_fetched
}

/// How long the farms are watched: many times as long as between two tellings.
const WATCHED: Duration = Duration::from_secs(150);

/// How many bytes of digests pass between the nodes meanwhile, each packet
/// counted at each of its receivers.
fn bytes_of_digests(farm: &mut Farm, meanwhile: impl FnOnce(&mut Farm)) -> u64 {
    farm.network.record();
    meanwhile(farm);
    let packets = farm.network.recorded();
    let lengths = packets.iter().map(|(_, packet)| packet.len());
    lengths.filter(|&len| len > DIGESTS_BYTES).sum::<usize>() as u64
}

fn idle(farm: &mut Farm) {
    farm.run(WATCHED).expect("no invariant breaks");
}

/// Lets all nodes write, so that of each a write is always on its way.
fn busy(farm: &mut Farm) {
    let end = farm.now() + WATCHED;
    let mut number = 0_u64;
    while farm.now() < end {
        number += 1;
        let id = number.to_be_bytes();
        let key = Key::new(Kind::Web, &id).expect("eight bytes");
        let node = usize::try_from(number % 3).expect("below 3");
        farm.write(node, Ack::Local, |version, wall| {
            let deadlines = Deadlines::at(wall + Duration::from_secs(3_600));
            Record { key, version, deadlines, body: Body::Value(&id) }
        });
        farm.run(DELAY / 3).expect("no invariant breaks");
    }
}

#[test]
fn an_idle_farm_of_three_exchanges_less_than_a_kilobyte_a_second() {
    for multicast in [true, false] {
        let mut farm = farm(3, multicast);
        (0..3).for_each(|node| (0..5_000).for_each(|number| hold(&farm, node, number, b"same")));
        let bytes = bytes_of_digests(&mut farm, idle);
        let tellings = WATCHED.as_secs() / Config::COMPARE_EVERY.as_secs();
        assert!(bytes > tellings * 3 * 2 * 2_048, "{bytes} bytes: each told both others");
        assert!(bytes < WATCHED.as_secs() * 1_000, "{bytes} bytes, multicast: {multicast}");
    }
}

#[test]
fn a_farm_that_writes_tells_hardly_more_often() {
    let when_idle = bytes_of_digests(&mut farm(3, true), idle);
    let when_busy = bytes_of_digests(&mut farm(3, true), busy);
    assert!(when_busy < when_idle * 2, "{when_busy} bytes, and {when_idle} when idle");
}

#[test]
fn what_nine_nodes_have_comes_from_one_of_them() {
    let mut farm = farm(10, true);
    for node in 1..10 {
        (0..40).for_each(|number| hold(&farm, node, number, b"they have it"));
    }
    let holdings = &farm.nodes[1].as_ref().unwrap().holdings;
    let empty = &farm.nodes[0].as_ref().unwrap().holdings;
    let differ = proto::table::KeyRange::all()
        .filter(|&range| holdings.digest(range) != empty.digest(range))
        .count();
    farm.run(Duration::from_secs(60)).unwrap();
    assert_eq!(farm.held(0).len(), 40);
    assert_eq!(ranges_fetched(&farm, 0), differ as u64);
}
