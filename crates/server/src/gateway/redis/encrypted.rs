//! Clients that speak TLS.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{Access, Shared, connection};
use crate::gateway::count;

/// How long a client may take for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to take the end of its TLS session.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves a client, once it has shaken hands.
pub(super) async fn serve<S>(
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
