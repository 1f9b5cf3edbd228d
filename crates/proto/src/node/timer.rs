//! What happens when.

use std::collections::BTreeSet;
use std::time::Duration;

use super::peer::Peer;
use super::{Node, Way};
use crate::nak::sender::Destination;
use crate::nak::spacing::Spacing;
use crate::time::{Instant, Now};
use crate::wire::control::Message;
use crate::wire::header::Incarnation;

/// How often the node looks at what has no timer of its own.
const HOUSEKEEPING: Duration = Duration::from_millis(50);

/// Why the node is to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// To say how far its stream has come.
    Heartbeat,
    /// To send what waits for the pace.
    Pace,
    /// To ask for what is missing.
    Nak,
    /// To say how far other streams have come here.
    Status,
    /// To call for others, or go on with joining.
    Join,
    /// To ask for a page.
    Pull,
    /// To ask a member whether it is up, or to say what is known of them.
    Members,
    /// To ask another holder, or give a look-up up.
    Lookup,
    /// To claim again, or give a claim up.
    Claim,
    /// To go on with operations that need one answer.
    Agree,
    /// To look at the silent, the stalled and the ended.
    Housekeeping,
}

/// When something is due of the streams of others. Nothing is due before, and
/// a look in vain puts it right: so a farm of a thousand is not looked through
/// for each packet.
#[derive(Debug, Default)]
pub(super) struct Streams {
    nak_due: Option<Instant>,
    /// The streams that something may be asked for of.
    gappy: BTreeSet<Incarnation>,
    status_due: Option<Instant>,
}

impl Timer {
    const ALL: [Self; 11] = [
        Self::Heartbeat,
        Self::Pace,
        Self::Nak,
        Self::Status,
        Self::Join,
        Self::Pull,
        Self::Members,
        Self::Lookup,
        Self::Claim,
        Self::Agree,
        Self::Housekeeping,
    ];
}

