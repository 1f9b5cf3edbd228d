//! What is noticed of the ways between two nodes, and what is done about it.

use std::sync::Arc;

use super::*;
use crate::cluster::portion::Portion;
use crate::holdings::Holdings;
use crate::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};
use crate::nak::acks::{Ack, WriteId};
use crate::nak::sender::Destination;
use crate::nak::spacing::Spacing;
use crate::nak::stage::Stage;
use crate::node::Config;
use crate::record::{Body, Deadlines, HybridClock, Key, Kind, Record, Version};
use crate::table::{self, Table};
use crate::time::Wall;
use crate::wire::control::Range;
use crate::wire::frame::Frame;
use crate::wire::header::PacketType;

const START: Instant = Instant::from_micros(1_000_000);
const HEARTBEAT: Duration = Duration::from_millis(500);

/// What becomes of a peer whose heartbeats come by the group, or not, one by
/// one: the way after each.
#[track_caller]
fn check_hearing(heartbeats: &[(bool, usize)], expected: &[(Way, usize)]) {
    let mut hearing = Hearing::new(START, Way::Multicast);
    let mut now = START;
    let mut ways: Vec<(Way, usize)> = Vec::new();
    for &(comes, times) in heartbeats {
        for _ in 0..times {
            now += HEARTBEAT;
            hearing.look(now);
            if comes {
                hearing.heard(now);
            }
            match ways.last_mut() {
                Some((way, times)) if *way == hearing.way() => *times += 1,
                _ => ways.push((hearing.way(), 1)),
            }
        }
    }
    assert_eq!(ways, expected);
}

#[test]
fn two_lost_heartbeats_change_nothing() {
    check_hearing(
        &[(true, 5), (false, 2), (true, 5), (false, 2), (true, 1)],
        &[(Way::Multicast, 15)],
    );
}

#[test]
fn a_silence_is_noticed_and_its_end_has_to_prove_itself() {
    // Within the first minute the proof takes two seconds: four heartbeats
    // after the first.
    check_hearing(
        &[(true, 10), (false, 10), (true, 10)],
        &[(Way::Multicast, 13), (Way::Unicast, 11), (Way::Multicast, 6)],
    );
    // One lost heartbeat does not count against it, two do.
    check_hearing(
        &[(false, 4), (true, 2), (false, 1), (true, 3)],
        &[(Way::Multicast, 3), (Way::Unicast, 5), (Way::Multicast, 2)],
    );
    check_hearing(
        &[(false, 4), (true, 3), (false, 2), (true, 5)],
        &[(Way::Multicast, 3), (Way::Unicast, 10), (Way::Multicast, 1)],
    );
}

#[test]
fn a_way_that_does_not_hold_is_trusted_ever_more_slowly() {
    let mut hearing = Hearing::new(START, Way::Multicast);
    let mut now = START;
    let mut proofs = Vec::new();
    for held in [1, 1, 1, 1, 1, 1, 1, 1, 120] {
        now += SILENT;
        hearing.look(now);
        assert_eq!(hearing.way(), Way::Unicast);
        now += PAUSE;
        let silence_ended = now;
        while hearing.way() == Way::Unicast {
            hearing.heard(now);
            now += HEARTBEAT;
        }
        proofs.push((now - silence_ended).as_secs());
        for _ in 0..2 * held {
            hearing.heard(now);
            now += HEARTBEAT;
        }
    }
    assert_eq!(proofs, [2, 4, 8, 16, 32, 64, 64, 64, 64]);
    now += SILENT;
    hearing.look(now);
    assert_eq!((hearing.way(), hearing.proof), (Way::Unicast, PROOF));
}

/// Nodes that hand each other their packets in no time; but what they send to
/// the group comes only where `hears` says so.
struct Farm {
    now: Now,
    nodes: Vec<Node>,
    /// Where the second hears what the first sends to the group.
    hears: Vec<(usize, usize)>,
    /// Data packets that came, by way.
    data: [u64; 2],
    written: u64,
}

impl Farm {
    /// Nodes with a group, or without, that do not hear each other by it where
    /// `deaf` says so, and have met.
    fn new(groups: &[bool], deaf: &[(usize, usize)]) -> Self {
        let now = Now { instant: START, wall: Wall::from_millis(1) };
        let nodes: Vec<Node> =
            groups.iter().enumerate().map(|(number, &group)| node(number, group, now)).collect();
        let pairs = (0..nodes.len()).flat_map(|a| (0..nodes.len()).map(move |b| (a, b)));
        let hears = pairs
            .filter(|&(from, to)| from != to && groups[to] && !deaf.contains(&(from, to)))
            .collect();
        let mut farm = Self { now, nodes, hears, data: [0; 2], written: 0 };
        farm.run(Duration::from_secs(3));
        let others = groups.len() - 1;
        assert!(farm.nodes.iter().all(|node| node.is_ready() && node.alive().count() == others));
        farm
    }

