//! Going on with connections that are this node's from now on.
//!
//! The address first, so that what is thawed can be heard; then one connection
//! after the other: what its ledger says becomes a socket at each end, and each
//! peer that may lack something is asked how far it has come. Until it has
//! answered, what it sends waits.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use proto::connection::epoch::Term;
use proto::connection::ledger::{Ledger, Side};
use proto::connection::owner::Owner;
use proto::connection::record::EndHeader;
use proto::connection::segment::Segment;
use proto::connection::sequence::Position;
use proto::connection::{ConnectionId, End, GroupId};
use proto::time::Instant;
use sys::carried;
use sys::queue::Verdict;
use sys::repair::{
    Asking, Incoming, Options, Outgoing, Restored, Scales, State, SynAck, Thawed, Timestamp,
    Windows,
};
use tls_rustls::records::{Epoch, Records, Snapshot};

use super::links::Owned;
use super::{Driver, LOOKED_FOR};
use crate::carrier::splice::{Asked, Link, Splice};
use crate::carrier::{PROMISED, ROOM};

/// When a peer is asked again that has not answered: a few round trips of a LAN.
const AGAIN: Duration = Duration::from_millis(20);
/// The longest pause between questions.
const LONGEST: Duration = Duration::from_secs(1);
/// How long a peer is asked. Then the kernel goes on as if it lacked everything:
/// most likely nobody is there any more.
const PATIENCE: Duration = Duration::from_secs(15);
/// How far clocks of two nodes are taken to differ from what was measured: what
/// a message may take longer than another.
const CLOCK_MARGIN: u32 = 20;

/// What the last word of who had connections was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    /// When it came.
    pub(super) heard: Instant,
    /// By how many milliseconds its clock was ahead of ours.
    pub(super) ahead: u32,
}

impl Driver {
    /// Goes on with connections, as a group of that term.
    pub(super) fn restore(
        &mut self,
        group: GroupId,
        term: Term,
        mut ledgers: Vec<Ledger>,
        before: Option<Before>,
    ) {
        self.strays.begin_anew();
        if (!ledgers.is_empty() || group == self.candidate.group()) && !self.take_address() {
            // It is tried again with the next one; the connections are this
            // node's in any case.
            tracing::error!("the virtual address cannot be taken: its clients do not come here");
        }
        let count = ledgers.len();
        let ahead = before.map_or(0, |before| before.ahead.wrapping_add(CLOCK_MARGIN));
        for ledger in &mut ledgers {
            self.beat();
            ledger.advance_clocks(ahead);
            if let Err(error) = self.revive(group, ledger) {
                self.counts.lost += 1;
                tracing::warn!(
                    connection = ?ledger.header().id, %error, "a connection could not be gone on with"
                );
                // What there is of it hears that it is over.
                if let Some(splice) = self.splices.get_mut(&ledger.header().id) {
                    splice.broken = true;
                }
                self.let_go(ledger.header().id);
            }
        }
        let owner = Owner::resume(self.owner_config(group), term, ledgers);
        self.owners.insert(group, Owned::new(owner));
        self.close_unknown(group);
        self.answers_until = self.read_clock() + LOOKED_FOR;
        if count > 0 {
            self.counts.taken_over += count as u64;
            let now = self.read_clock();
            let pause = before.map(|before| now.saturating_since(before.heard));
            self.counts.last_pause = pause.or(self.counts.last_pause);
            tracing::info!(connections = count, pause = ?pause, "gone on with another node's connections");
        }
    }

    /// Connections of a group that could not be restored are over.
    fn close_unknown(&mut self, group: GroupId) {
        let Some(owned) = self.owners.get_mut(&group) else { return };
        let unknown: Vec<ConnectionId> =
            owned.owner.connections().filter(|id| !self.splices.contains_key(id)).collect();
        for id in unknown {
            owned.owner.close(self.now, id);
        }
    }

