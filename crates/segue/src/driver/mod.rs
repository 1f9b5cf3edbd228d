//! The node's I/O: the loop around the core's machine.
//!
//! It runs on a thread of its own, so that neither handshakes nor requests
//! delay a repair. [`sockets`] is where packets come from and go to; the loop
//! here hands them to the machine, with writes and the time, and sleeps until
//! there is something to do again. Writers leave what they write in a queue and
//! call; nothing here waits for a runtime.

pub(crate) mod clock;
mod report;
mod sockets;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use proto::nak::acks::WriteId;
use proto::node::{Event, Node};
use proto::time::{Instant, Now};
use proto::wire::frame::Frame;
use sys::wait::Sleeper;
use tokio::sync::{mpsc, oneshot, watch};

use crate::cache::{OwnedFrame, Publish, Shared};
use crate::status::Lag;
use report::Report;
pub(crate) use report::Snapshot;
pub(crate) use sockets::Sockets;

/// The most writes taken between two looks at the sockets.
const WRITES_AT_ONCE: usize = 1_024;

/// What a driver is started with.
pub(crate) struct Driver {
    pub(crate) node: Node,
    pub(crate) sockets: Sockets,
    pub(crate) shared: Arc<Shared>,
    pub(crate) publish: mpsc::Receiver<Publish>,
    pub(crate) sleeper: Sleeper,
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) snapshot: Arc<Mutex<Snapshot>>,
}

impl Driver {
    /// Starts the driver's thread. It ends once the cache is closed.
    pub(crate) fn spawn(self) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("segue-node".into()).spawn(move || {
            if let Err(error) = Loop::new(self).run() {
                tracing::error!(%error, "the node's driver ended");
            }
        })
    }
}

/// The driver at work.
struct Loop {
    driver: Driver,
    /// Who waits for which write.
    waiting: HashMap<WriteId, oneshot::Sender<()>>,
    last_write: u64,
    lag: Lag,
    report: Report,
}

impl Loop {
    fn new(driver: Driver) -> Self {
        Self {
            driver,
            waiting: HashMap::new(),
            last_write: 0,
            lag: Lag::default(),
            report: Report::default(),
        }
    }

    fn run(mut self) -> io::Result<()> {
        loop {
            let now = self.now();
            self.driver.sockets.receive(now, &mut self.driver.node)?;
            self.driver.node.handle_timeout(now);
            // Whatever is written from here on calls.
            self.driver.sleeper.drowse();
            let writes_left = self.take_writes();
            self.driver.sockets.send(now, &mut self.driver.node)?;
            self.take_events();
            self.publish_snapshot(now.instant);
            if self.driver.shared.closed.load(Ordering::Relaxed) {
                return self.leave();
            }
            if writes_left {
                self.driver.sleeper.stay_awake();
            } else {
                self.sleep()?;
            }
        }
    }

    fn sleep(&self) -> io::Result<()> {
        let Driver { node, sockets, sleeper, .. } = &self.driver;
        let timeout = node.poll_timeout().map(|(due, _)| due);
        sockets.sleep(sleeper, self.now().instant, timeout)
    }

    fn now(&self) -> Now {
        self.driver.shared.clock.now()
    }

    /// Hands the writes that wait to the machine. Whether there may be more,
    /// and room for them.
    fn take_writes(&mut self) -> bool {
        for _ in 0..WRITES_AT_ONCE {
            if !self.driver.node.has_room() {
                return false;
            }
            match self.driver.publish.try_recv() {
                Ok(write) => self.publish(write),
                Err(_) => {
                    self.driver.node.flush();
                    return false;
                }
            }
        }
        true
    }

    fn publish(&mut self, write: Publish) {
        let id = WriteId(self.last_write);
        self.last_write += 1;
        if let Some(done) = write.done {
            self.waiting.retain(|_, waiting| !waiting.is_closed());
            self.waiting.insert(id, done);
        }
        let (node, table) = (&mut self.driver.node, &self.driver.shared.table);
        match &write.frame {
            OwnedFrame::Record(record) => {
                let record = record.as_record();
                let keys = [table.hash(&record.key)];
                node.publish(&Frame::Record(record), &keys, write.ack, id);
            }
            OwnedFrame::Touch(touch) => {
                node.publish(&Frame::Touch(*touch), &[touch.hash], write.ack, id);
            }
            OwnedFrame::Rotate { old, new } => {
                let (old, new) = (old.as_record(), new.as_record());
                let keys = [table.hash(&old.key), table.hash(&new.key)];
                node.publish(&Frame::Rotate { old, new }, &keys, write.ack, id);
            }
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.driver.node.poll_event() {
            match event {
                Event::Ready => {
                    tracing::info!("the portion has arrived");
                    self.driver.ready.send_replace(true);
                }
                Event::Acknowledged(write) => {
                    if let Some(done) = self.waiting.remove(&write) {
                        // The writer may have stopped waiting.
                        let _ = done.send(());
                    }
                }
                Event::Lag(lag) => self.lag.record(lag),
                Event::MemberAlive(_)
                | Event::MemberDead(_)
                | Event::MemberLeft(_)
                | Event::MemberStalled(_)
                | Event::ClockAhead(_) => self.report.log(&event),
            }
        }
    }

    fn publish_snapshot(&mut self, now: Instant) {
        if self.report.is_due(now) {
            *self.driver.snapshot.lock() = report::snapshot(&self.driver.node, &self.lag);
        }
    }

    fn leave(mut self) -> io::Result<()> {
        self.driver.publish.close();
        self.take_writes();
        self.driver.node.flush();
        self.driver.node.leave();
        let now = self.now();
        self.driver.sockets.send(now, &mut self.driver.node)
    }
}
