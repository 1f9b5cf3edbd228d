//! All engines of the tier above, and the thread that works for them.
//!
//! What is written goes to each of them; a look-up asks one after the other.
//! A runtime of its own keeps them out of the way of those who serve clients,
//! and lets a node start where there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use proto::holdings::Holdings;
use proto::keyring::Keyring;
use proto::record::{Body, Key, KeyHash, Record};
use proto::upstream::{NONCE_BYTES, Seals, expires};
use proto::wire::frame::Frame;
use proto::wire::link::Item;
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::caller::Caller;
use super::engine::Engine;
use super::queue::Write;
use super::session::{Found, Wanted};
use super::work::work;
use crate::config::UpstreamConfig;
use crate::error::{StartError, UpstreamError, WriteError};
use crate::link::Links;
use crate::status::UpstreamStatus;

/// The tier above this node.
pub(crate) struct Tier {
    engines: Vec<Arc<Engine>>,
    common: Arc<Common>,
    hits: AtomicU64,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What writers and the thread share.
struct Common {
    holdings: Arc<Holdings>,
    seals: RwLock<Arc<Seals>>,
}

impl Tier {
    /// Begins to work for the engines that are configured. None has to be
    /// there yet.
    pub(crate) fn start(
        configs: &[UpstreamConfig],
        keys: &Keyring,
        holdings: &Arc<Holdings>,
        links: Option<&Arc<Links>>,
    ) -> Result<Self, StartError> {
        let engine = |config: &UpstreamConfig| {
            let caller = Caller::new(config, links, holdings)?;
            Ok(Arc::new(Engine::new(config.clone(), caller)))
        };
        let engines = configs.iter().map(engine).collect::<Result<Vec<_>, StartError>>()?;
        let seals = RwLock::new(Arc::new(Seals::new(keys)));
        let common = Arc::new(Common { holdings: Arc::clone(holdings), seals });
        let (stop, stopped) = watch::channel(false);
        let mut tier =
            Self { engines, common, hits: AtomicU64::new(0), stop, thread: Mutex::default() };
        if !tier.engines.is_empty() {
            tier.thread = Mutex::new(Some(tier.spawn(stopped)?));
        }
        Ok(tier)
    }

    fn spawn(&self, stopped: watch::Receiver<bool>) -> Result<JoinHandle<()>, StartError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StartError::Thread)?;
        let (engines, common) = (self.engines.clone(), Arc::clone(&self.common));
        let run = move || {
            runtime.block_on(async {
                let mut working = JoinSet::new();
                for engine in engines {
                    let common = Arc::clone(&common);
                    let sealed = engine.seals();
                    let seal = move |hash| common.touched(hash, sealed);
                    working.spawn(work(engine, seal, stopped.clone()));
                }
                working.join_all().await;
            });
        };
        thread::Builder::new()
            .name("segue-upstream".to_owned())
            .spawn(run)
            .map_err(StartError::Thread)
    }

    /// Has what a write says go up. If the writer `waits` for that, the
    /// receipt tells when it is there.
    pub(crate) fn write(&self, frame: &Frame<'_>, waits: bool) -> Result<Receipt, WriteError> {
        let mut receipt = Receipt(Vec::new());
        if self.engines.is_empty() {
            return if waits { Err(UpstreamError::None.into()) } else { Ok(receipt) };
        }
        if let (Frame::Touch(touch), false) = (frame, waits) {
            self.engines.iter().for_each(|engine| engine.touch(touch.hash));
            return Ok(receipt);
        }
        for sealed in [true, false] {
            let engines = || self.engines.iter().filter(|engine| engine.seals() == sealed);
            if engines().next().is_some() {
                let writes = self.common.writes(frame, sealed);
                engines().for_each(|engine| send(engine, &writes, waits, &mut receipt));
            }
        }
        if waits && receipt.0.is_empty() {
            // A touch of what is not here any more: nothing goes up that could
            // be waited for.
            return Err(WriteError::NotFound);
        }
        Ok(receipt)
    }

    /// Looks a record up here and in so many tiers further, and has `read` make what the look-up gives of it; it
    /// may want none of it.
    pub(crate) async fn find<R>(
        &self,
        (key, hops): (&Key, u8),
        budget: Duration,
        read: impl FnOnce(&Record<'_>) -> Option<R>,
    ) -> Option<R> {
        let seals = Arc::clone(&*self.common.seals.read());
        let wanted = Wanted { key, name: seals.name(key), hops };
        let until = Instant::now() + budget;
        for engine in &self.engines {
            let left = until.saturating_duration_since(Instant::now());
            let Some(found) = engine.get(&wanted, left).await else { continue };
            let found = match found {
                #[cfg(feature = "redis")]
                Found::Value(value) => {
                    let mut value = Zeroizing::new(value);
                    match seals.open(key, &mut value) {
                        Ok(record) => read(&record),
                        Err(rejected) => {
                            engine.rejected(&rejected);
                            continue;
                        }
                    }
                }
                Found::Record(answered) => answered.record().and_then(|record| read(&record)),
                #[cfg(feature = "redis")]
                Found::OtherType => continue,
                Found::Nothing => continue,
            };
            engine.figures.hits.add();
            self.hits.fetch_add(u64::from(found.is_some()), Ordering::Relaxed);
            return found;
        }
        None
    }

    /// Whether there is no engine.
    pub(crate) const fn is_empty(&self) -> bool {
        self.engines.is_empty()
    }

    /// Seals and opens with these keys from here on.
    pub(crate) fn rekey(&self, keys: &Keyring) {
        *self.common.seals.write() = Arc::new(Seals::new(keys));
    }

    pub(crate) fn status(&self) -> Vec<UpstreamStatus> {
        self.engines.iter().map(|engine| engine.status()).collect()
    }

    /// Look-ups that were answered here.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Has the thread send what waits, as far as the engines take it, and end.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for that.
    pub(crate) fn join(&self) {
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the upstreams did not end in order");
        }
    }
}