impl Node {
    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.notice_absence(now.instant);
        for timer in Timer::ALL {
            if self.due(timer).is_some_and(|due| due <= now.instant) {
                self.fire(timer, now);
            }
        }
    }

    /// When [`Node::handle_timeout`] is to be called next, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let due = |timer| self.due(timer).map(|due| (due, timer));
        Timer::ALL.into_iter().filter_map(due).min_by_key(|(due, _)| *due)
    }

    /// Finds out whether this node did not run for a while: stopped, suspended
    /// or starved. What the others said meanwhile waits in the socket, or
    /// overflowed it. So that time is no silence of theirs: else a node that
    /// comes back would take all others for dead, or call them down, and
    /// confirm to whoever waits for all of them what none of them has. Nor is
    /// it a round trip: else lost packets would be asked for only once in
    /// seconds.
    pub(super) fn notice_absence(&mut self, now: Instant) {
        let absence = now - self.housekeeping_due;
        if absence < HOUSEKEEPING {
            return;
        }
        self.housekeeping_due = now;
        for peer in self.peers.values_mut() {
            peer.heard = now.min(peer.heard + absence);
            peer.hearing.excuse(now, absence);
            peer.trips_from = now;
            peer.receiver.excuse();
        }
        self.members.excuse(absence);
        self.sender.progress.excuse(now, absence);
    }

    fn due(&self, timer: Timer) -> Option<Instant> {
        match timer {
            Timer::Heartbeat => Some(self.sender.heartbeat_timeout()),
            Timer::Pace => self.sender.pace_timeout(),
            Timer::Nak => self.streams.nak_due,
            Timer::Status => self.streams.status_due,
            Timer::Join => Some(self.join.timeout()),
            Timer::Pull => self.puller.poll_timeout(),
            Timer::Members => self.members.poll_timeout(),
            Timer::Lookup => self.lookups.timeout(),
            Timer::Claim => self.claiming.due(),
            Timer::Agree => self.agree_timeout(),
            Timer::Housekeeping => Some(self.housekeeping_due),
        }
    }

    fn fire(&mut self, timer: Timer, now: Now) {
        match timer {
            Timer::Heartbeat => self.send_heartbeat(now),
            // The driver sends whenever it calls.
            Timer::Pace => self.sender.handle_pace_timeout(),
            Timer::Nak => self.send_naks(now.instant),
            Timer::Status => self.send_statuses(now.instant),
            Timer::Join => self.handle_join_timeout(now),
            Timer::Pull => self.send_pull(now.instant),
            Timer::Members => self.handle_members_timeout(now.instant),
            Timer::Lookup => self.send_asks(now.instant),
            Timer::Claim => self.claim_again(now.instant),
            Timer::Agree => self.handle_agree_timeout(now),
            Timer::Housekeeping => {
                self.housekeeping_due = now.instant + HOUSEKEEPING;
                self.keep_house(now);
            }
        }
    }

    fn send_heartbeat(&mut self, now: Now) {
        if let Some(high) = self.sender.poll_heartbeat(now.instant) {
            let heartbeat = Message::Heartbeat {
                high,
                time: self.settled(now),
                ready: self.is_ready(),
                sent_micros: now.instant.as_micros(),
            };
            let kept = self.portions.sharing.then(|| Message::Kept { view: self.kept_view() });
            self.push_heartbeat(&heartbeat, kept.as_ref());
        }
    }

    fn send_naks(&mut self, now: Instant) {
        let (for_all, back_off) = (self.asks_for_all(), self.back_off());
        let mut next = None;
        let mut gappy = std::mem::take(&mut self.streams.gappy);
        gappy.retain(|&stream| {
            let Some(peer) = self.peers.get_mut(&stream).filter(|peer| peer.is_alive()) else {
                return false;
            };
            if let Some(ranges) = peer.receiver.poll_nak(now, &mut self.rng, back_off) {
                self.counters.naks_sent += 1;
                let nak = Message::Nak { stream, ranges };
                if for_all {
                    self.outbox.push_to_farm(&nak);
                } else {
                    self.outbox.push_to_node(peer.address, &nak);
                }
            }
            let due = peer.receiver.nak_timeout();
            next = next.into_iter().chain(due).min();
            due.is_some()
        });
        (self.streams.gappy, self.streams.nak_due) = (gappy, next);
    }

    fn send_statuses(&mut self, now: Instant) {
        let (credit, overflowed) = (self.config.credit, self.overflowed);
        let high = self.sender.sent_high();
        let spacing = self.spacing();
        let mut next = None;
        for (&stream, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.is_alive()) {
            if peer.receiver.poll_status(now, &spacing, &mut self.rng) {
                let status = status_of(stream, peer, now, (credit, overflowed));
                let hearing = Message::Hearing { group: peer.heard_by() == Way::Multicast, high };
                let to = Destination::Node(peer.address);
                self.outbox.push_all(to, [&status, &hearing].into_iter());
            }
            next = earlier(next, peer.receiver.status_timeout(&spacing));
        }
        self.streams.status_due = next;
    }

    /// How often we say how far we have come.
    fn spacing(&self) -> Spacing {
        Spacing::of(self.sender.progress.count())
    }

    /// Something has come of a node's stream, or is known to be missing of it.
    pub(super) fn look_at(&mut self, stream: Incarnation) {
        let spacing = self.spacing();
        if let Some(peer) = self.peers.get(&stream).filter(|peer| peer.is_alive()) {
            let Streams { nak_due, gappy, status_due } = &mut self.streams;
            if let Some(due) = peer.receiver.nak_timeout() {
                *nak_due = earlier(*nak_due, due);
                gappy.insert(stream);
            }
            let told = peer.receiver.status_timeout(&spacing);
            *status_due = earlier(*status_due, told);
        }
    }

    /// Something may be due of any stream.
    pub(super) fn look_at_all(&mut self) {
        let at_once = Some(Instant::default());
        let gappy = self.peers.keys().copied().collect();
        self.streams = Streams { nak_due: at_once, gappy, status_due: at_once };
    }

    fn send_pull(&mut self, now: Instant) {
        if let Some(pull) = self.puller.poll_failed(now) {
            self.pull_failed(pull, now);
        }
        if let Some((from, request)) = self.puller.poll_request(now)
            && let Some(peer) = self.peers.get(&from)
        {
            self.outbox.push_to_node(peer.address, &request);
        }
    }

    /// The nodes that are heard.
    pub(super) fn alive(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values().filter(|peer| peer.is_alive())
    }
}

fn earlier(due: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(due.map_or(other, |due| due.min(other)))
}

fn status_of(
    stream: Incarnation,
    peer: &Peer,
    now: Instant,
    (credit, overflowed): (u32, u32),
) -> Message {
    let (echo_micros, came) = peer.echo;
    let held = u32::try_from((now - came).as_micros()).unwrap_or(u32::MAX);
    Message::Status {
        stream,
        after: peer.follows_after,
        watermark: peer.receiver.watermark(),
        reached: peer.receiver.reached(),
        credit,
        overflowed,
        echo_micros,
        held_micros: held,
    }
}
