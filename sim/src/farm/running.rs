//! One node that runs: its machine, its cache memory and its wall clock.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::claims::Claims;
use proto::cluster::slots::SlotSet;
use proto::holdings::Holdings;
use proto::keyring::Keyring;
use proto::nak::acks::{Ack, WriteId};
use proto::nak::stage::Stage;
use proto::node::{Config, Event, Node, Origin};
use proto::record::{HybridClock, Key, KeyHash, Record, Touch, Version};
use proto::rng::Rng;
use proto::table::{self, Applied, Cursor, KeyRanges, Region, Table, Touched};
use proto::time::{Instant, Now, Wall};
use proto::wire::frame::Frame;
use proto::wire::header::Incarnation;

use super::{Configured, Layout, Portions};
use crate::memory::Sparse;
use crate::model::Holding;
use crate::shares::tamper::Tamper;

/// The wall clock when the virtual time begins: 2026-01-01.
const EPOCH_MILLIS: u64 = 1_767_225_600_000;
/// Room for some hundred claims: more than a run makes.
const CLAIM_BYTES: usize = 64 << 10;

/// A running node.
#[derive(Debug)]
pub struct Running {
    /// The machine.
    pub node: Node,
    /// Its cache memory.
    pub holdings: Arc<Holdings>,
    /// The tickets of its own that were claimed.
    pub claims: Arc<Claims>,
    versions: Arc<HybridClock>,
    incarnation: Incarnation,
    /// How far its wall clock is ahead of the true one, in milliseconds.
    pub(super) skew_millis: i64,
    /// What it has said and nobody has looked at, each with the nodes that it
    /// took to be alive at that moment.
    pub events: Vec<(Event, Vec<Incarnation>)>,
    /// What befalls packets on their way to it.
    pub(super) tamper: Tamper,
}

/// A write as it was made.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its number.
    pub write: WriteId,
    /// What was written.
    pub holding: Holding,
    /// The packet that its last byte went into.
    pub packet: Packet,
}

/// A packet of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Whose stream.
    pub stream: Incarnation,
    /// Its number in it.
    pub sequence: u64,
}

impl Running {
    /// A node that has just started, with an empty cache.
    pub(super) fn start(
        number: usize,
        layout: &Layout,
        keyring: Keyring,
        now: Instant,
        rng: &mut Rng,
    ) -> Self {
        let mut bits = [0; 16];
        rng.fill(&mut bits);
        let incarnation = Incarnation(u128::from_be_bytes(bits));
        let mut secrets = [[0; 32]; 2];
        secrets.iter_mut().for_each(|secret| rng.fill(secret));
        let [own_secret, seed] = secrets;
        let placement_secret = keyring.placement_secret();
        let capacity_bytes = layout.table_bytes;
        let config = table::Config { capacity_bytes, placement_secret, own_secret };
        let asks = number + layout.askers >= layout.nodes;
        let holdings = holdings(&config, layout.portions != Portions::All, asks);
        let versions = Arc::new(HybridClock::default());
        let is_told = |other: usize| match layout.configured {
            Configured::Nobody => false,
            Configured::One(one) => other == one,
            Configured::All => true,
        };
        let peers = (0..layout.nodes).filter(|&other| other != number && is_told(other));
        let config = Config {
            name: format!("node-{number}"),
            incarnation,
            keyring,
            begins_after: layout.begins_after,
            address: address(number),
            multicast: layout.multicast,
            peers: peers.map(address).collect(),
            ring_bytes: layout.ring_bytes,
            credit: 1_000,
            portion: layout.portions.of(number),
            compare_every: if layout.compares { Config::COMPARE_EVERY } else { Duration::MAX },
            lookup_timeout: Config::LOOKUP_TIMEOUT,
            seed,
        };
        let skew_millis = rng.below(400).cast_signed();
        let now = clocks(now, skew_millis);
        let mut node = Node::new(config, Arc::clone(&holdings), Arc::clone(&versions), now);
        let claims = Arc::new(Claims::new(CLAIM_BYTES));
        node.keep_claims(Arc::clone(&claims));
        let (events, tamper) = (Vec::new(), Tamper::Nothing);
        Self { node, holdings, claims, versions, incarnation, skew_millis, events, tamper }
    }

    /// Which start of a node this is.
    #[must_use]
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The node's clocks at that moment.
    pub(super) fn clocks(&self, now: Instant) -> Now {
        clocks(now, self.skew_millis)
    }

    /// Takes a packet in.
    pub(super) fn receive(&mut self, now: Instant, from: Origin, packet: &mut [u8]) {
        match self.tamper.packet(packet) {
            Some(mut other) => self.node.handle_datagram(self.clocks(now), from, &mut other),
            None => self.node.handle_datagram(self.clocks(now), from, packet),
        }
        // At once: a node that is heard next is not one of those that an
        // acknowledgement of this moment speaks of.
        self.take_events();
    }

    /// Lets the node do what is due.
    pub(super) fn act(&mut self, now: Instant) {
        self.node.handle_timeout(self.clocks(now));
        self.take_events();
    }

    /// Looks for a key at other nodes.
    pub(super) fn look_up(&mut self, now: Instant, key: &Key) {
        self.node.look_up(self.clocks(now), self.holdings.hash(key));
        self.take_events();
    }

