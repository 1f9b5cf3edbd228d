//! Who waits for whom where nodes place records by different secrets.

use super::*;
use crate::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};
use crate::nak::sender::Destination;
use crate::node::testing::{self, address};
use crate::node::{Origin, Way};
use crate::time::{Now, Wall};

/// Nodes with a farm key in common that hand each other their packets in no
/// time, while they are there.
struct Nodes {
    now: Now,
    nodes: Vec<Option<Node>>,
    /// What the last node sends, while it is recorded.
    recorded: Option<Vec<Vec<u8>>>,
}

impl Nodes {
    /// Nodes that place records by the common key, or by another one.
    fn new(other: &[bool]) -> Self {
        let now = Now { instant: Instant::from_micros(1), wall: Wall::from_millis(1) };
        let nodes = (0..).zip(other).map(|(number, &other)| Some(node(number, other, now)));
        Self { now, nodes: nodes.collect(), recorded: None }
    }

    /// Lets time pass in steps of 10 ms.
    fn run(&mut self, seconds: u64) {
        const STEP: Duration = Duration::from_millis(10);
        let end = self.now.instant + Duration::from_secs(seconds);
        while self.now.instant < end {
            self.now.instant += STEP;
            self.now.wall = self.now.wall + STEP;
            for node in self.nodes.iter_mut().flatten() {
                node.handle_timeout(self.now);
            }
            while (0..self.nodes.len()).any(|from| self.pass(from)) {}
        }
    }

    /// Hands a packet on; false when there is none.
    fn pass(&mut self, from: usize) -> bool {
        let Some(node) = &mut self.nodes[from] else { return false };
        let Some(transmit) = node.poll_transmit(self.now) else { return false };
        let (bytes, to) = (transmit.bytes.to_vec(), transmit.to);
        for number in (0..self.nodes.len()).filter(|&number| number != from) {
            match to {
                Destination::Node(place) if place == address(number) => {
                    self.hand(number, from, Way::Unicast, &bytes);
                }
                Destination::Node(_) => {}
                Destination::Farm | Destination::Group => {
                    self.hand(number, from, Way::Multicast, &bytes);
                }
            }
        }
        let is_last = from + 1 == self.nodes.len();
        if let Some(recorded) = self.recorded.as_mut().filter(|_| is_last) {
            recorded.push(bytes);
        }
        true
    }

    fn hand(&mut self, to: usize, from: usize, way: Way, packet: &[u8]) {
        let origin = Origin { address: address(from), way };
        if let Some(node) = &mut self.nodes[to] {
            node.handle_datagram(self.now, origin, &mut packet.to_vec());
        }
    }

    #[track_caller]
    fn check(&self, ready: &[bool]) {
        let found: Vec<bool> =
            self.nodes.iter().map(|node| node.as_ref().is_some_and(Node::is_ready)).collect();
        assert_eq!(found, ready);
    }
}

/// The node of that number, which places records by another key than the one
/// that its packets are sealed by, or by the same.
fn node(number: u8, other: bool, now: Now) -> Node {
    let keys = if other { &[7, 9][..] } else { &[7] };
    let keys = keys.iter().map(|&key| FarmKey::new([key; FARM_KEY_BYTES])).collect();
    testing::node(number, Keyring::new(keys).expect("one or two keys"), 1 << 20, now)
}

#[test]
fn one_that_is_set_up_wrongly_keeps_no_farm_from_starting() {
    let mut nodes = Nodes::new(&[false, false, false, true]);
    nodes.run(10);
    nodes.check(&[false; 4]);
    nodes.run(20);
    let ready = |node: &Option<Node>| node.as_ref().is_some_and(Node::is_ready);
    assert!(nodes.nodes[..3].iter().all(ready));
    assert!(nodes.nodes[..3].iter().flatten().all(|node| node.placed_elsewhere() == 1));
}

#[test]
fn one_that_was_ready_first_keeps_no_larger_farm_from_starting() {
    let mut nodes = Nodes::new(&[false, false, false, true]);
    let late: Vec<_> = nodes.nodes[..3].iter_mut().map(Option::take).collect();
    nodes.run(2);
    nodes.check(&[false, false, false, true]);
    drop(late);
    for number in 0..3 {
        nodes.nodes[usize::from(number)] = Some(node(number, false, nodes.now));
    }
    nodes.run(40);
    nodes.check(&[true; 4]);
}

#[test]
fn who_hears_a_ready_one_founds_no_second_farm_until_it_is_gone() {
    let mut nodes = Nodes::new(&[false, true]);
    nodes.nodes[1] = None;
    nodes.run(2);
    nodes.nodes[1] = Some(node(1, true, nodes.now));
    nodes.run(60);
    nodes.check(&[true, false]);
    nodes.nodes[0] = None;
    nodes.run(20);
    nodes.check(&[false, true]);
}

#[test]
fn what_was_recorded_holds_nobody_back() {
    let mut nodes = Nodes::new(&[false, true]);
    nodes.recorded = Some(Vec::new());
    nodes.run(20);
    let recorded = nodes.recorded.take().expect("it was recorded");
    nodes.nodes = vec![Some(node(2, false, nodes.now)), None];
    for second in 0..2 {
        for packet in &recorded {
            nodes.hand(0, 1, Way::Multicast, packet);
        }
        nodes.run(1);
        let node = nodes.nodes[0].as_ref().expect("it lives");
        assert_eq!(node.placed_elsewhere(), 0, "after {second} seconds");
    }
    nodes.check(&[true, false]);
}
