//! What is due when, among the members.

use std::collections::BTreeMap;
use std::time::Duration;

use super::identity::Identity;
use crate::load::Load;
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// The most timers that run. Beside one for each member that is down there are
/// one probe, what it needs and what comes of it when it fails: ten a second,
/// for half a second. What is beyond that stands for what is under way already.
const MAX_TIMERS: usize = 2 * super::swim::MAX_MEMBERS;

/// What is due.
#[derive(Debug)]
pub(super) enum Due {
    /// Something of foca's.
    Foca(foca::Timer<Identity>),
    /// To tell a suspect that it is one.
    Accuse(Identity, foca::Incarnation),
}

/// Timers in the order in which they are due.
#[derive(Debug, Default)]
pub(super) struct Timers {
    in_order: BTreeMap<(Instant, u64), Due>,
    /// The timer of each member that is down, by which it is forgotten. A later
    /// one stands for an earlier one, so that nobody can make many.
    removals: BTreeMap<Incarnation, (Instant, u64)>,
    /// How many there ever were: of two that are due together the first one
    /// that was set is first.
    set: u64,
}

impl Timers {
    pub(super) fn set(&mut self, due: Instant, what: Due) {
        self.set += 1;
        let at = (due, self.set);
        if let Due::Foca(foca::Timer::RemoveDown(down)) = &what
            && let Some(earlier) = self.removals.insert(down.incarnation, at)
        {
            self.in_order.remove(&earlier);
        }
        if self.in_order.len() < MAX_TIMERS {
            self.in_order.insert(at, what);
        }
    }

    /// What is due first, if it is.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Due> {
        let first = self.in_order.first_entry().filter(|first| first.key().0 <= now)?;
        let due = first.remove();
        if let Due::Foca(foca::Timer::RemoveDown(down)) = &due {
            self.removals.remove(&down.incarnation);
        }
        Some(due)
    }

    /// When the first is due.
    pub(super) fn first(&self) -> Option<Instant> {
        self.in_order.first_key_value().map(|((due, _), _)| *due)
    }

    /// Has all of them wait for so much longer.
    pub(super) fn put_off(&mut self, by: Duration) {
        let later = |(due, set): (Instant, u64)| (due + by, set);
        let timers = std::mem::take(&mut self.in_order);
        self.in_order = timers.into_iter().map(|(at, what)| (later(at), what)).collect();
        self.removals.values_mut().for_each(|at| *at = later(*at));
    }

    pub(super) fn clear(&mut self) {
        self.in_order.clear();
        self.removals.clear();
    }

    pub(super) fn load(&self) -> Load {
        Load::new("timers of members", self.in_order.len(), MAX_TIMERS)
    }
}
