//! What is known of another node.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::compare::Differences;
use super::way::{Hearing, Way};
use crate::cluster::portion::Portion;
use crate::load::Load;
use crate::nak::receiver::{Receiver, Remains};
use crate::nak::rtt::Rtt;
use crate::nak::window::Replay;
use crate::record::{Hlc, KeyHash};
use crate::seal::Opener;
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// A node that was silent for so long is dead, whatever is said of it: 18 times
/// as long as the pause between its statuses, nearly twice as long as between
/// its heartbeats. Mostly SWIM has found so before; where it took longer than
/// usual, everybody still knows within a second.
pub const SILENCE: Duration = Duration::from_millis(900);
/// Among many nodes statuses come seldom, and there are many pairs of nodes in
/// which the few packets that should have come may all be lost. With 25 ms for
/// each node, up to eight heartbeats, eight packets or more are expected in
/// the time: if one in 20 is lost, all eight are once in 2 * 10^10. SWIM takes
/// no longer among many than among few, so this is for those who are answered
/// for by others and do not come through here.
const SILENCE_FOR_EACH: Duration = Duration::from_millis(25);
const LONGEST_SILENCE: Duration = Duration::from_millis(4_000);
/// Two nodes that have both been alive for so long are two: the earlier start
/// of a node would have been silent for too long.
pub(super) const BOTH_LIVE: Duration = Duration::from_millis(5_000);
/// How long a dead node is remembered, so that it can go on where it was.
pub const REMEMBERED: Duration = Duration::from_secs(600);
/// The most keys of touches that wait for their record.
const MAX_UNTOUCHED: usize = 1_024;

/// Whether a node is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is.
    Alive,
    /// It has been silent for too long.
    Dead,
    /// It took leave.
    Left,
}

/// How long a node of so many others may be silent before it is dead.
pub(super) fn longest_silence(others: usize) -> Duration {
    let others = u32::try_from(others).unwrap_or(u32::MAX);
    SILENCE_FOR_EACH.saturating_mul(others).clamp(SILENCE, LONGEST_SILENCE)
}

/// Another node.
#[derive(Debug)]
pub struct Peer {
    /// Its name, for people.
    pub name: String,
    /// Where it takes unicast packets.
    pub address: SocketAddr,
    /// Whether it is heard.
    pub state: State,
    /// Whether its portion has arrived.
    pub ready: bool,
    /// Which records it keeps.
    pub portion: Portion,
    /// By which way what is for the farm goes to it.
    pub by: Way,
    /// Until when it is to stay so, if it has changed.
    pub(super) by_until: Option<Instant>,
    /// Its stream, as it arrives here.
    pub receiver: Receiver,
    /// How long it took from sending the last packet that it confirmed.
    pub lag: Option<Duration>,
    /// How many packets its socket has dropped.
    pub overflowed: u32,
    /// Where its stream was first followed, while what it wrote before is
    /// still being fetched; else 0.
    pub(super) follows_after: u64,
    /// Whether it had records of its own when it was met, which are still to
    /// be fetched.
    pub(super) unmerged: bool,
    /// The highest number that it was known to have used when the farm keys
    /// last changed.
    pub(super) rekeyed_at: u64,
    pub(super) opener: Opener,
    pub(super) replay: Replay,
    pub(super) rtt: Rtt,
    /// Heartbeats from before this time tell no round trip: they, or their
    /// echoes, waited for a node that did not run.
    pub(super) trips_from: Instant,
    /// When it was met.
    pub(super) met: Instant,
    pub(super) heard: Instant,
    pub(super) hearing: Hearing,
    /// Everything that it wrote before this time is here.
    pub(super) complete: Hlc,
    /// Its last heartbeat's time, and when it came.
    pub(super) echo: (u64, Instant),
    /// Keys that it touched in a version that is not here, and when they are
    /// asked for.
    pub(super) untouched: Vec<KeyHash>,
    pub(super) untouched_due: Instant,
    /// How often its survivors were told how much of its stream is here.
    pub(super) orphan_told: u32,
    /// What of its stream was pulled from which of its survivors: in a farm
    /// that shares, each has only its own of it.
    pub(super) orphan_pulled: BTreeMap<Incarnation, Remains>,
    /// How many packets of answers it was sent since the last housekeeping.
    pub(super) answers: u32,
    /// Under which members it said last that it has all that it is to keep, and
    /// when; under 0 when it has not.
    pub(super) kept: (u64, Instant),
    /// Where what it holds differs from what is here.
    pub(super) differences: Differences,
}

impl Peer {
    /// Whether it is heard.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.state == State::Alive
    }

    /// By which way what it sends to the farm comes here.
    #[must_use]
    pub const fn heard_by(&self) -> Way {
        self.hearing.way()
    }

    pub(super) fn load(&self) -> Load {
        Load::new("missed touches", self.untouched.len(), MAX_UNTOUCHED)
    }

    /// It touched a key in a version that is not here.
    pub(super) fn miss_touch(&mut self, now: Instant, key: KeyHash) {
        /// Time for the version's own packet to be repaired.
        const PATIENCE: Duration = Duration::from_millis(50);
        if self.untouched.is_empty() {
            self.untouched_due = now + PATIENCE;
        }
        if self.untouched.len() < MAX_UNTOUCHED && !self.untouched.contains(&key) {
            self.untouched.push(key);
        }
    }
}

/// Where a node can be reached: an unspecified address stands for the one
/// that its packet came from. A link-local one means something on a link only,
/// whose number is each machine's own (RFC 4007): it is that of the link that
/// the packet came over.
pub(super) fn reachable(mut advertised: SocketAddr, from: SocketAddr) -> SocketAddr {
    if advertised.ip().is_unspecified() {
        let port = advertised.port();
        advertised = from;
        advertised.set_port(port);
    }
    if let (SocketAddr::V6(at), SocketAddr::V6(from)) = (&mut advertised, from)
        && at.ip().is_unicast_link_local()
    {
        at.set_scope_id(from.scope_id());
    }
    advertised
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_reached_where_it_says_over_the_link_that_it_was_heard_by() {
        let check = |advertised: &str, from: &str, expected: &str| {
            let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
            assert_eq!(reachable(parse(advertised), parse(from)), parse(expected));
        };
        check("10.0.0.1:1", "10.0.0.2:2", "10.0.0.1:1");
        check("0.0.0.0:1", "10.0.0.2:2", "10.0.0.2:1");
        check("[fd77::1]:1", "[fd77::2]:2", "[fd77::1]:1");
        check("[::]:1", "[fe80::2%3]:2", "[fe80::2%3]:1");
        check("[fe80::1]:1", "[fe80::2%3]:2", "[fe80::1%3]:1");
    }
}
