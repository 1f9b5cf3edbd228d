//! What nearly all of a session store's requests are, done at once: a `GET` of
//! what lies in the node's own table, and a `SET` of a text. Whatever is else
//! about them is left to `Session::handle`, which does it in full.

use proto::gateway::redis::{PlainSet, plain_set};
use proto::gateway::resp::{Request, Writer};
use proto::record::Body;
use proto::web::{Plain, plain};
use segue::{Gathered, Placed};
use zeroize::Zeroizing;

use super::connection::Output;
use super::session::Session;
use crate::gateway::keys::Name;

/// Room for a value that is kept for the next one: that of a large session.
const KEPT_BYTES: usize = 16 * 1024;

/// What became of a request.
pub(super) enum Quick {
    Done,
    /// It was written here, and others have yet to get it.
    Left(Placed),
    /// It takes more, and nothing was done.
    Not,
}

impl Session<'_> {
    /// Does a request if it is one of those, and needs nothing but the table.
    pub(super) fn quick(&mut self, request: &Request<'_>, output: &mut Output) -> Quick {
        let (name, count) = (request.name(), request.count());
        if self.queue.is_some() || !self.is_authenticated() {
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
        let (store, now) = (&self.shared.store, self.now);
        let Some(PlainSet { key, text, end }) = plain_set(request, now) else { return Quick::Not };
        let Ok(Name { key, long: &[] }) = self.name(key) else { return Quick::Not };
        let written = store.set(&key, text, (end, now), &mut self.payload);
        if self.payload.capacity() > KEPT_BYTES {
            self.payload = Zeroizing::default();
        }
        // What cannot be written is tried in full, and fails with its reason.
        let Some(Ok(written)) = written else { return Quick::Not };
        let begin = output.bytes.len();
        Writer::new(&mut output.bytes, self.version).ok();
        match written {
            Gathered::Joined(pending) => output.tells_of(begin, Some(pending)),
            Gathered::First(pending) => {
                output.tells_of(begin, Some(pending));
                output.has_gathered = true;
            }
            Gathered::Left(placed) => return Quick::Left(placed),
        }
        Quick::Done
    }
}
