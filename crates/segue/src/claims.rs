//! Claiming tickets whose early data is to be accepted.
//!
//! Tickets of this node's own are claimed here and now. Others are claimed by
//! the node's machine at the nodes that issued them, and what is asked of it
//! waits here until whoever works the driver takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use proto::claims::{Answer, Claimant};
use proto::load::Load;
use proto::record::{Key, KeyHash};
use proto::wire::header::Incarnation;
use tokio::sync::oneshot;

use crate::cache::Cache;
use crate::status::ClaimStats;

/// The part of the cache's memory that claims may take beside it: a quarter.
/// With 256 MiB that is 880,000 claims within 25 hours.
const SHARE_OF_MEMORY: usize = 4;
/// The most claims that wait for the driver to take them: as many as it has wait
/// for an answer.
const MAX_ASKED: usize = 1_024;

/// What a claim came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is the first one: the ticket's early data may be accepted.
    Granted,
    /// The ticket was claimed before.
    Taken,
    /// The node that issued the ticket can remember no further claims.
    Unable,
    /// The node that issued the ticket is not there, has started anew since, or
    /// did not answer in time.
    Unreachable,
}

impl From<Answer> for Claim {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Granted => Self::Granted,
            Answer::Taken => Self::Taken,
            Answer::Unable => Self::Unable,
        }
    }
}

/// The claims on this node's tickets, and those that it makes.
pub(crate) struct Claims {
    node: Incarnation,
    own: Arc<proto::claims::Claims>,
    /// The number of the last claim that was made here.
    last: AtomicU64,
    asked: Mutex<Vec<Asked>>,
    /// Whether it was said that there is no more room.
    reported: AtomicBool,
}

/// A claim at another node.
pub(crate) struct Asked {
    pub(crate) number: u64,
    pub(crate) issuer: Incarnation,
    pub(crate) ticket: KeyHash,
    pub(crate) done: oneshot::Sender<Option<Answer>>,
}

impl Claims {
    /// None yet, of a node whose cache may take so much memory.
    pub(crate) fn new(node: Incarnation, memory_bytes: usize) -> Self {
        let own = Arc::new(proto::claims::Claims::new(memory_bytes / SHARE_OF_MEMORY));
        let (last, reported) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { node, own, last, asked: Mutex::default(), reported }
    }

    /// Those on this node's tickets.
    pub(crate) fn own(&self) -> Arc<proto::claims::Claims> {
        Arc::clone(&self.own)
    }

    /// How many of them are remembered, and how many were not.
    pub(crate) fn stats(&self) -> ClaimStats {
        let Load { used, limit, .. } = self.own.load();
        ClaimStats { kept: used, capacity: limit, refused: self.own.refused() }
    }

    /// Says once that no further claims are remembered.
    pub(crate) fn report(&self) {
        let ClaimStats { kept, refused, .. } = self.stats();
        if refused > 0 && !self.reported.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                kept,
                "early data is refused: no more tickets can be remembered whose early data was \
                 accepted within the last 25 hours; more memory ([cache] memory) has room for more"
            );
        }
    }

    /// Takes out what is to be asked of other nodes.
    pub(crate) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock())
    }

    fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Has another node asked; gives where its answer will be.
    fn ask(
        &self,
        issuer: Incarnation,
        ticket: KeyHash,
    ) -> Option<oneshot::Receiver<Option<Answer>>> {
        let (done, answer) = oneshot::channel();
        let mut asked = self.asked.lock();
        if asked.len() >= MAX_ASKED {
            return None;
        }
        asked.push(Asked { number: self.next(), issuer, ticket, done });
        Some(answer)
    }
}

impl Cache {
    /// Claims the session ticket whose record has this key, for its early data
    /// to be accepted: in the whole farm one claim to a ticket is granted, and
    /// no other ever. The claim is made at the node that issued the ticket, at
    /// the very start of it that did; it takes a round trip to that node, or
    /// [`crate::Config::claim_timeout`] if there is no answer.
    pub async fn claim(&self, issuer: Incarnation, ticket: &Key) -> Claim {
        let claims = &self.shared.claims;
        let ticket = self.shared.holdings.hash(ticket);
        if issuer == claims.node {
            let claimant = Claimant { node: claims.node, number: claims.next() };
            return claims.own.claim(self.shared.clock.now().instant, ticket, claimant).into();
        }
        let Some(answer) = claims.ask(issuer, ticket) else { return Claim::Unreachable };
        self.tell_driver();
        match tokio::time::timeout(self.shared.claim_timeout, answer).await {
            Ok(Ok(Some(answer))) => answer.into(),
            Ok(Ok(None) | Err(_)) | Err(_) => Claim::Unreachable,
        }
    }
}
