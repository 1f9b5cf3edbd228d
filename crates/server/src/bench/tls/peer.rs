//! `segue bench-peer`: a server to compare with, as a process of its own.

use std::convert::Infallible;
use std::future::ready;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use clap::Args;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use segue::{Ack, Cache, Deadlines, Key, Kind, Node};
use tls_rustls::Identity;
use tls_rustls::session::ID_BYTES;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::front::{self, Front};

/// What a peer is told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where its `cert.pem` and `key.pem` are
    directory: PathBuf,
    /// Be a front whose cache holds so many sessions, not a bare server
    #[arg(long, value_name = "SESSIONS")]
    holding: Option<u64>,
}

/// The size of a session that is only held, in bytes: our header and the
/// state of a TLS 1.3 session.
const SESSION_BYTES: usize = 150;

/// Memory for the largest number of sessions that is tried.
const MEMORY_BYTES: usize = 1 << 30;

/// Serves until it is killed; prints its address once it does.
///
/// # Errors
///
/// When it cannot start.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let identity = identity(&options.directory)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match options.holding {
            Some(sessions) => holding(sessions, identity).await,
            None => bare(identity).await,
        }
    })
}

/// Tokio and rustls and nothing else: tickets under a key of its own for TLS
/// 1.3, a store in memory for the session ids of TLS 1.2.
async fn bare(identity: Identity) -> anyhow::Result<()> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)?;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    announce(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, acceptor.clone()));
    }
}

/// Serves as the front does, with a page of its own.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let page = |_: Request<_>| ready(Ok::<_, Infallible>(Response::new(Body::from("bare"))));
    // However the client ends is well.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service_fn(page))
        .await;
}

/// A front by itself, whose cache holds `sessions` already.
async fn holding(sessions: u64, identity: Identity) -> anyhow::Result<()> {
    let node = Node::start(segue::Config {
        memory_bytes: MEMORY_BYTES,
        ..segue::Config::single("holding")
    })?;
    fill(&node.cache(), sessions).await?;
    let tls = tls_rustls::Config::new("holding".to_owned(), node.incarnation(), vec![identity]);
    let listen = vec![(Ipv4Addr::LOCALHOST, 0).into()];
    let front = Front::start(front::Config::new(listen, tls), node.cache())?;
    announce(front.addresses()[0])?;
    std::future::pending().await
}

async fn fill(cache: &Cache, sessions: u64) -> anyhow::Result<()> {
    let in_a_day = Deadlines::at(cache.now() + Duration::from_secs(24 * 60 * 60));
    let mut id = [0; ID_BYTES];
    let mut session = [0; SESSION_BYTES];
    for number in 0..sessions {
        id[..8].copy_from_slice(&number.to_be_bytes());
        session[..8].copy_from_slice(&number.to_be_bytes());
        cache.put(&Key::new(Kind::Tls, &id)?, &session, in_a_day, Ack::Local).await?;
    }
    Ok(())
}

fn identity(directory: &Path) -> anyhow::Result<Identity> {
    Ok(Identity {
        chain: vec![CertificateDer::from_pem_file(directory.join("cert.pem"))?],
        key: PrivateKeyDer::from_pem_file(directory.join("key.pem"))?,
    })
}

fn announce(address: SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{address}")?;
    Ok(out.flush()?)
}
