//! What this node holds, as it goes up: what was written as an upstream takes
//! it, and what was deleted above as this farm does. It knows nothing of
//! connections, nor of what waits.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::RwLock;
use proto::holdings::Holdings;
use proto::keyring::Keyring;
use proto::nak::acks::Ack;
use proto::record::{Body, Key, KeyHash, Record, joins};
#[cfg(feature = "redis")]
use proto::upstream::expires;
use proto::upstream::{NONCE_BYTES, Rejected, Seals};
use proto::wire::frame::Frame;
use proto::wire::link::Item;
use zeroize::Zeroizing;

#[cfg(feature = "redis")]
use super::queue::Label;
use super::queue::Write;
use super::session::{ANSWER, Found, Session, Wanted};
use crate::cache::WeakCache;

/// What writers and the thread of the upstreams share.
pub(super) struct Source {
    holdings: Arc<Holdings>,
    seals: RwLock<Arc<Seals>>,
    /// The cache that this node's own farm writes by; none yet while the node
    /// starts.
    cache: OnceLock<WeakCache>,
}

impl Source {
    pub(super) fn new(holdings: Arc<Holdings>, keys: &Keyring) -> Self {
        let seals = RwLock::new(Arc::new(Seals::new(keys)));
        Self { holdings, seals, cache: OnceLock::new() }
    }

    /// What is learned above is written by this cache from here on.
    pub(super) fn belongs_to(&self, cache: WeakCache) {
        // There is but one.
        let _ = self.cache.set(cache);
    }

    /// Seals and opens with these keys from here on.
    pub(super) fn rekey(&self, keys: &Keyring) {
        *self.seals.write() = Arc::new(Seals::new(keys));
    }

    pub(super) fn seals(&self) -> Arc<Seals> {
        Arc::clone(&*self.seals.read())
    }

    /// Whether a later version of a write's record has come meanwhile, which
    /// goes up by itself. Not where both are kept: the later one may have been
    /// written without this one.
    pub(super) fn is_outdated(&self, write: &Write) -> bool {
        let Some(version) = write.version else { return false };
        let is_later =
            |held: &Record<'_>| held.key == write.key && held.version > version && !joins(held);
        self.holdings.peek_hash(self.holdings.hash(&write.key), is_later) == Some(true)
    }

    /// Asks for a record that was deleted above, and deletes it in this farm.
    pub(super) async fn learn_of_delete(&self, session: &Session, key: &Key) {
        let wanted = self.wanted(key, 0);
        let Ok(found) = session.get(&wanted, ANSWER).await else { return };
        let tombstone = self.opened(found, key, |record| {
            let is_dead = record.body == Body::Deleted;
            is_dead.then_some(Record { body: Body::Deleted, ..*record })
        });
        if let Ok(Some(Some(tombstone))) = tombstone
            && let Some(cache) = self.cache.get().and_then(WeakCache::upgrade)
        {
            // It fails when this node ends.
            let _ = cache.adopt(&Item::Record(tombstone), Ack::Local).await;
        }
    }

    /// A question for a record, here and in so many tiers further.
    pub(super) fn wanted<'a>(&self, key: &'a Key, hops: u8) -> Wanted<'a> {
        Wanted {
            key,
            #[cfg(feature = "redis")]
            name: self.seals().name(key),
            hops,
        }
    }

    /// Has `read` look at the record in what was found; none where there is no
    /// record. An error says that it is not what the farm has put there.
    pub(super) fn opened<R>(
        &self,
        found: Found,
        #[cfg_attr(not(feature = "redis"), expect(unused, reason = "a node's answer has it"))]
        key: &Key,
        read: impl FnOnce(&Record<'_>) -> R,
    ) -> Result<Option<R>, Rejected> {
        match found {
            Found::Record(answered) => Ok(answered.record().map(|record| read(&record))),
            #[cfg(feature = "redis")]
            Found::Value(value) => {
                let mut value = Zeroizing::new(value);
                Ok(Some(read(&self.seals().open(key, &mut value)?)))
            }
            #[cfg(feature = "redis")]
            Found::OtherType => Ok(None),
            Found::Nothing => Ok(None),
        }
    }

    /// What a frame says, `sealed` for engines or as it is for nodes.
    pub(super) fn writes(&self, frame: &Frame<'_>, sealed: bool) -> Vec<Write> {
        match (frame, sealed) {
            (Frame::Record(record), true) => vec![self.seal(record)],
            (Frame::Record(record), false) => vec![self.plain(&Item::Record(*record), record)],
            // In this order, so that one of the two ids is always there.
            (Frame::Rotate { old, new }, true) => vec![self.seal(new), self.seal(old)],
            (&Frame::Rotate { old, new }, false) => {
                vec![self.plain(&Item::Rotate { old, new }, &old)]
            }
            (Frame::Touch(touch), _) => self.touched(touch.hash, sealed).into_iter().collect(),
            // It is for those who listen in this farm.
            (Frame::Notice(_), _) => Vec::new(),
        }
    }

    fn seal(&self, record: &Record<'_>) -> Write {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("the operating system gives random numbers");
        self.write(record, Bytes::from(self.seals().seal(record, &nonce)))
    }

    /// An item for a node, which `record` is of. It is not sealed while it
    /// waits, as the table is not either, and wiped when it went.
    fn plain(&self, item: &Item<'_>, record: &Record<'_>) -> Write {
        let mut bytes = Zeroizing::new(Vec::new());
        item.encode(&mut bytes);
        let write = self.write(record, Bytes::from_owner(bytes));
        let is_alone = !matches!(item, Item::Rotate { .. });
        Write { version: write.version.filter(|_| is_alone), ..write }
    }

    fn write(&self, record: &Record<'_>, value: Bytes) -> Write {
        Write {
            key: record.key,
            #[cfg(feature = "redis")]
            label: Label { name: self.seals().name(&record.key), expires: expires(record) },
            version: Some(record.version),
            value,
            deletes: record.body == Body::Deleted,
            tries: 0,
            done: None,
        }
    }

    /// A record whose deadline moved, as it is in the table: whole for an
    /// engine, and as a touch for a node. None if it is not there any more.
    pub(super) fn touched(&self, hash: KeyHash, sealed: bool) -> Option<Write> {
        // Made outside of the table's lock, which others wait for.
        let copied = self.holdings.peek_hash(hash, |&Record { key, version, deadlines, body }| {
            let value = match body {
                Body::Value(value) if sealed => Some(Zeroizing::new(value.to_vec())),
                Body::Value(_) => Some(Zeroizing::default()),
                Body::Deleted => None,
            };
            (key, version, deadlines, value)
        });
        let (key, version, deadlines, value) = copied?;
        let body = value.as_ref().map_or(Body::Deleted, |value| Body::Value(value));
        let record = Record { key, version, deadlines, body };
        Some(match body {
            _ if sealed => self.seal(&record),
            Body::Value(_) => {
                let touch = Item::Touch { key, time: version.time, idle: deadlines.idle };
                self.plain(&touch, &record)
            }
            Body::Deleted => self.plain(&Item::Record(record), &record),
        })
    }
}
