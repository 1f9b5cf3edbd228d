//! What one end of a connection has seen, for whoever watches from another
//! thread, and what that one tells it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The SHA-256 of everything that went one way.
pub type Hash = [u8; 32];

/// How an end is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It goes on.
    Going,
    /// Both directions have ended as they should.
    Ended,
    /// A byte came that should not, at this position.
    Wrong(u64),
    /// The connection broke, with this error.
    Broken(String),
}

/// What one end has seen.
#[derive(Debug, Clone)]
pub struct Account {
    /// How it is.
    pub state: State,
    /// How many bytes it has sent.
    pub sent: u64,
    /// How many bytes have come.
    pub received: u64,
    /// What it has sent, once all of it is.
    pub sent_hash: Option<Hash>,
    /// What has come, once all of it has.
    pub received_hash: Option<Hash>,
    /// When something last went either way.
    pub moved: Instant,
    /// How long each turn took ([`super::Amount::Turns`]).
    pub turns: Vec<Duration>,
    /// When bytes last came.
    came: Option<Instant>,
    mark: Option<Pause>,
}

/// How bytes came from a moment on.
#[derive(Debug, Clone, Copy)]
pub struct Pause {
    at: Instant,
    /// How long it took until the next byte; none has come yet.
    pub next: Option<Duration>,
    /// The longest time without a byte since then.
    pub longest: Duration,
}

impl Account {
    /// Takes in that bytes came.
    pub(super) fn receive(&mut self, count: usize, now: Instant) {
        if let Some(mark) = &mut self.mark {
            let since = self.came.map_or(mark.at, |came| came.max(mark.at));
            mark.longest = mark.longest.max(now.saturating_duration_since(since));
            mark.next.get_or_insert_with(|| now.saturating_duration_since(mark.at));
        }
        self.received += count as u64;
        self.came = Some(now);
        self.moved = now;
    }

    /// Takes in that bytes went.
    pub(super) fn send(&mut self, count: usize, now: Instant) {
        self.sent += count as u64;
        self.moved = now;
    }
}

/// One end, as others see it.
#[derive(Debug)]
pub(super) struct Seat {
    account: Mutex<Account>,
    changed: Condvar,
    /// It is to end what it sends.
    pub(super) ending: AtomicBool,
    /// It is to read nothing.
    pub(super) holding: AtomicBool,
    /// It is to break the connection off.
    pub(super) aborting: AtomicBool,
}

impl Seat {
    pub(super) fn new() -> Self {
        let account = Account {
            state: State::Going,
            sent: 0,
            received: 0,
            sent_hash: None,
            received_hash: None,
            moved: Instant::now(),
            turns: Vec::new(),
            came: None,
            mark: None,
        };
        Self {
            account: Mutex::new(account),
            changed: Condvar::new(),
            ending: AtomicBool::new(false),
            holding: AtomicBool::new(false),
            aborting: AtomicBool::new(false),
        }
    }

    /// Changes the account, and tells who waits.
    pub(super) fn change(&self, change: impl FnOnce(&mut Account)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    pub(super) fn account(&self) -> Account {
        self.lock().clone()
    }

    /// Whether the account becomes as wanted, as long as the end goes on and
    /// something moves at least once in `patience`.
    pub(super) fn until(&self, patience: Duration, wanted: impl Fn(&Account) -> bool) -> bool {
        let begun = Instant::now();
        let mut account = self.lock();
        loop {
            if wanted(&account) {
                return true;
            }
            let limit = account.moved.max(begun) + patience;
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() || account.state != State::Going {
                return false;
            }
            let waited = self.changed.wait_timeout(account, left);
            account = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn mark(&self, at: Instant) {
        self.lock().mark = Some(Pause { at, next: None, longest: Duration::ZERO });
    }

    /// What came of the mark by now.
    pub(super) fn pause(&self) -> Option<Pause> {
        let account = self.lock();
        let mut pause = account.mark?;
        let since = account.came.map_or(pause.at, |came| came.max(pause.at));
        pause.longest = pause.longest.max(since.elapsed());
        Some(pause)
    }

    /// Whether it was told so.
    pub(super) fn is_told(flag: &AtomicBool) -> bool {
        flag.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
