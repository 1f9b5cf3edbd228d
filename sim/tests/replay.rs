//! Who recorded a farm's packets cannot use them.

use std::time::Duration;

use proto::nak::acks::Ack;
use proto::record::{Body, Deadlines, Key, Kind, Record};
use proto::rng::Rng;
use sim::farm::{Farm, Layout};
use sim::weather::Weather;

/// A farm whose node 1 holds ten records of node 0, and all that was sent.
fn recorded_farm() -> (Farm, Vec<(usize, Vec<u8>)>) {
    let layout = Layout::of(2, Weather::calm(Duration::from_micros(50)));
    let mut farm = Farm::new(Layout { compares: true, ..layout }, Rng::from_u64(1).next_u64());
    farm.network.record();
    farm.run(Duration::from_secs(1)).expect("every promise holds");
    write(&mut farm);
    farm.run(Duration::from_secs(1)).expect("every promise holds");
    assert_eq!(farm.held(1).len(), 10);
    let recorded = farm.network.recorded();
    (farm, recorded)
}

/// Writes some records at node 0.
fn write(farm: &mut Farm) {
    for number in 0..10_u64 {
        let key = Key::new(Kind::Tls, &number.to_be_bytes()).expect("eight bytes");
        farm.write(0, Ack::Local, |version, wall| {
            let deadlines = Deadlines::at(wall + Duration::from_secs(3_600));
            Record { key, version, deadlines, body: Body::Value(b"secret") }
        });
    }
}

fn replayed(farm: &Farm, number: usize) -> u64 {
    farm.nodes[number].as_ref().expect("it runs").node.counters().replayed
}

/// Gives node 1 all that node 0 ever sent. Gives how much of it there was.
fn replay(farm: &mut Farm, recorded: &[(usize, Vec<u8>)]) -> u64 {
    let mut packets = 0;
    for (from, packet) in recorded.iter().filter(|(from, _)| *from == 0) {
        farm.inject(*from, 1, packet);
        packets += 1;
    }
    packets
}

#[test]
fn a_node_that_restarted_takes_nothing_from_a_recording() {
    let (mut farm, recorded) = recorded_farm();
    farm.crash(0);
    farm.crash(1);
    farm.start(1);
    replay(&mut farm, &recorded);
    assert!(replayed(&farm, 1) >= 10, "its stream at least");
    farm.run(Duration::from_secs(2)).unwrap();
    assert!(farm.held(1).is_empty());
    assert!(farm.nodes[1].as_ref().unwrap().node.peers().is_empty());
}

/// The sender lives on, and the receiver has met it again.
#[test]
fn a_node_that_restarted_and_joined_takes_nothing_from_a_recording() {
    let (mut farm, recorded) = recorded_farm();
    farm.crash(1);
    farm.run(Duration::from_secs(2)).unwrap();
    farm.start(1);
    farm.run(Duration::from_secs(2)).unwrap();
    let (before, held) = (replayed(&farm, 1), farm.held(1));
    let packets = replay(&mut farm, &recorded);
    assert_eq!(replayed(&farm, 1) - before, packets);
    assert!(held == farm.held(1));
    assert_eq!(farm.nodes[1].as_ref().unwrap().node.peers().len(), 1);
}

#[test]
fn a_node_takes_no_packet_twice() {
    let (mut farm, recorded) = recorded_farm();
    // What was on its way comes first.
    farm.run(Duration::from_millis(1)).unwrap();
    let (before, held) = (replayed(&farm, 1), farm.held(1));
    let packets = replay(&mut farm, &recorded);
    assert_eq!(replayed(&farm, 1) - before, packets);
    assert!(held == farm.held(1));
}
