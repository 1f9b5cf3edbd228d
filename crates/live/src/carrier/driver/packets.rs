//! What becomes of packets that wait in the kernel's queue.
//!
//! Whatever is not of a connection that is kept goes on at once. What could be of
//! one that this node is about to go on with is dropped: it is sent again.

use std::net::SocketAddr;

use proto::connection::ledger::Ledger;
use proto::connection::owner::Segment as Told;
use proto::connection::segment::Segment;
use proto::connection::{ConnectionId, End};
use sys::queue::{Packet, PacketId, Verdict};
use sys::repair::{Asking, Forge, Overheard};

use super::Driver;
use crate::arrived;
use crate::carrier::ROOM;
use crate::carrier::greeting::{Syn, end_header};
use crate::carrier::hold::{Hold, Of, token};
use crate::carrier::splice::{Ends, Link};

/// How many batches are read in a turn: verdicts and messages should not wait
/// for long.
const MOST_BATCHES: usize = 4;

impl Driver {
    pub(super) fn take_packets(&mut self) {
        let Some(mut hold) = self.parts.hold.take() else { return };
        for batch in 0..MOST_BATCHES {
            match hold.queue.receive() {
                Ok(more) => {
                    self.take_batch(&mut hold);
                    if !more {
                        break;
                    }
                    if batch + 1 == MOST_BATCHES {
                        // Epoll tells of new packets only: the rest is asked for.
                        self.left.packets = true;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "packets cannot be read");
                    break;
                }
            }
        }
        // What was let through is in its socket before anybody looks what that has.
        if let Err(error) = hold.queue.flush() {
            tracing::warn!(%error, "verdicts about packets could not be given");
        }
        self.parts.hold = Some(hold);
    }

    fn take_batch(&mut self, hold: &mut Hold) {
        let mut decided = Vec::new();
        let mut waiting = Vec::new();
        for packet in hold.queue.packets() {
            match self.take_packet(&packet) {
                Fate::Decided(verdict) => decided.push((packet.id, verdict)),
                Fate::Waits(of) => waiting.push((packet.id, of)),
            }
        }
        for (packet, of) in waiting {
            hold.wait(packet, of);
        }
        for (packet, verdict) in decided {
            if let Err(error) = hold.decide(packet, verdict) {
                tracing::warn!(%error, "a verdict about a packet could not be given");
            }
        }
    }

    fn take_packet(&mut self, packet: &Packet<'_>) -> Fate {
        let Some(segment) = arrived::segment(packet) else { return Fate::DROP };
        if packet.leaves {
            return self.take_leaving(packet.id, &segment);
        }
        let ends = (segment.to, segment.from);
        match self.by_ends.get(&ends).copied() {
            Some(known) => self.take_known(packet.id, known, &segment),
            None => self.take_unknown(ends, &segment),
        }
    }

    /// A SYN or SYN-ACK of our own, or a reset that no close stands behind.
    fn take_leaving(&mut self, packet: PacketId, segment: &Segment<'_>) -> Fate {
        let ends = (segment.from, segment.to);
        if segment.flags.rst() {
            return self.take_reset(ends);
        }
        let known = self.by_ends.get(&ends).copied();
        if !segment.flags.ack() {
            if let Some((id, end)) = known
                && let Some(splice) = self.splices.get_mut(&id)
            {
                splice.side_mut(end).syn = Some(Syn::of(segment));
            }
            return Fate::ACCEPT;
        }
        if let Some((id, end)) = known {
            if end == End::Backend || self.answers_as(id, segment) {
                // A repetition: it waits as the first one did.
                return if self.is_told(id) { Fate::ACCEPT } else { Fate::DROP };
            }
            // The kernel has let the former one go, and begun another.
            self.break_off(id);
        }
        match self.greetings.take(ends) {
            Some(syn) => self.open(packet, ends, (Syn::of(segment), syn)),
            None => Fate::ACCEPT,
        }
    }

