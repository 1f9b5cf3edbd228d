//! The socket under a stream, which does not block: whether it may be read or
//! written is known here, and why it could not be. What the bytes are is not for
//! here.

use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::net::TcpStream;

use super::Ended;

/// One end of a TCP connection.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) socket: TcpStream,
    may_read: bool,
    may_write: bool,
    /// Why nothing more can be written.
    broken: Option<io::Error>,
}

impl Pipe {
    pub(super) const fn new(socket: TcpStream) -> Self {
        Self { socket, may_read: true, may_write: true, broken: None }
    }

    /// The socket may be read and written again.
    pub(super) const fn ready(&mut self) {
        self.may_read = true;
        self.may_write = true;
    }

    /// Reads the socket once, into what is not nothing. Says how much came; none:
    /// it is empty.
    pub(super) fn read(&mut self, room: &mut [u8]) -> Result<usize, Ended> {
        while self.may_read {
            match self.socket.read(room) {
                Ok(0) => return Err(self.closed(ErrorKind::UnexpectedEof.into())),
                Ok(len) => return Ok(len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_read = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.closed(error)),
            }
        }
        Ok(0)
    }

    /// Writes once. Says how much the socket has taken; none: it takes no more.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        self.write_by(|socket| socket.write(bytes))
    }

    /// The same, by somebody who writes by himself.
    pub(super) fn write_by(
        &mut self,
        mut write: impl FnMut(&mut TcpStream) -> io::Result<usize>,
    ) -> usize {
        while self.may_write {
            match write(&mut self.socket) {
                Ok(len) => return len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_write = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    // What has come before is read first.
                    self.may_write = false;
                    self.broken.get_or_insert(error);
                }
            }
        }
        0
    }

    /// Why nothing could be written says more than that the connection is closed.
    fn closed(&mut self, error: io::Error) -> Ended {
        Ended::Closed(self.broken.take().unwrap_or(error))
    }
}
