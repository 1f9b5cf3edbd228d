//! A sender and a receiver that step through virtual time together.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::acks::{Ack, WriteId};
use super::gaps::MAX_GAPS;
use super::progress::{FLOW_PACKETS, Report};
use super::receiver::Receiver;
use super::rtt::Rtt;
use super::sender::{Destination, Sender};
use super::stage::Stage;
use crate::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};
use crate::record::{Hlc, KeyHash, Touch};
use crate::rng::Rng;
use crate::seal::Sealer;
use crate::time::{Instant, Wall};
use crate::wire::MAX_PACKET_BYTES;
use crate::wire::control::Range;
use crate::wire::frame::Frame;
use crate::wire::header::{Header, Incarnation, PacketType};

const RECEIVER: Incarnation = Incarnation(2);
const OTHER: Incarnation = Incarnation(3);
/// What a packet takes from one to the other.
const WAY: Duration = Duration::from_micros(100);

struct Pair {
    now: Instant,
    sender: Sender,
    receiver: Receiver,
    rtt: Rtt,
    rng: Rng,
    /// The packets that are lost the next time that they are sent.
    lost: BTreeSet<u64>,
    /// Packets that came although they were there already.
    duplicates: usize,
    gone: Vec<Range>,
}

impl Pair {
    fn new(ring_packets: usize) -> Self {
        let keyring = Keyring::new(vec![FarmKey::new([1; FARM_KEY_BYTES])]).unwrap();
        let sealer = Sealer::new(&keyring, Incarnation(1), PacketType::Data, 0);
        let now = Instant::from_micros(1_000_000);
        let mut sender = Sender::new(sealer, ring_packets * MAX_PACKET_BYTES);
        sender.join(now, RECEIVER);
        Self {
            now,
            sender,
            receiver: Receiver::new(now, 0),
            rtt: Rtt::default(),
            rng: Rng::from_u64(1),
            lost: BTreeSet::new(),
            duplicates: 0,
            gone: Vec::new(),
        }
    }

    /// Pushes so many packets of one small frame each.
    fn push(&mut self, packets: u64) {
        for _ in 0..packets {
            let hash = KeyHash(self.sender.high() + 1);
            let touch = Touch { hash, time: Hlc(1), idle: Wall::from_millis(1) };
            self.push_frame(&Frame::Touch(touch), hash);
        }
    }

    /// Pushes a frame, in packets of its own.
    fn push_frame(&mut self, frame: &Frame<'_>, key: KeyHash) {
        let mut stage = Stage::default();
        stage.push(frame, &[key], Ack::Local, WriteId(0));
        stage.end_packet();
        for staged in stage.packets() {
            self.sender.take(staged);
        }
    }

    /// Sends what may be sent. Gives the packets' numbers.
    fn send(&mut self) -> Vec<u64> {
        let mut sent = Vec::new();
        while let Some(transmit) = self.sender.poll_transmit(self.now) {
            for packet in transmit.bytes.chunks(MAX_PACKET_BYTES) {
                sent.push(Header::decode(packet).unwrap().sequence);
            }
        }
        self.now += WAY;
        for &sequence in sent.iter().filter(|sequence| !self.lost.remove(sequence)) {
            if self.receiver.wants(sequence) {
                let back_off = Duration::ZERO;
                self.receiver.handle_packet(self.now, sequence, &mut self.rtt, back_off);
            } else {
                self.duplicates += 1;
            }
        }
        sent
    }

    /// Lets time pass to what is due next, and does it.
    fn step(&mut self) {
        let heartbeat = self.sender.heartbeat_timeout();
        let due = self.receiver.nak_timeout().into_iter().chain(self.sender.pace_timeout());
        let due = due.chain([heartbeat]).min();
        self.now = self.now.max(due.unwrap());
        if let Some(high) = self.sender.poll_heartbeat(self.now) {
            self.receiver.handle_high(self.now + WAY, high, &self.rtt, Duration::ZERO);
        }
        if let Some(ranges) = self.receiver.poll_nak(self.now, &mut self.rng, Duration::ZERO) {
            self.now += WAY;
            let gone = self.sender.handle_nak(self.now, asker(1), &ranges, self.rtt.mean());
            self.gone.extend(gone);
        }
        self.report(RECEIVER, self.receiver.watermark());
        self.send();
    }

