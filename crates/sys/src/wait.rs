//! Sleeping until a socket is ready, an alarm goes off, or another thread
//! calls.
//!
//! The alarm is a `timerfd`: it goes off to the microsecond, where an event
//! loop whose timers count milliseconds would make every repair wait for one;
//! and whoever has it can set it while the thread sleeps, without waking it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// How many sockets a thread sleeps on at most: bounds what stands on the
/// stack.
pub const MAX_SOCKETS: usize = 2;

/// What a thread sleeps on.
#[derive(Debug)]
pub struct Sleeper {
    shared: Arc<Shared>,
    alarm: Arc<TimerFd>,
    sockets: Vec<OwnedFd>,
}

/// Wakes the thread of a [`Sleeper`]; cheap to clone and to call.
#[derive(Debug, Clone)]
pub struct Waker {
    shared: Arc<Shared>,
}

/// Wakes the thread of a [`Sleeper`] at a time.
#[derive(Debug)]
pub struct Alarm {
    timer: Arc<TimerFd>,
}

#[derive(Debug)]
struct Shared {
    event: EventFd,
    /// Whether the thread sleeps, or is about to: else a call costs no system
    /// call.
    sleeping: AtomicBool,
}

/// Which of a sleeper's sockets are to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readable([bool; MAX_SOCKETS]);

impl Readable {
    /// All of them.
    pub const ALL: Self = Self([true; MAX_SOCKETS]);

    /// Whether the socket at that place has something to be read, or an error
    /// to tell.
    #[must_use]
    pub fn has(self, socket: usize) -> bool {
        self.0.get(socket).is_some_and(|&ready| ready)
    }
}

impl Sleeper {
    /// A sleeper on `sockets`, and what wakes it.
    ///
    /// # Errors
    ///
    /// `eventfd`'s, `timerfd_create`'s or `dup`'s: the process has too many
    /// open files.
    ///
    /// # Panics
    ///
    /// With more than [`MAX_SOCKETS`] sockets.
    pub fn new<S: AsFd>(sockets: &[S]) -> io::Result<(Self, Waker, Alarm)> {
        assert!(sockets.len() <= MAX_SOCKETS, "{} sockets", sockets.len());
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let event = EventFd::from_flags(flags)?;
        let shared = Arc::new(Shared { event, sleeping: AtomicBool::new(false) });
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = Arc::new(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
        let sockets = sockets
            .iter()
            .map(|socket| socket.as_fd().try_clone_to_owned())
            .collect::<io::Result<_>>()?;
        let sleeper = Self { shared: Arc::clone(&shared), alarm: Arc::clone(&timer), sockets };
        Ok((sleeper, Waker { shared }, Alarm { timer }))
    }

    /// Says that the thread is about to sleep. Whoever calls from here on wakes
    /// it: look once more at what callers leave, then sleep or
    /// [`Sleeper::stay_awake`].
    pub fn drowse(&self) {
        // An exchange, not a store: whoever's call it takes the place of has
        // left something that is seen from here on.
        self.shared.sleeping.swap(true, Ordering::SeqCst);
    }

    /// Says that the thread does not sleep after all.
    pub fn stay_awake(&self) {
        self.shared.sleeping.store(false, Ordering::SeqCst);
    }

    /// Sleeps until a socket can be read, the alarm goes off, or a waker calls;
    /// if `writable`, also until the first socket can be written to. Says which
    /// sockets to look at.
    ///
    /// # Errors
    ///
    /// `poll`'s, other than a signal's interruption, which ends the sleep.
    pub fn sleep(&self, writable: bool) -> io::Result<Readable> {
        let event = || PollFd::new(self.shared.event.as_fd(), PollFlags::POLLIN);
        let alarm = PollFd::new(self.alarm.as_fd(), PollFlags::POLLIN);
        let mut polled = [event(), alarm, event(), event()];
        let count = polled.len() - MAX_SOCKETS + self.sockets.len();
        for (place, (polled, socket)) in polled[2..].iter_mut().zip(&self.sockets).enumerate() {
            let first = place == 0;
            let write = if first && writable { PollFlags::POLLOUT } else { PollFlags::empty() };
            *polled = PollFd::new(socket.as_fd(), PollFlags::POLLIN | write);
        }
        let slept = poll(&mut polled[..count], PollTimeout::NONE);
        self.stay_awake();
        match slept {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Readable::ALL),
            Err(errno) => return Err(errno.into()),
        }
        if is_ready(&polled[0]) {
            // It says how often it was called, which does not matter here.
            let _ = self.shared.event.read();
        }
        let mut ready = [false; MAX_SOCKETS];
        for (ready, polled) in ready.iter_mut().zip(&polled[2..count]) {
            *ready = is_ready(polled);
        }
        Ok(Readable(ready))
    }
}

