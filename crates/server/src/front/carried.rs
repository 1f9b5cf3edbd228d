//! A client whose connection goes on elsewhere once its handshake is done.
//!
//! Rustls is driven by hand here: it is given whole records and none after the
//! handshake's last ([`Inlet`]), so that nothing is left in a buffer which nobody
//! can read. Then its secrets and all that it has read or sealed are taken out,
//! and the connection is handed to who carries it. One that cannot be carried
//! (TLS 1.2, or the carrier takes none) goes on with rustls, as if it had been
//! accepted as others are.

use std::io;
use std::net::SocketAddr;

use rustls::ServerConnection;
use tls_rustls::records::{Epoch, Extracted, Inlet, SecretTap, Suite, extract};
use tls_rustls::{Attempt, Begun, refuse_early_data};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

use super::Shared;
use super::config::Carrying;
use super::figures::HandedPlace;
use super::handshake::HandshakeStream;
use super::places::Place;
use super::relay::{self, Ends};
use crate::connections::Handed;

/// What is read at once: the flights of clients are shorter, but for long
/// certificates.
const READ_BYTES: usize = 4096;

/// The farm's epochs begin above: no other node has had the connection.
const FIRST: Epoch = Epoch(0);

/// A client whose handshake is done; what is left to be written to it waits until
/// its sessions are in the farm.
pub(super) struct Shaken {
    pub(super) connection: Box<ServerConnection>,
    stream: TcpStream,
    inlet: Inlet,
    /// How many bytes were written to the client.
    written: u64,
}

/// A connection that is ready to be handed over.
pub(super) struct Ready {
    extracted: Extracted,
    stream: TcpStream,
}

impl Shaken {
    /// Shakes hands with a client of which `read` was read already.
    ///
    /// # Errors
    ///
    /// As `tokio_rustls` has them: what rustls refuses is invalid data.
    pub(super) async fn shake(
        attempt: &Attempt,
        read: &[u8],
        mut stream: TcpStream,
    ) -> io::Result<Self> {
        let mut connection =
            Box::new(ServerConnection::new(attempt.config()).map_err(io::Error::other)?);
        refuse_early_data(&mut connection);
        let (begun, mut inlet, mut written) = (attempt.begun(), Inlet::default(), 0);
        inlet.put(read);
        let mut buffer = Vec::with_capacity(READ_BYTES);
        loop {
            let fed = inlet.feed(&mut connection);
            if !begun.any() {
                written += flush(&mut connection, &mut stream, &mut buffer).await?;
            }
            if fed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
                return Ok(Self { connection, stream, inlet, written });
            }
            buffer.clear();
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            inlet.put(&buffer);
        }
    }

    /// Whether the connection's suite and version can be carried.
    pub(super) fn fits(&self) -> bool {
        Suite::of(&self.connection).is_some()
    }

    /// Takes the connection from rustls, and writes what that has left to be
    /// written: its sessions are in the farm.
    ///
    /// # Errors
    ///
    /// When the client is gone, or rustls does not let go.
    pub(super) async fn take(self, tap: &SecretTap) -> io::Result<Ready> {
        let Self { connection, mut stream, inlet, written } = self;
        let mut extracted = extract(*connection, tap, inlet, written, FIRST)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        stream.write_all(&extracted.unsent).await?;
        extracted.unsent = Vec::new();
        Ok(Ready { extracted, stream })
    }

    /// Goes on with rustls, and writes what that has left to be written.
    ///
    /// # Errors
    ///
    /// When the client is gone.
    pub(super) async fn keep(
        self,
        acceptor: TlsAcceptor,
        tap: &SecretTap,
    ) -> io::Result<TlsStream<HandshakeStream<TcpStream>>> {
        tap.forget();
        let Self { connection, stream, inlet, .. } = self;
        let stream = HandshakeStream::new(inlet.into(), stream, Begun::default());
        let mut stream = acceptor.accept_with(stream, |fresh| *fresh = *connection).await?;
        stream.get_mut().0.let_go();
        stream.flush().await?;
        Ok(stream)
    }
}

impl Ready {
    /// Where the client is connected to.
    pub(super) fn server(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Hands the connection over, with what its backend is told first.
    ///
    /// # Errors
    ///
    /// When the socket cannot be taken from the runtime; the connection is lost.
    pub(super) fn hand_over(
        self,
        carrying: &Carrying,
        preface: Vec<u8>,
        place: HandedPlace,
    ) -> io::Result<()> {
        let client = self.stream.into_std()?;
        let Extracted { records, plaintext, unsent, unread } = self.extracted;
        carrying.carrier.carry(Handed {
            client,
            records,
            plaintext: Zeroizing::new(plaintext),
            unsent,
            unread,
            backend: carrying.backend,
            preface,
            permit: Box::new(place),
        });
        Ok(())
    }
}

/// Has another go on with a client.
pub(super) fn hand_over(
    front: &Shared,
    ready: Ready,
    client: SocketAddr,
    place: Place,
) -> io::Result<()> {
    let carrying = front.carrying.as_ref().expect("only a carrier's connections are taken");
    let preface = if front.proxy_protocol {
        relay::proxy_header(Ends { client, server: ready.server()? })
    } else {
        Vec::new()
    };
    ready.hand_over(carrying, preface, front.counters.hand_over(place))
}

/// Writes what rustls has to write; says how much that was.
async fn flush(
    connection: &mut ServerConnection,
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> io::Result<u64> {
    buffer.clear();
    while connection.wants_write() {
        connection.write_tls(buffer)?;
    }
    stream.write_all(buffer).await?;
    Ok(buffer.len() as u64)
}

#[cfg(test)]
mod tests;
