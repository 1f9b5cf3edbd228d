//! A QUIC round trip: a question and an answer on a stream of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::version::TLS13;
use serde::{Deserialize, Serialize};

use super::process::say;
use super::{ANSWER_BYTES, Process, QUESTION_BYTES, Role};

/// The name in the server's certificate.
const NAME: &str = "localhost";

/// What the server says: where it is, and its certificate.
#[derive(Debug, Serialize, Deserialize)]
struct Served {
    address: SocketAddr,
    certificate: Vec<u8>,
}

/// A connection that is open.
pub(super) struct Client {
    connection: Connection,
    _endpoint: Endpoint,
}

/// A client of a server in a process of its own.
pub(super) async fn client() -> anyhow::Result<(Client, Process)> {
    let (process, served): (_, Served) = Process::start(Role::Quic, &()).await?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(served.certificate))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    endpoint
        .set_default_client_config(ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)));
    let connection = endpoint.connect(served.address, NAME)?.await?;
    Ok((Client { connection, _endpoint: endpoint }, process))
}

impl Client {
    /// So many round trips, and how long each took, in microseconds.
    pub(super) async fn round_trips(&self, count: usize) -> anyhow::Result<Vec<f64>> {
        let mut micros = Vec::with_capacity(count);
        for _ in 0..count {
            let began = Instant::now();
            let (mut send, mut receive) = self.connection.open_bi().await?;
            send.write_all(&[7; QUESTION_BYTES]).await?;
            send.finish()?;
            let answer = receive.read_to_end(ANSWER_BYTES).await?;
            micros.push(began.elapsed().as_secs_f64() * 1e6);
            ensure!(answer.len() == ANSWER_BYTES, "an answer of {} bytes", answer.len());
        }
        Ok(micros)
    }
}

/// Answers on every stream of every connection.
pub(super) fn serve() -> anyhow::Result<Endpoint> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([NAME.to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())?;
    let config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into())?;
    let accepting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            if let Ok(connection) = incoming.await {
                tokio::spawn(answer(connection));
            }
        }
    });
    let address = endpoint.local_addr().context("the server's address")?;
    say(&Served { address, certificate: cert.der().to_vec() })?;
    Ok(endpoint)
}

async fn answer(connection: Connection) {
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        let answered = async {
            receive.read_to_end(QUESTION_BYTES).await?;
            send.write_all(&[7; ANSWER_BYTES]).await?;
            anyhow::Ok(send.finish()?)
        };
        if answered.await.is_err() {
            // The client has gone, or is another one.
            return;
        }
    }
}
