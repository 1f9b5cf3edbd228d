//! Clients that shake hands and go.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::client::{Resumption, Tls12Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::demo::{SERVER_NAME, Version};

/// One client, which keeps its last session.
#[derive(Debug, Clone)]
pub(super) struct Visitor(Arc<ClientConfig>);

impl Visitor {
    /// Clients without a session. All servers get the same hello, with a key
    /// share for X25519; with the certificate's own curve as well, which
    /// OpenSSL wants to see before it signs for TLS 1.2.
    pub(super) fn several(
        count: usize,
        version: Version,
        authority: &CertificateDer<'static>,
    ) -> anyhow::Result<Vec<Self>> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone())?;
        let provider = CryptoProvider {
            kx_groups: vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1],
            ..aws_lc_rs::default_provider()
        };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version.rustls()])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let visitor = |_| {
            let mut config = config.clone();
            config.resumption =
                Resumption::in_memory_sessions(1).tls12_resumption(Tls12Resumption::SessionIdOnly);
            Self(Arc::new(config))
        };
        Ok((0..count).map(visitor).collect())
    }

    /// Shakes hands with a server, takes the ticket that it gives, and goes.
    pub(super) async fn visit(&self, server: SocketAddr) -> anyhow::Result<HandshakeKind> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let mut stream = TlsConnector::from(Arc::clone(&self.0))
            .connect(ServerName::try_from(SERVER_NAME)?, stream)
            .await
            .with_context(|| format!("handshake with {server}"))?;
        stream.shutdown().await?;
        // Nothing comes but tickets and the end, which nginx leaves without a
        // close_notify.
        let mut rest = Vec::new();
        if let Err(error) = stream.read_to_end(&mut rest).await {
            ensure!(error.kind() == ErrorKind::UnexpectedEof, "{server}: {error}");
        }
        ensure!(rest.is_empty(), "{server} speaks first");
        stream.get_ref().1.handshake_kind().context("the handshake is over")
    }
}
