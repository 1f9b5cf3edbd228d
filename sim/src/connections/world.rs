//! Time, packets, the link between the nodes, and the end of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use proto::connection::epoch::{Answer, Ask, Operation};
use proto::connection::owner::{Config, Owner};
use proto::connection::{ConnectionId, End, GroupId};
use proto::rng::Rng;
use proto::time::Instant;
use proto::wire::header::Incarnation;

use super::check::Said;
use super::fault::{Fault, Tamper};
use super::node::{Asker, Carried, Inlet, Node, Packet, Says};
use super::peer::Peer;
use super::register::Register;

/// How often peers and kernels say again what is not acknowledged.
const AGAIN: u64 = 5_000;
/// How often a process looks around.
const TICK: u64 = 1_000;
/// When the clients come: by then there is a term and an understudy.
const CLIENTS_COME: u64 = 30_000;
/// A run that takes longer hangs: ten times what the worst faults add up to.
const LIMIT: u64 = 10_000_000;

/// How a run is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What everything is drawn from.
    pub seed: u64,
    /// How much each client and its backend say.
    pub says: Vec<(u64, u64)>,
    /// How many packets in a hundred are lost.
    pub loss: u64,
    /// Whether the register always answers, and at once.
    pub prompt: bool,
    /// What goes wrong at which step.
    pub faults: Vec<(u64, Fault)>,
    /// What is broken.
    pub tamper: Tamper,
}

/// What came of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// How many steps it took.
    pub steps: u64,
    /// How many connections went on at another node.
    pub taken_over: u64,
    /// How many ended since nobody had them: they were not protected.
    pub lost: u64,
}

impl Report {
    /// Adds another run's.
    pub const fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.taken_over += other.taken_over;
        self.lost += other.lost;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, taken_over, lost } = self;
        write!(f, "{steps} steps, {taken_over} connections taken over, {lost} unprotected and lost")
    }
}

/// What happens at a time.
#[derive(Debug)]
pub(super) enum Event {
    ToNode(Packet),
    ToPeer(Packet),
    Inlet { slot: usize, start: Incarnation, link: Option<u64>, inlet: Box<Inlet> },
    Ask { slot: usize, start: Incarnation, asker: Asker, ask: Ask },
    Detect { slot: usize, of: Incarnation },
    Again,
    Tick,
    Resume { slot: usize, stood: u64 },
    Restart(usize),
    LinkBack,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    pub(super) setup: Setup,
    pub(super) rng: Rng,
    pub(super) now: u64,
    agenda: BTreeMap<(u64, u64), Event>,
    serial: u64,
    pub(super) nodes: [Option<Node>; 2],
    pub(super) peers: BTreeMap<(usize, End), Peer>,
    pub(super) register: Register,
    /// Which node has the address that clients and backends talk to.
    pub(super) address: usize,
    pub(super) link_up: bool,
    pub(super) link: u64,
    pub(super) arrivals: [u64; 2],
    pub(super) steps: u64,
    pub(super) report: Report,
    pub(super) lost: BTreeSet<usize>,
    /// How often a node has died, or was taken for dead.
    pub(super) partings: u64,
    pub(super) said: Said,
    pub(super) failure: Option<String>,
    /// Which client each connection is of.
    pub(super) clients: BTreeMap<ConnectionId, usize>,
    names: u64,
}

impl World {
    /// Two nodes, of which the first is to be followed by the second.
    pub fn new(setup: Setup) -> Self {
        let mut peers = BTreeMap::new();
        for (client, &(up, down)) in setup.says.iter().enumerate() {
            peers.insert((client, End::Client), Peer::new(0, up, down));
            peers.insert((client, End::Backend), Peer::new(1, down, up));
        }
        let mut world = Self {
            rng: Rng::from_u64(setup.seed),
            setup,
            now: 0,
            agenda: BTreeMap::new(),
            serial: 0,
            nodes: [None, None],
            peers,
            register: Register::default(),
            address: 0,
            link_up: true,
            link: 0,
            arrivals: [0; 2],
            steps: 0,
            report: Report::default(),
            lost: BTreeSet::new(),
            partings: 0,
            said: Said::default(),
            failure: None,
            clients: BTreeMap::new(),
            names: 0,
        };
        world.start(0);
        world.start(1);
        world.found(0);
        world.at(TICK, Event::Tick);
        world.at(CLIENTS_COME, Event::Again);
        world
    }

