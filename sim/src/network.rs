//! A network that loses, delays, doubles and parts packets, as a seed has it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use proto::node::Way;
use proto::rng::Rng;
use proto::time::Instant;
use proto::wire::header::Header;

/// How the network treats packets.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Packets lost at each receiver, of 1,000.
    pub loss: u64,
    /// Packets that come twice, of 1,000.
    pub doubled: u64,
    /// The shortest way takes this long.
    pub delay: Duration,
    /// And some packets up to this much longer, so that they overtake.
    pub jitter: Duration,
}

/// From which node to which, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// Who sends.
    pub from: usize,
    /// Who receives.
    pub to: usize,
    /// Whether it was sent to all, or to this one.
    pub way: Way,
}

/// A packet on its way to one node.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    arrives: Instant,
    /// Decides between packets that arrive together.
    order: u64,
    hop: Hop,
    bytes: Vec<u8>,
}

/// The network between the nodes, which are numbered.
#[derive(Debug)]
pub struct Network {
    weather: Weather,
    rng: Rng,
    flights: BinaryHeap<Reverse<Flight>>,
    order: u64,
    /// Which side of the partition each node is on; all on one when whole.
    sides: Vec<u8>,
    /// Ways that lose everything, each from one node to another.
    cut: BTreeSet<(usize, usize)>,
    /// Ways that lose all multicast.
    deaf: BTreeSet<(usize, usize)>,
    /// Who sent what, when it is kept.
    recorded: Option<Vec<(usize, Vec<u8>)>>,
    /// A digest of what was sealed under each number: it may be sent again,
    /// but never with other content.
    sealed: BTreeMap<(u128, u8, u64), u64>,
}

impl Network {
    /// A whole network without packets between `nodes` nodes.
    #[must_use]
    pub fn new(nodes: usize, weather: Weather, rng: Rng) -> Self {
        Self {
            weather,
            rng,
            flights: BinaryHeap::new(),
            order: 0,
            sides: vec![0; nodes],
            cut: BTreeSet::new(),
            deaf: BTreeSet::new(),
            recorded: None,
            sealed: BTreeMap::new(),
        }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.sides.len()
    }

    /// Parts the nodes: a packet passes only between those on one side.
    pub fn part(&mut self, sides: Vec<u8>) {
        self.sides = sides;
    }

    /// Cuts the way from one node to another, and not the way back.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    /// Has what one node sends to all no longer come, or come again, to another.
    pub fn set_deaf(&mut self, from: usize, to: usize, deaf: bool) {
        if deaf {
            self.deaf.insert((from, to));
        } else {
            self.deaf.remove(&(from, to));
        }
    }

    /// Makes the network whole, as far as it is not deaf.
    pub fn heal(&mut self) {
        self.sides.fill(0);
        self.cut.clear();
    }

    /// Keeps what is sent from here on.
    pub fn record(&mut self) {
        self.recorded = Some(Vec::new());
    }

    /// What was sent since [`Network::record`], and by whom.
    pub fn recorded(&mut self) -> Vec<(usize, Vec<u8>)> {
        self.recorded.take().unwrap_or_default()
    }

    /// Makes it a network that loses nothing.
    pub fn calm(&mut self) {
        self.weather.loss = 0;
    }

    /// Sends a packet to one node.
    pub fn send(&mut self, now: Instant, hop: Hop, bytes: &[u8]) {
        let Hop { from, to, way } = hop;
        if let Some(recorded) = &mut self.recorded {
            recorded.push((from, bytes.to_vec()));
        }
        let parted = self.sides[from] != self.sides[to] || self.cut.contains(&(from, to));
        let unheard = way == Way::Multicast && self.deaf.contains(&(from, to));
        if parted || unheard || self.rng.chance(self.weather.loss, 1_000) {
            return;
        }
        let copies = if self.rng.chance(self.weather.doubled, 1_000) { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = u64::try_from(self.weather.jitter.as_micros()).expect("short");
            // Most packets keep their order; one in ten takes its time.
            let late = if self.rng.chance(1, 10) { self.rng.below(jitter + 1) } else { 0 };
            let arrives = now + self.weather.delay + Duration::from_micros(late);
            self.order += 1;
            let flight = Flight { arrives, order: self.order, hop, bytes: bytes.to_vec() };
            self.flights.push(Reverse(flight));
        }
    }

    /// Checks that a number was never sealed with other content.
    ///
    /// # Errors
    ///
    /// When it was: AES-GCM would give its key away.
    pub fn check_nonce(&mut self, packet: &[u8]) -> Result<(), String> {
        let header = Header::decode(packet).map_err(|error| error.to_string())?;
        let number = (header.incarnation.0, header.packet_type as u8, header.sequence);
        let digest = digest(packet);
        match self.sealed.insert(number, digest) {
            Some(before) if before != digest => Err(format!("{number:?} was sealed twice")),
            Some(_) | None => Ok(()),
        }
    }

    /// When the next packet arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.flights.peek().map(|Reverse(flight)| flight.arrives)
    }

    /// The next packet that has arrived at `now`.
    pub fn arrive(&mut self, now: Instant) -> Option<(Hop, Vec<u8>)> {
        if self.next_arrival()? > now {
            return None;
        }
        self.flights.pop().map(|Reverse(flight)| (flight.hop, flight.bytes))
    }
}

/// FNV-1a, 64 bits: enough to tell two packets of a run apart.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