    /// The kernel knows nothing of a connection, or has given it up: its client hears
    /// so only when no node could have it.
    fn take_reset(&mut self, ends: Ends) -> Fate {
        let is_ours = self.by_ends.contains_key(&ends) || !self.parts.place.is_here();
        if is_ours || !self.strays.is_nobodys(self.now, ends) || self.is_followed(ends) {
            return Fate::DROP;
        }
        self.counts.strays += 1;
        Fate::ACCEPT
    }

    /// Whether a connection is the one that a SYN-ACK is of.
    fn answers_as(&self, id: ConnectionId, segment: &Segment<'_>) -> bool {
        let group = self.splices.get(&id).and_then(|splice| splice.group);
        let owner = group.and_then(|group| self.owners.get(&group)).map(|owned| &owned.owner);
        let ledger = owner.and_then(|owner| owner.ledger(id));
        // Of one that is loose nothing is known that could be wrong.
        ledger.is_none_or(|ledger| ledger.header().client.sent.0 == segment.sequence)
    }

    /// Whether the understudy knows of a connection, or need not.
    fn is_told(&self, id: ConnectionId) -> bool {
        let group = self.splices.get(&id).and_then(|splice| splice.group);
        let Some(owned) = group.and_then(|group| self.owners.get(&group)) else { return true };
        owned.owner.term().is_none_or(|term| term.understudy.is_none())
            || owned.owner.is_protected(id)
    }

    fn take_known(
        &mut self,
        packet: PacketId,
        (id, end): (ConnectionId, End),
        segment: &Segment<'_>,
    ) -> Fate {
        if let Some(splice) = self.splices.get_mut(&id).filter(|splice| splice.is_still()) {
            splice.side_mut(end).late.keep(segment);
            return Fate::DROP;
        }
        let Some(splice) = self.splices.get(&id) else { return Fate::ACCEPT };
        let Some(group) = splice.group else { return Fate::ACCEPT };
        let side = splice.side(end);
        let of = Of { group, connection: id, end };
        let (restored, ends) = (splice.restored, (segment.to, segment.from));
        match (segment.flags.syn(), segment.flags.ack()) {
            (true, false) if end == End::Client && restored && self.greet_again(id, segment) => {
                return Fate::DROP;
            }
            (true, false) => {
                if end == End::Client && self.is_awaited(id) {
                    // Should it be another one than the one that was answered.
                    self.greetings.remember(self.now, ends, Syn::of(segment));
                }
                return Fate::ACCEPT;
            }
            (true, true) => {
                let Some((ends, ours)) = side.ends.zip(side.syn) else { return Fate::ACCEPT };
                let header = end_header(ends, (ours, Syn::of(segment)), Self::clock());
                let Some(owned) = self.owners.get_mut(&group) else { return Fate::DROP };
                if owned.owner.ledger(id).is_some_and(|ledger| ledger.has(end)) {
                    return Fate::ACCEPT;
                }
                owned.owner.attach(self.now, id, header, token(packet));
            }
            (false, _) => {
                let told = Told {
                    sequence: segment.sequence,
                    payload: segment.data,
                    fin: segment.flags.fin(),
                };
                let Some(owned) = self.owners.get_mut(&group) else { return Fate::DROP };
                let ledger = owned.owner.ledger(id);
                if ledger.is_some_and(|ledger| !may_be_taken(ledger, end, segment)) {
                    return Fate::DROP;
                }
                if let Link::Asking(asked) = &side.link {
                    overhear(&asked.asking, segment, &self.parts.forge);
                }
                owned.owner.handle_segment(self.now, (id, end), told, token(packet));
                let clock = segment.options.timestamps.map(|stamps| stamps.value);
                if !segment.flags.fin() && !segment.flags.urg() {
                    self.answer_ahead(id, end, clock);
                }
            }
        }
        Fate::Waits(of)
    }

