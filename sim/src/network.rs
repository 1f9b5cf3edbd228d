//! A network that loses, delays, doubles and parts packets, as a seed has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proto::node::Way;
use proto::rng::Rng;
use proto::time::Instant;

use crate::weather::{Path, Weather};

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
#[derive(Debug)]
pub(crate) struct Flight {
    /// Who sent it, whom it reaches, and how.
    pub(crate) hop: Hop,
    /// The packet.
    pub(crate) bytes: Arc<[u8]>,
}

/// The network between the nodes, which are numbered.
#[derive(Debug)]
pub struct Network {
    weather: Weather,
    rng: Rng,
    /// What arrives when, in the order in which it was sent.
    flights: BTreeMap<Instant, Vec<Flight>>,
    /// When each node's own link has taken what was sent, in nanoseconds.
    links: Vec<u64>,
    /// The ways between the nodes, one row for each sender.
    paths: Vec<Vec<Path>>,
    /// Which side of the partition each node is on; all on one when whole.
    sides: Vec<u8>,
    /// Ways that lose everything, each from one node to another.
    cut: BTreeSet<(usize, usize)>,
    /// Ways that lose all multicast.
    deaf: BTreeSet<(usize, usize)>,
    /// Who sent what, when it is kept.
    recorded: Option<Vec<(usize, Vec<u8>)>>,
}

impl Network {
    /// A whole network without packets between `nodes` nodes.
    #[must_use]
    pub fn new(nodes: usize, weather: Weather, mut rng: Rng) -> Self {
        let mut row = |_| (0..nodes).map(|_| Path::new(&weather, &mut rng)).collect();
        Self {
            paths: (0..nodes).map(&mut row).collect(),
            links: vec![0; nodes],
            weather,
            rng,
            flights: BTreeMap::new(),
            sides: vec![0; nodes],
            cut: BTreeSet::new(),
            deaf: BTreeSet::new(),
            recorded: None,
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

    /// Has packets treated otherwise from here on.
    pub const fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// How packets are treated.
    #[must_use]
    pub const fn weather(&self) -> &Weather {
        &self.weather
    }

    /// Sends a packet. What goes by multicast takes its sender's own link once,
    /// and what goes by unicast takes it once for each hop. Gives how many of
    /// the hops lose it.
    pub fn send(
        &mut self,
        now: Instant,
        hops: impl IntoIterator<Item = Hop>,
        packet: &[u8],
    ) -> usize {
        let bytes: Arc<[u8]> = packet.into();
        let mut group = None;
        let mut lost = 0;
        for hop in hops {
            let Hop { from, to, way } = hop;
            if let Some(recorded) = &mut self.recorded {
                recorded.push((from, packet.to_vec()));
            }
            let leaves = match way {
                Way::Multicast => {
                    *group.get_or_insert_with(|| self.leaves(now, from, packet.len()))
                }
                Way::Unicast => self.leaves(now, from, packet.len()),
            };
            let parted = self.sides[from] != self.sides[to] || self.cut.contains(&(from, to));
            let unheard = way == Way::Multicast && self.deaf.contains(&(from, to));
            let Some(leaves) = leaves.filter(|_| !parted && !unheard) else {
                lost += 1;
                continue;
            };
            let mut comes = false;
            for takes in self.paths[from][to].pass(&self.weather, &mut self.rng) {
                let flight = Flight { hop, bytes: Arc::clone(&bytes) };
                self.flights.entry(leaves + takes).or_default().push(flight);
                comes = true;
            }
            lost += usize::from(!comes);
        }
        lost
    }

    /// When a packet has passed its sender's own link, unless that loses it.
    fn leaves(&mut self, now: Instant, from: usize, len: usize) -> Option<Instant> {
        let shared = self.weather.shared_loss;
        let lost = shared > 0 && self.rng.chance(shared, 1_000);
        if self.weather.link == 0 {
            return (!lost).then_some(now);
        }
        let link = &mut self.links[from];
        let takes = len as u64 * 1_000_000_000 / self.weather.link;
        *link = (*link).max(now.as_micros() * 1_000) + takes;
        (!lost).then(|| now + Duration::from_nanos(*link - now.as_micros() * 1_000))
    }

    /// When the next packets arrive.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.flights.first_key_value().map(|(&arrives, _)| arrives)
    }

    /// The packets that arrive together next, if they have at `now`.
    pub(crate) fn arrive(&mut self, now: Instant) -> Option<Vec<Flight>> {
        let next = self.flights.first_entry().filter(|next| *next.key() <= now)?;
        Some(next.remove())
    }
}
