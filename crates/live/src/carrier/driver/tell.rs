//! How it stands, for others: now and then, as nobody reads it more often.

use std::time::Duration;

use proto::wire::header::Incarnation;

use super::Driver;
use crate::carrier::figures::Figures;

/// How often the figures are told.
const TELL: Duration = Duration::from_millis(50);

impl Driver {
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
            let ids = owned.owner.connections();
            figures.protected += ids.filter(|id| owned.owner.is_protected(*id)).count();
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

    fn name_of(&self, incarnation: Incarnation) -> Option<String> {
        let neighbours = self.parts.neighbours.list();
        neighbours.into_iter().find(|it| it.incarnation == incarnation).map(|it| it.name)
    }
}
