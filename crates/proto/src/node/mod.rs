//! A node of the farm, as a machine without I/O.
//!
//! [`Node`] composes the multicast, the transfer of records and what is known
//! of the other nodes. A driver hands it datagrams, writes and the time
//! (`handle_*`, [`Node::take`]), sends what [`Node::poll_transmit`] gives,
//! and calls again at [`Node::poll_timeout`]. What it holds and the version
//! clock are shared with whoever reads and writes records; everything else is the
//! node's own.
//!
//! - `config`: what it is made from; `event`: what it has to say;
//! - [`peer`]: what is known of another node;
//! - `outbox`: control packets on their way out;
//! - `receive`: what arrives, and what it makes the node do;
//! - `status`: how far the others say that they have come;
//! - `arrivals`: records of a run of packets, taken in together;
//! - `join`: finding the others and fetching the portion;
//! - `members`: who is up, and who is to be met;
//! - `misfits`: what somebody should put right;
//! - `recover`: what repair cannot bring;
//! - `orphan`: what the dead left with their survivors;
//! - `compare`: what differs all the same;
//! - `views`: whom shares are divided among;
//! - `portion`: which slots are kept, and by whom;
//! - `moves`: slots on their way here;
//! - `lingering`: slots on their way elsewhere;
//! - `common`: what differs where nodes keep shares;
//! - `rekey`: one farm key after another;
//! - `way`: by multicast or one by one;
//! - `lookup`: asking for what is not here, and being asked;
//! - `claim`: tickets whose early data is to be accepted, here or elsewhere;
//! - `agree`: operations that need one answer;
//! - `load`: how full everything is that has a limit;
//! - `walk`: going through a table, a step at a time;
//! - `timer`: what happens when.

mod agree;
mod arrivals;
mod claim;
mod common;
mod compare;
mod config;
mod event;
mod join;
mod lingering;
mod load;
mod lookup;
mod members;
mod misfits;
mod moves;
mod orphan;
mod outbox;
pub mod peer;
mod portion;
mod receive;
mod recover;
mod rekey;
mod status;
#[cfg(test)]
mod testing;
mod timer;
mod views;
mod walk;
mod way;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::claims::Claims;
use crate::cluster::identity::Identity;
use crate::cluster::slots::Slot;
use crate::holdings::Holdings;
use crate::lookup::Lookups;
use crate::nak::acks::{Held, Waiting, WriteId};
use crate::nak::sender::{Sender, Transmit};
use crate::nak::stage::{Stage, Waits};
use crate::record::{HybridClock, Record};
use crate::rng::Rng;
use crate::seal::Sealer;
use crate::time::{Instant, Now};
use crate::transfer::provider::Provider;
use crate::transfer::puller::Puller;
use crate::wire::control::Hello;
use crate::wire::frame::Notice;
use crate::wire::header::{Incarnation, PacketType};

use agree::Agreeing;
use arrivals::Arrivals;
use claim::Claiming;
pub use claim::PATIENCE as CLAIM_PATIENCE;
use compare::Pace;
pub use config::Config;
pub use event::{Counters, Event};
use join::Join;
use members::Members;
use misfits::Misfits;
use outbox::Outbox;
use peer::Peer;
pub use portion::PortionFigures;
use portion::Portions;
use timer::Streams;
pub use timer::Timer;
use way::Ways;
pub use way::{Origin, Way};

/// The most events that wait to be fetched; the driver fetches after each call.
const MAX_EVENTS: usize = 65_536;
/// The most nodes that are known at a time, the dead ones counted.
const MAX_PEERS: usize = 4_096;