/// Gives an engine what is to go up.
fn send(engine: &Engine, writes: &[Write], waits: bool, receipt: &mut Receipt) {
    for Write { name, value, expires, deletes, .. } in writes {
        let done = waits.then(|| {
            let (done, told) = oneshot::channel();
            receipt.0.push(told);
            done
        });
        let (value, expires, deletes) = (value.clone(), *expires, *deletes);
        engine.write(Write { name: *name, value, expires, deletes, done });
    }
}

impl Common {
    /// What a frame says, `sealed` for engines or as it is for nodes.
    fn writes(&self, frame: &Frame<'_>, sealed: bool) -> Vec<Write> {
        match (frame, sealed) {
            (Frame::Record(record), true) => vec![self.seal(record)],
            (Frame::Record(record), false) => vec![self.plain(&Item::Record(*record), record)],
            // In this order, so that one of the two ids is always there.
            (Frame::Rotate { old, new }, true) => vec![self.seal(new), self.seal(old)],
            (&Frame::Rotate { old, new }, false) => {
                vec![self.plain(&Item::Rotate { old, new }, &old)]
            }
            (Frame::Touch(touch), _) => self.touched(touch.hash, sealed).into_iter().collect(),
        }
    }

    fn seal(&self, record: &Record<'_>) -> Write {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("the operating system gives random numbers");
        let seals = Arc::clone(&*self.seals.read());
        Write {
            name: seals.name(&record.key),
            value: Bytes::from(seals.seal(record, &nonce)),
            expires: expires(record),
            deletes: record.body == Body::Deleted,
            done: None,
        }
    }

    /// An item for a node, which `record` is of. It is not sealed while it
    /// waits, as the table is not either, and wiped when it went.
    fn plain(&self, item: &Item<'_>, record: &Record<'_>) -> Write {
        let mut bytes = Zeroizing::new(Vec::new());
        item.encode(&mut bytes);
        Write {
            name: self.seals.read().name(&record.key),
            value: Bytes::from_owner(bytes),
            expires: expires(record),
            deletes: record.body == Body::Deleted,
            done: None,
        }
    }

    /// A record whose deadline moved, as it is in the table: whole for an
    /// engine, and as a touch for a node. None if it is not there any more.
    fn touched(&self, hash: KeyHash, sealed: bool) -> Option<Write> {
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

/// What a writer waits for: each engine's word on each of his records.
pub(crate) struct Receipt(Vec<oneshot::Receiver<Result<(), UpstreamError>>>);

impl Receipt {
    /// Waits for at most so long.
    pub(crate) async fn wait(self, patience: Duration) -> Result<(), WriteError> {
        let all = async {
            for told in self.0 {
                told.await.unwrap_or(Err(UpstreamError::Down))?;
            }
            Ok(())
        };
        match timeout(patience, all).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(UpstreamError::Deleted)) => Err(WriteError::Deleted),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(UpstreamError::TimedOut.into()),
        }
    }
}
