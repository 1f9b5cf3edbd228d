//! The carrier's thread: everything of live connections that happens.
//!
//! One turn of its loop takes what epoll, the queue and others have brought,
//! lets the machines decide, and does what they say; verdicts and messages go
//! out once a turn, so that what comes together goes together. In reading order:
//! [`packets`] what is held back; [`begin`] connections that begin; [`relay`]
//! from one end to the other, and [`ahead`] the same before the kernel has it;
//! [`act`] what owners decide; [`links`] streams to other nodes; [`follow`] what
//! this node could go on with; [`restore`] going on, [`heed`] whether that is
//! heard, and [`doubt`] whether it still stands; [`adopt`] taking in what has run
//! by itself; [`terms`] who owns; [`leave`] moving everything elsewhere; [`look`]
//! what is due in between, by the [`clock`]; [`tell`] how it stands.

mod act;
mod adopt;
mod ahead;
mod begin;
mod clock;
mod doubt;
mod follow;
mod heed;
mod leave;
mod links;
mod look;
mod packets;
mod relay;
mod restore;
mod tell;
mod terms;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use parking_lot::Mutex;
use proto::connection::sequence::Position;
use proto::connection::{ConnectionId, End, GroupId};
use proto::time::Instant;
use proto::wire::header::Incarnation;
use segue::Neighbours;
use sys::address::LinkWatch;
use sys::repair::Forge;
use sys::rules::Rules;

use self::follow::Study;
use self::heed::Unheard;
use self::leave::Leaving;
use self::links::{Line, Owned};
use self::terms::Candidate;
use super::figures::Figures;
use super::greeting::Greetings;
use super::hold::Hold;
use super::orders::Order;
use super::place::Place;
use super::registers::Registers;
use super::socket::Socket;
use super::splice::{Ends, Link, Splice};
use super::strays::Strays;
use super::{Config, Service};
use crate::stream;

/// What is read from a socket at once: with TLS around it, and the beginning of a
/// record before it, still one chunk of the ledger's.
const READ_BYTES: usize = 46 << 10;
/// How long the thread sleeps at the most: then it looks around.
const LOOK_AROUND: Duration = Duration::from_millis(20);
/// The same while it waits for what the kernel does not tell: what peers have
/// acknowledged, and what they answer when they are asked.
const WATCH: Duration = Duration::from_millis(1);
/// How many rounds of relaying and deciding there are in a turn: then others
/// have theirs.
const MOST_ROUNDS: usize = 4;
/// How long peers' answers are looked for without sleeping in between: on a LAN
/// they are there by then, and a sleep is a millisecond at the least.
const LOOKED_FOR: Duration = Duration::from_millis(2);
pub(super) const WAKER: Token = Token(0);
const QUEUE: Token = Token(1);
const LISTENER: Token = Token(2);
const LINK: Token = Token(3);
const FIRST: usize = 4;

/// What a token of epoll's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watched {
    /// A plain listener.
    Service(usize),
    Socket(ConnectionId, End),
    Stream,
}

/// What was not taken whole in a turn.
#[derive(Debug, Default)]
struct Left {
    packets: bool,
    calls: bool,
    services: BTreeSet<usize>,
    streams: BTreeSet<Token>,
}

impl Left {
    fn is_empty(&self) -> bool {
        !self.packets && !self.calls && self.services.is_empty() && self.streams.is_empty()
    }
}

/// What the thread is given when it begins.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) me: Incarnation,
    pub(super) poll: Poll,
    pub(super) orders: Receiver<Order>,
    pub(super) hold: Option<Hold>,
    pub(super) forge: Forge,
    pub(super) place: Place,
    pub(super) link: LinkWatch,
    pub(super) services: Vec<(Service, TcpListener)>,
    pub(super) calls: stream::Listener,
    pub(super) tls: stream::Tls,
    pub(super) identity: segue::Identity,
    pub(super) registers: Registers,
    pub(super) neighbours: Neighbours,
    pub(super) figures: Arc<Mutex<Figures>>,
}