/// Told of what happens that no one asked this node for. A part of the table
/// may be locked meanwhile: it must not call back.
pub type Observer = Box<dyn FnMut(News<'_>) + Send>;

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum News<'a> {
    /// A record came from another node and was applied; it was news.
    Record(&'a Record<'a>),
    /// A value has ended and is held no more.
    Ended(&'a Record<'a>),
    /// Something was said at another node.
    Notice(Notice<'a>),
}

/// A node of the farm.
pub struct Node {
    config: Config,
    holdings: Arc<Holdings>,
    versions: Arc<HybridClock>,
    claims: Arc<Claims>,
    claiming: Claiming,
    rng: Rng,
    sender: Sender,
    waiting: Waiting,
    peers: BTreeMap<Incarnation, Peer>,
    join: Join,
    members: Members,
    misfits: Misfits,
    outbox: Outbox,
    puller: Puller,
    provider: Provider,
    lookups: Lookups,
    events: VecDeque<Event>,
    counters: Counters,
    observer: Option<Observer>,
    /// Room for what arrives, empty between two calls.
    arrivals: Arrivals<'static>,
    /// How many packets our socket has dropped.
    overflowed: u32,
    ways: Ways,
    housekeeping_due: Instant,
    streams: Streams,
    /// Whether survivors are to be told again what the dead left.
    orphans_untold: bool,
    pace: Pace,
    portions: Portions,
    /// Where the node takes part in operations that need one answer.
    agreeing: Option<Agreeing>,
}

impl Node {
    /// A node that knows nobody yet.
    #[must_use]
    pub fn new(
        config: Config,
        holdings: Arc<Holdings>,
        versions: Arc<HybridClock>,
        now: Now,
    ) -> Self {
        let sealer = |packet_type| {
            Sealer::new(&config.keyring, config.incarnation, packet_type, config.begins_after)
        };
        let mut rng = Rng::new(config.seed);
        let own = Identity::new(config.incarnation, config.address);
        Self {
            sender: Sender::new(sealer(PacketType::Data), config.ring_bytes),
            outbox: Outbox::new(sealer(PacketType::Control)),
            join: Join::new(now.instant, &mut rng),
            members: Members::new(own, &config.seed),
            misfits: Misfits::new(&config.peers, config.keyring.placement_check()),
            rng,
            holdings,
            versions,
            claims: Arc::new(Claims::new(0)),
            claiming: Claiming::default(),
            waiting: Waiting::default(),
            peers: BTreeMap::new(),
            puller: Puller::default(),
            provider: Provider::default(),
            lookups: Lookups::new(config.lookup_timeout),
            events: VecDeque::new(),
            counters: Counters::default(),
            observer: None,
            arrivals: Arrivals::default(),
            overflowed: 0,
            ways: Ways { group: config.multicast, unicast: Vec::new() },
            housekeeping_due: now.instant,
            streams: Streams::default(),
            orphans_untold: false,
            pace: Pace::new(now.instant, config.compare_every),
            portions: Portions::new(now.instant, &config.keyring.placement_secret()),
            agreeing: None,
            config,
        }
    }

    /// Has it remember by `claims`, from now on, who claimed its tickets. A node
    /// that is given none grants no claim.
    pub fn keep_claims(&mut self, claims: Arc<Claims>) {
        self.claims = claims;
    }

    /// Has `observer` told of what comes from others and of what ends, from now on.
    pub fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// Whether a write may be published. When not, the stream waits for a
    /// slow receiver, and writers should wait too.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.sender.has_room()
    }

    /// Whether so few writes wait for others that further ones may begin to. When
    /// not, writers should wait.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        self.waiting.has_room()
    }

    /// Forgets the writes whose writers do not wait any more.
    pub fn forget_waits(&mut self, is_over: impl Fn(WriteId) -> bool) {
        self.waiting.forget(is_over);
    }

    /// Sends what the node's own table has taken in to the others: the packets
    /// of `stage` that take no more frames, all of them. Empties it.
    pub fn take(&mut self, stage: &mut Stage) {
        let first = self.sender.high() + 1;
        for staged in stage.packets() {
            self.sender.take(staged);
        }
        for waits in stage.waits() {
            let sequence = first + waits.packet as u64;
            let given_up = if self.portions.sharing {
                let (Waits { write, ack, .. }, slots) = (*waits, waits.keys.map(Slot::of));
                self.waiting.push_held(Held { sequence, write, ack, slots })
            } else {
                self.waiting.push(sequence, waits.write, waits.ack)
            };
            if let Some(write) = given_up {
                self.event(Event::GivenUp(write));
            }
        }
        stage.clear();
        self.acknowledge();
    }

    /// Sends what is left as fast as it goes: the node is about to leave.
    pub fn hurry(&mut self) {
        self.sender.hurry();
    }

    /// Whether there is something to send that must not wait: repairs, and what
    /// nodes tell each other.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        !self.outbox.is_empty() || self.sender.has_repairs()
    }

    /// The socket's count of packets that it dropped because they were not
    /// read in time.
    pub const fn set_overflowed(&mut self, overflowed: u32) {
        self.overflowed = overflowed;
    }

    /// How many packets our socket has dropped so far.
    #[must_use]
    pub const fn overflowed(&self) -> u32 {
        self.overflowed
    }

    /// The next packets to be sent.
    pub fn poll_transmit(&mut self, now: Now) -> Option<Transmit<'_>> {
        if self.outbox.is_empty() {
            self.sender.poll_transmit(now.instant)
        } else {
            self.outbox.poll_transmit()
        }
    }

    /// The next packet that must not wait for others.
    pub fn poll_urgent(&mut self, now: Now) -> Option<Transmit<'_>> {
        if self.outbox.is_empty() {
            self.sender.poll_repair(now.instant)
        } else {
            self.outbox.poll_transmit()
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether another node takes its packets at this one's IP address, as far
    /// as is known.
    #[must_use]
    pub fn shares_address(&self) -> bool {
        let own = self.config.address;
        let members = self.peers.values().map(|peer| peer.address);
        members
            .chain(self.config.peers.iter().copied())
            .any(|address| address.ip() == own.ip() && address != own)
    }

    /// The other nodes, by incarnation.
    #[must_use]
    pub const fn peers(&self) -> &BTreeMap<Incarnation, Peer> {
        &self.peers
    }

    /// The node's own stream.
    #[must_use]
    pub const fn sender(&self) -> &Sender {
        &self.sender
    }

    /// What the node did.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What look-ups did.
    #[must_use]
    pub const fn lookups(&self) -> &Lookups {
        &self.lookups
    }

    /// Whether the portion has arrived.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.join.is_ready()
    }

    fn hello(&self) -> Hello {
        Hello {
            name: self.config.name.clone(),
            address: self.config.address,
            ready: self.is_ready(),
            placement: self.misfits.placement(),
            portion: self.config.portion.clone(),
        }
    }

    fn event(&mut self, event: Event) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }

    fn acknowledge(&mut self) {
        if self.waiting.has_held() {
            let reached = self.sender.progress.furthest();
            let mut waiting = std::mem::take(&mut self.waiting);
            for write in waiting.take_held(reached, |held| self.is_held(held)) {
                self.event(Event::Acknowledged(write));
            }
            self.waiting = waiting;
        }
        while let Some(write) = self.waiting.pop(&self.sender.progress) {
            self.event(Event::Acknowledged(write));
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.config.name)
            .field("incarnation", &self.config.incarnation)
            .field("sender", &self.sender)
            .field("peers", &self.peers.len())
            .finish_non_exhaustive()
    }
}
