//! What is due whatever has happened: pulses, deadlines, and what the kernel does
//! not tell by itself.

use proto::connection::ConnectionId;
use std::ops::Bound;

use super::{Driver, WATCH};

/// How many connections' acknowledgements are looked at in a look around, which
/// comes each millisecond where there is much to do: 10,000 connections are seen
/// six times a second, for some 60 microseconds in each millisecond.
const MOST_SWEPT: usize = 64;

impl Driver {
    /// Does what time asks for.
    pub(super) fn look_around(&mut self) {
        self.tend_lines();
        let asked: Vec<ConnectionId> = self.watching.iter().copied().collect();
        for id in asked {
            self.tend_asked(id);
            self.note_acknowledged(id);
            self.dirty.insert(id);
        }
        if self.now.saturating_since(self.looked) < WATCH {
            return;
        }
        self.looked = self.now;
        self.sweep();
        self.tend_unheard();
        self.tend_owners();
        self.tend_address();
        self.tend_candidate();
        self.tend_leaving();
        self.expire_half_open();
        if let Err(error) = self.parts.place.announce() {
            tracing::warn!(%error, "the virtual address could not be announced");
        }
    }

    /// Looks what peers of the next few connections have acknowledged, whatever has
    /// happened to them: what nobody lets go fills the understudy's memory.
    fn sweep(&mut self) {
        let next = |from: Bound<ConnectionId>| (from, Bound::Unbounded);
        let from = self.swept.map_or(Bound::Unbounded, Bound::Excluded);
        let few = self.splices.range(next(from)).take(MOST_SWEPT);
        let few: Vec<ConnectionId> = few.map(|(id, _)| *id).collect();
        // Behind the last one it begins anew.
        self.swept = (few.len() == MOST_SWEPT).then(|| few.last().copied()).flatten();
        few.into_iter().for_each(|id| self.note_acknowledged(id));
    }
}
