//! Fetching pages from other nodes, one at a time.

use std::collections::VecDeque;
use std::time::Duration;

use zeroize::Zeroizing;

use super::parts::Parts;
use super::provider::BURST_PARTS;
use crate::cluster::slots::{SlotRun, SlotSet};
use crate::load::Load;
use crate::nak::receiver::Remains;
use crate::time::Instant;
use crate::wire::control::{Message, Part, Range, Source};
use crate::wire::header::Incarnation;

/// How long a request waits for its first answer. Making a page takes longer
/// than sending one.
const PATIENCE: Duration = Duration::from_millis(20);
/// The longest wait; it doubles up to here.
const MAX_PATIENCE: Duration = Duration::from_millis(320);
/// After so many requests without an answer the pull has failed.
const MAX_TRIES: u32 = 8;
/// After so many pages a pull has failed: half a terabyte of records, more than
/// any node has of what is pulled. Nobody keeps others from their turn for good.
const MAX_PAGES: u32 = 1 << 24;
/// The most pulls that wait for their turn.
const MAX_QUEUED: usize = 256;

/// Why something is pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// This node joins: the whole table, and the streams from where it stood.
    Join,
    /// A node was met that has a history of its own.
    Merge,
    /// Packets of the provider's stream that it cannot send again.
    Gone(Range),
    /// What a dead node left with the provider: its stream, and what of it
    /// the provider has.
    Orphan(Incarnation, Remains),
    /// A touch was of a version that is not here.
    Touched,
    /// What the provider holds differs from what is here, in a few ranges.
    Differs,
    /// Slots that are the puller's from here on.
    Move,
}

/// One pull: all pages of a source from one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// From whom.
    pub from: Incarnation,
    /// What.
    pub source: Source,
    /// Why.
    pub purpose: Purpose,
}

/// What became of a part.
#[derive(Debug)]
pub enum Pulled {
    /// The page is not complete, or the part was not of it.
    Nothing,
    /// A page is complete; more will be asked for.
    Page(Zeroizing<Vec<u8>>),
    /// The last page is complete, and with it the pull.
    Last(Zeroizing<Vec<u8>>, Ended),
    /// The pull has failed: the page after this one begins before it, or is one
    /// too many.
    Failed(Pull),
}

/// A pull whose last page is complete.
#[derive(Debug)]
pub struct Ended {
    /// What was pulled.
    pub pull: Pull,
    /// The slots that its pages named as lacking, the last one's to be added.
    pub lacks: SlotSet,
}

/// The page that is being fetched.
#[derive(Debug)]
struct Fetch {
    pull: Pull,
    page: u64,
    cursor: u64,
    parts: Parts,
    /// Parts that were asked for and have not come.
    outstanding: usize,
    /// The slots that a page so far named as lacking.
    lacks: SlotSet,
    due: Instant,
    patience: Duration,
    tries: u32,
    /// The pages that have come.
    pages: u32,
}

/// Fetches pages, one pull after another.
#[derive(Debug, Default)]
pub struct Puller {
    queue: VecDeque<Pull>,
    fetch: Option<Fetch>,
    last_page: u64,
}

impl Puller {
    /// Queues a pull, unless the same one waits already or too many wait.
    /// Whether it is queued. What merely differs is brought last: everything
    /// else is known to be missing.
    pub fn push(&mut self, pull: Pull) -> bool {
        if self.pulls().any(|queued| *queued == pull) {
            return true;
        }
        let room = self.queue.len() < MAX_QUEUED;
        if room {
            let known = |queued: &Pull| queued.purpose != Purpose::Differs;
            let at =
                if known(&pull) { self.queue.partition_point(known) } else { self.queue.len() };
            self.queue.insert(at, pull);
        }
        room
    }

    /// Whether something is pulled, or waits to be, for this purpose.
    #[must_use]
    pub fn has(&self, purpose: &Purpose) -> bool {
        self.pulls().any(|pull| pull.purpose == *purpose)
    }

    /// Why the page that is being fetched is.
    #[must_use]
    pub fn purpose(&self) -> Option<&Purpose> {
        self.fetch.as_ref().map(|fetch| &fetch.pull.purpose)
    }

    /// How many pulls wait.
    pub(crate) fn load(&self) -> Load {
        Load::new("pulls", self.queue.len(), MAX_QUEUED)
    }

