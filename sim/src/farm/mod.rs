//! Nodes on a network, and the loop that lets time pass.
//!
//! The loop goes from one moment at which something is due to the next, and
//! has only those nodes act whose moment it is. What a node then does is the
//! machine's business ([`running`]); what it sends is counted ([`traffic`]).

mod agenda;
mod layout;
mod portions;
pub mod running;
mod standstill;
pub mod traffic;

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use proto::cluster::portion::Portion;
use proto::nak::acks::{Ack, WriteId};
use proto::nak::sender::Destination;
use proto::node::{Origin, Way};
use proto::record::{Key, Record, Version};
use proto::rng::Rng;
use proto::time::{Instant, Wall};
use proto::wire::MAX_PACKET_BYTES;
use proto::wire::header::Incarnation;

use crate::keys;
use crate::model::{Holding, holding};
use crate::network::{Flight, Hop, Network};
use crate::nonces::Nonces;
use crate::shares::tamper::Tamper;
use agenda::Agenda;
pub use layout::{Configured, Layout};
pub use portions::Portions;
use running::{Packet, Running, Written, address, number_of};
use standstill::Standstill;
use traffic::Traffic;

/// A farm on a simulated network.
#[derive(Debug)]
pub struct Farm {
    /// The nodes by number; none where one has crashed.
    pub nodes: Vec<Option<Running>>,
    /// The network between them.
    pub network: Network,
    /// The source of everything random in the run.
    pub rng: Rng,
    /// What was sent, as long as it is counted.
    pub traffic: Option<Traffic>,
    now: Instant,
    /// The virtual time in microseconds, for those who are told of something.
    clock: Arc<AtomicU64>,
    layout: Layout,
    /// How far each node's key file has come in the rotation of keys.
    key_steps: Vec<u64>,
    last_write: u64,
    nonces: Option<Nonces>,
    agenda: Agenda,
    standstill: Standstill,
    tamper: Tamper,
    /// How many threads nodes are shared by.
    threads: usize,
}

/// So many nodes that act at one moment are shared by threads: what each does
/// then is nothing to the others, so that the outcome is the same.
const WORTH_A_THREAD: usize = 200;

/// Has nodes take in what has come to them, and do what is due. Both are in
/// the order of the nodes' numbers, which begin with `first`.
fn act_each(
    now: Instant,
    (first, nodes): (usize, &mut [Option<Running>]),
    acting: &[usize],
    mut flights: &[Flight],
) {
    let mut packet = Vec::new();
    for &number in acting {
        let come = flights.partition_point(|flight| flight.hop.to <= number);
        let (these, rest) = flights.split_at(come);
        flights = rest;
        let Some(running) = &mut nodes[number - first] else { continue };
        for Flight { hop, bytes } in these {
            packet.clear();
            packet.extend_from_slice(bytes);
            let origin = Origin { address: address(hop.from), way: hop.way };
            running.receive(now, origin, &mut packet);
        }
        running.act(now);
    }
}

impl Farm {
    /// A farm whose nodes have all just started.
    #[must_use]
    pub fn new(layout: Layout, seed: u64) -> Self {
        let mut farm = Self::empty(layout, seed);
        (0..layout.nodes).for_each(|number| farm.start(number));
        farm
    }

    /// A farm of which no node has started.
    #[must_use]
    pub fn empty(layout: Layout, seed: u64) -> Self {
        let mut rng = Rng::from_u64(seed);
        let mut for_network = [0; 32];
        rng.fill(&mut for_network);
        let mut farm = Self {
            nodes: Vec::new(),
            network: Network::new(layout.nodes, layout.weather, Rng::new(for_network)),
            rng,
            traffic: None,
            now: Instant::from_micros(1),
            clock: Arc::new(AtomicU64::new(1)),
            layout,
            key_steps: vec![0; layout.nodes],
            last_write: 0,
            nonces: layout.audited.then(Nonces::default),
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            agenda: Agenda::of(layout.nodes),
            standstill: Standstill::default(),
            tamper: Tamper::Nothing,
        };
        farm.nodes.resize_with(layout.nodes, || None);
        farm
    }

    /// The portion of a node.
    #[must_use]
    pub fn portion_of(&self, number: usize) -> Portion {
        self.layout.portions.of(number)
    }

    /// Has something befall what comes to nodes that start from here on.
    pub const fn tamper(&mut self, tamper: Tamper) {
        self.tamper = tamper;
    }

