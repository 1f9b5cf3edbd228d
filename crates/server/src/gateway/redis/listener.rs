//! Where clients arrive.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use super::config::Listen;
use super::figures::count;
use super::{Shared, connection};

/// How many connections may wait in the kernel to be accepted.
const BACKLOG: i32 = 1024;
/// How long a listener rests when the kernel cannot give it a connection, as
/// when all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(super) enum Listener {
    Tcp(TcpListener, String),
    Unix(UnixListener, String),
}

impl Listener {
    pub(super) fn open(listen: &Listen) -> io::Result<Self> {
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

    pub(super) async fn serve(self, shared: Arc<Shared>, mut open: watch::Receiver<bool>) {
        let is_open = open.clone();
        let accepting = async {
            loop {
                let accepted = match &self {
                    Self::Tcp(listener, _) => listener.accept().await.map(|(stream, _)| {
                        // Replies are written whole.
                        let _ = stream.set_nodelay(true);
                        admit(&shared, stream, &is_open);
                    }),
                    Self::Unix(listener, _) => {
                        listener.accept().await.map(|(stream, _)| admit(&shared, stream, &is_open))
                    }
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
fn admit<S>(shared: &Arc<Shared>, mut stream: S, open: &watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let place = Arc::clone(&shared.places).try_acquire_owned();
    let (shared, open) = (Arc::clone(shared), open.clone());
    tokio::spawn(async move {
        let Ok(_place) = place else {
            count(&shared.counters.refused);
            // It goes into an empty socket's buffer at once.
            let _ = stream.write_all(b"-ERR max number of clients reached\r\n").await;
            return;
        };
        count(&shared.counters.accepted);
        shared.counters.connections.fetch_add(1, Ordering::Relaxed);
        connection::serve(&shared, stream, open).await;
        shared.counters.connections.fetch_sub(1, Ordering::Relaxed);
    });
}