    fn take_unknown(&mut self, ends: Ends, segment: &Segment<'_>) -> Fate {
        if self.is_about_to_have(ends) {
            return Fate::DROP;
        }
        let begins = segment.flags.syn() && !segment.flags.ack();
        if begins
            && self.is_plain(ends.0)
            && !self.greetings.remember(self.now, ends, Syn::of(segment))
        {
            self.counts.unheld += 1;
        }
        Fate::ACCEPT
    }

    /// Whether a plain listener is at that address.
    fn is_plain(&self, local: SocketAddr) -> bool {
        self.parts.services.iter().any(|(service, _)| service.listen == local)
    }

    /// Lets a packet go on its way, unless the end's peer is being asked how far
    /// it has come: then only the answer is let in.
    pub(super) fn admit(&mut self, packet: PacketId) {
        let Some(hold) = &mut self.parts.hold else { return };
        let of = hold.take(packet);
        let side = of.and_then(|of| {
            self.splices.get_mut(&of.connection).map(|splice| splice.side_mut(of.end))
        });
        let mut verdict = Verdict::Accept;
        if let (Some(side), Some(of)) = (side, of) {
            if matches!(side.link, Link::Asking(_)) {
                if side.defer(packet) {
                    return;
                }
                verdict = Verdict::Drop;
            } else if let Some(socket) = side.socket_mut() {
                // The kernel takes it within the call that gives the verdict: it is
                // read in this turn, and not when epoll has told of it.
                socket.readable = true;
                self.dirty.insert(of.connection);
            }
        }
        self.decide(packet, verdict);
    }

    /// Drops a packet: its sender sends it again.
    pub(super) fn refuse(&mut self, packet: PacketId) {
        if let Some(hold) = &mut self.parts.hold {
            hold.take(packet);
        }
        self.decide(packet, Verdict::Drop);
    }

    pub(super) fn decide(&mut self, packet: PacketId, verdict: Verdict) {
        if let Some(hold) = &mut self.parts.hold
            && let Err(error) = hold.decide(packet, verdict)
        {
            tracing::warn!(%error, "a verdict about a packet could not be given");
        }
    }
}

/// Has the kernel know what a peer has answered with data, which wait.
fn overhear(asking: &Asking, segment: &Segment<'_>, forge: &Forge) {
    let speaks = segment.flags.ack() && !segment.flags.rst() && !segment.data.is_empty();
    let Some(block) = segment.options.block.filter(|_| speaks) else { return };
    let heard = Overheard { acknowledged: segment.acknowledged, window: segment.window, block };
    if let Err(error) = asking.overhear(&heard, forge) {
        tracing::debug!(%error, "what a peer has answered is not known, and is asked again");
    }
}

/// Whether the kernel would take what a segment brings, as far as its
/// acknowledgement says: of nothing that was not sent (RFC 9293, section 3.10.7.4),
/// and not of what was acknowledged long ago (RFC 5961, section 5.2). What the
/// kernel drops is not to be told or answered: whoever does not see a connection
/// and only guesses its numbers could have his bytes taken for its peer's.
fn may_be_taken(ledger: &Ledger, end: End, segment: &Segment<'_>) -> bool {
    if segment.data.is_empty() && !segment.flags.fin() {
        return true;
    }
    let initial = match end {
        End::Client => Some(ledger.header().client.sent),
        End::Backend => ledger.header().backend.map(|header| header.sent),
    };
    let output = &ledger.side(end).output;
    let acknowledged = initial.and_then(|at| at.position(segment.acknowledged, output.end()));
    segment.flags.ack()
        && acknowledged.is_some_and(|acknowledged| {
            acknowledged <= output.end() + usize::from(output.fin())
                && output.unacknowledged() - acknowledged <= ROOM.unacknowledged as u64
        })
}

/// What becomes of a packet.
pub(super) enum Fate {
    Decided(Verdict),
    /// Its owner decides.
    Waits(Of),
}

impl Fate {
    pub(super) const ACCEPT: Self = Self::Decided(Verdict::Accept);
    pub(super) const DROP: Self = Self::Decided(Verdict::Drop);
}
