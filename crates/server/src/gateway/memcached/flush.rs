//! `flush_all`: all that is there goes, at once or at a time that is named.
//!
//! What this node holds is deleted value by value, so that the others hear of
//! it. What was written after the client asked, or after the time that it
//! named, stays.

use std::sync::Arc;
use std::time::Duration;

use proto::gateway::Need;
use proto::gateway::memcached::{Answer, Expiry};
use proto::gateway::redis::Fail;
use proto::record::{Body, Version};
use proto::table::Cursor;
use proto::time::Wall;
use proto::web::Draft;
use segue::Pending;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::Shared;
use super::connection::Client;
use super::session::DATABASE;
use super::stats::words;
use crate::gateway::count;
use crate::gateway::keys::{key_of, name};

/// How much of the table is looked at in one go: some hundreds of sessions.
const SCAN_BYTES: usize = 256 * 1024;
/// How many deletes are confirmed together.
const TOGETHER: usize = 256;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Client<'_, S> {
    pub(super) async fn flush_all(&mut self, at: Expiry, answer: Answer<'_>) {
        let shared = self.shared;
        count(&shared.counters.flushes);
        let now = shared.store.cache.now();
        let due = match at {
            Expiry::Never | Expiry::Past => None,
            Expiry::In(seconds) => Some(now + Duration::from_secs(seconds.into())),
            Expiry::At(seconds) => Some(Wall::from_millis(u64::from(seconds) * 1_000)),
        };
        let due = due.filter(|due| *due > now);
        // The last word counts, as in memcached.
        shared.flush_at.send_replace(due);
        let done = if due.is_some() { Ok(()) } else { shared.flush().await };
        match done {
            Ok(()) => self.writer(answer).ok(),
            Err(why) => {
                count(&shared.counters.errors);
                self.writer(answer).server_error(words(&why));
            }
        }
    }
}

/// Flushes whenever a client's time has come, until the gateway goes.
pub(super) async fn when_due(shared: Arc<Shared>, mut open: watch::Receiver<bool>) {
    let mut asked = shared.flush_at.subscribe();
    loop {
        let due = *asked.borrow_and_update();
        let left = due.map(|due| due.saturating_since(shared.store.cache.now()));
        let is_due = tokio::select! {
            changed = asked.changed() => {
                if changed.is_err() {
                    return;
                }
                false
            }
            () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => true,
            _ = open.wait_for(|open| !open) => return,
        };
        if is_due {
            shared.flush_at.send_if_modified(|it| *it == due && it.take().is_some());
            if let Err(error) = shared.flush().await {
                tracing::warn!(error = words(&error), "a flush that was due was not done");
            }
        }
    }
}

impl Shared {
    /// Deletes all that this node holds.
    async fn flush(&self) -> Result<(), String> {
        // Later than all that was answered before, by whatever clock.
        let asked = self.store.cache.next_version();
        let mut cursor = Some(Cursor::START);
        let mut pending = Vec::new();
        while let Some(from) = cursor {
            let mut keys: Vec<Vec<u8>> = Vec::new();
            cursor = self.store.cache.scan(from, SCAN_BYTES, |record| {
                if record.body != Body::Deleted
                    && let Some(key) = key_of(record, DATABASE)
                    && key.starts_with(&self.prefix)
                {
                    keys.push(key.to_vec());
                }
            });
            for key in keys {
                pending
                    .extend(self.delete(&key, asked).await.map_err(|fail| fail.text().to_owned())?);
                if pending.len() >= TOGETHER {
                    self.confirm(&mut pending).await?;
                }
            }
        }
        self.confirm(&mut pending).await
    }

    /// Deletes a value that was there when `asked` was.
    async fn delete(&self, key: &[u8], asked: Version) -> Result<Option<Pending>, Fail> {
        let Some(name) = name(DATABASE, key) else { return Ok(None) };
        let mut work = |draft: &mut Draft, _: &mut Vec<u8>| {
            if draft.is_older_than(asked) {
                draft.delete();
            }
            Ok(())
        };
        self.store.run(&name, Need::Write, &mut Vec::new(), &mut work).await
    }

    async fn confirm(&self, pending: &mut Vec<Pending>) -> Result<(), String> {
        for pending in pending.drain(..) {
            self.store.cache.confirm(pending).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