    /// The virtual time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// A clock that shows the virtual time, in microseconds.
    #[must_use]
    pub fn clock(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.clock)
    }

    /// Starts a node that is not running, with an empty cache.
    pub fn start(&mut self, number: usize) {
        let keyring = keys::ring(self.key_steps[number]);
        let mut running = Running::start(number, &self.layout, keyring, self.now, &mut self.rng);
        running.tamper = self.tamper;
        self.nodes[number] = Some(running);
    }

    /// Ends a node without a word.
    pub fn crash(&mut self, number: usize) {
        self.nodes[number] = None;
    }

    /// The numbers of these incarnations, as far as they run.
    pub fn numbers<'a>(&'a self, of: &'a [Incarnation]) -> impl Iterator<Item = usize> + 'a {
        let runs = |number: &usize| {
            self.nodes[*number].as_ref().is_some_and(|running| of.contains(&running.incarnation()))
        };
        (0..self.nodes.len()).filter(runs)
    }

    /// The numbers of the nodes that run.
    #[must_use]
    pub fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&number| self.nodes[number].is_some()).collect()
    }

    /// Lets a node write a record, unless it has no room or holds what a
    /// write cannot replace.
    pub fn write<'a>(
        &mut self,
        number: usize,
        ack: Ack,
        make: impl FnOnce(Version, Wall) -> Record<'a>,
    ) -> Option<Written> {
        self.last_write += 1;
        let write = WriteId(self.last_write);
        self.nodes[number].as_mut()?.write(self.now, (write, ack), make)
    }

    /// Lets a node give a record another id. Gives the tombstone and the
    /// record, if it held one, and the packet that says so.
    pub fn rotate(&mut self, number: usize, old: Key, new: Key) -> Option<([Holding; 2], Packet)> {
        self.nodes[number].as_mut()?.rotate(self.now, old, new)
    }

    /// Lets a node move a record's idle deadline on.
    pub fn touch(&mut self, number: usize, key: Key, further: Duration) {
        if let Some(running) = &mut self.nodes[number] {
            running.touch(self.now, key, further);
        }
    }

    /// Lets a node look for a key at others.
    pub fn look_up(&mut self, number: usize, key: &Key) {
        if let Some(running) = &mut self.nodes[number] {
            running.look_up(self.now, key);
        }
    }

    /// Lets a node take leave and end.
    ///
    /// # Errors
    ///
    /// What [`Farm::run`] finds.
    pub fn leave(&mut self, number: usize) -> Result<(), String> {
        if let Some(running) = &mut self.nodes[number] {
            running.node.leave();
        }
        self.send(number)?;
        self.nodes[number] = None;
        Ok(())
    }

    /// Lets time pass.
    ///
    /// # Errors
    ///
    /// A broken invariant.
    pub fn run(&mut self, duration: Duration) -> Result<(), String> {
        let end = self.now + duration;
        // What was done to the nodes since they acted last.
        (0..self.nodes.len()).try_for_each(|number| self.send(number))?;
        loop {
            let next = self.agenda.next().into_iter().chain(self.network.next_arrival()).min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            self.pass(self.now.max(next));
            self.act()?;
        }
        self.pass(end);
        Ok(())
    }

    /// What a node holds, by key.
    #[must_use]
    pub fn held(&self, number: usize) -> Vec<Holding> {
        self.nodes[number].as_ref().map_or_else(Vec::new, Running::held)
    }

    /// What a node holds of one key.
    #[must_use]
    pub fn held_of(&self, number: usize, key: &Key) -> Option<Holding> {
        let running = self.nodes[number].as_ref()?;
        holding(&running.holdings, key)
    }

    /// Sets a node's wall clock so far ahead of the true one, or back.
    pub fn set_clock(&mut self, number: usize, skew_millis: i64) {
        if let Some(running) = &mut self.nodes[number] {
            running.skew_millis = skew_millis;
        }
    }

    /// Goes on with the rotation of keys: a node that is a step behind others
    /// gets the next key file, or if none is, any. It reads it at once if it
    /// runs.
    ///
    /// # Errors
    ///
    /// When it refuses it.
    pub fn turn_keys(&mut self) -> Result<(), String> {
        let latest = self.key_steps.iter().max().copied();
        let behind = |number: &usize| Some(self.key_steps[*number]) < latest;
        let mut candidates: Vec<usize> = (0..self.nodes.len()).filter(behind).collect();
        if candidates.is_empty() {
            candidates = (0..self.nodes.len()).collect();
        }
        let at = usize::try_from(self.rng.below(candidates.len() as u64)).expect("a few nodes");
        let number = candidates[at];
        self.rekey(number, self.key_steps[number] + 1)
    }

    /// Gives a node the key file of a step of the rotation.
    ///
    /// # Errors
    ///
    /// When it refuses it.
    pub fn rekey(&mut self, number: usize, step: u64) -> Result<(), String> {
        self.key_steps[number] = step;
        match &mut self.nodes[number] {
            Some(running) => running.node.rekey(self.now, keys::ring(step)),
            None => Ok(()),
        }
        .map_err(|error| error.to_string())
    }

    /// Gives a node a packet that somebody else sends in `from`'s name.
    pub fn inject(&mut self, from: usize, to: usize, packet: &[u8]) {
        if let Some(running) = &mut self.nodes[to] {
            let origin = Origin { address: address(from), way: Way::Unicast };
            running.receive(self.now, origin, &mut packet.to_vec());
        }
    }

    fn pass(&mut self, to: Instant) {
        self.now = to;
        self.clock.store(to.as_micros(), Ordering::Relaxed);
    }

    /// Has the nodes act whose moment it is.
    fn act(&mut self) -> Result<(), String> {
        let now = self.now;
        let mut flights = Vec::new();
        while let Some(arrived) = self.network.arrive(now) {
            flights.extend(arrived);
        }
        let mut flights = self.standstill.keep(flights);
        // Each node takes in what has come to it in the order in which it came.
        flights.sort_by_key(|flight| flight.hop.to);
        let mut acting: Vec<usize> = flights.iter().map(|flight| flight.hop.to).collect();
        acting.extend(self.agenda.due(now));
        acting.sort_unstable();
        acting.dedup();
        let threads = if acting.len() < WORTH_A_THREAD { 1 } else { self.threads };
        let part = self.nodes.len().div_ceil(threads);
        thread::scope(|scope| {
            let (mut acting, mut flights) = (&acting[..], &flights[..]);
            for (first, nodes) in (0..).step_by(part).zip(self.nodes.chunks_mut(part)) {
                let end = first + nodes.len();
                let (theirs, others) = acting.split_at(acting.partition_point(|&to| to < end));
                let come = flights.partition_point(|flight| flight.hop.to < end);
                let (come, later) = flights.split_at(come);
                (acting, flights) = (others, later);
                let mut act = move || act_each(now, (first, nodes), theirs, come);
                if threads == 1 {
                    act();
                } else {
                    scope.spawn(act);
                }
            }
        });
        acting.into_iter().try_for_each(|number| self.send(number))
    }

    /// Sends what a node has to send, and asks it when it is to act again.
    fn send(&mut self, from: usize) -> Result<(), String> {
        let runs = !self.standstill.is_of(from);
        let Some(running) = self.nodes[from].as_mut().filter(|_| runs) else {
            self.agenda.set(from, None);
            return Ok(());
        };
        let now = running.clocks(self.now);
        let one = |to: SocketAddr| number_of(to).map(|to| Hop { from, to, way: Way::Unicast });
        let others = (0..self.layout.nodes).filter(|&to| to != from);
        let group = others.map(|to| Hop { from, to, way: Way::Multicast });
        let alone: Vec<Hop> = running.node.unicast().iter().copied().filter_map(one).collect();
        let to_group = running.node.sends_to_group();
        while let Some(transmit) = running.node.poll_transmit(now) {
            for packet in transmit.bytes.chunks(MAX_PACKET_BYTES) {
                if let Some(nonces) = &mut self.nonces {
                    nonces.check(packet)?;
                }
                let network = &mut self.network;
                let lost = match transmit.to {
                    Destination::Farm if to_group => {
                        network.send(self.now, group.clone().chain(alone.iter().copied()), packet)
                    }
                    Destination::Farm => network.send(self.now, alone.iter().copied(), packet),
                    Destination::Group => network.send(self.now, group.clone(), packet),
                    Destination::Node(address) => network.send(self.now, one(address), packet),
                };
                if let Some(traffic) = &mut self.traffic {
                    traffic.count(packet, transmit.to, lost)?;
                }
            }
        }
        let due = running.node.poll_timeout().map(|(due, _)| due);
        self.agenda.set(from, due);
        Ok(())
    }
}
