//! The understudy: what another node's connections have come to, kept here.
//!
//! An [`Understudy`] has the copies of one group under one term. It takes the
//! owner's messages in order, says how many it holds, and when it is told to,
//! goes on with them: from then on it acknowledges nothing, claims the next term,
//! and gives what it has once that is won. It decides nothing by time: that an
//! owner is gone is for others to find, and only the claim makes it so.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::epoch::{Answer, Ask, Claim, Term, Verdict};
use super::ledger::{Broken, Ledger, WINDOW_BYTES};
use super::stream::{Message, Reply};
use super::{ConnectionId, GroupId};
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// How many bytes the copies of one group take at the most: what 256 busy
/// connections have in flight with full windows, or 64 thousand idle ones.
const MAX_BYTES: usize = 256 * WINDOW_BYTES;
/// What a connection takes beside its bytes: a ledger, and its header's TLS part.
const CONNECTION_BYTES: usize = 4 << 10;

/// What became of connections.
#[derive(Debug)]
pub enum Event {
    /// They are this node's: restore them, and make them an owner.
    Restore {
        /// The group that they are.
        group: GroupId,
        /// The term that was won.
        term: Term,
        /// They themselves.
        ledgers: Vec<Ledger>,
    },
    /// They are another's, and forgotten here.
    Lost {
        /// The group that they are.
        group: GroupId,
        /// Which they are.
        connections: Vec<ConnectionId>,
    },
}

/// The copies of one group's connections.
#[derive(Debug)]
pub struct Understudy {
    me: Incarnation,
    group: GroupId,
    term: Term,
    copies: BTreeMap<ConnectionId, Copy>,
    bytes: usize,
    /// How many messages were taken, and the number of the stream's next.
    held: u64,
    next: u64,
    /// How many were said to be held; none on a stream that is new.
    said: Option<u64>,
    /// Whether the owner is still followed.
    follows: bool,
    taking: BTreeMap<GroupId, Taking>,
    replies: VecDeque<Reply>,
    events: VecDeque<Event>,
}

/// A copy.
#[derive(Debug)]
struct Copy {
    ledger: Ledger,
    /// Whether all of it has come.
    whole: bool,
}

/// Connections that this node is about to go on with.
#[derive(Debug)]
struct Taking {
    claim: Claim,
    ledgers: Vec<Ledger>,
    /// Whether their owner has moved them, and is to hear of it.
    moved: bool,
}

impl Understudy {
    /// The understudy of an owner that has begun a stream. Not to be made for a
    /// group that this node owns, or of a term before one that it has claimed: then
    /// the stream is refused, and its owner finds out.
    ///
    /// # Errors
    ///
    /// When the stream's term names another node, or does not begin with its
    /// first message.
    pub fn begin(me: Incarnation, group: GroupId, term: Term, first: u64) -> Result<Self, Broken> {
        if term.understudy != Some(me) || first != 1 {
            return Err(Broken::Unknown);
        }
        Ok(Self {
            me,
            group,
            term,
            copies: BTreeMap::new(),
            bytes: 0,
            held: 0,
            next: 1,
            said: None,
            follows: true,
            taking: BTreeMap::new(),
            replies: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// The term under which it follows.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.term
    }

    /// Whether it follows the owner still.
    #[must_use]
    pub const fn follows(&self) -> bool {
        self.follows
    }

    /// Whether nothing is left to be done with it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !self.follows && self.taking.is_empty() && self.events.is_empty()
    }

    /// How many connections it could go on with.
    #[must_use]
    pub fn len(&self) -> usize {
        self.copies.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.copies.is_empty()
    }

    /// What it would go on with a connection from, as a group of its own or not.
    #[must_use]
    pub fn ledger(&self, connection: ConnectionId) -> Option<&Ledger> {
        let copy = self.copies.get(&connection).filter(|copy| copy.whole);
        let taking = self.taking.values().flat_map(|taking| &taking.ledgers);
        let won = self.events.iter().flat_map(|event| match event {
            Event::Restore { ledgers, .. } => &ledgers[..],
            Event::Lost { .. } => &[],
        });
        copy.map(|copy| &copy.ledger)
            .or_else(|| taking.chain(won).find(|ledger| ledger.header().id == connection))
    }

    /// Whether it is about to go on with a connection of these addresses, ours
    /// first.
    #[must_use]
    pub fn is_taking(&self, ends: (SocketAddr, SocketAddr)) -> bool {
        let mut ledgers = self.taking.values().flat_map(|taking| &taking.ledgers);
        ledgers.any(|ledger| is_between(ledger, ends))
    }

    /// Whether it has a copy of a connection of these addresses, ours first, or is
    /// about to go on with it. It looks at all that it has.
    #[must_use]
    pub fn knows(&self, ends: (SocketAddr, SocketAddr)) -> bool {
        self.is_taking(ends) || self.copies.values().any(|copy| is_between(&copy.ledger, ends))
    }

    /// Takes the owner's next message.
    ///
    /// # Errors
    ///
    /// When it does not follow from what was there, or would take too much
    /// memory: the stream is to be ended. Nothing more is acknowledged then, and
    /// the owner goes on without this node.
    pub fn handle_message(&mut self, now: Instant, message: Message) -> Result<(), Broken> {
        if !self.follows {
            return Ok(());
        }
        let taken = self.take(now, message);
        if taken.is_err() {
            self.follows = false;
            self.copies.clear();
        }
        taken
    }

    /// The owner is gone, as it seems: goes on with its connections, if it may.
    pub fn take_over(&mut self, now: Instant) {
        if !self.follows {
            return;
        }
        self.follows = false;
        let copies = std::mem::take(&mut self.copies).into_values();
        let ledgers = copies.filter(|copy| copy.whole).map(|copy| copy.ledger).collect();
        let new = Term::after(Some(self.term), self.me, None);
        let claim = Claim::new(now, self.group, Some(self.term), new);
        self.taking.insert(self.group, Taking { claim, ledgers, moved: false });
    }

    /// What the farm is to be asked.
    pub fn poll_ask(&mut self, now: Instant) -> Option<Ask> {
        self.taking.values_mut().find_map(|taking| taking.claim.poll_ask(now))
    }

    /// When something is to be asked.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.taking.values().map(|taking| taking.claim.poll_timeout()).min()
    }

