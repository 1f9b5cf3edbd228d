//! What nearly all of a session store's requests are, done at once: a `GET` of
//! what lies in the node's own table, and a `SET` of a text. Whatever is else
//! about them is left to `Session::handle`, which does it in full.

use proto::gateway::redis::{PlainSet, plain_set};
use proto::gateway::resp::{Request, Writer, first_arguments};
use proto::record::{Body, KeyHash};
use proto::web::{Plain, plain};
use segue::{Ack, Gathered, Placed};
use zeroize::Zeroizing;

use super::connection::Output;
use super::session::Session;
use crate::gateway::keys::Name;

/// Room for a value that is kept for the next one: that of a large session.
const KEPT_BYTES: usize = 16 * 1024;

/// How many requests' keys are fetched together: what is fetched for them, some
/// 10 KiB, fits a first-level cache.
pub(super) const FETCHED_AHEAD: usize = 32;
/// How much of an entry: a session of 200 bytes and what belongs to it. The
/// processor sees by itself that a larger one is read on and on.
const FETCHED_BYTES: usize = 320;

/// What became of a request.
pub(super) enum Quick {
    Done,
    /// It was written here, and others have yet to get it.
    Left(Placed, Ack),
    /// It takes more, and nothing was done.
    Not,
}

impl Session<'_> {
    /// Does a request if it is one of those, and needs nothing but the table.
    pub(super) fn quick(&mut self, request: &Request<'_>, output: &mut Output) -> Quick {
        let (name, count) = (request.name(), request.count());
        if self.queue.is_some() || !self.is_authenticated() || self.only_listens() {
            return Quick::Not;
        }
        if count == 2 && name.eq_ignore_ascii_case(b"get") {
            return if self.read_text(request, output) { Quick::Done } else { Quick::Not };
        }
        if matches!((name, count), ([b's' | b'S', ..], 3..=5)) {
            return self.write_text(request, output);
        }
        Quick::Not
    }

    /// Has the memory fetched that the next requests of a pipeline will need:
    /// nearly all of their time is waiting for it, one by one.
    pub(super) fn fetch_ahead(&self, input: &[u8]) {
        let cache = &self.shared.store.cache;
        let mut hashes = [KeyHash::default(); FETCHED_AHEAD];
        let mut known = 0;
        let mut keys = first_arguments(input).take(FETCHED_AHEAD).peekable();
        while let Some(key) = keys.next() {
            // One by itself is looked for at once.
            if known == 0 && keys.peek().is_none() {
                return;
            }
            if let Ok(Name { key, .. }) = self.name(key) {
                hashes[known] = cache.hash(&key);
                known += 1;
            }
        }
        cache.fetch(&hashes[..known], FETCHED_BYTES);
    }

    fn read_text(&self, request: &Request<'_>, output: &mut Output) -> bool {
        let Ok(Name { key, .. }) = self.name(request.get(1).unwrap_or_default()) else {
            return false;
        };
        let mut reply = Writer::new(&mut output.bytes, self.version);
        let found = self.shared.store.cache.read_at(&key, self.now, |record| match record.body {
            Body::Value(value) => match plain(value) {
                Plain::Text(text) => {
                    reply.bulk(text);
                    true
                }
                Plain::Gone | Plain::Other => false,
            },
            Body::Deleted => false,
        });
        found == Some(true)
    }

    fn write_text(&mut self, request: &Request<'_>, output: &mut Output) -> Quick {
        // What happens to keys is told by the longer way.
        if self.may_only_read() || self.shared.channels.wanted().any() {
            return Quick::Not;
        }
        let (store, now) = (&self.shared.store, self.now);
        let Some(PlainSet { key, text, end }) = plain_set(request, now) else { return Quick::Not };
        let Ok(name @ Name { long: &[], .. }) = self.name(key) else { return Quick::Not };
        let written = store.set(&name, text, (end, now), &mut self.payload);
        if self.payload.capacity() > KEPT_BYTES {
            self.payload = Zeroizing::default();
        }
        // What cannot be written is tried in full, and fails with its reason.
        let Some(Ok(written)) = written else { return Quick::Not };
        let begin = output.bytes.len();
        Writer::new(&mut output.bytes, self.version).ok();
        match written {
            // Who gathered the first one may not have sent it yet.
            Gathered::Joined(pending) | Gathered::First(pending) => {
                output.tells_of(begin, Some(pending));
                output.has_gathered = true;
            }
            Gathered::Left(placed) => return Quick::Left(placed, store.ack(&name)),
        }
        Quick::Done
    }
}
