//! Who listens on which channel at this node, and what is said there: by
//! clients of any node, and by keys that change.
//!
//! It is told of what happens and knows no node, no cache and no connection.
//! Parts of the cache may be locked while it is told: it looks nothing up.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use parking_lot::RwLock;
use proto::gateway::redis::events::{self, Event, Wanted};
use proto::gateway::redis::glob::Pattern;
use proto::record::{Body, Kind, Record};
use proto::web::State;
use segue::{Arrived, News};

use super::mailbox::{Mailbox, Message};
use crate::gateway::keys::{self, MAX_KEY_BYTES};

/// The longest name of a channel: a key behind `__keyspace@15__:`.
pub(super) const MAX_CHANNEL_BYTES: usize = MAX_KEY_BYTES + 32;
/// How many different patterns there may be at a node: each is tried on each
/// message, some microseconds with the longest channels, and has a table of 4 KiB.
const MOST_PATTERNS: usize = 4_096;

/// The channels of a node.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    listeners: RwLock<Listeners>,
    /// Which key events are asked for: [`Wanted::bits`].
    wanted: AtomicU16,
    next_id: AtomicU64,
    messages: AtomicU64,
    slow: AtomicU64,
}

/// Mailboxes by the name of what their owners listen to, each by its number.
#[derive(Debug, Default)]
struct Listeners {
    channels: HashMap<Vec<u8>, Boxes>,
    patterns: BTreeMap<Vec<u8>, Patterned>,
}

type Boxes = BTreeMap<u64, Listener>;

/// Who listens by a pattern.
#[derive(Debug)]
struct Patterned {
    name: Arc<[u8]>,
    pattern: Pattern,
    boxes: Boxes,
}

/// Where a subscriber's mail goes.
#[derive(Debug, Clone)]
struct Listener {
    mailbox: Arc<Mailbox>,
    /// What channels and keys begin with that he may hear of.
    prefix: Arc<[u8]>,
}

/// What somebody listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Channel,
    Pattern,
}

/// There are too many patterns, or it is none.
#[derive(Debug)]
pub(super) struct Refused;

impl Channels {
    /// What is said at this node reaches so many.
    pub(super) fn deliver(&self, channel: &[u8], text: &[u8]) -> usize {
        self.send(channel, text, channel)
    }

    /// Something has happened to a key.
    pub(super) fn happened(&self, database: u8, key: &[u8], event: Event) {
        let wanted = self.wanted();
        if !wanted.has(event.class) {
            return;
        }
        if wanted.by_key() {
            let channel = [format!("__keyspace@{database}__:").as_bytes(), key].concat();
            self.send(&channel, event.name.as_bytes(), key);
        }
        if wanted.by_event() {
            let channel = format!("__keyevent@{database}__:{}", event.name);
            self.send(channel.as_bytes(), key, key);
        }
    }

    /// Something has happened that no client of this node has done.
    pub(crate) fn hear(&self, news: &News<'_>) {
        if let News::Said { channel, text } = news {
            self.deliver(channel, text);
        } else if !self.wanted().any() {
            // Nobody is to hear of what happens to keys.
        } else if let News::Arrived(arrived) = news {
            self.tell_of(arrived, None);
        } else if let News::Ended(arrived) = news {
            self.tell_of(arrived, Some(events::EXPIRED));
        }
    }

    pub(super) fn wanted(&self) -> Wanted {
        Wanted::from_bits(self.wanted.load(Ordering::Relaxed))
    }

    pub(super) fn want(&self, wanted: Wanted) {
        self.wanted.store(wanted.bits(), Ordering::Relaxed);
    }

    /// How many messages were delivered.
    pub(super) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// How many subscribers did not read their messages in time.
    pub(super) fn slow(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }

    /// How many patterns there are.
    pub(super) fn patterns(&self) -> usize {
        self.listeners.read().patterns.len()
    }

    /// How many listen on a channel.
    pub(super) fn count(&self, channel: &[u8]) -> usize {
        self.listeners.read().channels.get(channel).map_or(0, BTreeMap::len)
    }

    /// The channels that somebody listens on, in no order. A copy: who looks
    /// through them keeps nobody waiting.
    pub(super) fn names(&self) -> Vec<Vec<u8>> {
        self.listeners.read().channels.keys().cloned().collect()
    }

    fn send(&self, channel: &[u8], text: &[u8], concerns: &[u8]) -> usize {
        let listeners = self.listeners.read();
        let mut message = None;
        let mut reached = 0;
        let mut give = |boxes: &Boxes, pattern: Option<&Arc<[u8]>>| {
            for listener in boxes.values().filter(|it| concerns.starts_with(&it.prefix)) {
                let message = message.get_or_insert_with(|| {
                    Arc::new(Message { channel: channel.to_vec(), text: text.to_vec() })
                });
                let overflows = listener.mailbox.put(message, pattern);
                self.slow.fetch_add(overflows.into(), Ordering::Relaxed);
                reached += 1;
            }
        };
        if let Some(boxes) = listeners.channels.get(channel) {
            give(boxes, None);
        }
        for Patterned { name, pattern, boxes } in listeners.patterns.values() {
            if pattern.matches(channel) {
                give(boxes, Some(name));
            }
        }
        self.messages.fetch_add(reached as u64, Ordering::Relaxed);
        reached
    }

