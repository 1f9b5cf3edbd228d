//! A client of memcached's protocols that sees the bytes of replies.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use proto::gateway::memcached::BINARY_REQUEST;

use crate::client::Stream;
use crate::patience::PATIENCE;

/// What the last line of a request is answered by, here and there.
const LAST: (&[u8], &[u8]) = (b"version\r\n", b"VERSION 1.6.18\r\n");
/// The last packet of a request and what it is answered by: nothing, which this
/// client knows by four bytes.
const NOOP: (u8, &[u8; 4]) = (0x0a, b"last");

pub(crate) struct Talk(Box<dyn Stream>);

impl Talk {
    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self(Box::new(stream))
    }

    pub(crate) fn tcp(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
        stream.set_nodelay(true).expect("a TCP socket");
        Self::new(stream)
    }

    /// Sends bytes; a server that has closed takes no more, and its replies are
    /// read all the same.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// Sends lines, and gives all that they are answered by.
    pub(crate) fn lines(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.send(&[bytes, LAST.0].concat());
        let (mut reply, _) = self.read_until(|reply| reply.ends_with(LAST.1));
        reply.truncate(reply.len() - LAST.1.len().min(reply.len()));
        reply
    }

    /// The same, for people, with what can be read of it.
    pub(crate) fn say(&mut self, line: &str) -> String {
        let reply = self.lines(format!("{}\r\n", line.replace('|', "\r\n")).as_bytes());
        String::from_utf8_lossy(&reply).trim_end().replace("\r\n", " ")
    }

    /// Sends packets, and gives all that they are answered by, and whether the
    /// connection goes on.
    pub(crate) fn packets(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut last = [0; 24];
        (last[0], last[1]) = (BINARY_REQUEST, NOOP.0);
        last[12..16].copy_from_slice(NOOP.1);
        self.send(&[bytes, &last].concat());
        let (mut reply, open) = self.read_until(|reply| {
            let last = reply.len().checked_sub(24).map(|at| &reply[at..]);
            last.is_some_and(|last| last[1] == NOOP.0 && last[12..16] == *NOOP.1)
        });
        if open {
            reply.truncate(reply.len() - 24);
        }
        (reply, open)
    }

    /// All that comes until the server closes the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.read_until(|_| false).0
    }

    /// Reads until that is enough; gives whether it was.
    fn read_until(&mut self, is_enough: impl Fn(&[u8]) -> bool) -> (Vec<u8>, bool) {
        let (mut reply, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        while !is_enough(&reply) {
            match self.0.read(&mut buffer) {
                Ok(0) => return (reply, false),
                Ok(len) => reply.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return (reply, false),
                Err(error) => panic!("{error} after {:?}", reply.escape_ascii().to_string()),
            }
        }
        (reply, true)
    }
}
