//! TLS over a socket that does not block, until both ends have proven
//! themselves. What follows is sealed by keys that TLS exports, so rustls is
//! given nothing that comes behind the last record of its own: nobody could read
//! it there. What is said is not for here.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::ops::Range;
use std::sync::Arc;

use proto::proof::EXPORTED_BYTES;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use segue::farm_tls;
use zeroize::Zeroizing;

use super::Ended;
use super::inbox::Inbox;
use super::pipe::Pipe;

/// The protocol that is agreed on: another one is no stream.
const PROTOCOL: &[u8] = b"segue-live/2";
/// What is read from the socket at once, of an end that has proven nothing.
const READ_BYTES: usize = 1 << 10;
/// What an end may send before it has proven itself, TLS and all: a hello with a
/// key of a hybrid exchange (1.2 KiB), a certificate (0.5 KiB), the rest of the
/// handshake, claim and introduction, twice over.
const WIRE_BYTES: usize = 8 << 10;

/// What both ends of streams are made with: once for each start of a node.
#[derive(Debug, Clone)]
pub struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// A certificate of its own, and nothing else that is new.
    ///
    /// # Errors
    ///
    /// When the certificate cannot be made.
    pub fn new() -> io::Result<Self> {
        let client = Arc::new(farm_tls::client(PROTOCOL)?);
        Ok(Self { client, server: Arc::new(farm_tls::server(PROTOCOL)?) })
    }

    pub(super) fn caller(&self) -> io::Result<Session> {
        let name = ServerName::try_from(farm_tls::SERVER_NAME).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(&self.client), name);
        connection.map(|connection| Session::new(connection.into())).map_err(io::Error::other)
    }

    pub(super) fn called(&self) -> io::Result<Session> {
        let connection = ServerConnection::new(Arc::clone(&self.server));
        connection.map(|connection| Session::new(connection.into())).map_err(io::Error::other)
    }
}

/// What an exported secret is for (RFC 5705's label).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To prove the farm's key over it.
    Proof,
    /// To seal what follows.
    Records,
}

/// One end of a TLS connection.
#[derive(Debug)]
pub(super) struct Session {
    tls: Connection,
    /// What the socket has given, and how much of it rustls was not.
    wire: Vec<u8>,
    ungiven: Range<usize>,
    /// How far in a record that is.
    edge: Edge,
    /// What the other end may send still.
    allowance: usize,
}

/// Where the record ends that rustls was given the beginning of.
#[derive(Debug, Default)]
struct Edge {
    header: [u8; HEADER_BYTES],
    /// How much of the header was given; none: a record has ended.
    known: usize,
    /// How much of what is behind the header was not.
    left: usize,
}

/// Type, version and length (RFC 8446, section 5.1).
const HEADER_BYTES: usize = 5;

impl Session {
    fn new(tls: Connection) -> Self {
        let wire = vec![0; READ_BYTES];
        Self { tls, wire, ungiven: 0..0, edge: Edge::default(), allowance: WIRE_BYTES }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the other end speaks this protocol.
    pub(super) fn has_agreed(&self) -> bool {
        self.tls.alpn_protocol() == Some(PROTOCOL)
    }

    /// A secret that both ends of this connection have, and nobody else.
    pub(super) fn exported(
        &self,
        purpose: Purpose,
    ) -> Result<Zeroizing<[u8; EXPORTED_BYTES]>, rustls::Error> {
        let label: &[u8] = match purpose {
            Purpose::Proof => b"EXPERIMENTAL segue live",
            Purpose::Records => b"EXPERIMENTAL segue live records",
        };
        let mut secret = Zeroizing::new([0; EXPORTED_BYTES]);
        self.tls.export_keying_material(&mut *secret, label, None)?;
        Ok(secret)
    }

    /// Opens what has come, until there is something in the inbox that was not
    /// there before. Says whether anything came; if not, there is no room, or
    /// the socket is empty.
    pub(super) fn read(&mut self, pipe: &mut Pipe, inbox: &mut Inbox) -> Result<bool, Ended> {
        if inbox.is_full() {
            return Ok(false);
        }
        Ok(self.open(inbox)? || self.receive(pipe)?)
    }

    /// Opens what was read, until there is something in the inbox. Says whether
    /// there was anything to open: a handshake goes on without any such thing.
    fn open(&mut self, inbox: &mut Inbox) -> Result<bool, Ended> {
        let has_any = !self.ungiven.is_empty();
        loop {
            match self.tls.reader().read(inbox.room()) {
                Ok(0) => return Err(Ended::closed()),
                Ok(len) => {
                    inbox.filled(len);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(Ended::Closed(error)),
            }
            if self.ungiven.is_empty() {
                return Ok(has_any);
            }
            let next = self.edge.within(&self.wire[self.ungiven.clone()]);
            let taken = self.tls.read_tls(&mut &*next).map_err(Ended::Closed)?;
            self.edge.pass(&next[..taken]);
            self.ungiven.start += taken;
            self.tls.process_new_packets()?;
        }
    }

    /// Reads the socket once. Says whether something came.
    fn receive(&mut self, pipe: &mut Pipe) -> Result<bool, Ended> {
        if self.allowance == 0 {
            return Err(Ended::Wordy);
        }
        let most = self.allowance.min(self.wire.len());
        let len = pipe.read(&mut self.wire[..most])?;
        self.ungiven = 0..len;
        self.allowance -= len;
        Ok(len > 0)
    }

    /// Seals these few bytes, in a record of their own.
    pub(super) fn seal(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).expect("nothing else waits to be sent");
    }

    /// Sends what is sealed, until the socket takes no more. Says whether
    /// something is left.
    pub(super) fn send(&mut self, pipe: &mut Pipe) -> bool {
        while self.tls.wants_write() {
            if pipe.write_by(|socket| self.tls.write_tls(socket)) == 0 {
                return true;
            }
        }
        false
    }

    /// Ends it where something else follows: gives what was not sent yet, and
    /// what has come behind its last record.
    pub(super) fn finish(&mut self) -> (Vec<u8>, Vec<u8>) {
        let mut unsent = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut unsent).expect("memory takes everything");
        }
        (unsent, self.wire[std::mem::take(&mut self.ungiven)].to_vec())
    }
}

impl Edge {
    /// The first of these bytes: those of one record.
    fn within<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let most = if self.known < HEADER_BYTES { HEADER_BYTES - self.known } else { self.left };
        &bytes[..most.min(bytes.len())]
    }

    /// Those bytes were given.
    fn pass(&mut self, bytes: &[u8]) {
        if self.known < HEADER_BYTES {
            self.header[self.known..self.known + bytes.len()].copy_from_slice(bytes);
            self.known += bytes.len();
            let [.., high, low] = self.header;
            self.left = u16::from_be_bytes([high, low]).into();
        } else {
            self.left -= bytes.len();
        }
        if self.known == HEADER_BYTES && self.left == 0 {
            self.known = 0;
        }
    }
}
