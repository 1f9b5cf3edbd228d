//! Where clients arrive, whatever they speak: sockets, and a place for each of
//! the connections that come in by them. What is said on one is the
//! [`Host`]'s to know.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};

use super::encrypted::Encryption;

/// How many connections may wait in the kernel to be accepted.
const BACKLOG: i32 = 1024;
/// How long a listener rests when the kernel cannot give it a connection, as
/// when all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// An address of this machine.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {source}")]
pub(crate) struct StartError {
    pub(crate) listen: Listen,
    pub(crate) source: io::Error,
}

/// Who serves the connections of some listeners.
pub(super) trait Host: Send + Sync + 'static {
    /// Whose clients they are, for the log.
    const CLIENTS: &'static str;

    /// What a client is told that is one too many.
    fn full(&self) -> &'static [u8];

    /// The places that it has.
    fn places(&self) -> &Places;

    /// Serves a client until it, or the gateway, goes.
    fn serve<S>(&self, stream: S, open: watch::Receiver<bool>) -> impl Future<Output = ()> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send;
}

/// Where clients come in, and who serves those who do.
#[derive(Debug)]
pub(super) struct Door<H> {
    pub(super) listen: Vec<Listen>,
    /// None: what is said there is not encrypted.
    pub(super) tls: Option<Encryption>,
    pub(super) host: Arc<H>,
}

/// Places for clients, and how many came.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    pub(super) connections: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) failed_handshakes: AtomicU64,
}

impl Places {
    pub(super) fn new(max_connections: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(max_connections as usize)),
            connections: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failed_handshakes: AtomicU64::new(0),
        }
    }
}

/// Opens all listeners.
///
/// # Errors
///
/// [`StartError`] of the first that cannot be.
pub(super) fn open(listen: &[Listen]) -> Result<Vec<Listener>, StartError> {
    let open = |listen: &Listen| {
        Listener::open(listen).map_err(|source| StartError { listen: listen.clone(), source })
    };
    listen.iter().map(open).collect()
}

pub(super) enum Listener {
    Tcp(TcpListener, String),
    Unix(UnixListener, String),
}

impl Listener {
    fn open(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => {
                let domain = Domain::for_address(*address);
                let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
                socket.set_nonblocking(true)?;
                socket.set_reuse_address(true)?;
                socket.set_keepalive(true)?;
                socket.bind(&(*address).into())?;
                socket.listen(BACKLOG)?;
                let listener = TcpListener::from_std(socket.into())?;
                let name = listener.local_addr()?.to_string();
                Ok(Self::Tcp(listener, name))
            }
            Listen::Unix(path) => {
                remove_stale(path)?;
                Ok(Self::Unix(UnixListener::bind(path)?, listen.to_string()))
            }
        }
    }

    pub(super) fn name(&self) -> String {
        let (Self::Tcp(_, name) | Self::Unix(_, name)) = self;
        name.clone()
    }

    pub(super) async fn serve<H: Host>(self, door: Arc<Door<H>>, mut open: watch::Receiver<bool>) {
        let is_open = open.clone();
        let accepting = async {
            loop {
                let accepted = match &self {
                    Self::Tcp(listener, _) => listener.accept().await.map(|(stream, _)| {
                        // Replies are written whole.
                        let _ = stream.set_nodelay(true);
                        admit(&door, stream, &is_open);
                    }),
                    Self::Unix(listener, _) => {
                        listener.accept().await.map(|(stream, _)| admit(&door, stream, &is_open))
                    }
                };
                if let Err(error) = accepted {
                    tracing::warn!(%error, "cannot accept clients of {}", H::CLIENTS);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        tokio::select! {
            () = accepting => {}
            _ = open.wait_for(|open| !open) => {}
        }
    }
}

/// A socket that nobody listens on any more, left by a process that was killed.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = path.symlink_metadata().is_ok_and(|it| it.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Serves a connection, if there is a place for it.
fn admit<H, S>(door: &Arc<Door<H>>, mut stream: S, open: &watch::Receiver<bool>)
where
    H: Host,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let place = Arc::clone(&door.host.places().free).try_acquire_owned();
    let (door, open) = (Arc::clone(door), open.clone());
    tokio::spawn(async move {
        let Door { tls, host, .. } = &*door;
        let places = host.places();
        let Ok(_place) = place else {
            places.refused.fetch_add(1, Ordering::Relaxed);
            // Who speaks TLS could not read it. Else it goes into an empty socket's
            // buffer at once.
            if tls.is_none() {
                let _ = stream.write_all(host.full()).await;
            }
            return;
        };
        places.accepted.fetch_add(1, Ordering::Relaxed);
        places.connections.fetch_add(1, Ordering::Relaxed);
        match tls {
            None => host.serve(stream, open).await,
            Some(tls) => tls.serve(&**host, stream, open).await,
        }
        places.connections.fetch_sub(1, Ordering::Relaxed);
    });
}
