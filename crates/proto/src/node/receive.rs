//! What arrives, and what it makes the node do.
//!
//! The order is that of rising cost: a header that makes sense, a number that
//! is new, a tag that opens, and only then anything else. Nothing changes
//! before a packet has opened.

use std::net::SocketAddr;
use std::time::Duration;
use std::{iter, mem};

use zeroize::Zeroizing;

use super::arrivals::Arrivals;
use super::join::meet::Answer;
use super::peer::State;
use super::status::Status;
use super::{Event, Node, Origin, Way};
use crate::nak::progress::Report;
use crate::nak::reassembly::{Assembled, Fragment};
use crate::nak::receiver::Remains;
use crate::nak::sender::Destination;
use crate::nak::spacing::FEW_RECEIVERS;
use crate::record::Hlc;
use crate::rng::Rng;
use crate::seal::{Forged, Opener};
use crate::time::Now;
use crate::wire::MAX_PACKET_BYTES;
use crate::wire::codec::{Malformed, Reader};
use crate::wire::control::{Item, Message, Range};
use crate::wire::header::{FLAG_FRAGMENT, FLAG_WAITED, Header, Incarnation, PacketType};

impl Node {
    /// A datagram has come. It is opened in place.
    pub fn handle_datagram(&mut self, now: Now, from: Origin, packet: &mut [u8]) {
        self.handle_run(now, from, iter::once(packet));
    }

