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
    silence: Option<Silence>,
}

/// The longest time without a byte from a moment on.
#[derive(Debug, Clone, Copy)]
struct Silence {
    from: Instant,
    longest: Duration,
}

impl Account {
    /// Takes in that bytes came.
    pub(super) fn receive(&mut self, count: usize, came: Instant) {
        if let Some(silence) = &mut self.silence {
            let since = self.came.map_or(silence.from, |before| before.max(silence.from));
            silence.longest = silence.longest.max(came.saturating_duration_since(since));
        }
        self.received += count as u64;
        self.came = Some(came);
        self.moved = came;
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
            silence: None,
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

    pub(super) fn mark(&self, from: Instant) {
        self.lock().silence = Some(Silence { from, longest: Duration::ZERO });
    }

    /// The longest time without a byte from the mark until this moment.
    pub(super) fn pause(&self) -> Option<Duration> {
        let account = self.lock();
        let silence = account.silence?;
        let since = account.came.map_or(silence.from, |came| came.max(silence.from));
        Some(silence.longest.max(since.elapsed()))
    }

    /// Whether it was told so.
    pub(super) fn is_told(flag: &AtomicBool) -> bool {
        flag.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_is_from_the_mark_or_between_bytes() {
        let seat = Seat::new();
        let begun = Instant::now().checked_sub(Duration::from_secs(60)).expect("uptime");
        let after = |millis| begun + Duration::from_millis(millis);
        let longest = || seat.account().silence.map(|silence| silence.longest.as_millis());
        seat.change(|account| account.receive(1, after(0)));
        seat.mark(after(100));
        assert_eq!(longest(), Some(0));
        for (came, expected) in [(130, 30), (140, 30), (200, 60), (255, 60)] {
            seat.change(|account| account.receive(1, after(came)));
            assert_eq!(longest(), Some(expected), "after {came} ms");
        }
        // Nothing has come since, for most of a minute.
        assert!(seat.pause() > Some(Duration::from_secs(50)));
    }
}
