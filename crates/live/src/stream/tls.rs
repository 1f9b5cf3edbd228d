//! TLS over a socket that does not block: what is to be sent is sealed here, and
//! what comes is opened here. What the bytes are is not for here.

use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::sync::Arc;

use mio::net::TcpStream;
use proto::proof::EXPORTED_BYTES;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use segue::farm_tls;
use zeroize::Zeroizing;

use super::Ended;
use super::frame::FRAME_BYTES;
use super::inbox::Inbox;

/// The protocol that is agreed on: another one is no stream.
const PROTOCOL: &[u8] = b"segue-live/1";
/// What the exported secret is for (RFC 5705's label).
const LABEL: &[u8] = b"EXPERIMENTAL segue live";
/// What is read from the socket at once: four full records, so that the call of
/// the system is little beside opening them.
const READ_BYTES: usize = 64 << 10;
/// The same of an end that has proven nothing.
const UNPROVEN_READ_BYTES: usize = 1 << 10;
/// What an end may send before it has proven itself, TLS and all: a hello with a
/// key of a hybrid exchange (1.2 KiB), a certificate (0.5 KiB), the rest of the
/// handshake, claim and introduction, twice over.
const UNPROVEN_WIRE_BYTES: usize = 8 << 10;
/// What an end that has proven itself may send before a frame of it is taken: an
/// inbox full of pulses (two frames' length), each in a record of its own (34
/// bytes for 12), is less.
const FRAME_WIRE_BYTES: usize = 8 * FRAME_BYTES;
/// What may be sealed and not yet sent: sixteen full records, which one call of
/// the system takes.
const SEALED_BYTES: usize = 256 << 10;

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

/// One end of a TLS connection.
#[derive(Debug)]
pub(super) struct Session {
    tls: Connection,
    /// What the socket has given, and how much of it was not opened.
    wire: Vec<u8>,
    unopened: Range<usize>,
    /// What the other end may send before it has sent something whole.
    allowance: usize,
    may_read: bool,
    may_write: bool,
}

impl Session {
    fn new(mut tls: Connection) -> Self {
        tls.set_buffer_limit(Some(SEALED_BYTES));
        Self {
            tls,
            wire: vec![0; UNPROVEN_READ_BYTES],
            unopened: 0..0,
            allowance: UNPROVEN_WIRE_BYTES,
            may_read: true,
            may_write: true,
        }
    }

    /// The socket may be read and written again.
    pub(super) const fn ready(&mut self) {
        self.may_read = true;
        self.may_write = true;
    }

    /// The other end has proven itself: it may send much.
    pub(super) fn proven(&mut self) {
        self.wire.resize(READ_BYTES, 0);
        self.has_read_frame();
    }

    /// A frame was read: the next one may be as long as any.
    pub(super) const fn has_read_frame(&mut self) {
        self.allowance = FRAME_WIRE_BYTES;
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the other end speaks this protocol.
    pub(super) fn has_agreed(&self) -> bool {
        self.tls.alpn_protocol() == Some(PROTOCOL)
    }

    /// The secret that both ends of this connection have, and nobody else.
    pub(super) fn exported(&self) -> Result<Zeroizing<[u8; EXPORTED_BYTES]>, rustls::Error> {
        let mut secret = Zeroizing::new([0; EXPORTED_BYTES]);
        self.tls.export_keying_material(&mut *secret, LABEL, None)?;
        Ok(secret)
    }

    /// Opens what has come, until there is something in the inbox that was not
    /// there before. Says whether anything came; if not, there is no room, or
    /// the socket is empty.
    pub(super) fn read(
        &mut self,
        socket: &mut TcpStream,
        inbox: &mut Inbox,
    ) -> Result<bool, Ended> {
        if inbox.is_full() {
            return Ok(false);
        }
        Ok(self.open(inbox)? || self.receive(socket)?)
    }

    /// Opens what was read, until there is something in the inbox. Says whether
    /// there was anything to open: a handshake goes on without any such thing.
    fn open(&mut self, inbox: &mut Inbox) -> Result<bool, Ended> {
        let has_any = !self.unopened.is_empty();
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
            if self.unopened.is_empty() {
                return Ok(has_any);
            }
            let taken = self.tls.read_tls(&mut &self.wire[self.unopened.clone()]);
            self.unopened.start += taken.map_err(Ended::Closed)?;
            self.tls.process_new_packets()?;
        }
    }

    /// Reads the socket once. Says whether something came.
    fn receive(&mut self, socket: &mut TcpStream) -> Result<bool, Ended> {
        while self.may_read {
            if self.allowance == 0 {
                return Err(Ended::Wordy);
            }
            let most = self.allowance.min(self.wire.len());
            match socket.read(&mut self.wire[..most]) {
                Ok(0) => return Err(Ended::closed()),
                Ok(len) => {
                    self.unopened = 0..len;
                    self.allowance -= len;
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_read = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Ended::Closed(error)),
            }
        }
        Ok(false)
    }

    /// Seals as much of `bytes` as may wait to be sent, and says how much that
    /// is.
    pub(super) fn seal(&mut self, bytes: &[u8]) -> usize {
        self.tls.writer().write(bytes).expect("it takes what it has room for")
    }

    /// Seals these few bytes. Only for what is said before frames.
    pub(super) fn seal_all(&mut self, bytes: &[u8]) {
        assert_eq!(self.seal(bytes), bytes.len(), "nothing else waits to be sent");
    }

    /// Sends what is sealed, until the socket takes no more. Says whether all
    /// was sent.
    pub(super) fn send(&mut self, socket: &mut TcpStream) -> io::Result<bool> {
        while self.tls.wants_write() && self.may_write {
            match self.tls.write_tls(socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_write = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.may_write = false;
                    return Err(error);
                }
            }
        }
        Ok(!self.tls.wants_write())
    }
}
