//! What is found, and what of it is fetched.

use super::*;
use crate::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};
use crate::nak::sender::Destination;
use crate::node::testing::{self, address};
use crate::node::{Config, Origin, Way};
use crate::record::{Body, Deadlines, Key, Kind, Record, Version};
use crate::time::{Now, Wall};

const RANGE: KeyRange = KeyRange(7);

/// Takes in what is told of a range, and fetches it when it differs still.
#[track_caller]
fn check(told: &[[u64; 2]], expected: &[Found]) {
    let mut differences = Differences::default();
    let found: Vec<Found> = told
        .iter()
        .map(|&digests| {
            let found = differences.compare(RANGE, digests);
            if found == Found::DiffersStill {
                differences.fetch(Instant::default(), &[RANGE]);
            }
            found
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn what_was_on_its_way_is_not_fetched() {
    use Found::{Differs, Nothing};
    check(&[[1, 2], [2, 2], [3, 2]], &[Differs, Nothing, Differs]);
}

#[test]
fn what_differs_still_is_fetched_once() {
    use Found::{Differs, DiffersOtherwise, DiffersStill, Nothing};
    check(&[[1, 2]; 4], &[Differs, DiffersStill, Nothing, Nothing]);
    check(
        &[[1, 2], [1, 2], [1, 3], [1, 3]],
        &[Differs, DiffersStill, DiffersOtherwise, DiffersStill],
    );
}

#[test]
fn what_was_dropped_for_room_is_no_difference_while_it_may_live() {
    let mut shortage = Shortage::default();
    let check = |shortage: &mut Shortage, hours: u64, dropped, short| {
        let now = Instant::default() + Duration::from_secs(hours * 3_600);
        shortage.look(now, dropped);
        assert_eq!(shortage.until.is_some(), short, "after {hours} hours");
    };
    check(&mut shortage, 1, 0, false);
    check(&mut shortage, 2, 5, true);
    check(&mut shortage, 20, 6, true);
    check(&mut shortage, 43, 6, true);
    check(&mut shortage, 44, 6, false);
    check(&mut shortage, 45, 7, true);
}

/// Two nodes that hand each other their packets in no time.
struct Pair {
    now: Now,
    nodes: [Node; 2],
}

impl Pair {
    /// Nodes that have met. The first has room for so many bytes.
    fn new(capacity_bytes: usize) -> Self {
        let now = Now { instant: Instant::from_micros(1), wall: Wall::from_millis(1) };
        let nodes = [0, 1].map(|number| node(number, capacity_bytes, now));
        let mut pair = Self { now, nodes };
        pair.run(Duration::from_secs(3), |_| ());
        assert!(pair.nodes.iter().all(|node| node.comparing() && node.peers.len() == 1));
        pair
    }

    /// Lets time pass in steps of 10 ms.
    fn run(&mut self, duration: Duration, mut each_step: impl FnMut(&mut Self)) {
        const STEP: Duration = Duration::from_millis(10);
        let end = self.now.instant + duration;
        while self.now.instant < end {
            self.now.instant += STEP;
            self.now.wall = self.now.wall + STEP;
            each_step(self);
            for node in &mut self.nodes {
                node.handle_timeout(self.now);
            }
            while (0..2).any(|from| self.pass(from)) {}
        }
    }

    /// Hands the other node a packet; false when there is none.
    fn pass(&mut self, from: usize) -> bool {
        let Some(transmit) = self.nodes[from].poll_transmit(self.now) else { return false };
        let mut bytes = transmit.bytes.to_vec();
        let way = if transmit.to == Destination::Farm { Way::Multicast } else { Way::Unicast };
        let origin = Origin { address: address(from), way };
        self.nodes[1 - from].handle_datagram(self.now, origin, &mut bytes);
        true
    }
}

fn node(number: u8, capacity_bytes: usize, now: Now) -> Node {
    let keyring = Keyring::new(vec![FarmKey::new([7; FARM_KEY_BYTES])]).unwrap();
    testing::node(number, keyring, capacity_bytes, now)
}

#[test]
fn false_digests_cost_few_ranges_and_one_pull_at_a_time() {
    let mut pair = Pair::new(1 << 20);
    let liar = pair.nodes[1].config.incarnation;
    let before = pair.nodes[0].counters.ranges_fetched;
    let mut told = 0;
    pair.run(Duration::from_secs(20), |pair| {
        told += 1;
        // The same twice, so that all of it differs still; then others.
        let digests = [told / 2 + 1; MAX_DIGESTS];
        for first in [KeyRange(0), KeyRange(128)] {
            pair.nodes[0].handle_digests(pair.now.instant, liar, first, &digests);
        }
    });
    let fetched = pair.nodes[0].counters.ranges_fetched - before;
    let most = 20 * 2 * MAX_FETCHED as u64;
    assert!((1..=most).contains(&fetched), "{fetched} of {told} times 256");
}

#[test]
fn a_node_that_is_short_of_room_says_that_it_does_not_compare() {
    let mut pair = Pair::new(64 << 10);
    for number in 0..2_000_u64 {
        let key = Key::new(Kind::Web, &number.to_be_bytes()).unwrap();
        let (version, deadlines) = (Version::default(), Deadlines::at(Wall::MAX));
        let record = Record { key, version, deadlines, body: Body::Value(&[7; 200]) };
        pair.nodes[0].holdings.apply(&record, pair.now.wall);
    }
    assert!(pair.nodes[0].holdings.stats().evicted > 0);
    pair.run(Config::COMPARE_EVERY, |_| ());
    assert!(!pair.nodes[0].comparing());
    assert!(pair.nodes[1].comparing());
    assert_eq!(pair.nodes[0].counters.ranges_fetched, 0);
}