    /// Lets time pass until everything has arrived.
    ///
    /// # Errors
    ///
    /// When something does not hold, or never arrives.
    pub fn run(mut self) -> Result<Report, String> {
        while let Some(((at, _), event)) = self.agenda.pop_first() {
            self.now = at;
            self.happen(event);
            if let Some(what) = self.failure.take() {
                return Err(format!("{what}\nat step {}, {at} us, {:?}", self.steps, self.setup));
            }
            if self.is_over() {
                self.report.steps = self.steps;
                self.report.lost = self.lost.len() as u64;
                return Ok(self.report);
            }
            if at > LIMIT {
                break;
            }
        }
        Err(format!("{} hangs, {:?}", self.stand(), self.setup))
    }

    /// Who waits for what, without what was said.
    fn stand(&self) -> String {
        let mut stand = String::new();
        for ((client, end), peer) in self.peers.iter().filter(|(_, peer)| !peer.is_done()) {
            let (sent, got) = (peer.socket.acknowledged(), peer.socket.acknowledges());
            let (attempt, connected) = (peer.attempt, peer.connected);
            stand += &format!("client {client} {end:?}: {sent} arrived of it, {got} came, ");
            stand += &format!("attempt {attempt}, connected: {connected}\n");
        }
        for node in self.nodes.iter().flatten() {
            for owner in node.owners.values() {
                let (connections, plain) = owner.len();
                stand += &format!("{:?} owns {connections}, {plain} plain, ", node.incarnation);
                stand += &format!("{} moving, {:?}\n", owner.moving(), owner.term());
            }
            for (id, Carried { client, attempt, open, frozen, sockets, .. }) in &node.carried {
                let ends = sockets.keys();
                stand +=
                    &format!("{:?} has {id:?} of client {client}, {ends:?}, ", node.incarnation);
                stand += &format!("attempt {attempt}, open: {open}, frozen: {frozen:?}\n");
            }
        }
        stand
    }

