//! Asking the farm who owns a group of connections.
//!
//! The farm's operations are asked from tasks of the runtime; answers come back
//! to the carrier's thread as its orders do. What it asks is bounded by what it
//! has: one question at a time of each group.

use proto::connection::GroupId;
use proto::connection::epoch::{Answer, Ask, Operation, Term, term_key};
use segue::{Cache, OneAnswerError, Wall};
use tokio::runtime::Handle;

use super::orders::{Order, Orders};

/// Who has asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// The owner of a group.
    Owner(GroupId),
    /// The understudy of a group in an epoch.
    Study(GroupId, u64),
    /// Who would have the address.
    Candidate,
}

/// The farm's registers, as the carrier's thread asks them.
#[derive(Debug)]
pub(super) struct Registers {
    cache: Cache,
    runtime: Handle,
    orders: Orders,
}

impl Registers {
    pub(super) const fn new(cache: Cache, runtime: Handle, orders: Orders) -> Self {
        Self { cache, runtime, orders }
    }

    /// Asks; the answer comes as an order.
    pub(super) fn ask(&self, asker: Asker, ask: Ask) {
        let (cache, orders) = (self.cache.clone(), self.orders.clone());
        self.runtime.spawn(async move {
            let answer = answer(&cache, &ask).await;
            orders.give(Order::Answer(asker, Box::new((ask, answer))));
        });
    }

    /// What this node last heard of a group's term: not what stands there now.
    pub(super) fn heard(&self, group: GroupId) -> Option<Term> {
        self.cache.peek(&term_key(group)).and_then(|found| Term::from_value(&found.value).ok())
    }

    /// Forgets the term of a group that has no connections any more.
    pub(super) fn release(&self, group: GroupId, last: Term) {
        let cache = self.cache.clone();
        self.runtime.spawn(async move {
            // Whatever becomes of it: it ends by itself some day.
            let _ = cache.compare_and_remove(&term_key(group), &last.value()).await;
        });
    }
}

async fn answer(cache: &Cache, ask: &Ask) -> Answer {
    let registers = cache.registers();
    let key = term_key(ask.group);
    match ask.operation {
        Operation::Read => match registers.read(&key).await {
            Ok(Some(value)) => {
                Term::from_value(&value).map_or(Answer::Unknown, |term| Answer::Found(Some(term)))
            }
            Ok(None) => Answer::Found(None),
            Err(error) => unknown(&error),
        },
        Operation::CompareAndSet { expected, new } => {
            let expected = expected.map(|term| term.value());
            // Whoever forgot a term would begin anew, before those that are.
            let stands = Wall::MAX;
            match registers.compare_and_set(&key, expected.as_deref(), &new.value(), stands).await {
                Ok(true) => Answer::Set,
                Ok(false) => Answer::NotSet,
                Err(error) => unknown(&error),
            }
        }
    }
}

fn unknown(error: &OneAnswerError) -> Answer {
    tracing::debug!(%error, "the farm does not say who owns connections");
    Answer::Unknown
}
