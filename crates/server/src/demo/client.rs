//! A TLS client that keeps its sessions, as browsers do: it offers the last
//! one at whatever server it comes to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::body::Bytes;
use hyper::http::request::Builder;
use rustls::client::{Resumption, Tls12Resumption};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ground::SERVER_NAME;
use crate::http::{self, Answer};

/// How long a visit may take. Generous: the demo also runs on machines that
/// are busy with other things.
const PATIENCE: Duration = Duration::from_secs(10);

/// A version of TLS, and the way in which it keeps sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// TLS 1.2 by session id (RFC 5246, section 7.4.1.2).
    Tls12,
    /// TLS 1.3 by ticket (RFC 8446, section 2.2).
    Tls13,
}

impl Version {
    pub(crate) const ALL: [Self; 2] = [Self::Tls13, Self::Tls12];

    /// As rustls names it.
    pub(crate) fn rustls(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::Tls12 => &rustls::version::TLS12,
            Self::Tls13 => &rustls::version::TLS13,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        }
    }
}

/// A client with its own memory of sessions.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    version: Version,
}

/// A server's answer at `/session`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Session {
    /// The node that answered.
    pub(crate) node: String,
    /// The version of TLS, as "1.3".
    pub(crate) tls: String,
    /// The cipher suite, by its IANA name.
    pub(crate) cipher: String,
    /// The protocol that was agreed on.
    pub(crate) protocol: Option<String>,
    /// The name that the client asked for.
    pub(crate) server_name: String,
    /// The node that made the session's full handshake.
    pub(crate) began_at: String,
    /// Whether the server resumed it.
    pub(crate) resumed: bool,
}

impl Client {
    /// A client that speaks `version` only, trusts `authority` and knows no
    /// session.
    pub(crate) fn new(
        version: Version,
        authority: &CertificateDer<'static>,
    ) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_protocol_versions(&[version.rustls()])?
        .with_root_certificates(roots)
        .with_no_client_auth();
        // Ids only: a TLS 1.2 ticket would need a key that the farm shares.
        config.resumption =
            Resumption::in_memory_sessions(1).tls12_resumption(Tls12Resumption::SessionIdOnly);
        Ok(Self { config: Arc::new(config), version })
    }

    /// The version that it speaks.
    pub(crate) const fn version(&self) -> Version {
        self.version
    }

    /// Shakes hands with the server at `address`, with its last session if it
    /// has one, and asks what the server knows of it.
    pub(crate) async fn visit(&self, address: SocketAddr) -> anyhow::Result<Session> {
        timeout(PATIENCE, self.exchange(address))
            .await
            .with_context(|| format!("no answer from {address} within {PATIENCE:?}"))?
    }

    /// Asks the server at `address` something, over a connection of its own.
    pub(crate) async fn ask(
        &self,
        address: SocketAddr,
        request: Builder,
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let exchange = async {
            let stream = self.connect(address).await?;
            anyhow::Ok(http::ask(stream, SERVER_NAME.into(), request, body).await?)
        };
        timeout(PATIENCE, exchange)
            .await
            .with_context(|| format!("no answer from {address} within {PATIENCE:?}"))?
    }

    async fn connect(&self, address: SocketAddr) -> anyhow::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("{address}"))?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::clone(&self.config))
            .connect(ServerName::try_from(SERVER_NAME)?, stream)
            .await
            .with_context(|| format!("handshake with {address}"))
    }

    async fn exchange(&self, address: SocketAddr) -> anyhow::Result<Session> {
        let mut stream = self.connect(address).await?;
        let kind = stream.get_ref().1.handshake_kind();
        // TLS 1.3 tickets come after the handshake: reading the answer takes
        // them in.
        let answer = http::get(&mut stream, SERVER_NAME, "/session").await?;
        ensure!(answer.status.is_success(), "/session at {address}: {}", answer.status);
        let session: Session = serde_json::from_slice(&answer.body)?;
        let resumed = kind == Some(HandshakeKind::Resumed);
        ensure!(
            resumed == session.resumed,
            "the client and the server at {address} disagree on whether the session was resumed"
        );
        Ok(session)
    }
}
