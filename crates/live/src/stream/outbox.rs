//! What was pushed and not yet sent: a buffer that never grows, and is
//! overwritten when it is dropped.

use std::io;

use mio::net::TcpStream;
use zeroize::Zeroizing;

use super::Ended;
use super::frame::{FRAME_BYTES, PULSE_BYTES};
use super::tls::Session;

/// With this much in it, it takes no more: a few of the longest frames, so that
/// one call of the system sends many short ones, and it stays in the cache of a
/// core.
const ROOM_BYTES: usize = 256 << 10;

/// What is to be sent.
#[derive(Default)]
pub(super) struct Outbox {
    frames: Zeroizing<Vec<u8>>,
    /// How much of it is sealed.
    sealed: usize,
    /// Why nothing more can be sent.
    broken: Option<io::Error>,
}

impl Outbox {
    /// Makes room for what a stream sends.
    pub(super) fn proven(&mut self) {
        self.frames.reserve_exact(ROOM_BYTES + FRAME_BYTES + PULSE_BYTES);
    }

    pub(super) fn has_room(&self) -> bool {
        self.frames.len() < ROOM_BYTES
    }

    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.frames.len();
        write(&mut self.frames);
        // A buffer that grew would have left what is in it behind.
        assert!(self.frames.len() - before <= FRAME_BYTES, "one frame");
    }

    /// Seals and sends as much as it can, and says whether something is left.
    pub(super) fn flush(&mut self, session: &mut Session, socket: &mut TcpStream) -> bool {
        loop {
            self.sealed += session.seal(&self.frames[self.sealed..]);
            if self.sealed == self.frames.len() {
                self.frames.clear();
                self.sealed = 0;
            }
            match session.send(socket) {
                Ok(true) if self.frames.is_empty() => return false,
                Ok(true) => {}
                Ok(false) => return true,
                Err(error) => {
                    // What has come before is read first.
                    self.broken.get_or_insert(error);
                    return true;
                }
            }
        }
    }

    /// Why nothing could be sent says more than that the connection is closed.
    pub(super) fn explain(&mut self, ended: Ended) -> Ended {
        match (ended, self.broken.take()) {
            (Ended::Closed(_), Some(error)) => Ended::Closed(error),
            (ended, _) => ended,
        }
    }
}

impl std::fmt::Debug for Outbox {
    /// How much there is; what it is may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outbox({} bytes)", self.frames.len() - self.sealed)
    }
}
