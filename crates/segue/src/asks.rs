//! Requests that need one answer, on their way to the driver.

use parking_lot::Mutex;
use proto::agree::Request;
use proto::agree::message::Failure;
use proto::agree::operation::Outcome;
use tokio::sync::oneshot;

/// Who is told what came of a request.
pub(crate) type Asker = oneshot::Sender<Result<Outcome, Failure>>;

/// The most that may wait for the driver; it takes them whenever it runs.
const MAX_WAITING: usize = 16_384;

/// The most bytes of values in those that wait.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// What was asked and the driver has not taken yet.
#[derive(Default)]
pub(crate) struct Asks(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    requests: Vec<(Request, Asker)>,
    bytes: usize,
    closed: bool,
}

/// Why a request does not wait for the driver.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Too many do.
    Busy,
    /// Nobody takes it.
    Closed,
}

impl Asks {
    /// Leaves a request for the driver.
    pub(crate) fn push(&self, request: Request, asker: Asker) -> Result<(), Refused> {
        let mut waiting = self.0.lock();
        if waiting.closed {
            return Err(Refused::Closed);
        }
        if waiting.requests.len() >= MAX_WAITING || waiting.bytes >= MAX_WAITING_BYTES {
            return Err(Refused::Busy);
        }
        waiting.bytes += request.operation.bytes();
        waiting.requests.push((request, asker));
        Ok(())
    }

    /// Takes all.
    pub(crate) fn take(&self) -> Vec<(Request, Asker)> {
        let mut waiting = self.0.lock();
        waiting.bytes = 0;
        std::mem::take(&mut waiting.requests)
    }

    /// Takes no more requests, and gives up those that wait: who asked is told.
    pub(crate) fn close(&self) {
        let mut waiting = self.0.lock();
        waiting.closed = true;
        waiting.requests.clear();
    }
}