    fn report(&mut self, receiver: Incarnation, watermark: u64) {
        let report =
            Report { after: 0, watermark, reached: watermark, credit: u32::MAX, overflowed: 0 };
        self.sender.handle_status(self.now, receiver, &report);
    }
}

fn asker(number: u16) -> Destination {
    Destination::Node(SocketAddr::from(([10, 0, 0, 1], number)))
}

#[test]
fn a_lost_packet_is_asked_for_and_repaired() {
    let mut pair = Pair::new(100);
    pair.lost.extend([3, 4, 7]);
    pair.push(10);
    pair.send();
    assert_eq!(pair.receiver.watermark(), 2);
    pair.step();
    assert_eq!((pair.receiver.watermark(), pair.duplicates), (10, 0));
    assert_eq!(pair.sender.sent().repairs, 3);
}

#[test]
fn a_lost_repair_is_asked_for_again() {
    let mut pair = Pair::new(100);
    pair.push(2);
    pair.lost.insert(1);
    pair.send();
    pair.lost.insert(1);
    (0..5).for_each(|_| pair.step());
    assert_eq!((pair.receiver.watermark(), pair.sender.sent().repairs), (2, 2));
}

#[test]
fn when_everybody_has_everything_no_heartbeat_says_so() {
    let mut pair = Pair::new(64);
    pair.push(1);
    pair.send();
    let first = pair.sender.heartbeat_timeout();
    pair.report(RECEIVER, pair.receiver.watermark());
    assert!(pair.sender.heartbeat_timeout() > first + Duration::from_millis(400));

    // It comes in time even if there is always something new.
    let idle = pair.sender.heartbeat_timeout();
    while pair.now < idle {
        pair.push(1);
        pair.send();
        pair.now += Duration::from_micros(900);
    }
    assert!(pair.sender.poll_heartbeat(pair.now).is_some());
}

#[test]
fn who_comes_back_without_the_tail_is_soon_told_of_it() {
    let mut pair = Pair::new(64);
    pair.sender.join(pair.now, OTHER);
    pair.sender.progress.leave(RECEIVER);
    pair.push(1);
    pair.send();
    pair.report(OTHER, 1);
    assert!(pair.sender.heartbeat_timeout() > pair.now + Duration::from_millis(400));
    pair.sender.join(pair.now, RECEIVER);
    assert!(pair.sender.heartbeat_timeout() <= pair.now + Duration::from_millis(1));
    pair.now = pair.sender.heartbeat_timeout();
    assert_eq!(pair.sender.poll_heartbeat(pair.now), Some(1));
}

#[test]
fn a_lost_tail_is_found_by_the_heartbeat() {
    let mut pair = Pair::new(100);
    pair.lost.extend([4, 5]);
    pair.push(5);
    pair.send();
    assert_eq!(pair.receiver.nak_timeout(), None, "nothing shows the loss");
    let sent = pair.now;
    (0..2).for_each(|_| pair.step());
    assert_eq!(pair.receiver.watermark(), 5);
    assert!(pair.now - sent < Duration::from_millis(3), "within a few heartbeats");
}

#[test]
fn what_the_ring_has_let_go_is_gone_and_its_keys_are_known() {
    let mut pair = Pair::new(4);
    pair.lost.extend(1..=8);
    for _ in 0..10 {
        pair.push(1);
        pair.send();
    }
    pair.step();
    let gone = Range { first: 1, last: 6 };
    assert_eq!(pair.gone, [gone]);
    assert!(pair.sender.log().covers(gone));
    assert_eq!(pair.sender.log().entry(0), Some((1, KeyHash(1))));
    pair.receiver.fill(pair.now, gone);
    assert_eq!(pair.receiver.watermark(), 10, "7 and 8 were repaired");
}

#[test]
fn a_repeated_request_is_not_repaired_twice() {
    let mut pair = Pair::new(100);
    pair.push(5);
    pair.send();
    let ranges = [Range { first: 2, last: 3 }];
    let round_trip = Duration::from_micros(200);
    for _ in 0..3 {
        pair.sender.handle_nak(pair.now, asker(1), &ranges, round_trip);
    }
    assert_eq!(pair.send(), [2, 3]);
    pair.sender.handle_nak(pair.now, asker(1), &ranges, round_trip);
    assert!(pair.send().is_empty(), "the repair is on its way");
    pair.now += Duration::from_millis(2);
    pair.sender.handle_nak(pair.now, asker(1), &ranges, round_trip);
    assert_eq!(pair.send(), [2, 3]);
}

