//! What the driver does for operations that need one answer.

use std::time::Duration;

use proto::agree::Event;
use proto::agree::operation::Outcome;
use proto::agree::state::{Content, State};
use proto::nak::acks::Ack;
use proto::record::{Body, Deadlines, Key, Record, Version, Writer};
use proto::time::Now;
use proto::wire::frame::Frame;

use super::Driver;
use crate::writes::{Pushed, Write};

/// The most changes that wait for room among the node's writes.
const MAX_UNPUBLISHED: usize = 4_096;
/// How long a tombstone of what was deleted or taken lives: what was there had
/// a deadline that the register no longer has.
const TOMBSTONE: Duration = Duration::from_secs(24 * 60 * 60);

impl Driver {
    /// Hands requests that were left to the machine.
    pub(super) fn take_asks(&mut self, now: Now) {
        for (request, asker) in self.parts.shared.asks.take() {
            let id = request.id;
            match self.parts.node.submit(now, request) {
                Ok(()) => drop(self.askers.insert(id, asker)),
                // Who asked may have stopped waiting.
                Err(failure) => drop(asker.send(Err(failure))),
            }
        }
    }

    /// Something about operations that need one answer.
    pub(super) fn take_agreement(&mut self, event: Event) {
        match event {
            Event::Done { request, result } => {
                if let Some(asker) = self.askers.remove(&request) {
                    // Who asked may have stopped waiting.
                    let _ = asker.send(result);
                }
            }
            Event::Chosen { key, state } => self.publish(key, state),
            Event::Roster(_) | Event::Unfounded(_) | Event::MayBeLost | Event::Absorbed(_) => {
                self.report.log(&proto::node::Event::Agreement(event));
            }
        }
    }

    /// Makes what was agreed on a record like any other, so that all can read
    /// it. It is written where the node's own writers write, and waits while
    /// they have filled that.
    fn publish(&mut self, key: Key, state: State) {
        // Who holds a lock, or held it, is nothing to be read from a cache.
        let is_lock = matches!(state.content, Content::Lock { .. })
            || matches!(state.last, Some((_, Outcome::Released)));
        // What ended by itself ends everywhere.
        let is_retired = matches!(state.last, Some((_, Outcome::Retired)));
        if is_lock || is_retired {
            return;
        }
        let now = self.now();
        // A plain write after this one is later.
        self.parts.shared.versions.observe(state.version, now.wall);
        let record = record(key, &state, self.parts.shared.writer, now);
        self.parts.shared.holdings.admit(&record, now.wall);
        self.unpublished.push_back((key, state));
        self.publish_rest(now);
    }

    /// Writes what waits for room, oldest first.
    pub(super) fn publish_rest(&mut self, now: Now) {
        let shared = &self.parts.shared;
        while let Some((key, state)) = self.unpublished.front() {
            let frame = Frame::Record(record(*key, state, shared.writer, now));
            let keys = [shared.holdings.hash(key)];
            let write = Write { frame: &frame, keys: &keys, ack: Ack::Local, done: None };
            let is_full = matches!(shared.writes.push(write), Ok(Pushed::Full(_)));
            // What is too much digests bring to the others, minutes later.
            if is_full && self.unpublished.len() <= MAX_UNPUBLISHED {
                return;
            }
            self.unpublished.pop_front();
            self.lingers = true;
        }
    }
}

/// The state of a register as a record.
fn record(key: Key, state: &State, writer: Writer, now: Now) -> Record<'_> {
    let (body, deadline) = match &state.content {
        Content::Value { bytes, deadline } => (Body::Value(bytes), *deadline),
        Content::Absent | Content::Lock { .. } => (Body::Deleted, now.wall + TOMBSTONE),
    };
    let version = Version { time: state.version, writer };
    Record { key, version, deadlines: Deadlines::at(deadline), body }
}
