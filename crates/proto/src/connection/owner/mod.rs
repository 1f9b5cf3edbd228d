//! The owner: nothing that a peer could know is unknown to the understudy.
//!
//! An [`Owner`] has all connections of one group. What comes in is told to the
//! understudy before the kernel gets it, and what goes out before it is written;
//! both wait in one line, as [`Action`]s, until the understudy holds what was
//! told by then. One line for all: what the driver does is in the order in
//! which it was decided, and one number of messages held releases it.
//!
//! A connection of it is *kept* by the understudy or *plain*. A plain one is
//! served without waiting, and ends with its owner: where there is no
//! understudy, or no room. Kept becomes plain only once the understudy holds
//! that it is not to go on with it, or once a term without understudy is won
//! ([`super::epoch`]). Plain becomes kept when all of it is told, a few at a
//! time; from that moment on it waits like any other.
//!
//! An owner that cannot know whether its term still stands, as its node stood
//! still or reaches nobody, does nothing until the next term is claimed
//! (`doubt`).
//!
//! The understudy is waited for so long, then the next term is claimed without
//! it. Who loses a claim is fenced: all connections are gone at once, and what
//! waits is forgotten.

mod doubt;
mod log;
mod serve;
mod standing;

pub use serve::{Differs, Output, Refused, Segment};

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use self::log::Log;
use super::epoch::{Claim, Term};
use super::handover::Handovers;
use super::ledger::Ledger;
use super::record::Header;
use super::sequence::Position;
use super::stream::Message;
use super::{ConnectionId, End, GroupId, Token};
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// What an owner is told when it begins.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node, at this start.
    pub me: Incarnation,
    /// The group; random where a new one begins.
    pub group: GroupId,
    /// How long the understudy is waited for. Clients wait as long, so it is a
    /// pause that they do not notice; but no shorter than a round trip under
    /// load, or a busy understudy would be taken for one that is gone.
    pub wait: Duration,
    /// How many bytes may be told and not yet held, of all connections.
    pub max_unheld_bytes: usize,
}

impl Config {
    /// What serves for most: 200 milliseconds is TCP's own shortest
    /// retransmission timer in Linux, and 32 MiB what 1 Gbit/s brings in it.
    #[must_use]
    pub const fn new(me: Incarnation, group: GroupId) -> Self {
        Self { me, group, wait: Duration::from_millis(200), max_unheld_bytes: 32 << 20 }
    }
}

/// What the driver is to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Let a packet that was held back go on its way.
    Admit(Token),
    /// Drop it: the peer sends it again.
    Refuse(Token),
    /// Write to a socket.
    Write {
        /// Of which connection.
        connection: ConnectionId,
        /// Of which end.
        end: End,
        /// Where the first byte belongs.
        position: Position,
        /// The bytes.
        bytes: Written,
        /// Whether nothing comes after them: from here on a FIN may leave.
        fin: bool,
    },
    /// Close the sockets of a connection: a FIN or an RST may leave.
    Close(ConnectionId),
    /// Close silently: another node has these connections. What this node has of
    /// them under another group stays: one may have come back since.
    Abandon(Vec<ConnectionId>),
    /// Connections are this node's again, as a group by themselves: restore
    /// them, and make them an owner of their own.
    Restore(Box<Returned>),
}

/// Connections that were moved and came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// The group that they are.
    pub group: GroupId,
    /// Its term.
    pub term: Term,
    /// They themselves.
    pub ledgers: Vec<Ledger>,
}

/// Bytes to write, which are not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Written(pub Vec<Bytes>);

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.iter().map(Bytes::len).sum::<usize>())
    }
}

/// How often something out of the ordinary happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Connections that became plain, for want of room or for what their kernel
    /// gave, while the understudy was there.
    pub left: u64,
    /// Packets that were refused.
    pub refused: u64,
    /// Connections whose kernel gave other bytes than were told.
    pub corrected: u64,
    /// Terms that were won without understudy.
    pub alone: u64,
    /// Messages of the understudy that made no sense.
    pub senseless: u64,
}

/// All connections of one group.
#[derive(Debug)]
pub struct Owner {
    config: Config,
    standing: Standing,
    claim: Option<Claim>,
    /// Whether nothing is done before that is decided.
    doubted: bool,
    /// Who is to be the understudy, as soon as there is none.
    wish: Option<Incarnation>,
    connections: BTreeMap<ConnectionId, Carried>,
    /// How many of them are plain.
    plain: usize,
    log: Log,
    /// What waits for so many messages to be held.
    waiting: VecDeque<(u64, Waiting)>,
    ready: VecDeque<Action>,
    handovers: Handovers,
    counters: Counters,
}

/// Under what an owner acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Without understudy: under that term, or before the first.
    Alone(Option<Term>),
    /// Only what the understudy of that term holds is emitted.
    Followed(Term),
    /// Not at all.
    Fenced,
}