    /// A part has come.
    pub fn handle_part(&mut self, now: Instant, from: Incarnation, part: &Part<'_>) -> Pulled {
        let Some(fetch) = &mut self.fetch else { return Pulled::Nothing };
        let first = fetch.parts.here.is_empty();
        if fetch.pull.from != from || fetch.page != part.page || !fetch.parts.insert(part) {
            return Pulled::Nothing;
        }
        if first {
            fetch.outstanding = usize::from(part.count).min(BURST_PARTS);
        }
        fetch.outstanding = fetch.outstanding.saturating_sub(1);
        (fetch.tries, fetch.patience) = (0, PATIENCE);
        fetch.due = if fetch.outstanding == 0 { now } else { now + PATIENCE };
        if fetch.parts.missing > 0 {
            return Pulled::Nothing;
        }
        let bytes = fetch.parts.take();
        let Some(next) = fetch.parts.next else {
            let fetch = self.fetch.take().expect("just looked at");
            return Pulled::Last(bytes, Ended { pull: fetch.pull, lacks: fetch.lacks });
        };
        fetch.pages += 1;
        if next <= fetch.cursor || fetch.pages >= MAX_PAGES {
            let fetch = self.fetch.take().expect("just looked at");
            return Pulled::Failed(fetch.pull);
        }
        self.last_page += 1;
        (fetch.page, fetch.cursor) = (self.last_page, next);
        fetch.parts = Parts::default();
        fetch.due = now;
        Pulled::Page(bytes)
    }

    /// The page that came last, of the pull that runs, named these slots as
    /// lacking. What one page of a pull lacks the pull does not bring: its
    /// provider may have let it go between two of them.
    pub fn lacked(&mut self, runs: &[SlotRun]) {
        if let Some(fetch) = &mut self.fetch {
            fetch.lacks.insert_runs(runs);
        }
    }

    /// Stops the pull that runs, and gives it.
    pub fn stop(&mut self) -> Option<Pull> {
        self.fetch.take().map(|fetch| fetch.pull)
    }

    /// The next request, and to whom.
    pub fn poll_request(&mut self, now: Instant) -> Option<(Incarnation, Message)> {
        if self.fetch.is_none() {
            let pull = self.queue.pop_front()?;
            self.last_page += 1;
            self.fetch = Some(Fetch::new(pull, self.last_page, now));
        }
        let fetch = self.fetch.as_mut()?;
        if fetch.due > now || fetch.tries >= MAX_TRIES {
            return None;
        }
        fetch.tries += 1;
        fetch.due = now + fetch.patience;
        fetch.patience = (fetch.patience * 2).min(MAX_PATIENCE);
        let missing = fetch.parts.missing_ranges();
        fetch.outstanding = match fetch.parts.missing {
            // Not known before the first part says so.
            0 => BURST_PARTS,
            missing => missing.min(BURST_PARTS),
        };
        let message = Message::Pull {
            page: fetch.page,
            source: fetch.pull.source.clone(),
            cursor: fetch.cursor,
            missing,
        };
        Some((fetch.pull.from, message))
    }

    /// The pull that has failed, if one has: its provider does not answer.
    pub fn poll_failed(&mut self, now: Instant) -> Option<Pull> {
        let failed =
            self.fetch.as_ref().is_some_and(|fetch| fetch.tries >= MAX_TRIES && fetch.due <= now);
        if failed { self.stop() } else { None }
    }

    /// Gives up all pulls from a node, and gives them.
    pub fn give_up(&mut self, from: Incarnation) -> Vec<Pull> {
        let mut given_up: Vec<Pull> =
            self.queue.iter().filter(|pull| pull.from == from).cloned().collect();
        self.queue.retain(|pull| pull.from != from);
        if self.fetch.as_ref().is_some_and(|fetch| fetch.pull.from == from) {
            given_up.extend(self.stop());
        }
        given_up
    }

    /// When [`Puller::poll_request`] or [`Puller::poll_failed`] has something.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.fetch {
            Some(fetch) => Some(fetch.due),
            None if self.queue.is_empty() => None,
            None => Some(Instant::default()),
        }
    }

    /// The pull that runs, and those that wait.
    fn pulls(&self) -> impl Iterator<Item = &Pull> {
        self.fetch.as_ref().map(|fetch| &fetch.pull).into_iter().chain(&self.queue)
    }
}

impl Fetch {
    fn new(pull: Pull, page: u64, now: Instant) -> Self {
        Self {
            pull,
            page,
            cursor: 0,
            parts: Parts::default(),
            outstanding: 0,
            lacks: SlotSet::none(),
            due: now,
            patience: PATIENCE,
            tries: 0,
            pages: 0,
        }
    }
}