    fn revive(&mut self, group: GroupId, ledger: &Ledger) -> io::Result<()> {
        let header = ledger.header();
        let id = header.id;
        // One that was moved may have come back.
        let permit = self.splices.get_mut(&id).and_then(|former| former.permit.take());
        self.forget_silently(id);
        let server = match &header.backend {
            Some(backend) => backend.peer,
            None => self.backend_of(header.client.local).ok_or(io::ErrorKind::NotFound)?,
        };
        let mut splice = Splice::new(id, server);
        splice.group = Some(group);
        splice.restored = true;
        splice.permit = permit;
        if let Some(tls) = &header.tls {
            let snapshot = Snapshot::decode(tls).map_err(io::Error::other)?;
            // The farm has given this node the connection: nobody else has this
            // epoch.
            let epoch = Epoch(snapshot.epoch().0 + 1);
            splice.records = Some(Records::restore(snapshot, epoch).map_err(io::Error::other)?);
        }
        self.splices.insert(id, splice);
        let ends = [(End::Client, Some(header.client)), (End::Backend, header.backend)];
        for (end, header) in ends {
            let Some(header) = header else { continue };
            self.revive_end((id, end), &header, ledger.side(end))?;
        }
        self.watching.insert(id);
        self.dirty.insert(id);
        if header.backend.is_none() {
            self.reach_backend(id);
        }
        Ok(())
    }

    fn revive_end(
        &mut self,
        (id, end): (ConnectionId, End),
        header: &EndHeader,
        side: &Side,
    ) -> io::Result<()> {
        let state = state(header, side);
        let ends = (state.local, state.peer);
        let restored = Restored::restore(state, ROOM.buffers()).map_err(|error| error.source)?;
        let thawed = restored.thaw(&self.parts.forge).map_err(|error| error.source)?;
        let written = (side.output.end(), side.output.fin());
        let Some(splice) = self.splices.get_mut(&id) else { return Ok(()) };
        let place = splice.side_mut(end);
        place.ends = Some(ends);
        place.read = side.input.consumed();
        self.by_ends.insert(ends, (id, end));
        match thawed {
            Thawed::Going(stream) => self.go_on((id, end), stream, written),
            Thawed::Asking(asking) => {
                self.ask((id, end), asking, written);
                Ok(())
            }
        }
    }

    /// An end's peer is being asked how far it has come.
    pub(super) fn ask(
        &mut self,
        (id, end): (ConnectionId, End),
        asking: Asking,
        written: (Position, bool),
    ) {
        let Some(splice) = self.splices.get_mut(&id) else { return };
        let (since, again) = (self.now, self.now + AGAIN);
        let asked = Asked { asking, since, again, pause: AGAIN, written };
        splice.side_mut(end).link = Link::Asking(Box::new(asked));
        self.watching.insert(id);
        self.answers_until = self.read_clock() + LOOKED_FOR;
    }

    /// An end goes on by that socket; what waited for it does as well.
    pub(super) fn go_on(
        &mut self,
        (id, end): (ConnectionId, End),
        stream: TcpStream,
        written: (Position, bool),
    ) -> io::Result<()> {
        carried::settle(&stream, ROOM).map_err(|error| error.source)?;
        let socket = self.watch((id, end), stream, written)?;
        let Some(splice) = self.splices.get_mut(&id) else { return Ok(()) };
        let side = splice.side_mut(end);
        side.link = Link::Up(socket);
        let (early, fin) = (std::mem::take(&mut side.early), side.early_fin);
        let deferred = std::mem::take(&mut side.deferred);
        // A failure is seen when it is read.
        let _ = side.write(early, fin);
        self.dirty.insert(id);
        self.heed(id, end);
        for packet in deferred {
            self.decide(packet, Verdict::Accept);
        }
        Ok(())
    }

    /// Whether one of a connection's peers is being asked.
    pub(super) fn is_asking(&self, id: ConnectionId) -> bool {
        self.splices.get(&id).is_some_and(|splice| {
            End::BOTH.iter().any(|end| matches!(splice.side(*end).link, Link::Asking(_)))
        })
    }

