//! Nodes, their clocks, and the loop that lets time pass.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::nak::acks::{Ack, WriteId};
use proto::nak::sender::Destination;
use proto::nak::stage::Stage;
use proto::node::{Config, Event, Node, Origin, Way};
use proto::record::{HybridClock, Key, KeyHash, Record, Touch, Version};
use proto::rng::Rng;
use proto::table::{self, Applied, Cursor, KeyRanges, Table, Touched};
use proto::time::{Instant, Now, Wall};
use proto::wire::frame::Frame;
use proto::wire::header::Incarnation;

use crate::keys;
use crate::model::{Holding, holding};
use crate::network::{Hop, Network, Weather};

/// The wall clock when the virtual time begins: 2026-01-01.
const EPOCH_MILLIS: u64 = 1_767_225_600_000;
/// Small enough that runs reach past it: what is gone must be recovered.
const RING_BYTES: usize = 64 << 10;

/// A running node.
#[derive(Debug)]
pub struct Running {
    /// The machine.
    pub node: Node,
    /// Its cache memory.
    pub table: Arc<Table>,
    versions: Arc<HybridClock>,
    incarnation: Incarnation,
    /// How far its wall clock is ahead of the true one, in milliseconds.
    skew_millis: i64,
    /// What it has said and nobody has looked at, each with the nodes that it
    /// took to be alive at that moment.
    pub events: Vec<(Event, Vec<Incarnation>)>,
}

/// A farm on a simulated network.
#[derive(Debug)]
pub struct Farm {
    /// The nodes by number; none where one has crashed.
    pub nodes: Vec<Option<Running>>,
    /// The network between them.
    pub network: Network,
    /// The source of everything random in the run.
    pub rng: Rng,
    now: Instant,
    layout: Layout,
    /// How far each node's key file has come in the rotation of keys.
    key_steps: Vec<u64>,
    last_write: u64,
}

/// How a farm begins.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// How many nodes it has.
    pub nodes: usize,
    /// Whether there is multicast, or each node sends to each.
    pub multicast: bool,
    /// How the network treats packets.
    pub weather: Weather,
    /// Whether nodes compare what they hold.
    pub compares: bool,
    /// The number that packets' numbers begin after.
    pub begins_after: u64,
}

impl Farm {
    /// A farm whose nodes have all just started.
    #[must_use]
    pub fn new(layout: Layout, seed: u64) -> Self {
        let mut rng = Rng::from_u64(seed);
        let mut for_network = [0; 32];
        rng.fill(&mut for_network);
        let mut farm = Self {
            nodes: Vec::new(),
            network: Network::new(layout.nodes, layout.weather, Rng::new(for_network)),
            rng,
            now: Instant::from_micros(1),
            layout,
            key_steps: vec![0; layout.nodes],
            last_write: 0,
        };
        farm.nodes.resize_with(layout.nodes, || None);
        (0..layout.nodes).for_each(|number| farm.start(number));
        farm
    }

    /// The virtual time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Starts a node that is not running, with an empty cache.
    pub fn start(&mut self, number: usize) {
        let mut bits = [0; 16];
        self.rng.fill(&mut bits);
        let incarnation = Incarnation(u128::from_be_bytes(bits));
        let mut secrets = [[0; 32]; 2];
        secrets.iter_mut().for_each(|secret| self.rng.fill(secret));
        let [own_secret, seed] = secrets;
        let keyring = keys::ring(self.key_steps[number]);
        let placement_secret = keyring.placement_secret();
        let config = table::Config { capacity_bytes: 64 << 20, placement_secret, own_secret };
        let table = Arc::new(Table::new(config));
        let versions = Arc::new(HybridClock::default());
        let peers = (0..self.nodes.len()).filter(|&other| other != number).map(address).collect();
        let config = Config {
            name: format!("node-{number}"),
            incarnation,
            keyring,
            begins_after: self.layout.begins_after,
            address: address(number),
            multicast: self.layout.multicast,
            peers,
            ring_bytes: RING_BYTES,
            credit: 1_000,
            compare_every: if self.layout.compares { Config::COMPARE_EVERY } else { Duration::MAX },
            seed,
        };
        let skew_millis = self.rng.below(400).cast_signed();
        let now = self.clocks(skew_millis);
        let node = Node::new(config, Arc::clone(&table), Arc::clone(&versions), now);
        let events = Vec::new();
        let running = Running { node, table, versions, incarnation, skew_millis, events };
        self.nodes[number] = Some(running);
    }

