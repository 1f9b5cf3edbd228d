//! Connections that nobody has: known by what the kernel would say of them.
//!
//! A client may have begun one at a node that lost the address before anybody was
//! told of it. Its segments come here, and the kernel answers them with resets,
//! which are kept in as long as another node could still have the connection. After
//! that a reset is the truth, and kinder than silence.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::time::Instant;

use super::splice::Ends;

/// For how long nobody has had a connection when its client hears so: several
/// times what finding a silent owner, winning its term and restoring all it had
/// take.
const UNKNOWN_FOR: Duration = Duration::from_secs(5);
/// How long one is remembered: a client's kernel repeats what it sent after 0.2,
/// 0.4, ... 6.4 seconds, so the repetition that is answered is within this.
const REMEMBERED: Duration = Duration::from_secs(30);
/// How many are remembered, 64 KiB of them: a node of hundreds of clients loses few
/// in their handshake. Who is beyond this hears nothing, and gives up by itself.
const MOST: usize = 1_024;

/// When each was first seen.
#[derive(Debug, Default)]
pub(super) struct Strays {
    since: BTreeMap<Ends, Instant>,
    /// Whether connections of the address were given away since it came here: what is
    /// unknown may be one of those.
    given_away: bool,
}

impl Strays {
    /// The kernel would reset a connection of these ends. Whether nobody has had it
    /// for long enough.
    pub(super) fn is_nobodys(&mut self, now: Instant, ends: Ends) -> bool {
        if self.given_away {
            return false;
        }
        if !self.since.contains_key(&ends) && self.since.len() == MOST {
            self.since.retain(|_, since| *since + REMEMBERED > now);
            if self.since.len() == MOST {
                return false;
            }
        }
        let since = self.since.entry(ends).or_insert(now);
        if *since + REMEMBERED <= now {
            *since = now;
        }
        *since + UNKNOWN_FOR <= now
    }

    /// Connections have come here: what was nobody's may have been among them.
    pub(super) fn begin_anew(&mut self) {
        self.since.clear();
    }

    /// Connections go elsewhere, or are another node's already.
    pub(super) const fn give_away(&mut self) {
        self.given_away = true;
    }

    /// The address has come here, and with it whatever nobody else has.
    pub(super) fn arrive(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(port: u16) -> Ends {
        (([10, 77, 0, 100], 443).into(), ([10, 77, 0, 1], port).into())
    }

    fn after(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    #[test]
    fn a_connection_is_nobodys_after_a_while() {
        let mut strays = Strays::default();
        for (millis, expected) in [(0, false), (4_999, false), (5_000, true), (12_600, true)] {
            assert_eq!(strays.is_nobodys(after(millis), ends(1)), expected, "after {millis} ms");
        }
        assert!(!strays.is_nobodys(after(12_600), ends(2)), "another one is younger");
        // What was seen once, long ago, says nothing.
        assert!(!strays.is_nobodys(after(30_000), ends(1)));
        strays.begin_anew();
        assert!(!strays.is_nobodys(after(36_000), ends(1)));
        assert!(strays.is_nobodys(after(42_000), ends(1)));
        strays.give_away();
        assert!(!strays.is_nobodys(after(43_000), ends(1)));
        strays.arrive();
        assert!(!strays.is_nobodys(after(44_000), ends(1)));
        assert!(strays.is_nobodys(after(50_000), ends(1)));
    }

    #[test]
    fn a_flood_has_no_more_than_its_room() {
        let mut strays = Strays::default();
        for port in 0..u16::MAX {
            assert!(!strays.is_nobodys(after(0), ends(port)));
        }
        assert_eq!(strays.since.len(), MOST);
        assert!(!strays.is_nobodys(after(6_000), ends(u16::MAX)), "there is no room for it");
        assert!(strays.is_nobodys(after(6_000), ends(0)));
        assert!(!strays.is_nobodys(after(31_000), ends(u16::MAX)));
        assert!(strays.is_nobodys(after(36_000), ends(u16::MAX)), "there was room by then");
    }
}