    /// This node stood still: others may have gone on with what the farm has given
    /// it meanwhile, so it asks again.
    pub fn doubt(&mut self, now: Instant) {
        self.taking.values_mut().for_each(|taking| taking.claim.doubt(now));
    }

    /// What the farm has answered.
    pub fn handle_answer(&mut self, now: Instant, ask: &Ask, answer: Answer) {
        let group = ask.group;
        let Some(taking) = self.taking.get_mut(&group) else { return };
        let Some(verdict) = taking.claim.handle_answer(now, ask.number, answer) else { return };
        let Some(Taking { ledgers, moved, .. }) = self.taking.remove(&group) else { return };
        match verdict {
            Verdict::Won(term) => {
                if moved {
                    self.replies.push_back(Reply::Moved(group));
                }
                self.events.push_back(Event::Restore { group, term, ledgers });
            }
            Verdict::Lost => {
                let connections = ledgers.iter().map(|ledger| ledger.header().id).collect();
                self.events.push_back(Event::Lost { group, connections });
            }
        }
    }

    /// What the owner is to be told: how much is held, if that is news. To be
    /// asked for once what has come was taken, so that one reply is for all.
    pub fn poll_reply(&mut self) -> Option<Reply> {
        if let Some(reply) = self.replies.pop_front() {
            return Some(reply);
        }
        if !self.follows || self.said == Some(self.held) {
            return None;
        }
        self.said = Some(self.held);
        Some(Reply::Held { epoch: self.term.epoch, count: self.held })
    }

    /// What became of connections.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn take(&mut self, now: Instant, message: Message) -> Result<(), Broken> {
        if let Message::Begin { group, term, first } = message {
            if (group, term) != (self.group, self.term) || first > self.held + 1 || first == 0 {
                return Err(Broken::OutOfPlace);
            }
            self.next = first;
            self.said = None;
            return Ok(());
        }
        self.next += 1;
        if self.next - 1 <= self.held {
            return Ok(());
        }
        match message {
            Message::Begin { .. } => {}
            Message::Open(header) => self.add(Ledger::new(*header), true)?,
            Message::Seed { header, client, backend } => {
                self.add(Ledger::at(*header, client, backend), false)?;
            }
            Message::Seeded(id) => {
                self.copies.get_mut(&id).ok_or(Broken::Unknown)?.whole = true;
            }
            Message::Change(id, change) => {
                let copy = self.copies.get_mut(&id).ok_or(Broken::Unknown)?;
                let before = size(&copy.ledger);
                copy.ledger.apply(&change)?;
                self.bytes = self.bytes - before + size(&copy.ledger);
            }
            Message::Closed(id) => drop(self.remove(id)?),
            Message::Move { group, connections } => self.go_on(now, group, &connections)?,
        }
        if self.bytes > MAX_BYTES {
            return Err(Broken::TooMuch);
        }
        self.held += 1;
        Ok(())
    }

    fn add(&mut self, ledger: Ledger, whole: bool) -> Result<(), Broken> {
        let id = ledger.header().id;
        if ledger.header().group != self.group || self.copies.contains_key(&id) {
            return Err(Broken::Unknown);
        }
        self.bytes += size(&ledger);
        self.copies.insert(id, Copy { ledger, whole });
        Ok(())
    }

    fn remove(&mut self, id: ConnectionId) -> Result<Copy, Broken> {
        let copy = self.copies.remove(&id).ok_or(Broken::Unknown)?;
        self.bytes -= size(&copy.ledger);
        Ok(copy)
    }

    /// Goes on with connections that their owner has moved.
    fn go_on(
        &mut self,
        now: Instant,
        group: GroupId,
        connections: &[ConnectionId],
    ) -> Result<(), Broken> {
        if group == self.group || self.taking.contains_key(&group) {
            return Err(Broken::Unknown);
        }
        let mut ledgers = Vec::with_capacity(connections.len());
        for &id in connections {
            let Copy { mut ledger, whole } = self.remove(id)?;
            if !whole {
                return Err(Broken::Unknown);
            }
            ledger.set_group(group);
            ledgers.push(ledger);
        }
        let claim = Claim::new(now, group, None, Term::after(None, self.me, None));
        self.taking.insert(group, Taking { claim, ledgers, moved: true });
        Ok(())
    }
}

/// What a copy takes.
fn size(ledger: &Ledger) -> usize {
    CONNECTION_BYTES + ledger.bytes()
}
/// Whether one of a connection's ends has these addresses, ours first.
fn is_between(ledger: &Ledger, ends: (SocketAddr, SocketAddr)) -> bool {
    let header = ledger.header();
    let backend = header.backend.as_ref();
    backend.into_iter().chain([&header.client]).any(|end| (end.local, end.peer) == ends)
}