    /// Looks whether peers have answered, and asks them again.
    pub(super) fn tend_asked(&mut self, id: ConnectionId) {
        for end in End::BOTH {
            let Some(splice) = self.splices.get_mut(&id) else { return };
            let side = splice.side_mut(end);
            let Link::Asking(asked) = &mut side.link else { continue };
            if !self.parts.place.is_here() {
                continue;
            }
            let answered = asked.asking.answered(&self.parts.forge);
            let late = asked.since + PATIENCE <= self.now;
            match answered {
                Ok(false) if !late => {
                    if asked.again <= self.now {
                        asked.pause = (asked.pause * 2).min(LONGEST);
                        asked.again = self.now + asked.pause;
                        // It is asked again in any case.
                        let _ = asked.asking.ask(&self.parts.forge);
                    }
                }
                Ok(_) => self.answered(id, end),
                Err(error) => {
                    tracing::debug!(connection = ?id, %error, "a peer cannot be asked");
                    self.break_off(id);
                }
            }
        }
    }

    /// An end goes on: its peer has said how far it has come.
    fn answered(&mut self, id: ConnectionId, end: End) {
        let Some(splice) = self.splices.get_mut(&id) else { return };
        let side = splice.side_mut(end);
        let Link::Asking(asked) = std::mem::take(&mut side.link) else { return };
        let finished = asked.asking.finish(&self.parts.forge).map_err(io::Error::other);
        let gone = finished.and_then(|stream| self.go_on((id, end), stream, asked.written));
        if let Err(error) = gone {
            tracing::debug!(connection = ?id, %error, "a connection could not be gone on with");
            self.break_off(id);
        }
    }

    /// A client still waits for the answer to its SYN: it gets it again. False: it
    /// asks for another connection, which the kernel knows an answer to.
    pub(super) fn greet_again(&self, id: ConnectionId, segment: &Segment<'_>) -> bool {
        let header = self.header_of(id);
        let Some((header, side)) = header else { return false };
        if header.received.0 != segment.sequence {
            return false;
        }
        let state = state(&header, &side);
        let syn_ack = SynAck {
            segment: segment.options.segment.unwrap_or(header.mss),
            echo: segment.options.timestamps.map_or(0, |stamps| stamps.value),
        };
        if let Err(error) = self.parts.forge.syn_ack(&state, syn_ack) {
            tracing::debug!(%error, "a client could not be answered again");
        }
        true
    }

    fn header_of(&self, id: ConnectionId) -> Option<(EndHeader, Side)> {
        let group = self.splices.get(&id)?.group?;
        let ledger = self.owners.get(&group)?.owner.ledger(id)?;
        Some((ledger.header().client, ledger.side(End::Client).clone()))
    }
}

/// What a kernel goes on with.
pub(super) fn state(header: &EndHeader, side: &Side) -> State {
    let (input, output) = (&side.input, &side.output);
    let mut unread = Vec::new();
    for (_, bytes) in input.pieces().take_while(|(position, _)| *position < input.end()) {
        unread.extend_from_slice(bytes);
    }
    let mut sent = Vec::new();
    output.chunks().for_each(|chunk| sent.extend_from_slice(chunk));
    State {
        local: header.local,
        peer: header.peer,
        incoming: Incoming {
            next: header.received.sequence(input.end()),
            unread,
            closed: input.fin() == Some(input.end()),
        },
        outgoing: Outgoing {
            first: header.sent.sequence(output.unacknowledged()),
            sent,
            unsent: Vec::new(),
            closed: output.fin(),
        },
        options: Options {
            segment: header.mss,
            sack: header.sack,
            scales: header.scales.map(|(own, peer)| Scales { peer, own }),
            timestamp: header.timestamps.map(|offset| Timestamp {
                value: offset.wrapping_add(Driver::clock()),
                microseconds: false,
            }),
        },
        windows: Windows { promised: PROMISED, peer: USUAL_WINDOW, peer_largest: USUAL_WINDOW },
    }
}

/// What a peer is taken to allow, until it says: what fits without scaling.
const USUAL_WINDOW: u32 = 0xFFFF;
