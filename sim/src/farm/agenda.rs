//! Which node is to act next, and when.

use std::collections::BTreeSet;

use proto::time::Instant;

/// When each node is to act.
#[derive(Debug)]
pub(super) struct Agenda {
    due: Vec<Option<Instant>>,
    in_order: BTreeSet<(Instant, usize)>,
}

impl Agenda {
    /// That of so many nodes, of which none is to act.
    pub(super) fn of(nodes: usize) -> Self {
        Self { due: vec![None; nodes], in_order: BTreeSet::new() }
    }

    /// A node is to act then, or not at all.
    pub(super) fn set(&mut self, number: usize, due: Option<Instant>) {
        let before = std::mem::replace(&mut self.due[number], due);
        if before != due {
            if let Some(before) = before {
                self.in_order.remove(&(before, number));
            }
            self.in_order.extend(due.map(|due| (due, number)));
        }
    }

    /// When the next node is to act.
    pub(super) fn next(&self) -> Option<Instant> {
        self.in_order.first().map(|&(due, _)| due)
    }

    /// The nodes that are to act at `now`.
    pub(super) fn due(&self, now: Instant) -> impl Iterator<Item = usize> + '_ {
        self.in_order.range(..=(now, usize::MAX)).map(|&(_, number)| number)
    }
}
