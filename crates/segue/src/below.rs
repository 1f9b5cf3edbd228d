//! What a node does for the tiers below it: takes in what they write, and
//! answers what they ask.
//!
//! How they come here is the links' business; here are the streams of those who
//! have proven the farm's key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proto::nak::acks::Ack;
use proto::record::{Body, Record};
use proto::wire::codec::Malformed;
use proto::wire::link::{Answer, Ask, Fate, Items, MAX_ASK_BYTES, MAX_BATCH_BYTES, Taken};
use quinn::{ReadToEndError, RecvStream, SendStream, VarInt};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use crate::cache::{Adopted, Cache, Confirmed};
use crate::driver::Snapshot;
use crate::link::{Broken, Purpose, Serve, Served};
use crate::status::MemberState;
use crate::upstream::patience;

/// Batches that are read and taken in at a time, of all links: each may be 2 MiB.
const BATCHES_AT_ONCE: usize = 16;
/// The longest that is waited for an answer of this farm, whatever the asker
/// says: a client that waits longer has gone elsewhere.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked whether there is still somebody to be waited for: who
/// has left confirms nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long a batch may take to come: the longest by the slowest way that
/// counts.
const READ: Duration = patience(MAX_BATCH_BYTES);

/// What a stream is reset with on which there will be no answer. Nobody reads
/// it.
const ENDS: VarInt = VarInt::from_u32(0);

/// Serves the tiers below.
pub(crate) struct Below {
    cache: Cache,
    /// Who else is in the farm.
    snapshot: Arc<Mutex<Snapshot>>,
    /// Whether this node has what its farm has.
    ready: watch::Receiver<bool>,
    batches: Semaphore,
}

impl Below {
    pub(crate) fn new(
        cache: Cache,
        snapshot: Arc<Mutex<Snapshot>>,
        ready: watch::Receiver<bool>,
    ) -> Self {
        Self { cache, snapshot, ready, batches: Semaphore::new(BATCHES_AT_ONCE) }
    }

    async fn answer(&self, send: &mut SendStream, receive: &mut RecvStream) -> Result<(), Broken> {
        let Some(bytes) = read(receive, MAX_ASK_BYTES).await? else { return Ok(()) };
        let ask = Ask::decode(&bytes)?;
        let patience = PATIENCE.min(Duration::from_millis(ask.patience_millis.into()));
        let mut answer = Zeroizing::new(Vec::new());
        if let Some(record) = self.cache.deleted(&ask.key) {
            Answer::Held(record).encode(&mut answer);
        } else {
            // Who asks has stopped waiting by then.
            let found = timeout(patience, self.cache.find_for_below(&ask.key, patience, ask.hops));
            match found.await.ok().flatten() {
                None => Answer::Absent.encode(&mut answer),
                Some(found) => Answer::Held(Record {
                    key: ask.key,
                    version: found.version,
                    deadlines: found.deadlines,
                    body: Body::Value(&found.value),
                })
                .encode(&mut answer),
            }
        }
        write(send, &answer).await;
        Ok(())
    }

    async fn take(&self, send: &mut SendStream, receive: &mut RecvStream) -> Result<(), Broken> {
        let _turn = self.batches.acquire().await.expect("it is never closed");
        let Ok(read) = timeout(READ, read(receive, MAX_BATCH_BYTES)).await else {
            // It would keep others waiting. Whoever says it calls another node.
            let _ = send.reset(ENDS);
            return Ok(());
        };
        let Some(bytes) = read? else { return Ok(()) };
        let mut exceptions = BTreeMap::new();
        let mut items = Items::of(&bytes);
        let mut waiting = Vec::new();
        // Until then it is not known whether there are others.
        let is_ready = *self.ready.borrow();
        let ack = if self.has_others() { Ack::One } else { Ack::Local };
        for place in 0.. {
            let Some(item) = items.next_item()? else { break };
            match self.cache.adopt(&item, ack).await {
                Ok(Adopted { fate, confirmed }) => {
                    waiting.extend(confirmed.map(|confirmed| (place, confirmed)));
                    let fate = fate.or_else(|| (!is_ready).then_some(Fate::Unconfirmed));
                    exceptions.extend(fate.map(|fate| (place, fate)));
                }
                Err(_) => {
                    exceptions.insert(place, Fate::Unconfirmed);
                }
            }
        }
        for place in self.unconfirmed(waiting).await {
            exceptions.entry(place).or_insert(Fate::Unconfirmed);
        }
        if exceptions.values().any(|fate| *fate == Fate::Unconfirmed)
            && self.cache.shared.writes.is_closed()
        {
            // This node ends. Who has no answer keeps the batch, and gives it to
            // another node; to lack a confirmation would be an answer. That the
            // stream may have ended already is no matter.
            let _ = send.reset(ENDS);
            return Ok(());
        }
        let mut bytes = Vec::new();
        Taken { exceptions: exceptions.into_iter().collect() }.encode(&mut bytes);
        write(send, &bytes).await;
        Ok(())
    }

    /// Waits until others have confirmed what was passed on to them, or there
    /// are none any more. Gives the places of what they have not.
    async fn unconfirmed(&self, waiting: Vec<(u16, Confirmed)>) -> Vec<u16> {
        let until = Instant::now() + self.cache.shared.ack_timeout;
        let (mut unconfirmed, mut is_alone) = (Vec::new(), false);
        for (place, mut confirmed) in waiting {
            let is_confirmed = loop {
                let left = until.saturating_duration_since(Instant::now());
                let wait = if is_alone { Duration::ZERO } else { left.min(LOOK_AGAIN) };
                if let Ok(confirmed) = timeout(wait, &mut confirmed).await {
                    break confirmed.is_ok();
                }
                is_alone = is_alone || !self.has_others();
                if is_alone || left.is_zero() {
                    break is_alone;
                }
            };
            if !is_confirmed {
                unconfirmed.push(place);
            }
        }
        unconfirmed
    }

    /// Whether another node of this farm is alive, to have what is here as well.
    fn has_others(&self) -> bool {
        self.snapshot.lock().members.iter().any(|member| member.state == MemberState::Alive)
    }
}

impl Serve for Below {
    fn serve(self: Arc<Self>, purpose: Purpose, streams: (SendStream, RecvStream)) -> Served {
        Box::pin(async move {
            let (mut send, mut receive) = streams;
            match purpose {
                Purpose::Ask => self.answer(&mut send, &mut receive).await,
                Purpose::Batch => self.take(&mut send, &mut receive).await,
                Purpose::Probe => {
                    write(&mut send, &[]).await;
                    Ok(())
                }
            }
        })
    }
}

impl From<Malformed> for Broken {
    fn from(_: Malformed) -> Self {
        Self
    }
}

/// Reads a stream to its end; `None` when the other end has given it up.
async fn read(receive: &mut RecvStream, most: usize) -> Result<Option<Zeroizing<Vec<u8>>>, Broken> {
    match receive.read_to_end(most).await {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(ReadToEndError::TooLong) => Err(Broken),
        Err(ReadToEndError::Read(_)) => Ok(None),
    }
}

async fn write(send: &mut SendStream, bytes: &[u8]) {
    // Who does not wait for it any more does not miss it.
    if send.write_all(bytes).await.is_ok() {
        let _ = send.finish();
    }
}