/// Whether anything came of a poll, errors among it.
fn is_ready(polled: &PollFd<'_>) -> bool {
    polled.any().unwrap_or(true)
}

impl Alarm {
    /// Goes off after `delay`, or never, and no longer when it was to before.
    /// One that has gone off wakes the thread until it is set again.
    ///
    /// # Errors
    ///
    /// `timerfd_settime`'s: a delay of centuries.
    pub fn set(&self, delay: Option<Duration>) -> io::Result<()> {
        let Some(delay) = delay else { return Ok(self.timer.unset()?) };
        // The kernel takes zero for never.
        let delay = TimeSpec::from(delay.max(Duration::from_nanos(1)));
        Ok(self.timer.set(Expiration::OneShot(delay), TimerSetTimeFlags::empty())?)
    }
}

impl Waker {
    /// Whether the thread sleeps, or is about to.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        self.shared.sleeping.load(Ordering::SeqCst)
    }

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

    const NO_SOCKETS: [UdpSocket; 0] = [];

    #[test]
    fn a_call_before_the_sleep_is_not_lost() {
        let (sleeper, waker, _alarm) = Sleeper::new(&NO_SOCKETS).unwrap();
        sleeper.drowse();
        waker.wake();
        sleeper.sleep(false).unwrap();
    }

    #[test]
    fn another_thread_wakes_it() {
        let (sleeper, waker, _alarm) = Sleeper::new(&NO_SOCKETS).unwrap();
        sleeper.drowse();
        let caller = std::thread::spawn(move || waker.wake());
        sleeper.sleep(false).unwrap();
        caller.join().unwrap();
    }

    #[test]
    fn an_alarm_wakes_it_until_it_is_set_again() {
        let (sleeper, _waker, alarm) = Sleeper::new(&NO_SOCKETS).unwrap();
        alarm.set(Some(Duration::ZERO)).unwrap();
        sleeper.sleep(false).unwrap();
        sleeper.sleep(false).unwrap();
        alarm.set(None).unwrap();
        let mut polled = [PollFd::new(sleeper.alarm.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut polled, PollTimeout::ZERO), Ok(0));
    }

    #[test]
    fn an_alarm_can_be_set_during_the_sleep() {
        let (sleeper, _waker, alarm) = Sleeper::new(&NO_SOCKETS).unwrap();
        let other = std::thread::spawn(move || alarm.set(Some(Duration::from_micros(50))).unwrap());
        sleeper.sleep(false).unwrap();
        other.join().unwrap();
    }

    #[test]
    fn it_says_which_socket_woke_it() {
        let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let (sleeper, _waker, _alarm) = Sleeper::new(&sockets).unwrap();
        sockets[0].send_to(b"packet", sockets[1].local_addr().unwrap()).unwrap();
        let ready = sleeper.sleep(false).unwrap();
        assert_eq!([0, 1, 2].map(|socket| ready.has(socket)), [false, true, false]);
        sockets[1].recv(&mut [0; 8]).unwrap();
        let ready = sleeper.sleep(true).unwrap();
        assert!(ready.has(0), "it can be written to");
    }
}
