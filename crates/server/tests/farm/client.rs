//! A customer who comes back, by TLS, to any node of a farm.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::http;
use crate::nodes::{Farm, SERVER_NAME};
use crate::patience::PATIENCE;

/// One customer, whose TLS 1.3 session is kept between visits.
#[derive(Clone)]
pub(crate) struct Client(Arc<ClientConfig>);

impl Client {
    /// A customer who trusts the farm's certificate and was never there.
    pub(crate) fn new(farm: &Farm) -> Self {
        let mut trusted = RootCertStore::empty();
        trusted.add(CertificateDer::from_pem_file(farm.path("cert.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(trusted)
            .with_no_client_auth();
        Self(Arc::new(config))
    }

    /// Another customer of the same kind, who was never there either.
    pub(crate) fn another(&self) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.resumption = Resumption::in_memory_sessions(1);
        Self(Arc::new(config))
    }

    /// Goes to a node, and gives what its page says of the session.
    ///
    /// # Errors
    ///
    /// The connection's, TLS's, and those of an answer that is none.
    pub(crate) fn visit(&self, node: SocketAddr) -> io::Result<Value> {
        let body = http::get(self.connect(node)?, SERVER_NAME, "/session")?;
        Ok(serde_json::from_str(&body)?)
    }

    /// Connects to a node; the handshake is left to the first use.
    ///
    /// # Errors
    ///
    /// The connection's.
    pub(crate) fn connect(
        &self,
        node: SocketAddr,
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from(SERVER_NAME).expect("it is a host name");
        let connection =
            ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        let stream = TcpStream::connect(node)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(StreamOwned::new(connection, stream))
    }
}