/// The thread's state.
pub(super) struct Driver {
    parts: Parts,
    origin: std::time::Instant,
    now: Instant,
    greetings: Greetings,
    strays: Strays,
    splices: BTreeMap<ConnectionId, Splice>,
    by_ends: HashMap<Ends, (ConnectionId, End)>,
    watched: BTreeMap<Token, Watched>,
    next_token: usize,
    owners: BTreeMap<GroupId, Owned>,
    studies: BTreeMap<(GroupId, u64), Study>,
    lines: BTreeMap<Token, Line>,
    candidate: Candidate,
    leaving: Option<Leaving>,
    /// Connections that are to be looked at in this turn.
    dirty: BTreeSet<ConnectionId>,
    /// Those that wait for what the kernel does not tell.
    watching: BTreeSet<ConnectionId>,
    /// Connections whose clients have not answered yet, by age.
    half_open: VecDeque<(Instant, ConnectionId)>,
    /// Ends that were restored, and are not known to be heard.
    unheard: BTreeMap<(ConnectionId, End), Unheard>,
    /// Until when answers of peers are looked for without sleeping.
    answers_until: Instant,
    /// What was not taken whole, and epoll does not tell of again.
    left: Left,
    /// Nodes that could not be reached, and until when they are not tried.
    avoided: BTreeMap<Incarnation, Instant>,
    scratch: Box<[u8]>,
    counts: Figures,
    told: Instant,
    looked: Instant,
    /// Whose acknowledgements were looked at last.
    swept: Option<ConnectionId>,
    /// When this thread last said that it runs, and whether it was late.
    beaten: Instant,
    away: bool,
    stopped: Option<tokio::sync::oneshot::Sender<()>>,
    /// The last to go: they keep in what sockets say that are closed.
    _rules: Rules,
}