    /// Lets time pass in steps of 5 ms.
    fn run(&mut self, duration: Duration) {
        const STEP: Duration = Duration::from_millis(5);
        let end = self.now.instant + duration;
        while self.now.instant < end {
            self.now.instant += STEP;
            self.now.wall = self.now.wall + STEP;
            for node in &mut self.nodes {
                node.handle_timeout(self.now);
            }
            while (0..self.nodes.len()).any(|from| self.pass(from)) {}
        }
    }

    /// Hands a node's next packet to those that it comes to; false when there
    /// is none.
    fn pass(&mut self, from: usize) -> bool {
        let node = &mut self.nodes[from];
        let (group, copies) = (node.sends_to_group(), node.unicast().to_vec());
        let Some(transmit) = node.poll_transmit(self.now) else { return false };
        let (group, copies) = match transmit.to {
            Destination::Farm => (group, copies),
            Destination::Group => (true, Vec::new()),
            Destination::Node(address) => (false, vec![address]),
        };
        let bytes = transmit.bytes.to_vec();
        for to in 0..self.nodes.len() {
            if group && self.hears.contains(&(from, to)) {
                self.hand(from, to, Way::Multicast, &bytes);
            }
            if copies.contains(&address(to)) {
                self.hand(from, to, Way::Unicast, &bytes);
            }
        }
        true
    }

    fn hand(&mut self, from: usize, to: usize, way: Way, run: &[u8]) {
        for packet in run.chunks(crate::wire::MAX_PACKET_BYTES) {
            let is_data = packet[1] == PacketType::Data as u8;
            self.data[way as usize] += u64::from(is_data);
            let origin = Origin { address: address(from), way };
            self.nodes[to].handle_datagram(self.now, origin, &mut packet.to_vec());
        }
    }

    /// Writes at a node; gives how many data packets came, and by which way,
    /// until everybody has what was written.
    fn write(&mut self, at: usize) -> [u64; 2] {
        self.written += 1;
        let node = &mut self.nodes[at];
        let key = Key::new(Kind::Web, &self.written.to_be_bytes()).unwrap();
        let deadlines = Deadlines::at(Wall::MAX);
        let record =
            Record { key, version: Version::default(), deadlines, body: Body::Value(&[7; 900]) };
        node.holdings.apply(&record, self.now.wall);
        let hash = node.holdings.hash(&key);
        let mut stage = Stage::default();
        stage.push(&Frame::Record(record), &[hash], Ack::All, WriteId(self.written));
        stage.end_packet();
        node.take(&mut stage);
        self.data = [0; 2];
        self.run(Duration::from_millis(100));
        for node in &self.nodes {
            assert_eq!(node.holdings.stats().records, self.written);
        }
        self.data
    }

    /// Where what a node has for the farm goes: to the group, and to whom else.
    fn goes(&self, from: usize) -> (bool, Vec<usize>) {
        let node = &self.nodes[from];
        let copies = (0..self.nodes.len()).filter(|&to| node.unicast().contains(&address(to)));
        (node.sends_to_group(), copies.collect())
    }
}

fn address(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7_700 + u16::try_from(number).unwrap()))
}

fn node(number: usize, multicast: bool, now: Now) -> Node {
    let keyring = Keyring::new(vec![FarmKey::new([7; FARM_KEY_BYTES])]).unwrap();
    let placement_secret = keyring.placement_secret();
    let table = table::Config { capacity_bytes: 1 << 20, placement_secret, own_secret: [3; 32] };
    let config = Config {
        name: format!("node-{number}"),
        incarnation: Incarnation(number as u128 + 1),
        keyring,
        begins_after: 0,
        address: address(number),
        multicast,
        peers: (0..number).map(address).collect(),
        ring_bytes: 64 << 10,
        credit: 100,
        portion: Portion::default(),
        compare_every: Duration::MAX,
        lookup_timeout: Config::LOOKUP_TIMEOUT,
        seed: [u8::try_from(number).unwrap(); 32],
    };
    Node::new(
        config,
        Arc::new(Holdings::new(Table::new(table))),
        Arc::new(HybridClock::default()),
        now,
    )
}

#[test]
fn where_all_hear_the_group_nothing_is_sent_twice() {
    let mut farm = Farm::new(&[true; 3], &[]);
    assert_eq!(farm.goes(0), (true, vec![]));
    assert_eq!(farm.write(0), [2, 0]);
}

#[test]
fn who_does_not_hear_the_group_is_sent_copies() {
    let mut farm = Farm::new(&[true; 3], &[(0, 2)]);
    assert_eq!(farm.goes(0), (true, vec![2]));
    assert_eq!(farm.goes(1), (true, vec![]));
    // The way back is another one.
    assert_eq!(farm.goes(2), (true, vec![]));
    assert_eq!(farm.write(0), [1, 1]);
    assert_eq!(farm.nodes[2].peers[&Incarnation(1)].heard_by(), Way::Unicast);
    assert_eq!(farm.nodes[0].peers[&Incarnation(3)].by, Way::Unicast);
    assert_eq!(farm.nodes[1].peers[&Incarnation(1)].heard_by(), Way::Multicast);
}

