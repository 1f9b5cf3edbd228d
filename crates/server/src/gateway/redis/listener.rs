//! Where clients arrive.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::config::Listen;
use super::figures::count;
use super::{Access, Entrance, Shared, connection};

/// How many connections may wait in the kernel to be accepted.
const BACKLOG: i32 = 1024;
/// How long a listener rests when the kernel cannot give it a connection, as
/// when all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a client may take for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to take the end of its TLS session.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// A socket that clients connect to, and what holds for those.
pub(super) struct Listener {
    socket: Listening,
    name: String,
    entrance: Arc<Entrance>,
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(super) fn open(listen: &Listen, entrance: Arc<Entrance>) -> io::Result<Self> {
        let (socket, name) = match listen {
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
                (Listening::Tcp(listener), name)
            }
            Listen::Unix(path) => {
                remove_stale(path)?;
                (Listening::Unix(UnixListener::bind(path)?), listen.to_string())
            }
        };
        Ok(Self { socket, name, entrance })
    }

    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    pub(super) async fn serve(self, shared: Arc<Shared>, mut open: watch::Receiver<bool>) {
        let is_open = open.clone();
        let accepting = async {
            loop {
                let accepted = match &self.socket {
                    Listening::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                        // Replies are written whole.
                        let _ = stream.set_nodelay(true);
                        admit(&shared, &self.entrance, stream, &is_open);
                    }),
                    Listening::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                        admit(&shared, &self.entrance, stream, &is_open);
                    }),
                };
                if let Err(error) = accepted {
                    tracing::warn!(%error, "cannot accept Redis clients");
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
fn admit<S>(
    shared: &Arc<Shared>,
    entrance: &Arc<Entrance>,
    mut stream: S,
    open: &watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let place = Arc::clone(&shared.places).try_acquire_owned();
    let (shared, entrance, open) = (Arc::clone(shared), Arc::clone(entrance), open.clone());
    tokio::spawn(async move {
        let Ok(_place) = place else {
            count(&shared.counters.refused);
            if entrance.tls.is_none() {
                // It goes into an empty socket's buffer at once.
                let _ = stream.write_all(b"-ERR max number of clients reached\r\n").await;
            }
            return;
        };
        count(&shared.counters.accepted);
        shared.counters.connections.fetch_add(1, Ordering::Relaxed);
        match &entrance.tls {
            None => connection::serve(&shared, &entrance.access, &mut stream, open).await,
            Some(tls) => encrypted(&shared, &entrance.access, (stream, tls), open).await,
        }
        shared.counters.connections.fetch_sub(1, Ordering::Relaxed);
    });
}

/// Serves a client that speaks TLS.
async fn encrypted<S>(
    shared: &Shared,
    access: &Access,
    (stream, tls): (S, &Arc<ServerConfig>),
    open: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(stream);
    let Ok(Ok(mut stream)) = timeout(HANDSHAKE_TIMEOUT, handshake).await else {
        count(&shared.counters.failed_handshakes);
        return;
    };
    connection::serve(shared, access, &mut stream, open).await;
    // Whoever sees no end takes what came for cut off.
    let _ = timeout(GOODBYE_TIMEOUT, stream.shutdown()).await;
}
