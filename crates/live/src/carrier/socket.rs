//! One end of a connection that this node has: its socket, and what the kernel
//! has not taken yet.
//!
//! Positions are those of the ledger. The kernel is asked how far the peer has
//! come; what it was given is counted here.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd as _;

use bytes::{Buf as _, Bytes};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use proto::connection::sequence::Position;
use sys::carried;

/// How many pieces one write takes: as many as the kernel does (UIO_FASTIOV is
/// 8, and more cost it an allocation).
const PIECES: usize = 8;

/// A socket that is carried.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    token: Token,
    /// Up to where the kernel has been given output.
    given: Position,
    unwritten: VecDeque<Bytes>,
    unwritten_bytes: usize,
    end: Ending,
    /// What epoll has said, and no call has contradicted.
    pub(super) readable: bool,
    writable: bool,
}

/// Whether our direction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Open,
    /// When all is written.
    Due,
    Done,
}

/// What reading gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// So many bytes.
    Some(usize),
    /// Nothing yet.
    Nothing,
    /// The peer's end.
    End,
}

impl Socket {
    /// Watches a socket of which the kernel has been given output up to `given`;
    /// `ended`: and our end behind it.
    pub(super) fn watch(
        registry: &Registry,
        stream: TcpStream,
        token: Token,
        (given, ended): (Position, bool),
    ) -> io::Result<Self> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut SourceFd(&stream.as_raw_fd()), token, interest)?;
        let end = if ended { Ending::Done } else { Ending::Open };
        Ok(Self {
            stream,
            token,
            given,
            unwritten: VecDeque::new(),
            unwritten_bytes: 0,
            end,
            readable: true,
            writable: true,
        })
    }

    /// Stops watching it, and gives it with what it has not been given yet.
    pub(super) fn unwatch(self, registry: &Registry) -> (TcpStream, Vec<Bytes>) {
        // A socket that is not watched is what is wanted.
        let _ = registry.deregister(&mut SourceFd(&self.stream.as_raw_fd()));
        (self.stream, self.unwritten.into())
    }

    pub(super) const fn token(&self) -> Token {
        self.token
    }

    pub(super) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// It may have become writable.
    pub(super) const fn note_writable(&mut self) {
        self.writable = true;
    }

    /// How many bytes wait for the kernel.
    pub(super) const fn unwritten_bytes(&self) -> usize {
        self.unwritten_bytes
    }

    /// Up to where output was decided: given to the kernel, or waiting for it.
    pub(super) fn written(&self) -> Position {
        self.given + self.unwritten_bytes
    }

    /// Up to where the kernel has been given output, and what waits for it.
    pub(super) fn output(&self) -> (Position, Vec<Bytes>) {
        (self.given, self.unwritten.iter().cloned().collect())
    }

    /// Whether our direction has ended, or will.
    pub(super) fn is_ending(&self) -> bool {
        self.end != Ending::Open
    }

    /// Reads what has come.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(Read::End),
                Ok(count) => return Ok(Read::Some(count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(Read::Nothing);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes behind what was written before; `fin`: nothing comes after it.
    pub(super) fn write(&mut self, bytes: Vec<Bytes>, fin: bool) -> io::Result<()> {
        for piece in bytes {
            self.unwritten_bytes += piece.len();
            self.unwritten.push_back(piece);
        }
        if fin && self.end == Ending::Open {
            self.end = Ending::Due;
        }
        self.flush()
    }

    /// Writes what the kernel takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.unwritten_bytes > 0 && self.writable {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            for (place, piece) in pieces.iter_mut().zip(&self.unwritten) {
                *place = IoSlice::new(piece);
            }
            match self.stream.write_vectored(&pieces) {
                Ok(count) => self.took(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) => return Err(error),
            }
        }
        if self.unwritten_bytes == 0 && self.end == Ending::Due {
            // What closes it is with the understudy, so it may be told.
            carried::let_finish(&self.stream).map_err(|error| error.source)?;
            self.stream.shutdown(Shutdown::Write)?;
            self.end = Ending::Done;
        }
        Ok(())
    }

    fn took(&mut self, mut count: usize) {
        self.given = self.given + count;
        self.unwritten_bytes -= count;
        while count > 0 {
            let Some(first) = self.unwritten.front_mut() else { break };
            let skipped = first.len().min(count);
            count -= skipped;
            first.advance(skipped);
            if first.is_empty() {
                self.unwritten.pop_front();
            }
        }
    }

    /// How many bytes were written, and the peer has not acknowledged.
    pub(super) fn unacknowledged_bytes(&self) -> usize {
        self.unwritten_bytes + carried::unacknowledged(&self.stream).unwrap_or(0)
    }

    /// Whether there is a connection; a reset leaves none, nor does a peer that
    /// does not answer for long enough.
    pub(super) fn is_connected(&self) -> bool {
        self.stream.peer_addr().is_ok()
    }

    /// Up to where the peer has acknowledged; our end takes a position.
    pub(super) fn acknowledged(&self) -> io::Result<Position> {
        let waiting = carried::unacknowledged(&self.stream).map_err(|error| error.source)?;
        let ended = usize::from(self.end == Ending::Done);
        let end = self.given + ended;
        Ok(Position(end - Position(waiting as u64)))
    }
}