    /// What time it is for the machines.
    pub(super) const fn instant(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    /// A name that was never given.
    pub(super) fn name(&mut self) -> u128 {
        self.names += 1;
        u128::from(self.names) << 64 | u128::from(self.rng.next_u64())
    }

    /// Takes a step of that start of a node. False when it is not to go on.
    pub(super) fn step(&mut self, slot: usize, start: Incarnation) -> bool {
        self.steps += 1;
        let steps = self.steps;
        let due: Vec<Fault> = self
            .setup
            .faults
            .iter()
            .filter_map(|(at, fault)| (*at == steps).then_some(*fault))
            .collect();
        due.into_iter().for_each(|fault| self.befall(fault));
        self.failure.is_none() && self.runs(slot, start)
    }

    /// Whether that start of a node lives, and does not stand still.
    pub(super) fn runs(&self, slot: usize, start: Incarnation) -> bool {
        self.nodes[slot]
            .as_ref()
            .is_some_and(|node| node.incarnation == start && node.paused_until.is_none())
    }

    /// Notes what does not hold.
    pub(super) fn hold(&mut self, held: Result<(), String>) {
        if let Err(what) = held {
            self.failure.get_or_insert(what);
        }
    }

    /// Sends a packet to a node, by the address, or to a peer.
    pub(super) fn send(&mut self, to_node: bool, packet: Packet) {
        if self.rng.chance(self.setup.loss, 100) {
            return;
        }
        let delay = 200 + self.rng.below(300);
        let event = if to_node { Event::ToNode(packet) } else { Event::ToPeer(packet) };
        self.at(self.now + delay, event);
    }

    /// Says something to the other node, over the link.
    pub(super) fn say(&mut self, to: usize, inlet: Inlet) {
        let Some(start) = self.nodes[to].as_ref().map(|node| node.incarnation) else { return };
        if !self.link_up {
            return;
        }
        let delay = 50 + self.rng.below(150);
        self.arrivals[to] = (self.now + delay).max(self.arrivals[to] + 1);
        let event = Event::Inlet { slot: to, start, link: Some(self.link), inlet: Box::new(inlet) };
        self.at(self.arrivals[to], event);
    }

    /// Asks the farm.
    pub(super) fn ask(&mut self, slot: usize, start: Incarnation, asker: Asker, ask: Ask) {
        if self.setup.tamper == Tamper::ActsWithoutTerm
            && matches!(ask.operation, Operation::CompareAndSet { .. })
        {
            return self.answer(slot, start, (asker, ask, Answer::Set));
        }
        if self.setup.prompt || !self.rng.chance(1, 20) {
            // Some are done long after nobody waits for them any more.
            let late = !self.setup.prompt && self.rng.chance(1, 20);
            let delay = if late { 1_500_000 } else { 200 + self.rng.below(800) };
            self.at(self.now + delay, Event::Ask { slot, start, asker, ask });
        }
    }

    fn answer(
        &mut self,
        slot: usize,
        start: Incarnation,
        (asker, ask, answer): (Asker, Ask, Answer),
    ) {
        let unknown = !self.setup.prompt && self.rng.chance(1, 8);
        let answer = if unknown { Answer::Unknown } else { answer };
        if self.setup.prompt || !self.rng.chance(1, 30) {
            let delay = 200 + self.rng.below(800);
            let inlet = Box::new(Inlet::Answer(asker, ask, answer));
            self.at(self.now + delay, Event::Inlet { slot, start, link: None, inlet });
        }
    }

    /// Has something happen at a time.
    pub(super) fn at(&mut self, time: u64, event: Event) {
        self.serial += 1;
        self.agenda.insert((time, self.serial), event);
    }

    fn start(&mut self, slot: usize) {
        let incarnation = Incarnation(self.name());
        self.nodes[slot] = Some(Node::new(incarnation));
    }

    /// Begins a group of connections at a node.
    pub(super) fn found(&mut self, slot: usize) -> GroupId {
        let group = GroupId(self.name());
        if let Some(node) = &mut self.nodes[slot] {
            let wait = std::time::Duration::from_millis(30);
            let config = Config { wait, ..Config::new(node.incarnation, group) };
            node.owners.insert(group, Owner::new(config));
        }
        group
    }

    fn is_over(&self) -> bool {
        self.peers.iter().all(|((client, _), peer)| peer.is_done() || self.lost.contains(client))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToNode(packet) => self.arrive(packet),
            Event::ToPeer(packet) => self.reach(packet),
            Event::Inlet { slot, start, link, inlet } => {
                let lost = link.is_some_and(|link| link != self.link);
                if let Some(node) = &mut self.nodes[slot]
                    && node.incarnation == start
                    && !lost
                {
                    node.inbox.push_back(*inlet);
                    self.turn(slot);
                }
            }
            Event::Ask { slot, start, asker, ask } => {
                let answer = self.register.apply(&ask);
                self.answer(slot, start, (asker, ask, answer));
            }
            Event::Detect { slot, of } => self.detect(slot, of),
            Event::Again => {
                self.reckon();
                self.say_again();
                self.at(self.now + AGAIN, Event::Again);
            }
            Event::Tick => {
                for slot in 0..2 {
                    if let Some(node) = self.nodes[slot].as_mut()
                        && node.paused_until.is_none()
                    {
                        node.inbox.push_back(Inlet::Tick);
                        self.turn(slot);
                    }
                }
                self.at(self.now + TICK, Event::Tick);
            }
            Event::Resume { slot, stood } => self.resume(slot, stood),
            Event::Restart(slot) => {
                if self.nodes[slot].is_none() {
                    self.start(slot);
                }
            }
            Event::LinkBack => self.link_up = true,
        }
    }

    /// Peers and kernels say again what is not acknowledged.
    fn say_again(&mut self) {
        let keys: Vec<(usize, End)> = self.peers.keys().copied().collect();
        for (client, end) in keys {
            let Some(peer) = self.peers.get_mut(&(client, end)) else { continue };
            let attempt = peer.attempt;
            let begins = !peer.connected && end == End::Client;
            let segments = peer.transmit(true);
            if begins {
                self.send(true, Packet { client, end, attempt, says: Says::Syn });
            }
            for segment in segments {
                self.send(true, Packet { client, end, attempt, says: segment.into() });
            }
        }
        self.kernels_say_again();
    }
}