    /// Writes a record, unless there is no room or the node holds what a
    /// write cannot replace.
    pub(super) fn write<'a>(
        &mut self,
        now: Instant,
        (write, ack): (WriteId, Ack),
        make: impl FnOnce(Version, Wall) -> Record<'a>,
    ) -> Option<Written> {
        let wall = self.clocks(now).wall;
        if !self.node.has_room() {
            return None;
        }
        let record = make(self.version(wall), wall);
        match self.holdings.admit(&record, wall) {
            Applied::New | Applied::Replaced => {}
            Applied::Touched | Applied::Kept | Applied::Refused(_) => return None,
        }
        let keys = [self.holdings.hash(&record.key)];
        let packet = self.publish(&Frame::Record(record), &keys, (ack, write));
        Some(Written { write, holding: Holding::of(&record), packet })
    }

    /// Gives a record another id, if the node holds it: the tombstone and the
    /// record, and the packet that both went into.
    pub(super) fn rotate(
        &mut self,
        now: Instant,
        old: Key,
        new: Key,
    ) -> Option<([Holding; 2], Packet)> {
        let wall = self.clocks(now).wall;
        if !self.node.has_room() {
            return None;
        }
        let held = self.holdings.get(&old, wall, Holding::of)?;
        let versions = [self.version(wall), self.version(wall)];
        let renamed = Holding { key: new, version: versions[1], ..held.clone() };
        let tombstone = Holding { version: versions[0], value: None, ..held };
        self.holdings.admit(&renamed.as_record(), wall);
        self.holdings.admit(&tombstone.as_record(), wall);
        let keys = [self.holdings.hash(&old), self.holdings.hash(&new)];
        let frame = Frame::Rotate { old: tombstone.as_record(), new: renamed.as_record() };
        let packet = self.publish(&frame, &keys, (Ack::Local, WriteId(0)));
        Some(([tombstone, renamed], packet))
    }

    /// Moves a record's idle deadline so far into the future.
    pub(super) fn touch(&mut self, now: Instant, key: Key, further: Duration) {
        let wall = clocks(now, 0).wall + further;
        let found = self.holdings.get(&key, wall, |record| record.version.time);
        if let Some(time) = found.filter(|_| self.node.has_room()) {
            let touch = Touch { hash: self.holdings.hash(&key), time, idle: wall };
            if self.holdings.touch(&touch, wall) == Touched::Moved {
                let keys = [touch.hash];
                self.publish(&Frame::Touch(touch), &keys, (Ack::Local, WriteId(0)));
            }
        }
    }

    /// What the node holds, by key.
    #[must_use]
    pub fn held(&self) -> Vec<Holding> {
        let mut held = Vec::new();
        let mut cursor = Some(Cursor::START);
        while let Some(from) = cursor {
            cursor = self.holdings.scan(from, KeyRanges::ALL, 1 << 20, |record| {
                held.push(Holding::of(record));
            });
        }
        held.sort_by_key(|holding| holding.key);
        held.dedup_by_key(|holding| holding.key);
        held
    }

    /// Sends a frame in packets of its own. Gives the last of them.
    fn publish(&mut self, frame: &Frame<'_>, keys: &[KeyHash], waits: (Ack, WriteId)) -> Packet {
        publish(&mut self.node, frame, keys, waits);
        self.take_events();
        Packet { stream: self.incarnation, sequence: self.node.sender().high() }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.node.poll_event() {
            // Only of an acknowledgement it matters who was alive.
            let members = if matches!(event, Event::Acknowledged(_)) {
                let alive = self.node.peers().iter().filter(|(_, peer)| peer.is_alive());
                alive.map(|(&incarnation, _)| incarnation).collect()
            } else {
                Vec::new()
            };
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
    (ack, write): (Ack, WriteId),
) {
    let mut stage = Stage::default();
    stage.push(frame, keys, ack, write);
    stage.end_packet();
    node.take(&mut stage);
}

/// Where a node takes its packets.
pub(super) fn address(number: usize) -> SocketAddr {
    let port = u16::try_from(FIRST_PORT + number).expect("fewer nodes than ports");
    SocketAddr::from(([10, 0, 0, 1], port))
}

/// Which node takes its packets there.
pub(super) fn number_of(address: SocketAddr) -> Option<usize> {
    usize::from(address.port()).checked_sub(FIRST_PORT)
}

const FIRST_PORT: usize = 7_700;

fn clocks(now: Instant, skew_millis: i64) -> Now {
    let passed = now.saturating_since(Instant::default());
    let wall = Wall::from_millis(EPOCH_MILLIS.saturating_add_signed(skew_millis)) + passed;
    Now { instant: now, wall }
}

/// Holdings of a node: of one that keeps all, of one that asks, or, where
/// nodes share, with near records and digests of slots.
fn holdings(config: &table::Config, shares: bool, asks: bool) -> Arc<Holdings> {
    let table = |capacity_bytes| {
        let memory = |len| Ok::<_, Infallible>(Box::new(Sparse::new(len)) as Box<dyn Region>);
        let Ok(table) =
            Table::with_memory(table::Config { capacity_bytes, ..config.clone() }, memory);
        table
    };
    let portion = table(config.capacity_bytes);
    Arc::new(if asks {
        let holdings = Holdings::new(portion);
        holdings.kept().set(&SlotSet::none());
        holdings.with_near(table(config.capacity_bytes))
    } else if shares {
        Holdings::new(portion.with_slot_digests()).with_near(table(config.capacity_bytes / 8))
    } else {
        Holdings::new(portion)
    })
}
