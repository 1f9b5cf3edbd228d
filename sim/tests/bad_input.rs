//! Members that say what cannot be, whose clocks are wrong, or that are none;
//! and a node that did not run for a while.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, there and then")]

use std::time::Duration;

use proto::nak::acks::Ack;
use proto::node::peer::{SILENCE, State};
use proto::node::{Config, Event, Origin, Way};
use proto::record::{Body, Deadlines, Hlc, Key, Kind, MAX_SKEW, Record};
use proto::time::Wall;
use proto::wire::control::{Message, Range};
use proto::wire::header::{Header, Incarnation, MAX_SEQUENCE, PacketType};
use sim::farm::{Farm, Layout};
use sim::target::{MEMBER, NODE, Target};
use sim::weather::{Loss, Weather};

/// How many repairs a sender lets wait.
const MAX_REPAIRS: usize = 4_096;

/// A node with a member, that has sent so many packets.
fn target(packets: u64) -> Target {
    let mut target = Target::new(Config::RING_BYTES);
    target.let_member_in();
    target.publish(packets);
    target
}

fn status(stream: Incarnation, watermark: u64) -> Message {
    echo(stream, watermark, 0)
}

/// A status that sends back a heartbeat's time.
fn echo(stream: Incarnation, watermark: u64, echo_micros: u64) -> Message {
    Message::Status {
        stream,
        after: 0,
        watermark,
        reached: watermark,
        credit: 1_024,
        overflowed: 0,
        echo_micros,
        held_micros: 0,
    }
}

#[test]
fn a_node_that_did_not_run_takes_nobody_for_dead() {
    let mut target = target(1);
    target.pass(10 * SILENCE);
    let state = |target: &Target| target.node.peers()[&MEMBER].state;
    assert_eq!(state(&target), State::Alive);
    let acknowledged = |event: &Event| matches!(event, Event::Acknowledged(_));
    assert!(!target.events.iter().any(acknowledged), "the member does not have it");
    // Silence is what the node was there to hear.
    for _ in 0..=SILENCE.as_millis() / 10 {
        target.pass(Duration::from_millis(10));
    }
    assert_eq!(state(&target), State::Dead);
}

/// Whoever asks again after a round trip gets it again: here after 3 ms, when
/// the echo of a heartbeat seems to have taken ten seconds.
#[test]
fn what_waited_for_a_node_that_did_not_run_is_no_round_trip() {
    let mut target = target(10);
    target.pass(10 * SILENCE);
    target.tell(&echo(NODE, 9, 2));
    for times in 1..=3 {
        target.pass(Duration::from_millis(3));
        let ranges = vec![Range { first: 10, last: 10 }];
        target.tell(&Message::Nak { stream: NODE, ranges });
        assert_eq!(target.node.sender().sent().repairs, times);
    }
}

#[test]
fn a_status_of_a_stream_that_is_not_there_says_nothing() {
    let mut target = target(10);
    for stream in [MEMBER, Incarnation(3), Incarnation(u128::MAX)] {
        target.tell(&status(stream, 10));
        assert!(!target.node.sender().progress.one_has(1));
    }
    assert_eq!(target.node.peers().len(), 1);
    target.tell(&status(NODE, 10));
    assert!(target.node.sender().progress.one_has(10));
}

#[test]
fn a_status_that_is_far_ahead_says_no_more_than_was_sent() {
    let mut target = target(10);
    target.tell(&status(NODE, MAX_SEQUENCE));
    let progress = &target.node.sender().progress;
    assert!(progress.one_has(10) && !progress.one_has(11));
}

#[test]
fn a_request_for_everything_is_bounded_work() {
    // More than the ring has, so that the first of them are gone.
    let mut target = target(30_000);
    let everything = Range { first: 1, last: MAX_SEQUENCE };
    let pairs = (0..100).map(|pair| Range { first: 1 + 300 * pair, last: 299 + 300 * pair });
    // What cannot be in any stream, the whole stream at once, and in parts.
    for ranges in [
        vec![Range { first: MAX_SEQUENCE - 5, last: MAX_SEQUENCE }],
        vec![everything],
        pairs.collect(),
    ] {
        let repairs = target.node.sender().sent().repairs;
        let sent = target.tell(&Message::Nak { stream: NODE, ranges: ranges.clone() });
        // Beside them a few statuses, heartbeats and the word that some are gone.
        assert!(sent < MAX_REPAIRS + 10, "{sent} packets for {ranges:?}");
        let repaired = target.node.sender().sent().repairs - repairs;
        assert_eq!(repaired > 0, ranges[0].first == 1);
    }
}