impl Driver {
    pub(super) fn new(mut parts: Parts, rules: Rules) -> std::io::Result<Self> {
        let registry = parts.poll.registry();
        let mut watched = BTreeMap::new();
        let mut next_token = FIRST;
        for (index, (_, listener)) in parts.services.iter().enumerate() {
            let token = Token(next_token);
            next_token += 1;
            registry.register(&mut SourceFd(&listener.as_raw_fd()), token, Interest::READABLE)?;
            watched.insert(token, Watched::Service(index));
        }
        if let Some(hold) = &parts.hold {
            let descriptor = hold.queue.as_fd().as_raw_fd();
            registry.register(&mut SourceFd(&descriptor), QUEUE, Interest::READABLE)?;
        }
        let descriptor = parts.link.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&descriptor), LINK, Interest::READABLE)?;
        let link = parts.link.ask().map_err(std::io::Error::other)?;
        registry.register(&mut parts.calls, LISTENER, Interest::READABLE)?;
        Ok(Self {
            candidate: Candidate::new(&parts.config),
            parts,
            origin: std::time::Instant::now(),
            now: Instant::from_micros(0),
            greetings: Greetings::default(),
            strays: Strays::default(),
            splices: BTreeMap::new(),
            by_ends: HashMap::new(),
            watched,
            next_token,
            owners: BTreeMap::new(),
            studies: BTreeMap::new(),
            lines: BTreeMap::new(),
            leaving: None,
            dirty: BTreeSet::new(),
            watching: BTreeSet::new(),
            half_open: VecDeque::new(),
            unheard: BTreeMap::new(),
            answers_until: Instant::from_micros(0),
            left: Left::default(),
            avoided: BTreeMap::new(),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            counts: Figures { link: Some(link), ..Figures::default() },
            told: Instant::from_micros(0),
            looked: Instant::from_micros(0),
            swept: None,
            beaten: Instant::from_micros(0),
            away: false,
            stopped: None,
            _rules: rules,
        })
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(256);
        self.beaten = self.read_clock();
        while self.stopped.is_none() {
            let timeout = self.timeout();
            match self.parts.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::error!(%error, "live connections end: epoll");
                    break;
                }
            }
            self.beat();
            self.now = self.read_clock();
            if self.away {
                self.doubt("this process stood still");
            }
            let left = std::mem::take(&mut self.left);
            let packets_wait = self.take_events(&events) | left.packets;
            if left.calls {
                self.answer_calls();
            }
            left.services.into_iter().for_each(|index| self.accept(index));
            left.streams.into_iter().for_each(|token| self.serve_line(token));
            self.take_orders();
            if packets_wait {
                self.take_packets();
            }
            self.look_around();
            self.work();
            self.tell();
        }
        self.end();
    }

    /// How long it may sleep.
    fn timeout(&self) -> Duration {
        if !self.left.is_empty() || !self.dirty.is_empty() {
            return Duration::ZERO;
        }
        if self.now < self.answers_until {
            return Duration::ZERO;
        }
        let rest =
            if self.watching.is_empty() && self.unheard.is_empty() { LOOK_AROUND } else { WATCH };
        let owners = self.owners.values().filter_map(|owned| owned.owner.poll_timeout());
        let studies = self.studies.values().filter_map(|study| study.machine.poll_timeout());
        let lines = self.lines.values().map(|line| line.stream.poll_timeout());
        let due = owners.chain(studies).chain(lines).min();
        due.map_or(rest, |due| rest.min(due.saturating_since(self.read_clock())))
    }

    /// Takes what epoll has brought; says whether packets wait.
    fn take_events(&mut self, events: &Events) -> bool {
        let mut queue_is_ready = false;
        for event in events {
            match event.token() {
                WAKER => {}
                QUEUE => queue_is_ready = true,
                LISTENER => self.answer_calls(),
                LINK => self.note_link(),
                token => match self.watched.get(&token).copied() {
                    Some(Watched::Service(index)) => self.accept(index),
                    Some(Watched::Socket(id, end)) => {
                        self.note((id, end), event);
                    }
                    Some(Watched::Stream) => self.serve_line(token),
                    None => {}
                },
            }
        }
        queue_is_ready
    }

    /// Epoll has said something of an end.
    fn note(&mut self, (id, end): (ConnectionId, End), event: &Event) {
        let readable = event.is_readable() || event.is_error();
        let writable = event.is_writable() || event.is_error();
        let Some(splice) = self.splices.get_mut(&id) else { return };
        let side = splice.side_mut(end);
        match &mut side.link {
            // Its end was read, so nobody would read that it is broken.
            Link::Up(socket) if side.ended && event.is_error() && !socket.is_connected() => {
                self.break_off(id);
            }
            Link::Up(socket) => {
                socket.readable |= readable;
                if writable {
                    socket.note_writable();
                }
            }
            Link::Connecting(_) if writable => self.connected(id),
            Link::Connecting(_) | Link::Absent | Link::Asking(_) | Link::Still(_) => {}
        }
        self.dirty.insert(id);
    }

    fn take_orders(&mut self) {
        while let Ok(order) = self.parts.orders.try_recv() {
            match order {
                Order::Carry(handed) => self.carry(*handed),
                Order::Answer(asker, answered) => self.take_answer(asker, &answered.0, answered.1),
                Order::Drain(to) => self.begin_leaving(to),
                Order::Stop(stopped) => self.stopped = Some(stopped),
            }
        }
    }

    /// Lets the machines decide and does what they say, until nothing is left.
    fn work(&mut self) {
        for _ in 0..MOST_ROUNDS {
            let mut acted = self.act();
            self.give_verdicts();
            acted |= self.relay_dirty();
            self.follow();
            self.tell_lines();
            if !acted {
                break;
            }
        }
        self.ask_registers();
        self.give_verdicts();
    }

    /// Has the kernel do what was decided about packets.
    fn give_verdicts(&mut self) {
        if let Some(hold) = &mut self.parts.hold
            && let Err(error) = hold.queue.flush()
        {
            tracing::warn!(%error, "verdicts about packets could not be given");
        }
    }

    /// Watches an end's socket.
    fn watch(
        &mut self,
        at: (ConnectionId, End),
        stream: TcpStream,
        written: (Position, bool),
    ) -> std::io::Result<Socket> {
        let token = self.token(Watched::Socket(at.0, at.1));
        let watched = Socket::watch(self.parts.poll.registry(), stream, token, written);
        watched.inspect_err(|_| {
            self.watched.remove(&token);
        })
    }

    /// A token that nobody has.
    fn token(&mut self, watched: Watched) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.watched.insert(token, watched);
        token
    }

    /// A number that nobody else has.
    fn name() -> u128 {
        let mut bytes = [0; 16];
        // Without random numbers nothing of TLS works either.
        getrandom::fill(&mut bytes).expect("the kernel has random numbers");
        u128::from_be_bytes(bytes)
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("splices", &self.splices.len()).finish_non_exhaustive()
    }
}
