//! What is due whatever has happened: pulses, deadlines, what the kernel does not
//! tell by itself, and how it stands.

use std::ops::Bound;
use std::time::Duration;

use proto::connection::ConnectionId;

use super::{Driver, WATCH};
use crate::carrier::figures::Figures;

/// How many connections' acknowledgements are looked at in a look around, which
/// comes each millisecond where there is much to do: 10,000 connections are seen
/// six times a second, for some 60 microseconds in each millisecond.
const MOST_SWEPT: usize = 64;
/// How often the figures are told.
const TELL: Duration = Duration::from_millis(50);

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

    /// Tells how it stands.
    pub(super) fn tell(&mut self) {
        if self.now.saturating_since(self.told) < TELL {
            return;
        }
        self.told = self.now;
        let counts = self.figures();
        *self.parts.figures.lock() = counts;
    }

    pub(super) fn figures(&self) -> Figures {
        let mut figures = self.counts.clone();
        figures.live = self.splices.len();
        figures.followed = self.studies.values().map(|study| study.machine.len()).sum();
        for owned in self.owners.values() {
            let (all, plain) = owned.owner.len();
            figures.protected += if owned.line.is_some() { all - plain } else { 0 };
            let counters = owned.owner.counters();
            figures.left += counters.left;
            figures.alone += counters.alone;
            figures.refused += counters.refused;
            let followed = owned.owner.term().and_then(|term| term.understudy);
            figures.understudy =
                figures.understudy.or_else(|| followed.and_then(|it| self.name_of(it)));
        }
        figures.has_address = self.parts.place.is_here();
        figures.overruns = self.parts.hold.as_ref().map_or(0, |hold| hold.queue.overruns());
        figures.to_move = self.leaving.as_ref().map(|_| self.splices.len());
        figures
    }
}
