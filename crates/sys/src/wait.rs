//! Sleeping until a socket is ready, a deadline has come, or another thread
//! calls.
//!
//! `ppoll` keeps deadlines to the microsecond, where an event loop whose timers
//! count milliseconds would make every repair wait for one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

/// What a thread sleeps on, beside its sockets.
#[derive(Debug)]
pub struct Sleeper {
    shared: Arc<Shared>,
}

/// Wakes the thread of a [`Sleeper`]; cheap to clone and to call.
#[derive(Debug, Clone)]
pub struct Waker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    event: EventFd,
    /// Whether the thread sleeps, or is about to: else a call costs no system
    /// call.
    sleeping: AtomicBool,
}

/// A socket that is slept on.
#[derive(Debug, Clone, Copy)]
pub struct Interest<'fd> {
    /// The socket.
    pub socket: BorrowedFd<'fd>,
    /// Whether to wake when it can be written to, as well as when it can be
    /// read from.
    pub writable: bool,
}

impl Sleeper {
    /// A sleeper, and what wakes it.
    ///
    /// # Errors
    ///
    /// `eventfd`'s: the process has too many open files.
    pub fn new() -> io::Result<(Self, Waker)> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let event = EventFd::from_flags(flags)?;
        let shared = Arc::new(Shared { event, sleeping: AtomicBool::new(false) });
        Ok((Self { shared: Arc::clone(&shared) }, Waker { shared }))
    }

    /// Says that the thread is about to sleep. Whoever calls from here on wakes
    /// it: look once more at what callers leave, then sleep or
    /// [`Sleeper::stay_awake`].
    pub fn drowse(&self) {
        self.shared.sleeping.store(true, Ordering::SeqCst);
    }

    /// Says that the thread does not sleep after all.
    pub fn stay_awake(&self) {
        self.shared.sleeping.store(false, Ordering::SeqCst);
    }

    /// Sleeps until a socket is ready, `timeout` is over, or a waker calls.
    ///
    /// # Errors
    ///
    /// `ppoll`'s, other than a signal's interruption, which ends the sleep.
    pub fn sleep(&self, sockets: &[Interest<'_>], timeout: Option<Duration>) -> io::Result<()> {
        let event = PollFd::new(self.shared.event.as_fd(), PollFlags::POLLIN);
        let mut polled: Vec<PollFd<'_>> = Vec::with_capacity(sockets.len() + 1);
        polled.push(event);
        polled.extend(sockets.iter().map(|interest| {
            let write = if interest.writable { PollFlags::POLLOUT } else { PollFlags::empty() };
            PollFd::new(interest.socket, PollFlags::POLLIN | write)
        }));
        let slept = ppoll(&mut polled, timeout.map(TimeSpec::from), None);
        self.stay_awake();
        let called = polled[0].any().unwrap_or(false);
        if called {
            // It says how often it was called, which does not matter here.
            let _ = self.shared.event.read();
        }
        match slept {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Waker {
    /// Wakes the thread if it sleeps. What was left for it before the call, it
    /// sees.
    pub fn wake(&self) {
        if self.shared.sleeping.swap(false, Ordering::SeqCst) {
            // It fails only when 2^64 - 2 calls are unread: then it is awake.
            let _ = self.shared.event.write(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_secs(60));

    #[test]
    fn a_call_before_the_sleep_is_not_lost() {
        let (sleeper, waker) = Sleeper::new().unwrap();
        sleeper.drowse();
        waker.wake();
        sleeper.sleep(&[], LONG).unwrap();
    }

    #[test]
    fn another_thread_wakes_it() {
        let (sleeper, waker) = Sleeper::new().unwrap();
        sleeper.drowse();
        let caller = std::thread::spawn(move || waker.wake());
        sleeper.sleep(&[], LONG).unwrap();
        caller.join().unwrap();
    }

    #[test]
    fn a_packet_and_a_deadline_wake_it() {
        let (sleeper, _waker) = Sleeper::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let interest = Interest { socket: socket.as_fd(), writable: false };
        sleeper.drowse();
        sleeper.sleep(&[interest], Some(Duration::from_micros(50))).unwrap();
        socket.send_to(b"packet", socket.local_addr().unwrap()).unwrap();
        sleeper.drowse();
        sleeper.sleep(&[interest], LONG).unwrap();
        sleeper.drowse();
        sleeper.sleep(&[Interest { writable: true, ..interest }], LONG).unwrap();
    }
}
