//! Moving connections by plan, a few at a time.
//!
//! A batch of connections becomes a group of its own, of which nothing stands in
//! the farm. The owner tells the understudy, in the stream that keeps them, to
//! go on with it: it has all of them, and takes them over by writing the group's
//! first term. If it does not say within a bounded time that it has, the owner
//! writes a first term itself, for itself. Whichever is written first decides.
//!
//! For that, the batch has to have left the group that it was in: an understudy
//! which has not heard of the move could still take over that group, and these
//! connections with it. So a batch is *apart* once the understudy holds the
//! message, or once a later term of the group is won, which leaves that
//! understudy nothing to take over. Only then does the owner write. Where the
//! group is lost before, so is the batch: whoever won the group has it, in one
//! way or the other. So a batch is never at two nodes, whatever fails in between,
//! and lost only together with the one node that may go on with it. Moving to a node that is not the understudy is making it the understudy
//! first; then there is nothing to copy while connections stand still, and at no
//! moment is nobody able to go on with them.
//!
//! This module has the batches that are under way (`Handovers`) and those that
//! are to be ([`Drain`]). It knows nothing of sockets: who hands connections over
//! has frozen them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::epoch::{Answer, Ask, Claim, Term, Verdict};
use super::ledger::Ledger;
use super::owner::Owner;
use super::stream::MAX_MOVED;
use super::{ConnectionId, GroupId};
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// How many batches move at once: while one is restored the next is on its way.
const MAX_UNDERWAY: usize = 2;

/// Batches of connections that are on their way to the understudy.
#[derive(Debug)]
pub(super) struct Handovers {
    batches: BTreeMap<GroupId, Batch>,
}

#[derive(Debug)]
struct Batch {
    ledgers: Vec<Ledger>,
    since: Instant,
    /// Which of the messages told under the present term moves it; none: it is
    /// apart from the group that it was in.
    message: Option<u64>,
    /// How it is taken back.
    claim: Option<Claim>,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The understudy has it.
    Gone(Vec<ConnectionId>),
    /// It is the owner's again.
    Back { group: GroupId, term: Term, ledgers: Vec<Ledger> },
}

impl Handovers {
    pub(super) const fn new() -> Self {
        Self { batches: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Connections go, as a group, by the message of that number.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        (group, message): (GroupId, u64),
        mut ledgers: Vec<Ledger>,
    ) {
        ledgers.iter_mut().for_each(|ledger| ledger.set_group(group));
        let batch = Batch { ledgers, since: now, message: Some(message), claim: None };
        self.batches.insert(group, batch);
    }

    /// The understudy holds so many messages: whatever they move is apart.
    pub(super) fn handle_held(&mut self, count: u64) {
        for batch in self.batches.values_mut() {
            batch.message = batch.message.filter(|message| *message > count);
        }
    }

    /// The owner has won a term: who could take over under an earlier one cannot
    /// any more, so all is apart.
    pub(super) fn handle_term(&mut self) {
        self.batches.values_mut().for_each(|batch| batch.message = None);
    }

    /// Another has won the group: what is not apart from it is that one's. Gives
    /// whose sockets can go.
    pub(super) fn handle_fenced(&mut self) -> Vec<ConnectionId> {
        let joined = self.batches.values().filter(|batch| !batch.is_apart());
        let gone = joined.flat_map(|batch| ids(&batch.ledgers)).collect();
        self.batches.retain(|_, batch| batch.is_apart());
        gone
    }

    /// The understudy has gone on with a batch. Gives whose sockets can go.
    pub(super) fn handle_moved(&mut self, group: GroupId) -> Option<Vec<ConnectionId>> {
        self.batches.remove(&group).map(|batch| ids(&batch.ledgers))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, wait: Duration, me: Incarnation) {
        for (&group, batch) in &mut self.batches {
            if batch.is_apart() && batch.claim.is_none() && batch.since + wait <= now {
                let term = Term::after(None, me, None);
                batch.claim = Some(Claim::new(now, group, None, term));
            }
        }
    }

    /// What was answered until now may be so no more.
    pub(super) fn doubt(&mut self, now: Instant) {
        let claims = self.batches.values_mut().filter_map(|batch| batch.claim.as_mut());
        claims.for_each(|claim| claim.doubt(now));
    }

    pub(super) fn poll_timeout(&self, wait: Duration) -> Option<Instant> {
        let due = |batch: &Batch| match &batch.claim {
            Some(claim) => claim.poll_timeout(),
            None => batch.since + wait,
        };
        self.batches.values().filter(|batch| batch.is_apart()).map(due).min()
    }

    pub(super) fn poll_ask(&mut self, now: Instant) -> Option<Ask> {
        let mut claims = self.batches.values_mut().filter_map(|batch| batch.claim.as_mut());
        claims.find_map(|claim| claim.poll_ask(now))
    }

    pub(super) fn handle_answer(
        &mut self,
        now: Instant,
        ask: &Ask,
        answer: Answer,
    ) -> Option<Outcome> {
        let claim = self.batches.get_mut(&ask.group)?.claim.as_mut()?;
        let verdict = claim.handle_answer(now, ask.number, answer)?;
        let Batch { ledgers, .. } = self.batches.remove(&ask.group)?;
        Some(match verdict {
            Verdict::Won(term) => Outcome::Back { group: ask.group, term, ledgers },
            Verdict::Lost => Outcome::Gone(ids(&ledgers)),
        })
    }
}

impl Batch {
    /// Whether only the batch's own group decides who has it.
    const fn is_apart(&self) -> bool {
        self.message.is_none()
    }
}

fn ids(ledgers: &[Ledger]) -> Vec<ConnectionId> {
    ledgers.iter().map(|ledger| ledger.header().id).collect()
}

/// Connections that are to be moved, in the order in which they are.
#[derive(Debug, Default)]
pub struct Drain {
    queue: VecDeque<ConnectionId>,
}

impl Drain {
    /// Has all of these moved.
    #[must_use]
    pub fn new(connections: impl IntoIterator<Item = ConnectionId>) -> Self {
        Self { queue: connections.into_iter().collect() }
    }

    /// Whether all have been given out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next batch to freeze and to hand over, if it is time for one. Those
    /// that no understudy has yet wait; those that are over are passed over.
    pub fn next_batch(&mut self, owner: &Owner) -> Option<Vec<ConnectionId>> {
        if owner.moving() >= MAX_UNDERWAY {
            return None;
        }
        let mut batch = Vec::new();
        for _ in 0..self.queue.len() {
            let Some(id) = self.queue.pop_front() else { break };
            if owner.is_protected(id) {
                batch.push(id);
            } else if owner.ledger(id).is_some() {
                self.queue.push_back(id);
            }
            if batch.len() == MAX_MOVED {
                break;
            }
        }
        (!batch.is_empty()).then_some(batch)
    }
}
