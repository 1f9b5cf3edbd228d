//! The node's own stream: numbered, sealed, sent, kept for repair.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::keyring::FarmKey;
use crate::load::Load;
use crate::nak::log::KeyLog;
use crate::nak::pace::Pace;
use crate::nak::progress::{Progress, Report};
use crate::nak::ring::Ring;
use crate::nak::spacing::FEW_RECEIVERS;
use crate::nak::stage::Staged;
use crate::seal::Sealer;
use crate::time::Instant;
use crate::wire::control::Range;
use crate::wire::header::{Header, Incarnation};

/// The packets that the kernel is given as one run: 56,000 bytes, of the 65,507
/// that a message has room for.
pub const RUN_PACKETS: u64 = 40;
/// So many packets may wait to be sent before writers wait. They are sealed by
/// then, and still in the processor's cache when the window opens.
const BACKLOG_PACKETS: u64 = 256;
/// The most repairs that wait to be sent. What is asked for beyond that is
/// asked for again.
const MAX_REPAIRS: usize = 4_096;
/// A packet is not sent again within this time, or the asker's round trip.
const REPAIR_PAUSE: Duration = Duration::from_millis(1);
/// The first heartbeat comes this long after the last data, so that a lost
/// tail is noticed; the pause then doubles. None of them is needed when every
/// receiver has said that it has everything: the statuses of a quiet farm come
/// sooner.
const HEARTBEAT_FIRST: Duration = Duration::from_millis(1);
const HEARTBEAT_LAST: Duration = Duration::from_millis(128);
/// Heartbeats keep coming, whatever is sent: round trips are measured by them.
const HEARTBEAT_IDLE: Duration = Duration::from_millis(500);

/// To whom a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To every other node: to the group, and to each node that does not hear
    /// it.
    Farm,
    /// To the group alone.
    Group,
    /// To one.
    Node(SocketAddr),
}

/// Packets to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Transmit<'a> {
    /// To whom.
    pub to: Destination,
    /// One packet, or a run of packets of
    /// [`MAX_PACKET_BYTES`](crate::wire::MAX_PACKET_BYTES) of which only
    /// the last may be shorter.
    pub bytes: &'a [u8],
}

/// What the sender did, counted since it began.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    /// Packets sent for the first time.
    pub packets: u64,
    /// Packets sent again.
    pub repairs: u64,
}

/// The sending side of the node's own stream.
pub struct Sender {
    sealer: Sealer,
    ring: Ring,
    log: KeyLog,
    /// The first packet that was not sent yet.
    unsent: u64,
    /// The repairs that wait to be sent, the oldest packet first.
    repairs: BTreeMap<u64, Destination>,
    /// How far the receivers have come.
    pub progress: Progress,
    pace: Pace,
    heartbeat_due: Instant,
    heartbeat_pause: Duration,
    /// One is due by then, whatever happens.
    heartbeat_by: Option<Instant>,
    sent: Sent,
}

impl Sender {
    /// A sender whose stream is empty, with a ring of `ring_bytes`. It begins
    /// after the last number of `sealer`.
    #[must_use]
    pub fn new(sealer: Sealer, ring_bytes: usize) -> Self {
        Self {
            ring: Ring::new(ring_bytes, sealer.last()),
            unsent: sealer.last() + 1,
            sealer,
            log: KeyLog::default(),
            repairs: BTreeMap::new(),
            progress: Progress::default(),
            pace: Pace::default(),
            heartbeat_due: Instant::default(),
            heartbeat_pause: HEARTBEAT_IDLE,
            heartbeat_by: None,
            sent: Sent::default(),
        }
    }

    /// The last packet of the stream that is sealed.
    #[must_use]
    pub const fn high(&self) -> u64 {
        self.ring.high()
    }

    /// The last packet of the stream that was sent.
    #[must_use]
    pub const fn sent_high(&self) -> u64 {
        self.unsent - 1
    }

    /// The last packet that was sent and is not part of a frame whose other
    /// packets are still to be sent: who follows the stream from there gets
    /// whole frames.
    #[must_use]
    pub fn whole_sent_high(&self) -> u64 {
        let inside = self.ring.slot(self.unsent).map_or(0, |slot| slot.fragment);
        self.sent_high().saturating_sub(inside.into())
    }

    /// What was sent so far.
    #[must_use]
    pub const fn sent(&self) -> Sent {
        self.sent
    }

    /// The keys of the packets that were sent.
    #[must_use]
    pub const fn log(&self) -> &KeyLog {
        &self.log
    }