    /// A record has come, or has ended by itself.
    fn tell_of(&self, arrived: &Arrived<'_>, ended: Option<Event>) {
        let Arrived { key, version, deadlines, value } = *arrived;
        if key.kind() != Kind::Web {
            return;
        }
        let body = value.map_or(Body::Deleted, Body::Value);
        let record = Record { key, version, deadlines, body };
        // A long key's name is in its payload: of one that was deleted it is not known.
        let Some((database, name)) = keys::place_of(&record) else { return };
        let event = events::of_state(&State::of(&record));
        let event = match ended {
            Some(_) if event.name == "del" => return,
            Some(ended) => ended,
            None => event,
        };
        self.happened(database, name, event);
    }
}

/// What one client listens to. Dropped, he listens no more.
#[derive(Debug)]
pub(super) struct Subscriptions {
    channels: Arc<Channels>,
    pub(super) mailbox: Arc<Mailbox>,
    prefix: Arc<[u8]>,
    id: u64,
    /// What he listens to, and in which order he began to.
    names: [BTreeMap<Vec<u8>, u64>; 2],
    added: u64,
}

impl Subscriptions {
    pub(super) fn new(channels: &Arc<Channels>, prefix: &[u8]) -> Self {
        Self {
            channels: Arc::clone(channels),
            mailbox: Arc::default(),
            prefix: prefix.into(),
            id: channels.next_id.fetch_add(1, Ordering::Relaxed),
            names: Default::default(),
            added: 0,
        }
    }

    /// How many channels and patterns there are together.
    pub(super) fn count(&self) -> usize {
        self.names.iter().map(BTreeMap::len).sum()
    }

    /// All of a sort, the first one first.
    pub(super) fn names(&self, sort: Sort) -> Vec<Vec<u8>> {
        let mut names: Vec<_> = self.names[sort as usize].iter().collect();
        names.sort_unstable_by_key(|(_, added)| **added);
        names.into_iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether this is one of them.
    pub(super) fn has(&self, sort: Sort, name: &[u8]) -> bool {
        self.names[sort as usize].contains_key(name)
    }

    pub(super) fn add(&mut self, sort: Sort, name: &[u8]) -> Result<(), Refused> {
        let mut listeners = self.channels.listeners.write();
        let boxes = match sort {
            Sort::Channel => listeners.channels.entry(name.to_vec()).or_default(),
            Sort::Pattern => {
                let patterns = &mut listeners.patterns;
                if patterns.len() >= MOST_PATTERNS && !patterns.contains_key(name) {
                    return Err(Refused);
                }
                match patterns.entry(name.to_vec()) {
                    Entry::Occupied(known) => &mut known.into_mut().boxes,
                    Entry::Vacant(free) => {
                        let pattern = Pattern::new(name).ok_or(Refused)?;
                        let (name, boxes) = (Arc::from(name), Boxes::default());
                        &mut free.insert(Patterned { name, pattern, boxes }).boxes
                    }
                }
            }
        };
        let (mailbox, prefix) = (Arc::clone(&self.mailbox), Arc::clone(&self.prefix));
        boxes.insert(self.id, Listener { mailbox, prefix });
        drop(listeners);
        self.names[sort as usize].entry(name.to_vec()).or_insert(self.added);
        self.added += 1;
        Ok(())
    }

    pub(super) fn remove(&mut self, sort: Sort, name: &[u8]) {
        if self.names[sort as usize].remove(name).is_some() {
            self.channels.listeners.write().forget(sort, name, self.id);
        }
    }
}

impl Listeners {
    fn forget(&mut self, sort: Sort, name: &[u8], id: u64) {
        match sort {
            Sort::Channel => {
                if let Some(boxes) = self.channels.get_mut(name) {
                    boxes.remove(&id);
                    if boxes.is_empty() {
                        self.channels.remove(name);
                    }
                }
            }
            Sort::Pattern => {
                if let Some(patterned) = self.patterns.get_mut(name) {
                    patterned.boxes.remove(&id);
                    if patterned.boxes.is_empty() {
                        self.patterns.remove(name);
                    }
                }
            }
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        let mut listeners = self.channels.listeners.write();
        for (sort, names) in [Sort::Channel, Sort::Pattern].into_iter().zip(&self.names) {
            names.keys().for_each(|name| listeners.forget(sort, name, self.id));
        }
    }
}
