//! A record that owns its payload, for tests that keep some beside a model.

use std::fmt;

use super::{Body, Deadlines, Key, Record, Version, normal};

/// A record that owns its payload; without one it is a tombstone.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) key: Key,
    pub(crate) version: Version,
    pub(crate) deadlines: Deadlines,
    pub(crate) payload: Option<Vec<u8>>,
}

impl Owned {
    pub(crate) fn of(record: &Record<'_>) -> Self {
        let payload = match record.body {
            Body::Value(payload) => Some(payload.to_vec()),
            Body::Deleted => None,
        };
        Self { key: record.key, version: record.version, deadlines: record.deadlines, payload }
    }

    pub(crate) fn record(&self) -> Record<'_> {
        let body = self.payload.as_deref().map_or(Body::Deleted, Body::Value);
        Record { key: self.key, version: self.version, deadlines: self.deadlines, body }
    }

    /// As it is held.
    pub(crate) fn normal(self) -> Self {
        Self::of(&normal(&self.record()))
    }

    /// Without what means nothing: a tombstone's idle deadline.
    pub(crate) fn meaning(mut self) -> Self {
        if self.payload.is_none() {
            self.deadlines.idle = self.deadlines.absolute;
        }
        self
    }
}

impl fmt::Debug for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record().fmt(f)
    }
}
