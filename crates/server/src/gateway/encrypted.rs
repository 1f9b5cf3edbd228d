//! Listeners that speak TLS, whatever is said on them: what they show to
//! clients, which can be renewed while they serve, and the handshake.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::listener::Host;

/// How long a client may take for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to take the end of its TLS session.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// What clients of a listener are shown. Copies are renewed together.
#[derive(Debug, Clone)]
pub(crate) struct Encryption(Arc<RwLock<Arc<ServerConfig>>>);

impl Encryption {
    pub(crate) fn new(config: ServerConfig) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(config))))
    }

    /// Clients that come from now on are shown what the other one shows.
    pub(super) fn renew(&self, other: &Self) {
        let config = other.shown();
        *self.0.write() = config;
    }

    fn shown(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read())
    }

    /// Serves a client, once it has shaken hands.
    pub(super) async fn serve<H, S>(&self, host: &H, stream: S, open: watch::Receiver<bool>)
    where
        H: Host,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = TlsAcceptor::from(self.shown()).accept(stream);
        let Ok(Ok(mut stream)) = timeout(HANDSHAKE_TIMEOUT, handshake).await else {
            host.places().failed_handshakes.fetch_add(1, Ordering::Relaxed);
            return;
        };
        host.serve(&mut stream, open).await;
        // Whoever sees no end takes what came for cut off.
        let _ = timeout(GOODBYE_TIMEOUT, stream.shutdown()).await;
    }
}