#[test]
fn claims_about_other_streams_are_bounded_work() {
    let mut target = target(10);
    let everything = Range { first: 1, last: MAX_SEQUENCE };
    let heartbeat =
        Message::Heartbeat { high: MAX_SEQUENCE, time: Hlc(u64::MAX), ready: true, sent_micros: 1 };
    let unknown = Incarnation(99);
    for message in [
        heartbeat,
        Message::Gone { range: everything, logged: false },
        Message::Nak { stream: MEMBER, ranges: vec![everything] },
        Message::Nak { stream: unknown, ranges: vec![everything] },
        Message::Orphan { stream: MEMBER, watermark: MAX_SEQUENCE, beyond: vec![] },
        Message::Orphan { stream: unknown, watermark: 0, beyond: vec![everything] },
        Message::Hearing { group: false, high: MAX_SEQUENCE },
        Message::Hearing { group: true, high: MAX_SEQUENCE },
    ] {
        for _ in 0..1_000 {
            let sent = target.tell(&message);
            assert!(sent < 10, "{sent} packets for {message:?}");
        }
    }
    assert_eq!(target.node.peers().len(), 1);
}

#[test]
fn a_flood_of_forged_packets_changes_nothing() {
    const PACKETS: u64 = 20_000;
    let mut target = target(10);
    let key_id = target.node.keyring().sealing().id();
    let held = target.holdings.stats().records;
    // In the names of the member, of others, of their later streams; and with
    // a key that is none of the farm's.
    for number in 0..PACKETS {
        let stranger = Incarnation(u128::from(number) << 64);
        let header = Header {
            packet_type: if number % 3 == 0 { PacketType::Control } else { PacketType::Data },
            flags: 0,
            key_id: if number % 5 == 0 { key_id.wrapping_add(1) } else { key_id },
            incarnation: if number % 2 == 0 { MEMBER } else { stranger },
            sequence: if number % 7 == 0 { number << 30 | 1 } else { number % 1_000 + 1_000 },
        };
        let mut packet = [0; 1_400];
        packet[..header.encode().len()].copy_from_slice(&header.encode());
        let origin = Origin { address: "10.9.9.9:9".parse().unwrap(), way: Way::Multicast };
        target.node.handle_datagram(target.now(), origin, &mut packet);
    }
    let counters = target.node.counters();
    assert_eq!(counters.forged + counters.replayed, PACKETS);
    assert!(counters.forged > PACKETS * 9 / 10, "{counters:?}");
    assert_eq!(target.node.peers().len(), 1);
    assert_eq!(target.holdings.stats().records, held);
    assert_eq!(target.node.peers()[&MEMBER].receiver.high(), 0);
    assert!(target.pass(Duration::ZERO) < 5, "nobody is answered");
    // Who is a member is heard on.
    target.tell(&status(NODE, 10));
    assert!(target.node.sender().progress.one_has(10));
}

fn farm() -> Farm {
    let weather = Weather {
        loss: Loss::Independent(10),
        doubled: 10,
        ..Weather::calm(Duration::from_micros(50))
    };
    let mut farm = Farm::new(Layout { compares: true, ..Layout::of(3, weather) }, 1);
    farm.run(Duration::from_secs(2)).unwrap();
    farm
}

/// Writes a record at a node. Gives the version's time.
fn write(farm: &mut Farm, at: usize, number: u64) -> Hlc {
    let key = Key::new(Kind::Tls, &number.to_be_bytes()).unwrap();
    let written = farm.write(at, Ack::Local, |version, wall| {
        // Longer than the clocks differ.
        let deadlines = Deadlines::at(wall + Duration::from_secs(24 * 3_600));
        Record { key, version, deadlines, body: Body::Value(b"value") }
    });
    farm.run(Duration::from_millis(10)).unwrap();
    written.unwrap().holding.version.time
}

#[test]
fn clocks_that_are_hours_off_mislead_nobody() {
    const HOURS: i64 = 5 * 3_600_000;
    let mut farm = farm();
    let before = write(&mut farm, 0, 0);
    farm.set_clock(1, HOURS);
    farm.set_clock(2, -HOURS);
    for number in 1..100 {
        write(&mut farm, usize::try_from(number % 3).unwrap(), number);
    }
    farm.run(Duration::from_secs(5)).unwrap();
    let ahead = |at: usize| farm.nodes[at].as_ref().unwrap().node.counters().clocks_ahead;
    assert!(ahead(0) > 0, "node 1 is ahead of node 0");
    assert!(ahead(2) > 0, "both are ahead of node 2");
    assert_eq!(ahead(1), 0);
    for at in 0..3 {
        assert_eq!(farm.held(at).len(), 100, "at node {at}");
    }
    assert!(farm.held(0) == farm.held(1) && farm.held(1) == farm.held(2));
    // Node 0 follows its own clock still, but for what is allowed.
    let after = write(&mut farm, 0, 100);
    let passed = Duration::from_secs(10) + MAX_SKEW;
    assert!(after < Hlc::at(Wall::from_millis(before.0 >> 16) + passed), "{before:?} {after:?}");
    // With the clocks right again everybody is in step at once.
    farm.set_clock(1, 0);
    farm.set_clock(2, 0);
    write(&mut farm, 2, 101);
    farm.run(Duration::from_secs(1)).unwrap();
    assert!((0..3).all(|at| farm.held(at).len() == 102));
}