#[test]
fn where_nobody_hears_the_group_data_do_not_go_there() {
    let mut farm = Farm::new(&[true; 3], &[(0, 1), (0, 2)]);
    assert_eq!(farm.goes(0), (false, vec![1, 2]));
    assert_eq!(farm.write(0), [0, 2]);
    // Once it works it is found: the heartbeats go there.
    farm.hears.extend([(0, 1), (0, 2)]);
    farm.run(Duration::from_secs(4));
    assert_eq!(farm.goes(0), (true, vec![]));
    assert_eq!(farm.write(0), [2, 0]);
}

#[test]
fn a_node_without_multicast_is_one_of_the_farm() {
    let mut farm = Farm::new(&[true, true, false], &[]);
    assert_eq!(farm.goes(0), (true, vec![2]));
    assert_eq!(farm.goes(2), (false, vec![0, 1]));
    let replayed = |farm: &Farm| farm.nodes.iter().map(|node| node.counters.replayed).sum::<u64>();
    let before = replayed(&farm);
    assert_eq!(farm.write(1), [1, 1]);
    assert_eq!(farm.write(2), [0, 2]);
    assert_eq!(replayed(&farm), before, "nothing came twice");
}

#[test]
fn multicast_that_ends_is_missed_by_nobody_and_taken_up_again() {
    let mut farm = Farm::new(&[true; 3], &[]);
    farm.hears.retain(|&pair| pair != (0, 2));
    // Repaired at once, until it is noticed; then sent.
    assert_eq!(farm.write(0), [1, 1]);
    assert_eq!(farm.goes(0), (true, vec![]));
    assert_eq!(farm.nodes[0].sender.sent().repairs, 1);
    farm.run(Duration::from_secs(2));
    assert_eq!(farm.goes(0), (true, vec![2]));
    assert_eq!(farm.write(0), [1, 1]);
    assert_eq!(farm.nodes[0].sender.sent().repairs, 1);
    farm.hears.push((0, 2));
    farm.run(Duration::from_secs(4));
    assert_eq!(farm.goes(0), (true, vec![]));
    assert_eq!(farm.write(0), [2, 0]);
}

#[test]
fn who_did_not_run_takes_nobody_for_unheard() {
    let mut farm = Farm::new(&[true; 3], &[]);
    farm.now.instant += 10 * SILENT;
    farm.run(Duration::from_secs(1));
    for number in 0..3 {
        assert_eq!(farm.goes(number), (true, vec![]));
    }
}

#[test]
fn among_many_who_asks_is_heard_by_those_who_do_not_hear_the_group_too() {
    let mut groups = [true; 11];
    groups[10] = false;
    let mut farm = Farm::new(&groups, &[]);
    let (stream, range) = (Incarnation(1), Range { first: 1, last: 1 });
    for (asker, other) in [(1, 10), (10, 1)] {
        let peer = farm.nodes[other].peers.get_mut(&stream).unwrap();
        peer.receiver.handle_high(farm.now.instant, 1, &peer.rtt, Duration::ZERO);
        let nak = Message::Nak { stream, ranges: vec![range] };
        farm.nodes[asker].outbox.push_to_farm(&nak);
        while farm.pass(asker) {}
        assert_eq!(farm.nodes[other].counters.naks_suppressed, 1, "{other}");
    }
}

#[test]
fn who_is_no_longer_heard_is_told_at_once() {
    let mut farm = Farm::new(&[true; 3], &[]);
    let now = farm.now.instant + SILENT;
    let node = &mut farm.nodes[2];
    node.peers.get_mut(&Incarnation(2)).unwrap().hearing.heard(now);
    node.look_for_deafness(now);
    let due = |stream| {
        let receiver = &node.peers[&Incarnation(stream)].receiver;
        receiver.status_timeout(&Spacing::of(1_000))
    };
    assert_eq!(due(1), now);
    assert_ne!(due(2), now);
    assert!(node.poll_timeout().unwrap().0 <= now);
}

#[test]
fn among_many_it_is_asked_for_all_while_few_get_copies() {
    let check = |without_group: usize, expected: bool| {
        let mut groups = [true; 20];
        groups[1..=without_group].fill(false);
        let farm = Farm::new(&groups, &[]);
        assert_eq!(farm.nodes[0].asks_for_all(), expected, "{without_group}");
        assert!(without_group == 0 || !farm.nodes[1].asks_for_all());
    };
    check(0, true);
    check(8, true);
    check(9, false);
}

#[test]
fn a_status_that_was_overtaken_changes_nothing() {
    let mut farm = Farm::new(&[true; 3], &[(0, 2)]);
    for group in [true, false, true] {
        farm.nodes[0].handle_hearing(farm.now, Incarnation(3), group, 0);
    }
    // The first is believed, and what it says next comes half a second later.
    assert_eq!(farm.goes(0), (true, vec![]));
    farm.run(OVERTAKEN + Duration::from_millis(100));
    assert_eq!(farm.goes(0), (true, vec![2]));
}
