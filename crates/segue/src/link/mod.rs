//! Links: QUIC connections between nodes that have proven the farm's key to
//! each other.
//!
//! A link goes over the farm's port ([`port`]), is encrypted by certificates
//! that say nothing ([`tls`]), and carries nothing before both ends have proven
//! themselves ([`handshake`]). Who calls without the key gets little
//! ([`accept`]). What is said on a link's streams is for those to know who open
//! and who serve them: here a stream has a [`Purpose`], and no content.

mod accept;
mod gate;
mod handshake;
mod port;
mod tls;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use proto::keyring::{FarmKey, Keyring};
use proto::wire::header::Incarnation;
use proto::wire::link::Introduction;
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream, TokioRuntime, VarInt};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::farm_tls::SERVER_NAME;
use crate::status::LinkStats;
pub(crate) use port::{Inlet, is_link};
pub(crate) use tls::LINK_BYTES;

/// How long the handshake and the proofs may take: a few round trips around the
/// world, with a loss.
const HANDSHAKE_TIME: Duration = Duration::from_secs(3);
/// How long the end of all links is told before the port is given up.
const GOODBYE_TIME: Duration = Duration::from_millis(100);

/// Why a link ends, as the other end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// The node ends, or needs the link no more.
    Done = 0,
    /// The other end has not proven a key of the farm.
    Unproven = 1,
    /// The key that the link was proven by is in use no more.
    Rekeyed = 2,
    /// What came makes no sense.
    Malformed = 3,
}

impl From<Code> for VarInt {
    fn from(code: Code) -> Self {
        Self::from_u32(code as u32)
    }
}

/// What a stream is for: its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Purpose {
    /// One ask and its answer.
    Ask = 1,
    /// One batch and what became of it.
    Batch = 2,
    /// Nothing but an answer.
    Probe = 3,
}

impl Purpose {
    const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Ask),
            2 => Some(Self::Batch),
            3 => Some(Self::Probe),
            _ => None,
        }
    }
}

/// Serves the streams that others open.
pub(crate) trait Serve: Send + Sync + 'static {
    /// Serves one stream. It is reset if this ends before all was sent.
    fn serve(self: Arc<Self>, purpose: Purpose, streams: (SendStream, RecvStream)) -> Served;
}

/// The serving of one stream. An error ends the link.
pub(crate) type Served = Pin<Box<dyn Future<Output = Result<(), Broken>> + Send>>;

/// The other end said what it never should.
#[derive(Debug)]
pub(crate) struct Broken;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The address cannot be called.
    #[error("it cannot be called: {0}")]
    Uncallable(#[from] quinn::ConnectError),
    /// Nobody answers in time.
    #[error("it does not answer")]
    Silent,
    /// The other end does not take our proof, or gives none.
    #[error(
        "it does not have this farm's key (id {key_id}): `farm.keys` of both nodes must have one \
         in common"
    )]
    Unproven {
        /// The key that was tried.
        key_id: u8,
    },
    /// It is this very node.
    #[error("it is this node itself")]
    Itself,
    /// The connection ended.
    #[error("it ended the connection: {0}")]
    Ended(ConnectionError),
    /// It speaks another version of the protocol, or no such protocol at all.
    #[error("it does not speak this version of the protocol")]
    Malformed,
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        if matches!(error, ConnectionError::TimedOut) { Self::Silent } else { Self::Ended(error) }
    }
}

/// A link that stands. It ends with its last handle.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    held: Arc<Held>,
    /// Who is at its other end.
    pub(crate) peer: Introduction,
}

#[derive(Debug)]
struct Held(Connection);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.close(Code::Done.into(), b"");
    }
}

impl Link {
    fn new(connection: Connection, peer: Introduction) -> Self {
        Self { held: Arc::new(Held(connection)), peer }
    }

    /// Opens a stream for one exchange.
    pub(crate) async fn open(&self, purpose: Purpose) -> io::Result<(SendStream, RecvStream)> {
        let (mut send, receive) = self.held.0.open_bi().await?;
        send.write_all(&[purpose as u8]).await?;
        Ok((send, receive))
    }

    /// Ends it at once.
    pub(crate) fn end(&self, code: Code) {
        self.held.0.close(code.into(), b"");
    }
}

/// Who a node is, and what proves it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// This start of it.
    pub incarnation: Incarnation,
    /// The farm's keys, as they are at each time.
    pub keys: watch::Receiver<Keyring>,
}

impl Identity {
    /// What it tells those who have proven themselves.
    #[must_use]
    pub fn introduction(&self) -> Introduction {
        Introduction { incarnation: self.incarnation, name: self.name.clone() }
    }
}

/// What has happened to links.
#[derive(Debug, Default)]
struct Tally {
    /// Links that stand, by both ends.
    live: AtomicUsize,
    /// Connections of others that have proven nothing yet.
    unproven: AtomicUsize,
    made: AtomicU64,
    /// Calls that were not answered, as there were too many.
    turned_away: AtomicU64,
    /// Ends that had no key of this farm, or did not say.
    refused: AtomicU64,
}