    /// Datagrams of one sender have come, one behind the other. They are opened
    /// in place, and their records taken in together.
    pub fn handle_run<'p>(
        &mut self,
        now: Now,
        from: Origin,
        packets: impl Iterator<Item = &'p mut [u8]>,
    ) {
        self.notice_absence(now.instant);
        let mut arrivals: Arrivals<'p> = mem::take(&mut self.arrivals);
        for packet in packets {
            match self.handle_packet(now, from, packet, &mut arrivals) {
                Ok(()) => {}
                Err(Rejection::Forged) => {
                    self.counters.forged += 1;
                    self.misfits.forged(from.address);
                }
                Err(Rejection::Replayed) => self.counters.replayed += 1,
                Err(Rejection::Malformed) => self.counters.malformed += 1,
            }
        }
        self.take_in(now, &mut arrivals);
        self.arrivals = arrivals.into_room();
    }

    fn handle_packet<'p>(
        &mut self,
        now: Now,
        from: Origin,
        packet: &'p mut [u8],
        arrivals: &mut Arrivals<'p>,
    ) -> Result<(), Rejection> {
        let header = match Header::decode(packet) {
            Ok(header) if packet.len() <= MAX_PACKET_BYTES => header,
            Ok(_) | Err(_) => return Err(Rejection::Malformed),
        };
        if header.incarnation == self.config.incarnation {
            // Our own multicast, looped back.
            return Ok(());
        }
        match header.packet_type {
            _ if !self.peers.contains_key(&header.incarnation) => {
                self.handle_stranger(now, from.address, &header, packet)
            }
            PacketType::Data => self.handle_data(now, &header, (from.way, packet), arrivals),
            PacketType::Control => self.handle_control(now, from, &header, packet),
        }
    }

    /// A packet of a node that has not proven that it lives.
    fn handle_stranger(
        &mut self,
        now: Now,
        from: SocketAddr,
        header: &Header,
        packet: &mut [u8],
    ) -> Result<(), Rejection> {
        self.misfits.let_pass(header)?;
        let keyring = &self.config.keyring;
        let body = match self.join.challenged(header.incarnation) {
            Some(opener) => opener.open(keyring, header, packet)?,
            None => Opener::new(header.incarnation).open(keyring, header, packet)?,
        };
        if header.packet_type == PacketType::Data {
            // Its stream is followed from the position in its answer on.
            self.challenge(now.instant, from, header);
            return Err(Rejection::Replayed);
        }
        let mut items = Reader::new(body);
        let mut introduced = false;
        while let Some(item) = Item::decode(&mut items)? {
            match item {
                Item::Message(Message::Challenge { nonce, hello }) => {
                    self.handle_challenge(now, from, header, (nonce, &hello));
                    introduced = true;
                }
                Item::Message(Message::Answer { nonce, hello, high, holds, members }) => {
                    let answer = Answer { nonce, hello, high, holds, members };
                    self.handle_answer(now, from, header, answer);
                    introduced = true;
                }
                Item::Message(_) | Item::Part(_) | Item::Found(_) | Item::Piece(_) => {}
            }
        }
        if introduced {
            return Ok(());
        }
        self.challenge(now.instant, from, header);
        Err(Rejection::Replayed)
    }

    fn handle_data<'p>(
        &mut self,
        now: Now,
        header: &Header,
        (way, packet): (Way, &'p mut [u8]),
        arrivals: &mut Arrivals<'p>,
    ) -> Result<(), Rejection> {
        let back_off = self.back_off();
        let peer = self.peers.get_mut(&header.incarnation).expect("the caller found it");
        if !peer.receiver.wants(header.sequence) {
            return Err(Rejection::Replayed);
        }
        let body = peer.opener.open(&self.config.keyring, header, packet)?;
        self.counters.received += 1;
        self.counters.repairs_received += u64::from(peer.receiver.was_asked(header.sequence));
        if header.flags & FLAG_WAITED != 0 {
            peer.receiver.hurry();
        }
        let whole = if header.flags & FLAG_FRAGMENT == 0 {
            None
        } else {
            match peer.receiver.handle_fragment(header.sequence, &Fragment::decode(body)?) {
                Assembled::Unfinished => Some(Zeroizing::default()),
                Assembled::Frame(frame) => Some(frame),
                Assembled::Refused => return Ok(()),
            }
        };
        peer.receiver.handle_packet(now.instant, header.sequence, &mut peer.rtt, back_off);
        self.look_at(header.incarnation);
        self.heard(now, header.incarnation, way);
        let taken = match whole {
            None => self.gather(now, header.incarnation, Reader::new(body), arrivals),
            Some(frame) => self.apply_frames(now, header.incarnation, Reader::new(&frame)),
        };
        Ok(taken?)
    }

    fn handle_control(
        &mut self,
        now: Now,
        from: Origin,
        header: &Header,
        packet: &mut [u8],
    ) -> Result<(), Rejection> {
        let peer = self.peers.get_mut(&header.incarnation).expect("the caller found it");
        if peer.replay.seen(header.sequence) {
            return Err(Rejection::Replayed);
        }
        let body = peer.opener.open(&self.config.keyring, header, packet)?;
        peer.replay.insert(header.sequence);
        self.counters.received += 1;
        self.heard(now, header.incarnation, from.way);
        let mut items = Reader::new(body);
        while let Some(item) = Item::decode(&mut items)? {
            match item {
                Item::Part(part) => self.handle_part(now, header.incarnation, &part)?,
                Item::Found(part) => self.handle_found(now, header.incarnation, &part)?,
                Item::Piece(piece) => self.handle_piece(now, header.incarnation, &piece)?,
                Item::Message(message) => {
                    self.handle_message(now, from.address, header, message);
                }
            }
        }
        Ok(())
    }

    fn handle_message(&mut self, now: Now, from: SocketAddr, header: &Header, message: Message) {
        let sender = header.incarnation;
        match message {
            Message::Challenge { nonce, hello } => {
                self.handle_challenge(now, from, header, (nonce, &hello));
            }
            Message::Answer { nonce, hello, high, holds, members } => {
                let answer = Answer { nonce, hello, high, holds, members };
                self.handle_answer(now, from, header, answer);
            }
            Message::Heartbeat { high, time, ready, sent_micros } => {
                self.handle_heartbeat(now, sender, (high, time, ready, sent_micros));
            }
            Message::Status {
                stream,
                after,
                watermark,
                reached,
                credit,
                overflowed,
                echo_micros,
                held_micros,
            } => {
                let report = Report { after, watermark, reached, credit, overflowed };
                let status = Status { report, echo_micros, held_micros };
                if stream == self.config.incarnation {
                    self.handle_status(now, sender, &status);
                }
            }
            Message::Nak { stream, ranges } if stream == self.config.incarnation => {
                self.handle_nak(now, sender, &ranges);
            }
            Message::Nak { stream, ranges } => {
                let back_off = self.back_off();
                if let Some(peer) = self.peers.get_mut(&stream) {
                    let spared = peer.receiver.suppress(now.instant, &ranges, back_off);
                    self.counters.naks_suppressed += spared;
                }
            }
            Message::Gone { range, logged } => self.handle_gone(now, sender, range, logged),
            Message::Orphan { stream, watermark, beyond } => {
                let remains = Remains { through: watermark, beyond };
                self.handle_orphan(now.instant, sender, stream, remains);
            }
            Message::Pull { page, source, cursor, missing } => {
                self.handle_pull(sender, page, &source, (cursor, &missing));
            }
            Message::Digests { first, digests } => {
                self.handle_digests(now.instant, sender, first, &digests);
            }
            Message::Common { slots, first, digests } => {
                self.handle_common(now.instant, sender, slots, (first, &digests));
            }
            Message::Kept { view } => self.handle_kept(now.instant, sender, view),
            Message::Hearing { group, high } => {
                self.handle_hearing(now, sender, group, high);
            }
            Message::Gossip(gossip) => self.handle_gossip(now.instant, sender, &gossip),
            Message::Ask { number, key, missing } => {
                self.handle_ask(now, sender, (number, key), &missing);
            }
            Message::Absent { number, certain } => {
                self.handle_absent(now.instant, sender, number, certain);
            }
            Message::Claim { number, issuer, ticket } => {
                self.handle_claim(now.instant, sender, number, (issuer, ticket));
            }
            Message::Claimed { number, answer } => self.handle_claimed(sender, number, answer),
            Message::Leave => self.handle_leave(now.instant, sender),
        }
    }

    fn handle_heartbeat(
        &mut self,
        now: Now,
        sender: Incarnation,
        (high, time, ready, sent_micros): (u64, Hlc, bool, u64),
    ) {
        let back_off = self.back_off();
        let Some(peer) = self.peers.get_mut(&sender) else { return };
        let newly_ready = ready && !peer.ready;
        peer.ready = ready;
        peer.echo = (sent_micros, now.instant);
        peer.receiver.handle_high(now.instant, high, &peer.rtt, back_off);
        if peer.receiver.is_complete() && !peer.unmerged {
            peer.complete = peer.complete.max(time);
        }
        self.look_at(sender);
        if newly_ready {
            self.tell_orphans_again();
        }
    }

    fn handle_nak(&mut self, now: Now, sender: Incarnation, ranges: &[Range]) {
        let for_all = self.asks_for_all();
        let Some(peer) = self.peers.get(&sender) else { return };
        // The others that miss it heard the asker, and wait for the repair.
        let to = if for_all { Destination::Farm } else { Destination::Node(peer.address) };
        let high = self.sender.sent_high();
        self.sender.progress.asked(sender, ranges, high);
        let gone = self.sender.handle_nak(now.instant, to, ranges, peer.rtt.mean());
        if let Some(range) = gone {
            let logged = self.sender.log().covers(range);
            self.outbox.push_to_node(peer.address, &Message::Gone { range, logged });
        }
    }

    /// A node is heard: it lives, whatever it was taken for.
    fn heard(&mut self, now: Now, sender: Incarnation, way: Way) {
        let Some(peer) = self.peers.get_mut(&sender) else { return };
        peer.heard = now.instant;
        let heard_again = way == Way::Multicast && peer.hearing.heard(now.instant);
        if peer.state == State::Dead {
            peer.state = State::Alive;
            peer.hearing.begin_again(now.instant);
            peer.orphan_told = 0;
            peer.trips_from = now.instant;
            peer.receiver.resume(now.instant);
            let name = peer.name.clone();
            self.settle_ways();
            self.sender.join(now.instant, sender);
            self.look_at_all();
            self.tell_orphans_again();
            self.event(Event::MemberAlive(name));
        }
        if heard_again {
            self.tell_hearing(now.instant, sender);
        }
    }

    /// Whether who misses a packet asks for all who do: among many receivers
    /// all hear who asks, and all get the repair. Not where more than a few of
    /// them do not hear the group: that would be a copy to each of these for
    /// what one may miss.
    pub(super) fn asks_for_all(&self) -> bool {
        let many = self.sender.progress.count() > FEW_RECEIVERS;
        many && self.sends_to_group() && self.unicast().len() <= FEW_RECEIVERS
    }

    /// How long a gap waits beside its patience before it is asked for: not
    /// at all among few receivers; among many, a random time with the
    /// truncated exponential distribution of RFC 5401, section 3.2.2, so that
    /// few ask and the others hear it.
    pub(super) fn back_off(&mut self) -> Duration {
        if !self.asks_for_all() {
            return Duration::ZERO;
        }
        let receivers = self.sender.progress.count();
        /// The longest back-off: four round trips of a busy LAN.
        const LONGEST: Duration = Duration::from_millis(4);
        truncated_exponential(LONGEST, receivers, &mut self.rng)
    }
}

/// A packet that is counted and dropped.
pub(super) enum Rejection {
    Forged,
    Replayed,
    Malformed,
}

impl From<Forged> for Rejection {
    fn from(_: Forged) -> Self {
        Self::Forged
    }
}

impl From<Malformed> for Rejection {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// RFC 5401's RandomBackoff: a time up to `longest`, mostly near it when the
/// group is large, so that about one receiver of `group` is early.
fn truncated_exponential(longest: Duration, group: usize, rng: &mut Rng) -> Duration {
    /// Distinct values of the uniform draw; its resolution.
    const STEPS: u64 = 1 << 32;
    let lambda = f64::from(u32::try_from(group).unwrap_or(u32::MAX)).ln() + 1.0;
    let uniform =
        f64::from(u32::try_from(rng.below(STEPS)).expect("below 2^32")) / f64::from(u32::MAX);
    let scaled = uniform * lambda.exp_m1() + 1.0;
    longest.mul_f64((scaled.ln() / lambda).clamp(0.0, 1.0))
}