/// A connection.
#[derive(Debug)]
struct Carried {
    ledger: Ledger,
    /// Up to where the relay has read each end's input.
    read: [Position; 2],
    /// What was answered beyond that: it is compared with what is read.
    ahead: [VecDeque<Bytes>; 2],
    keeping: Keeping,
}

/// Whether the understudy has a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// It has, once it holds so many messages.
    Kept { since: u64 },
    /// It is told to let it go, and nothing more.
    Leaving,
    /// It has not.
    Plain,
}

/// What waits for the understudy.
#[derive(Debug)]
enum Waiting {
    Action(ConnectionId, Action),
    /// The connection is plain from here on.
    Plain(ConnectionId),
}

impl Owner {
    /// An owner of no connections yet.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            standing: Standing::Alone(None),
            claim: None,
            doubted: false,
            wish: None,
            connections: BTreeMap::new(),
            plain: 0,
            log: Log::new(Instant::from_micros(0)),
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            handovers: Handovers::new(),
            counters: Counters { left: 0, refused: 0, corrected: 0, alone: 0, senseless: 0 },
        }
    }

    /// An owner of connections that it took over, under a term that it won.
    #[must_use]
    pub fn resume(config: Config, term: Term, ledgers: Vec<Ledger>) -> Self {
        let mut owner = Self::new(config);
        owner.standing = Standing::Alone(Some(term));
        owner.plain = ledgers.len();
        owner.connections = ledgers.into_iter().map(Carried::plain).collect();
        owner
    }

    /// Takes in a connection that has run until now without this: it is plain, and
    /// is told when there is room. `read` is up to where the relay has read the
    /// inputs of both ends.
    pub fn adopt(&mut self, mut ledger: Ledger, read: [Position; 2]) {
        ledger.set_group(self.config.group);
        let (id, mut carried) = Carried::plain(ledger);
        carried.read = read;
        self.plain += 1;
        self.connections.insert(id, carried);
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.config.group
    }

    /// Under which term it acts; none before the first, and when it is fenced.
    #[must_use]
    pub const fn term(&self) -> Option<Term> {
        match self.standing {
            Standing::Alone(term) => term,
            Standing::Followed(term) => Some(term),
            Standing::Fenced => None,
        }
    }

    /// Whether another node has the connections, and this one is to be silent.
    #[must_use]
    pub const fn is_fenced(&self) -> bool {
        matches!(self.standing, Standing::Fenced)
    }

    /// Whether the understudy could go on with a connection.
    #[must_use]
    pub fn is_protected(&self, connection: ConnectionId) -> bool {
        let kept = self.connections.get(&connection).map(|carried| carried.keeping);
        matches!(kept, Some(Keeping::Kept { since }) if since <= self.log.held())
    }

    /// How many connections there are, and how many of them are plain.
    #[must_use]
    pub fn len(&self) -> (usize, usize) {
        (self.connections.len(), self.plain)
    }

    /// Which connections there are.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.connections.keys().copied()
    }

    /// How far a connection has come.
    #[must_use]
    pub fn ledger(&self, connection: ConnectionId) -> Option<&Ledger> {
        self.connections.get(&connection).map(|carried| &carried.ledger)
    }

    /// What is known of a connection, under the present term: its record.
    #[must_use]
    pub fn header(&self, connection: ConnectionId) -> Option<Header> {
        self.ledger(connection).map(|ledger| {
            let mut header = ledger.header().clone();
            header.term = self.term();
            header
        })
    }

    /// How often something out of the ordinary happened.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<Action> {
        if self.doubted { None } else { self.ready.pop_front() }
    }

    /// What is to be told the understudy next, over the stream that is up.
    pub fn poll_transmit(&mut self) -> Option<Message> {
        let Standing::Followed(term) = self.standing else { return None };
        self.log.poll_transmit(self.config.group, term)
    }

    /// When [`Owner::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let wait = self.config.wait;
        let asked = self.claim.as_ref().map(Claim::poll_timeout);
        let waited = match self.standing {
            Standing::Followed(_) if self.claim.is_none() => {
                self.log.waits_since().map(|since| since + wait)
            }
            Standing::Followed(_) | Standing::Alone(_) | Standing::Fenced => None,
        };
        asked.into_iter().chain(waited).chain(self.handovers.poll_timeout(wait)).min()
    }
}

impl Carried {
    fn plain(ledger: Ledger) -> (ConnectionId, Self) {
        let read = End::BOTH.map(|end| ledger.side(end).input.consumed());
        let ahead = [VecDeque::new(), VecDeque::new()];
        (ledger.header().id, Self { ledger, read, ahead, keeping: Keeping::Plain })
    }
}

#[cfg(test)]
mod tests;
