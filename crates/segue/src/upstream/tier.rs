//! All engines of the tier above, and the thread that works for them.
//!
//! What is written goes to each of them, and a look-up asks each: one may have
//! missed what another knows to be deleted.
//! A runtime of its own keeps them out of the way of those who serve clients,
//! and lets a node start where there is none.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use proto::holdings::Holdings;
use proto::keyring::Keyring;
use proto::record::{Key, Record, Version};
use proto::wire::frame::Frame;
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::asked::Asked;
use super::caller::Caller;
use super::engine::Engine;
use super::queue::Write;
use super::source::Source;
use super::work::work;
use crate::cache::{Found, WeakCache};
use crate::config::UpstreamConfig;
use crate::error::{StartError, UpstreamError, WriteError};
use crate::link::Links;
use crate::status::UpstreamStatus;

/// What came of looking for a record.
pub(crate) enum Looked<R> {
    /// It is there, and this was made of it.
    Found(Option<R>),
    /// No upstream has it.
    Nothing,
    /// Not every upstream has said so much.
    Unknown,
}

/// The tier above this node.
pub(crate) struct Tier {
    engines: Vec<Arc<Engine>>,
    source: Arc<Source>,
    asked: Asked<Found>,
    hits: AtomicU64,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
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
        let source = Arc::new(Source::new(Arc::clone(holdings), keys));
        let (stop, stopped) = watch::channel(false);
        let mut tier = Self {
            engines,
            source,
            asked: Asked::default(),
            hits: AtomicU64::new(0),
            stop,
            thread: Mutex::default(),
        };
        if !tier.engines.is_empty() {
            tier.thread = Mutex::new(Some(tier.spawn(stopped)?));
        }
        Ok(tier)
    }

    fn spawn(&self, stopped: watch::Receiver<bool>) -> Result<JoinHandle<()>, StartError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StartError::Thread)?;
        let (engines, source) = (self.engines.clone(), Arc::clone(&self.source));
        let run = move || {
            runtime.block_on(async {
                let mut working = JoinSet::new();
                for engine in engines {
                    working.spawn(work(engine, Arc::clone(&source), stopped.clone()));
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
        match frame {
            Frame::Record(record) => self.asked.forget(&record.key),
            Frame::Rotate { new, .. } => self.asked.forget(&new.key),
            Frame::Touch(_) | Frame::Notice(_) => {}
        }
        if let (Frame::Touch(touch), false) = (frame, waits) {
            self.engines.iter().for_each(|engine| engine.touch(touch.hash));
            return Ok(receipt);
        }
        for sealed in [true, false] {
            let engines = || self.engines.iter().filter(|engine| engine.seals() == sealed);
            if engines().next().is_some() {
                let writes = self.source.writes(frame, sealed);
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

    /// Looks a record up here and in so many tiers further, at all upstreams at
    /// once. Has `read` take in each that is found, and gives what it makes of
    /// the latest; it may want none of it.
    pub(crate) async fn find<R>(
        &self,
        (key, hops): (&Key, u8),
        budget: Duration,
        read: impl Fn(&Record<'_>) -> Option<R>,
    ) -> Looked<R> {
        let wanted = self.source.wanted(key, hops);
        let asked = self.engines.iter().map(|engine| engine.get(&wanted, budget)).collect();
        let (mut latest, mut is_certain) = (None::<(Version, Option<R>)>, true);
        for (engine, found) in self.engines.iter().zip(all(asked).await) {
            let taken_in = |record: &Record<'_>| (record.version, read(record));
            match found.map(|found| self.source.opened(found, key, taken_in)) {
                Some(Ok(Some((version, found)))) => {
                    engine.figures.hits.add();
                    // Of one version, one may have ended where a touch was missed.
                    let is_later = latest.as_ref().is_none_or(|(known, _)| version > *known);
                    let is_live = latest.as_ref().is_some_and(|(known, _)| version == *known)
                        && found.is_some();
                    if is_later || is_live {
                        latest = Some((version, found));
                    }
                }
                Some(Ok(None)) => {}
                Some(Err(rejected)) => {
                    engine.rejected(&rejected);
                    is_certain = false;
                }
                None => is_certain = false,
            }
        }
        match latest {
            Some((_, found)) => {
                self.hits.fetch_add(u64::from(found.is_some()), Ordering::Relaxed);
                Looked::Found(found)
            }
            None if is_certain => Looked::Nothing,
            None => Looked::Unknown,
        }
    }

    /// Who asks for what.
    pub(crate) const fn asked(&self) -> &Asked<Found> {
        &self.asked
    }

    /// What is learned above is written by this cache from here on.
    pub(crate) fn belongs_to(&self, cache: WeakCache) {
        self.source.belongs_to(cache);
    }

    /// Whether there is no engine.
    pub(crate) const fn is_empty(&self) -> bool {
        self.engines.is_empty()
    }

    /// Seals and opens with these keys from here on.
    pub(crate) fn rekey(&self, keys: &Keyring) {
        self.source.rekey(keys);
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

/// Waits for all of them, side by side.
async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut is_all = true;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(ready) => *output = Some(ready),
                    Poll::Pending => is_all = false,
                }
            }
        }
        if is_all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

/// Gives an engine what is to go up.
fn send(engine: &Engine, writes: &[Write], waits: bool, receipt: &mut Receipt) {
    for write in writes {
        let done = waits.then(|| {
            let (done, told) = oneshot::channel();
            receipt.0.push(told);
            done
        });
        engine.write(Write { value: write.value.clone(), done, ..*write });
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