#[test]
fn what_two_ask_for_goes_to_all() {
    let mut pair = Pair::new(100);
    pair.push(5);
    pair.send();
    pair.sender.handle_nak(pair.now, asker(1), &[Range { first: 2, last: 3 }], WAY);
    pair.sender.handle_nak(pair.now, asker(2), &[Range { first: 3, last: 3 }], WAY);
    let destinations: Vec<Destination> = std::iter::from_fn(|| {
        let transmit = pair.sender.poll_transmit(pair.now)?;
        Some(transmit.to)
    })
    .collect();
    assert_eq!(destinations, [asker(1), Destination::Farm]);
}

#[test]
fn who_asks_just_after_another_was_repaired_does_not_wait() {
    let mut pair = Pair::new(100);
    pair.push(5);
    pair.send();
    let mut ask = |number: u16| {
        pair.sender.handle_nak(pair.now, asker(number), &[Range { first: 2, last: 2 }], WAY);
        pair.sender.poll_transmit(pair.now).map(|transmit| transmit.to)
    };
    assert_eq!(ask(1), Some(asker(1)));
    assert_eq!(ask(1), None, "it is on its way");
    assert_eq!(ask(2), Some(Destination::Farm));
    assert_eq!((ask(3), ask(2), ask(1)), (None, None, None), "to all of them");
}

#[test]
fn the_slowest_receiver_shuts_the_window() {
    let mut pair = Pair::new(8_192);
    pair.sender.join(pair.now, OTHER);
    pair.report(RECEIVER, 0);
    pair.report(OTHER, 0);
    pair.push(FLOW_PACKETS + 500);
    pair.send();
    assert_eq!(pair.sender.sent_high(), FLOW_PACKETS);
    pair.report(RECEIVER, FLOW_PACKETS);
    pair.send();
    assert_eq!(pair.sender.sent_high(), FLOW_PACKETS, "the other one has nothing");
    pair.report(OTHER, 100);
    pair.send();
    assert_eq!(pair.sender.sent_high(), FLOW_PACKETS + 100);
}

#[test]
fn who_follows_from_between_the_fragments_of_a_frame_gets_it_as_a_whole() {
    let mut pair = Pair::new(100);
    pair.report(RECEIVER, 0);
    pair.push(1);
    let payload = vec![0; 60 * MAX_PACKET_BYTES];
    pair.push_frame(&Frame::Record(large_record(&payload)), KeyHash(1));
    // The one before it, a run of it, and no more.
    pair.sender.poll_transmit(pair.now).unwrap();
    pair.sender.poll_transmit(pair.now).unwrap();
    assert!(pair.sender.sent_high() > 10);
    assert_eq!(pair.sender.whole_sent_high(), 1);
    pair.send();
    assert_eq!(pair.sender.whole_sent_high(), pair.sender.high());
}

#[test]
fn a_frame_larger_than_the_ring_does_not_stop_the_stream() {
    let mut pair = Pair::new(4);
    let payload = vec![0; 10 * MAX_PACKET_BYTES];
    pair.push_frame(&Frame::Record(large_record(&payload)), KeyHash(1));
    pair.send();
    assert_eq!(pair.sender.sent_high(), pair.sender.high());
    pair.step();
    let floor = pair.sender.high() - 3;
    assert_eq!(pair.gone, [Range { first: 1, last: floor - 1 }]);
}

#[test]
fn more_gaps_than_there_is_room_for_are_found_later() {
    let mut pair = Pair::new(4 * MAX_GAPS);
    let last = 2 * MAX_GAPS as u64 + 200;
    pair.lost.extend((1..=last).step_by(2));
    // Nobody's progress holds the window: it does not count here.
    pair.push(last);
    pair.send();
    for _ in 0..2_000 {
        pair.step();
    }
    assert_eq!(pair.receiver.watermark(), last);
}

fn large_record(payload: &[u8]) -> crate::record::Record<'_> {
    use crate::record::{Body, Deadlines, Key, Kind, Record, Version};
    Record {
        key: Key::new(Kind::Web, b"large").unwrap(),
        version: Version::default(),
        deadlines: Deadlines::at(Wall::MAX),
        body: Body::Value(payload),
    }
}
