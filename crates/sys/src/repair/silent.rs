//! A socket under repair, which ends without a word to the peer.

use std::net::TcpStream;

use super::kernel;

/// The socket of a connection that somebody else may have: whatever way this
/// ends, its peer hears nothing of it.
#[derive(Debug)]
pub(super) struct Silent(Option<TcpStream>);

impl Silent {
    /// Takes a socket that is under repair.
    pub(super) fn new(socket: TcpStream) -> Self {
        Self(Some(socket))
    }

    pub(super) fn get(&self) -> &TcpStream {
        self.0.as_ref().expect("it is taken with this value only")
    }

    /// Lets the socket be one like any other.
    pub(super) fn speak(mut self) -> TcpStream {
        self.0.take().expect("it is taken with this value only")
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            // Closing alone would wait for processes that are being started and
            // still have a copy. If it is refused, closing has to do.
            let _disconnected = kernel::disconnect(socket);
        }
    }
}
