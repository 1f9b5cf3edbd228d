//! One farm key after another, and who does not get the next one.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, there and then")]

use std::time::Duration;

use proto::keyring::LEAVES_BY;
use proto::nak::acks::Ack;
use proto::node::Counters;
use proto::record::{Body, Deadlines, Key, Kind, Record};
use sim::farm::{Farm, Layout};
use sim::weather::{Loss, Weather};

/// A farm of three that loses so many of 1,000 packets.
fn farm(loss: u64) -> Farm {
    let weather = Weather {
        loss: Loss::Independent(loss),
        doubled: 10,
        jitter: Duration::from_micros(500),
        ..Weather::calm(Duration::from_micros(50))
    };
    let layout = Layout { begins_after: (1 << 32) - 1_000, ..Layout::of(3, weather) };
    let mut farm = Farm::new(layout, 1);
    farm.run(Duration::from_secs(2)).unwrap();
    farm
}

fn key(number: u64) -> Key {
    Key::new(Kind::Tls, &number.to_be_bytes()).expect("eight bytes")
}

/// Writes a record at a node, which has room for it.
fn write(farm: &mut Farm, at: usize, number: u64) {
    let written = farm.write(at, Ack::Local, |version, wall| {
        let deadlines = Deadlines::at(wall + Duration::from_secs(3_600));
        Record { key: key(number), version, deadlines, body: Body::Value(&[7; 200]) }
    });
    assert!(written.is_some(), "there is room");
    farm.run(Duration::from_micros(500)).unwrap();
}

fn counters(farm: &Farm, number: usize) -> Counters {
    *farm.nodes[number].as_ref().unwrap().node.counters()
}

fn rekey(farm: &mut Farm, nodes: &[usize], step: u64) {
    for &number in nodes {
        farm.rekey(number, step).unwrap();
    }
}

#[test]
fn twenty_rotations_a_minute_under_load_lose_nothing() {
    let mut farm = farm(50);
    let mut records = 0;
    for step in 1..=60 {
        for number in [2, 0, 1] {
            rekey(&mut farm, &[number], step);
            for _ in 0..40 {
                for at in 0..3 {
                    write(&mut farm, at, records);
                    records += 1;
                }
            }
        }
        farm.run(Duration::from_millis(900)).unwrap();
    }
    farm.run(Duration::from_secs(2)).unwrap();
    for number in 0..3 {
        assert_eq!(farm.held(number).len() as u64, records);
        let counters = counters(&farm, number);
        assert_eq!((counters.forged, counters.malformed), (0, 0));
    }
}

#[test]
fn who_lacks_the_new_key_reads_nothing_and_is_not_heard() {
    let mut farm = farm(10);
    for step in 1..=3 {
        // Node 2 is expelled: it never gets another file.
        rekey(&mut farm, &[0, 1], step);
    }
    let mut records = 0;
    while records < 300 {
        write(&mut farm, 0, records);
        records += 1;
    }
    farm.run(Duration::from_secs(1)).unwrap();
    assert_eq!((farm.held(1).len(), farm.held(2).len()), (300, 0));
    assert!(counters(&farm, 2).forged > 300);

    farm.run(LEAVES_BY).unwrap();
    let before = counters(&farm, 0).forged;
    write(&mut farm, 2, records);
    farm.run(Duration::from_secs(5)).unwrap();
    assert_eq!(farm.held_of(0, &key(records)), None, "the key is retired");
    assert!(counters(&farm, 0).forged > before);
    let alive = |farm: &Farm, at: usize| {
        let peers = farm.nodes[at].as_ref().unwrap().node.peers();
        peers.values().filter(|peer| peer.is_alive()).count()
    };
    assert_eq!((alive(&farm, 0), alive(&farm, 2)), (1, 0));

    // Readmitted, it goes on where it was. What it sealed with the retired key
    // is fetched once it retires that too.
    rekey(&mut farm, &[2], 3);
    farm.run(LEAVES_BY + Duration::from_secs(5)).unwrap();
    for number in 0..3 {
        assert_eq!(farm.held(number).len(), 301, "at node {number}");
    }
}

#[test]
fn who_was_away_while_a_key_was_retired_still_gets_everything() {
    let mut farm = farm(10);
    farm.network.part(vec![0, 0, 1]);
    for number in 0..100 {
        write(&mut farm, 0, number);
    }
    for step in 1..=3 {
        rekey(&mut farm, &[0, 1, 2], step);
    }
    for number in 100..200 {
        write(&mut farm, 0, number);
    }
    farm.run(LEAVES_BY).unwrap();
    farm.network.heal();
    farm.run(Duration::from_secs(10)).unwrap();
    assert_eq!(farm.held(2).len(), 200);
}
