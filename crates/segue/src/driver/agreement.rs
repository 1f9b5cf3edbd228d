//! What the driver does for operations that need one answer.

use std::time::Duration;

use proto::agree::Event;
use proto::agree::state::{Content, State};
use proto::nak::acks::Ack;
use proto::record::{Body, Deadlines, Key, Record, Version};
use proto::time::Now;
use proto::wire::frame::Frame;

use super::Driver;
use crate::writes::Write;

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
            Event::Chosen { key, state } => self.publish(key, &state),
            Event::Roster(_) | Event::MayBeLost | Event::Absorbed(_) => {
                self.report.log(&proto::node::Event::Agreement(event));
            }
        }
    }

    /// Makes what was agreed on a record like any other, so that all can read
    /// it. It is written where the node's own writers write; when they have
    /// filled that, digests bring it to the others a little later.
    fn publish(&mut self, key: Key, state: &State) {
        let shared = &self.parts.shared;
        let now = self.now();
        let (body, deadline) = match &state.content {
            Content::Value { bytes, deadline } => (Body::Value(bytes), *deadline),
            Content::Absent => (Body::Deleted, now.wall + TOMBSTONE),
            // Who holds a lock is nothing to be read from a cache.
            Content::Lock { .. } => return,
        };
        // A plain write after this one is later.
        shared.versions.observe(state.version, now.wall);
        let version = Version { time: state.version, writer: shared.writer };
        let record = Record { key, version, deadlines: Deadlines::at(deadline), body };
        let hash = shared.holdings.hash(&key);
        shared.holdings.admit(&record, now.wall);
        let frame = Frame::Record(record);
        let write = Write { frame: &frame, keys: &[hash], ack: Ack::Local, done: None };
        // An error says that the node ends.
        let _ = shared.writes.push(write);
        self.lingers = true;
    }
}