/// A node's links.
#[derive(Debug)]
pub(crate) struct Links {
    endpoint: Endpoint,
    port: Arc<port::Port>,
    /// The port is this node's until it ends, whoever has handles on its cache.
    socket: Mutex<Option<Arc<UdpSocket>>>,
    client: quinn::ClientConfig,
    inner: Arc<Inner>,
    /// Drives the links, whoever uses them.
    runtime: Handle,
}

/// What those share who serve links.
#[derive(Debug)]
struct Inner {
    identity: Identity,
    tally: Tally,
}

impl Links {
    /// An endpoint at the port of `socket`, on the runtime that this is called
    /// from. Datagrams come to it by the inlet. Nobody is answered before
    /// [`Links::serve`].
    pub(crate) fn open(socket: UdpSocket, identity: Identity) -> io::Result<(Self, Inlet)> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let socket = Arc::new(socket);
        let (inlet, port) = port::open(&socket)?;
        let port = Arc::new(port);
        let tls::Configs { endpoint, server, client } = tls::configs()?;
        let abstract_socket = Arc::clone(&port) as Arc<dyn quinn::AsyncUdpSocket>;
        let endpoint = Endpoint::new_with_abstract_socket(
            endpoint,
            Some(server),
            abstract_socket,
            Arc::new(TokioRuntime),
        )?;
        let inner = Arc::new(Inner { identity, tally: Tally::default() });
        Ok((
            Self { endpoint, port, socket: Mutex::new(Some(socket)), client, inner, runtime },
            inlet,
        ))
    }

    /// Has `service` serve those who call.
    pub(crate) fn serve(&self, service: Arc<dyn Serve>) {
        self.runtime.spawn(accept::accept(self.endpoint.clone(), Arc::clone(&self.inner), service));
    }

    /// Calls the node at `address`, and proves this one to it.
    pub(crate) async fn connect(self: &Arc<Self>, address: SocketAddr) -> Result<Link, LinkError> {
        let links = Arc::clone(self);
        // Who calls may be on another runtime, which drives no link. If he
        // gives up, the call ends.
        let mut calling = JoinSet::new();
        calling.spawn_on(async move { links.call(address).await }, &self.runtime);
        calling.join_next().await.and_then(Result::ok).unwrap_or(Err(LinkError::Silent))
    }

    async fn call(&self, address: SocketAddr) -> Result<Link, LinkError> {
        let call = async {
            let connecting =
                self.endpoint.connect_with(self.client.clone(), address, SERVER_NAME)?;
            let connection = connecting.await?;
            let (peer, key) = handshake::call(&connection, &self.inner.identity).await?;
            tokio::spawn(Arc::clone(&self.inner).keep(connection.clone(), key));
            Ok(Link::new(connection, peer))
        };
        let called = tokio::time::timeout(HANDSHAKE_TIME, call).await;
        let called = called.unwrap_or(Err(LinkError::Silent));
        if matches!(called, Err(LinkError::Unproven { .. })) {
            self.inner.tally.refused.fetch_add(1, Ordering::Relaxed);
        }
        called
    }

    /// What has happened to links.
    pub(crate) fn figures(&self) -> LinkStats {
        let (tally, traffic) = (&self.inner.tally, self.port.traffic());
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LinkStats {
            live: tally.live.load(Ordering::Relaxed),
            made: of(&tally.made),
            refused: of(&tally.refused),
            turned_away: of(&tally.turned_away),
            received_bytes: of(&traffic.received_bytes),
            sent_bytes: of(&traffic.sent_bytes),
            dropped: of(&traffic.dropped),
        }
    }

    /// Ends all links, waits until the other ends could know, but not for long,
    /// and gives the port up.
    pub(crate) async fn end(&self) {
        self.endpoint.close(Code::Done.into(), b"");
        // Who does not hear it finds out by silence.
        let _ = tokio::time::timeout(GOODBYE_TIME, self.endpoint.wait_idle()).await;
        self.socket.lock().take();
    }

    /// The same, without anybody to wait for it.
    pub(crate) fn end_by_itself(self: Arc<Self>) {
        let runtime = self.runtime.clone();
        runtime.spawn(async move { self.end().await });
    }
}

impl Inner {
    /// Counts a link while it stands, and ends it when the key that it was
    /// proven by is in the ring no more: whoever was shut out of the farm has no
    /// other one.
    async fn keep(self: Arc<Self>, connection: Connection, key: FarmKey) {
        self.tally.made.fetch_add(1, Ordering::Relaxed);
        self.tally.live.fetch_add(1, Ordering::Relaxed);
        let mut keys = self.identity.keys.clone();
        let gone = keys.wait_for(|ring| ring.opening(key.id()) != Some(&key));
        tokio::select! {
            _ = connection.closed() => {}
            gone = gone => {
                // An error says that the node has ended.
                let code = if gone.is_ok() { Code::Rekeyed } else { Code::Done };
                connection.close(code.into(), b"");
            }
        }
        self.tally.live.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(crate) mod tests;
