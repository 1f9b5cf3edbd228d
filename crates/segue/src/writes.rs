//! Writes on their way from those who write to the driver.
//!
//! A writer appends its frame to a packet under a lock that is held for a copy
//! of a few hundred bytes. Who works the driver takes what has gathered.

use parking_lot::Mutex;
use proto::nak::acks::{Ack, WriteId};
use proto::nak::stage::Stage;
use proto::record::KeyHash;
use proto::wire::frame::Frame;
use sys::batch::RUN_PACKETS;
use tokio::sync::{Notify, oneshot};

use crate::error::WriteError;

/// How many full packets may wait for the driver before writers wait too: four
/// runs, which are in the processor's cache when they are sealed.
const STAGED_PACKETS: usize = 4 * RUN_PACKETS;

/// What writers have written and the driver has not taken yet.
#[derive(Default)]
pub(crate) struct Writes {
    staged: Mutex<Staged>,
    /// Told when there is room again.
    room: Notify,
}

#[derive(Default)]
struct Staged {
    stage: Stage,
    waiting: Vec<(WriteId, oneshot::Sender<()>)>,
    last_write: u64,
    /// Whether nobody takes anything any more.
    closed: bool,
}

/// A write: what it says, of which keys, what it waits for, and who is told.
pub(crate) struct Write<'a> {
    pub(crate) frame: &'a Frame<'a>,
    pub(crate) keys: &'a [KeyHash],
    pub(crate) ack: Ack,
    /// `None` for [`Ack::Local`].
    pub(crate) done: Option<oneshot::Sender<()>>,
}

/// What a write has come to.
pub(crate) enum Pushed<'a> {
    /// It joined others, which the driver knows of.
    Joined,
    /// It is the first one, or completed a run: the driver is to look.
    Tell,
    /// There is no room.
    Full(Write<'a>),
}

impl Writes {
    /// Adds a write, unless there is no room.
    pub(crate) fn push<'a>(&self, write: Write<'a>) -> Result<Pushed<'a>, WriteError> {
        let mut staged = self.staged.lock();
        let Staged { stage, waiting, last_write, closed } = &mut *staged;
        if *closed {
            return Err(WriteError::Closed);
        }
        if stage.ended() >= STAGED_PACKETS {
            return Ok(Pushed::Full(write));
        }
        let Write { frame, keys, ack, done } = write;
        let id = WriteId(*last_write);
        if let Some(done) = done {
            *last_write += 1;
            waiting.push((id, done));
        }
        let (was_empty, runs) = (stage.is_empty(), runs_of(stage));
        stage.push(frame, keys, ack, id);
        let tell = was_empty || runs_of(stage) > runs;
        Ok(if tell { Pushed::Tell } else { Pushed::Joined })
    }

    /// Waits for room, having told the driver by `tell` that it is missing.
    /// There may be none again by then.
    pub(crate) async fn wait_for_room(&self, tell: impl FnOnce()) {
        let mut room = std::pin::pin!(self.room.notified());
        // From here on no telling is missed.
        room.as_mut().enable();
        let is_full = {
            let staged = self.staged.lock();
            !staged.closed && staged.stage.ended() >= STAGED_PACKETS
        };
        if is_full {
            tell();
            room.await;
        }
    }

    /// Gives full packets to `stage`, which is empty, and all others too if
    /// they are to go. `wait` learns who waits for them.
    pub(crate) fn take(
        &self,
        stage: &mut Stage,
        all: bool,
        wait: impl FnMut((WriteId, oneshot::Sender<()>)),
    ) {
        let mut staged = self.staged.lock();
        if all {
            staged.stage.end_packet();
        }
        if staged.stage.ended() > 0 {
            staged.stage.give(stage);
            staged.waiting.drain(..).for_each(wait);
            drop(staged);
            self.room.notify_waiters();
        }
    }

    /// Whether a packet that is not full waits for more, or for the driver.
    pub(crate) fn is_empty(&self) -> bool {
        self.staged.lock().stage.is_empty()
    }

    /// Takes no more writes.
    pub(crate) fn close(&self) {
        self.staged.lock().closed = true;
        self.room.notify_waiters();
    }

    /// Whether it takes no more writes.
    pub(crate) fn is_closed(&self) -> bool {
        self.staged.lock().closed
    }

    /// Gives up what was not taken: who waits for it is told.
    pub(crate) fn give_up(&self) {
        self.close();
        self.staged.lock().waiting.clear();
    }
}

fn runs_of(stage: &Stage) -> usize {
    stage.ended() / RUN_PACKETS
}