    /// When a packet was sent first, while it is in the ring.
    #[must_use]
    pub fn sent_at(&self, sequence: u64) -> Option<Instant> {
        self.ring.slot(sequence).and_then(|slot| slot.sent)
    }

    /// How many packets are sealed and were not sent yet.
    #[must_use]
    pub const fn unsent(&self) -> u64 {
        self.ring.high() + 1 - self.unsent
    }

    /// Whether repairs wait to be sent.
    #[must_use]
    pub fn has_repairs(&self) -> bool {
        !self.repairs.is_empty()
    }

    /// Whether more packets should be taken: not while others wait to be sent
    /// for want of room at the receivers.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.unsent() < BACKLOG_PACKETS
    }

    /// Takes a packet into the stream, and gives its number.
    pub fn take(&mut self, staged: Staged<'_>) -> u64 {
        let Staged { flags, fragment, packet, keys } = staged;
        let sealed = self.sealer.seal(flags, packet);
        let sequence = self.ring.push(packet, fragment);
        debug_assert_eq!(sequence, sealed, "ring and sealer count alike");
        for &key in keys {
            self.log.push(sequence, key);
        }
        sequence
    }

    /// Seals with another farm key from the next packet on. What is sealed
    /// stays as it is.
    pub fn rekey(&mut self, farm: &FarmKey) {
        self.sealer.rekey(farm);
    }

    /// Whether every receiver has come past what the key of that id sealed.
    #[must_use]
    pub fn all_have_opened(&self, key_id: u8) -> bool {
        self.last_sealed_with(key_id).is_none_or(|last| self.progress.all_reached(last))
    }

    /// Lets go what the key of that id sealed: nobody opens it any more.
    pub fn retire(&mut self, key_id: u8) {
        if let Some(last) = self.last_sealed_with(key_id) {
            self.ring.let_go(last);
        }
    }

    /// A receiver misses these packets: they are sent again, to it or to whom
    /// it speaks for as well. Gives the range that is gone from the ring, if
    /// any of them is.
    pub fn handle_nak(
        &mut self,
        now: Instant,
        to: Destination,
        ranges: &[Range],
        round_trip: Duration,
    ) -> Option<Range> {
        let floor = self.ring.floor();
        let first = ranges.first()?.first;
        for range in ranges {
            // What was never sent is not missing.
            for sequence in range.first.max(floor)..=range.last.min(self.sent_high()) {
                if self.repairs.len() >= MAX_REPAIRS {
                    break;
                }
                self.repair(now, to, sequence, round_trip.max(REPAIR_PAUSE));
            }
        }
        (first < floor).then_some(Range { first, last: floor - 1 })
    }

    /// A receiver begins, or begins again, to follow the stream. It may lack
    /// its tail, whatever the others have said: a heartbeat comes soon, and
    /// among few receivers others soon after it. Among many every node that
    /// comes would have every other send a row of them to all.
    pub fn join(&mut self, now: Instant, receiver: Incarnation) {
        self.progress.join(now, receiver);
        if self.progress.count() <= FEW_RECEIVERS {
            self.heartbeat_pause = HEARTBEAT_FIRST;
        } else if self.sent.packets == 0 {
            self.heartbeat_pause = HEARTBEAT_IDLE;
        }
        self.heartbeat_due = self.heartbeat_due.min(now + HEARTBEAT_FIRST);
    }

    /// A receiver says how far it has come. Gives whether that is news.
    pub fn handle_status(&mut self, now: Instant, receiver: Incarnation, report: &Report) -> bool {
        let high = self.sent_high();
        let moved = self.progress.report(now, receiver, report, (high, self.ring.capacity()));
        if moved
            && self.progress.all_reached(high)
            && let Some(by) = self.heartbeat_by
        {
            self.heartbeat_pause = HEARTBEAT_IDLE;
            self.heartbeat_due = by;
        }
        moved
    }

    /// The next packets to be sent: repairs ahead of new data, each as far as
    /// the pace allows.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_>> {
        if let Some((sequence, to)) = self.next_repair(now) {
            return self.ring.packet(sequence).map(|bytes| Transmit { to, bytes });
        }
        let (first, most) = self.next_new(now)?;
        let (_, last) = self.ring.run(first, most)?;
        for sequence in first..=last {
            if let Some(slot) = self.ring.slot_mut(sequence) {
                slot.sent = Some(now);
            }
        }
        self.unsent = last + 1;
        self.sent.packets += last + 1 - first;
        self.pace.sent(now, last + 1 - first);
        self.heartbeat_pause = HEARTBEAT_FIRST;
        let by = *self.heartbeat_by.get_or_insert(now + HEARTBEAT_IDLE);
        self.heartbeat_due = by.min(now + HEARTBEAT_FIRST);
        let (bytes, _) = self.ring.run(first, most)?;
        Some(Transmit { to: Destination::Farm, bytes })
    }

    /// The next repair to be sent, as far as the pace allows.
    pub fn poll_repair(&mut self, now: Instant) -> Option<Transmit<'_>> {
        let (sequence, to) = self.next_repair(now)?;
        self.ring.packet(sequence).map(|bytes| Transmit { to, bytes })
    }

    /// What the pace held back may be asked for again. Should nobody do so, for
    /// a window that has shut or a full socket, nothing more is due.
    pub fn handle_pace_timeout(&mut self) {
        self.pace.release();
    }

    /// From here on everything goes as fast as it can.
    pub fn hurry(&mut self) {
        self.pace = Pace::default();
    }

    /// When something that waits for the pace may be sent.
    #[must_use]
    pub fn pace_timeout(&self) -> Option<Instant> {
        self.pace.timeout()
    }

    /// The last packet that was sent, when it is time for a heartbeat that
    /// says so.
    pub fn poll_heartbeat(&mut self, now: Instant) -> Option<u64> {
        if self.heartbeat_due > now {
            return None;
        }
        self.heartbeat_by = Some(now + HEARTBEAT_IDLE);
        self.heartbeat_due = now + self.heartbeat_pause;
        self.heartbeat_pause = if self.heartbeat_pause >= HEARTBEAT_LAST {
            HEARTBEAT_IDLE
        } else {
            self.heartbeat_pause * 2
        };
        Some(self.sent_high())
    }

    /// When the next heartbeat is due.
    #[must_use]
    pub const fn heartbeat_timeout(&self) -> Instant {
        self.heartbeat_due
    }

    /// How much is kept, and waits.
    pub(crate) fn loads(&self) -> [Load; 3] {
        let kept = usize::try_from(self.ring.high() + 1 - self.ring.floor()).unwrap_or(usize::MAX);
        let capacity = usize::try_from(self.ring.capacity()).unwrap_or(usize::MAX);
        [
            Load::new("packets for repair", kept, capacity),
            Load::new("repairs", self.repairs.len(), MAX_REPAIRS),
            self.log.load(),
        ]
    }

    /// The next repair, and to whom it goes.
    fn next_repair(&mut self, now: Instant) -> Option<(u64, Destination)> {
        if self.repairs.is_empty() || self.pace.repairs(now) == 0 {
            return None;
        }
        while let Some((sequence, to)) = self.repairs.pop_first() {
            if let Some(slot) = self.ring.slot_mut(sequence) {
                slot.repaired = Some((now, to));
                self.sent.repairs += 1;
                self.pace.repaired();
                return Some((sequence, to));
            }
        }
        None
    }

    /// The first packet that was not sent, and how many may be.
    fn next_new(&mut self, now: Instant) -> Option<(u64, u64)> {
        // A frame larger than the ring pushes out what was never sent: its
        // receivers are told that it is gone.
        self.unsent = self.unsent.max(self.ring.floor());
        if self.unsent() == 0 {
            return None;
        }
        let limit = self.progress.limit().min(self.ring.high());
        if self.unsent > limit {
            return None;
        }
        if self.pace.ended(now) {
            self.pace.learn(now, self.progress.take_losses());
        }
        let most = (limit - self.unsent + 1).min(RUN_PACKETS).min(self.pace.data(now));
        (most > 0).then_some((self.unsent, most))
    }

    /// The last packet in the ring that the key of that id sealed.
    fn last_sealed_with(&self, key_id: u8) -> Option<u64> {
        (self.ring.floor()..=self.ring.high()).rev().find(|&sequence| {
            let header = self.ring.packet(sequence).map(Header::decode);
            header.is_some_and(|header| header.is_ok_and(|header| header.key_id == key_id))
        })
    }

    fn repair(&mut self, now: Instant, to: Destination, sequence: u64, pause: Duration) {
        let Some(slot) = self.ring.slot(sequence) else { return };
        let on_its_way = slot.repaired.filter(|(repaired, _)| now - *repaired < pause);
        // More than one asks, whether the first one's repair has been sent yet
        // or not: what all of them lost may be asked for within microseconds.
        let with = |other: Destination| if other == to { to } else { Destination::Farm };
        let to = match on_its_way {
            Some((_, before)) if before == to || before == Destination::Farm => return,
            Some((_, before)) => with(before),
            None => to,
        };
        self.repairs.entry(sequence).and_modify(|waits| *waits = with(*waits)).or_insert(to);
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sender({:?}, unsent from {})", self.ring, self.unsent)
    }
}
