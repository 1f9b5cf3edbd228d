//! What a node tells those who observe it. What they make of it, it does not
//! know.

use proto::record::{Body, Deadlines, Key, Record, Version};
use proto::wire::frame::Notice;

/// Told of what comes from other nodes and of what ends
/// ([`Node::start_observed`](crate::Node::start_observed)).
pub type Observer = Box<dyn FnMut(&News<'_>) + Send>;

/// What an [`Observer`] is told.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum News<'a> {
    /// A record came from another node, and was news here.
    Arrived(Arrived<'a>),
    /// A value has ended, and is not held here any more.
    Ended(Arrived<'a>),
    /// Somebody has said something at another node
    /// ([`Cache::say`](crate::Cache::say)).
    Said {
        /// For whom it is.
        channel: &'a [u8],
        /// What it is.
        text: &'a [u8],
    },
}

impl<'a> From<proto::node::News<'a>> for News<'a> {
    fn from(news: proto::node::News<'a>) -> Self {
        match news {
            proto::node::News::Record(record) => Self::Arrived(record.into()),
            proto::node::News::Ended(record) => Self::Ended(record.into()),
            proto::node::News::Notice(Notice { channel, text }) => Self::Said { channel, text },
        }
    }
}

/// A record, as it came from another node or was when it ended.
#[derive(Clone, Copy)]
pub struct Arrived<'a> {
    /// Its key.
    pub key: Key,
    /// Its version.
    pub version: Version,
    /// When it ends.
    pub deadlines: Deadlines,
    /// Its payload; `None`: it was deleted.
    pub value: Option<&'a [u8]>,
}

impl<'a> From<&Record<'a>> for Arrived<'a> {
    fn from(record: &Record<'a>) -> Self {
        let Record { key, version, deadlines, body } = *record;
        let value = match body {
            Body::Value(value) => Some(value),
            Body::Deleted => None,
        };
        Self { key, version, deadlines, value }
    }
}

impl std::fmt::Debug for Arrived<'_> {
    /// Everything but the payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrived")
            .field("key", &self.key)
            .field("version", &self.version)
            .field("deadlines", &self.deadlines)
            .field("bytes", &self.value.map(<[u8]>::len))
            .finish()
    }
}
