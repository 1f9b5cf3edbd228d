//! One deadline in microseconds, with a file descriptor to wait on.
//!
//! An event loop's own timers count in milliseconds, and a gap in the
//! multicast is to be asked for after a tenth of one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// A timer on the monotonic clock. Its descriptor is readable from the moment
/// that the deadline passes until [`Timer::ack`].
#[derive(Debug)]
pub struct Timer(TimerFd);

impl Timer {
    /// A timer with no deadline.
    ///
    /// # Errors
    ///
    /// `timerfd_create`'s, when the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?))
    }

    /// Sets the deadline to `after` from here, in place of the one before.
    ///
    /// # Errors
    ///
    /// `timerfd_settime`'s.
    pub fn arm(&self, after: Duration) -> io::Result<()> {
        // To the kernel a zero means no deadline; to the caller it is one that
        // has passed already.
        let after = after.max(Duration::from_nanos(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(after));
        Ok(self.0.set(expiration, TimerSetTimeFlags::empty())?)
    }

    /// Takes the deadline away.
    ///
    /// # Errors
    ///
    /// `timerfd_settime`'s.
    pub fn disarm(&self) -> io::Result<()> {
        Ok(self.0.unset()?)
    }

    /// Takes notice that the deadline has passed, and says whether it has: a
    /// timer that was set anew since its descriptor became readable has not.
    ///
    /// # Errors
    ///
    /// `read`'s; that there is nothing to read is none.
    pub fn ack(&self) -> io::Result<bool> {
        match self.0.wait().map_err(io::Error::from) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::readable;

    #[test]
    fn fires_once_and_is_acknowledged() {
        let timer = Timer::new().unwrap();
        assert!(!timer.ack().unwrap());
        timer.arm(Duration::from_micros(50)).unwrap();
        assert!(readable(&timer));
        assert!(timer.ack().unwrap());
        assert!(!timer.ack().unwrap());
    }

    #[test]
    fn a_deadline_of_zero_has_passed() {
        let timer = Timer::new().unwrap();
        timer.arm(Duration::ZERO).unwrap();
        assert!(readable(&timer));
    }

    #[test]
    fn a_new_deadline_replaces_the_old() {
        let timer = Timer::new().unwrap();
        timer.arm(Duration::ZERO).unwrap();
        assert!(readable(&timer));
        timer.arm(Duration::from_secs(3_600)).unwrap();
        assert!(!timer.ack().unwrap());
        timer.arm(Duration::ZERO).unwrap();
        assert!(readable(&timer));
        timer.disarm().unwrap();
        assert!(!timer.ack().unwrap());
    }
}