    /// Ends a node without a word.
    pub fn crash(&mut self, number: usize) {
        self.nodes[number] = None;
    }

    /// The numbers of these incarnations, as far as they run.
    pub fn numbers<'a>(&'a self, of: &'a [Incarnation]) -> impl Iterator<Item = usize> + 'a {
        let runs = |number: &usize| {
            self.nodes[*number].as_ref().is_some_and(|running| of.contains(&running.incarnation))
        };
        (0..self.nodes.len()).filter(runs)
    }

    /// The numbers of the nodes that run.
    #[must_use]
    pub fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&number| self.nodes[number].is_some()).collect()
    }

    /// Lets a node write a record, unless it has no room or holds what a
    /// write cannot replace. Gives the write's number, and what was written.
    pub fn write<'a>(
        &mut self,
        number: usize,
        ack: Ack,
        make: impl FnOnce(Version, Wall) -> Record<'a>,
    ) -> Option<(WriteId, Holding)> {
        let now = self.clocks(self.nodes[number].as_ref()?.skew_millis);
        let running = self.nodes[number].as_mut().filter(|running| running.node.has_room())?;
        let version = running.version(now.wall);
        let record = make(version, now.wall);
        match running.table.apply(&record, now.wall) {
            Applied::New | Applied::Replaced => {}
            Applied::Touched | Applied::Kept | Applied::Refused(_) => return None,
        }
        self.last_write += 1;
        let write = WriteId(self.last_write);
        let keys = [running.table.hash(&record.key)];
        publish(&mut running.node, &Frame::Record(record), &keys, ack, write);
        running.take_events();
        Some((write, Holding::of(&record)))
    }

    /// Lets a node give a record another id. Gives the tombstone and the
    /// record, if it held one.
    pub fn rotate(&mut self, number: usize, old: Key, new: Key) -> Option<[Holding; 2]> {
        let now = self.clocks(self.nodes[number].as_ref()?.skew_millis);
        let running = self.nodes[number].as_mut().filter(|running| running.node.has_room())?;
        let held = running.table.get(&old, now.wall, Holding::of)?;
        let versions = [running.version(now.wall), running.version(now.wall)];
        let renamed = Holding { key: new, version: versions[1], ..held.clone() };
        let tombstone = Holding { version: versions[0], value: None, ..held };
        running.table.apply(&renamed.as_record(), now.wall);
        running.table.apply(&tombstone.as_record(), now.wall);
        let keys = [running.table.hash(&old), running.table.hash(&new)];
        let frame = Frame::Rotate { old: tombstone.as_record(), new: renamed.as_record() };
        publish(&mut running.node, &frame, &keys, Ack::Local, WriteId(0));
        Some([tombstone, renamed])
    }

    /// Lets a node move a record's idle deadline on.
    pub fn touch(&mut self, number: usize, key: Key, further: Duration) {
        let Some(running) = self.nodes[number].as_mut() else { return };
        let wall = Wall::from_millis(EPOCH_MILLIS)
            + further
            + self.now.saturating_since(Instant::default());
        let found = running.table.get(&key, wall, |record| record.version.time);
        if let Some(time) = found.filter(|_| running.node.has_room()) {
            let touch = Touch { hash: running.table.hash(&key), time, idle: wall };
            if running.table.touch(&touch, wall) == Touched::Moved {
                let keys = [touch.hash];
                publish(&mut running.node, &Frame::Touch(touch), &keys, Ack::Local, WriteId(0));
            }
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
        self.send_all()?;
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
        loop {
            self.send_all()?;
            let timeouts = self
                .nodes
                .iter()
                .flatten()
                .filter_map(|running| running.node.poll_timeout().map(|(due, _)| due));
            let next = timeouts.chain(self.network.next_arrival()).min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            self.now = self.now.max(next);
            self.deliver();
        }
        self.now = end;
        Ok(())
    }

    /// What a node holds, by key.
    #[must_use]
    pub fn held(&self, number: usize) -> Vec<Holding> {
        let Some(running) = &self.nodes[number] else { return Vec::new() };
        let mut held = Vec::new();
        let mut cursor = Some(Cursor::START);
        while let Some(from) = cursor {
            cursor = running.table.scan(from, KeyRanges::ALL, 1 << 20, |record| {
                held.push(Holding::of(record));
            });
        }
        held.sort_by_key(|holding| holding.key);
        held.dedup_by_key(|holding| holding.key);
        held
    }

    /// What a node holds of one key.
    #[must_use]
    pub fn held_of(&self, number: usize, key: &Key) -> Option<Holding> {
        let running = self.nodes[number].as_ref()?;
        holding(&running.table, key)
    }

    /// Sets a node's wall clock, which is then so far ahead of the true one.
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
        let Some(skew) = self.nodes[to].as_ref().map(|running| running.skew_millis) else { return };
        let now = self.clocks(skew);
        if let Some(running) = &mut self.nodes[to] {
            let origin = Origin { address: address(from), way: Way::Unicast };
            running.node.handle_datagram(now, origin, &mut packet.to_vec());
        }
    }

    fn clocks(&self, skew_millis: i64) -> Now {
        let passed = self.now.saturating_since(Instant::default());
        let wall = Wall::from_millis(EPOCH_MILLIS.saturating_add_signed(skew_millis)) + passed;
        Now { instant: self.now, wall }
    }

    fn deliver(&mut self) {
        while let Some((Hop { from, to, way }, mut bytes)) = self.network.arrive(self.now) {
            let Some(skew) = self.nodes[to].as_ref().map(|running| running.skew_millis) else {
                continue;
            };
            let now = self.clocks(skew);
            if let Some(running) = &mut self.nodes[to] {
                let origin = Origin { address: address(from), way };
                running.node.handle_datagram(now, origin, &mut bytes);
                // At once: a node that is heard next is not one of those that
                // an acknowledgement of this moment speaks of.
                running.take_events();
            }
        }
        for number in 0..self.nodes.len() {
            let Some(skew) = self.nodes[number].as_ref().map(|running| running.skew_millis) else {
                continue;
            };
            let now = self.clocks(skew);
            if let Some(running) = &mut self.nodes[number] {
                running.node.handle_timeout(now);
                running.take_events();
            }
        }
    }

    fn send_all(&mut self) -> Result<(), String> {
        for from in 0..self.nodes.len() {
            let Some(skew) = self.nodes[from].as_ref().map(|running| running.skew_millis) else {
                continue;
            };
            let now = self.clocks(skew);
            let Some(running) = &mut self.nodes[from] else { continue };
            let to = |to, way| Hop { from, to, way };
            let others = (0..self.network.nodes()).filter(|&to| to != from);
            let group: Vec<Hop> = others.map(|other| to(other, Way::Multicast)).collect();
            let one = |&address: &SocketAddr| Some(to(number_of(address)?, Way::Unicast));
            let mut farm: Vec<Hop> = running.node.unicast().iter().filter_map(one).collect();
            if running.node.sends_to_group() {
                farm.extend(&group);
            }
            while let Some(transmit) = running.node.poll_transmit(now) {
                let node: Vec<Hop>;
                let hops = match transmit.to {
                    Destination::Farm => &farm,
                    Destination::Group => &group,
                    Destination::Node(address) => {
                        node = one(&address).into_iter().collect();
                        &node
                    }
                };
                for packet in transmit.bytes.chunks(proto::wire::MAX_PACKET_BYTES) {
                    self.network.check_nonce(packet)?;
                    for &hop in hops {
                        self.network.send(now.instant, hop, packet);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Running {
    fn take_events(&mut self) {
        while let Some(event) = self.node.poll_event() {
            let members = self.node.peers().iter().filter(|(_, peer)| peer.is_alive());
            let members = members.map(|(&incarnation, _)| incarnation).collect();
            self.events.push((event, members));
        }
    }

    fn version(&self, wall: Wall) -> Version {
        Version { time: self.versions.tick(wall), writer: self.incarnation.writer() }
    }
}

/// Has a node send a frame in packets of its own.
pub(crate) fn publish(
    node: &mut Node,
    frame: &Frame<'_>,
    keys: &[KeyHash],
    ack: Ack,
    write: WriteId,
) {
    let mut stage = Stage::default();
    stage.push(frame, keys, ack, write);
    stage.end_packet();
    node.take(&mut stage);
}

fn address(number: usize) -> SocketAddr {
    let port = 7_700 + u16::try_from(number).expect("few nodes");
    SocketAddr::from(([10, 0, 0, 1], port))
}

fn number_of(address: SocketAddr) -> Option<usize> {
    address.port().checked_sub(7_700).map(usize::from)
}
