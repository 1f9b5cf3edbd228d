//! The admin address: a node's state for its operators and their tools.
//!
//! Everything here only looks, but for [`drain`], which ends the node, and
//! [`sessions`], which shows and ends those of users. In
//! reading order: [`status`] the JSON, [`summary`] the same in words, [`page`]
//! those words in a browser; and below, the routes and the bounds of their
//! server.

mod drain;
mod page;
mod sessions;
mod status;
mod summary;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::metrics;
use crate::serve::Server;

pub(crate) use drain::{Order, Progress};
pub(crate) use sessions::{End, Ended, Session, Sessions, Wanted};
pub(crate) use status::{Cache, Connections, Member, Status, Upstream};
pub(crate) use summary::{headline, lookups, sections};

/// Connections served at once; more wait in the kernel. Operators and their
/// collectors are few.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection may last, from its acceptance to the end of its one
/// answer.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// How long it may take to ask.
const ASKING_TIME: Duration = Duration::from_secs(2);

/// The longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The longest body of a request, in bytes: a node's name is all that it has.
const MAX_BODY_BYTES: usize = 1024;

/// How long to rest when the kernel has no connection to give, as when all
/// file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running admin server.
#[derive(Debug)]
pub(crate) struct Admin {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Admin {
    /// Listens on `listen` and shows `server` from then on.
    ///
    /// # Errors
    ///
    /// The operating system's, when the address cannot be listened on.
    pub(crate) async fn start(listen: SocketAddr, server: Arc<Server>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve(listener, routes(server), stopped));
        Ok(Self { address, stop, serving })
    }

    /// Where it listens, with the port that the kernel chose.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it and its connections. Nothing of it is left afterwards.
    pub(crate) async fn stop(self) {
        // A server that is gone needs no word.
        let _ = self.stop.send(());
        if let Err(error) = self.serving.await {
            tracing::error!(%error, "the admin server failed");
        }
    }
}

fn routes(server: Arc<Server>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/api/status", get(api_status))
        .route("/api/drain", get(drain::progress).post(drain::begin))
        .route("/api/sessions", post(sessions::list))
        .route("/api/sessions/end", post(sessions::end))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(server)
}

async fn page(State(server): State<Arc<Server>>) -> impl IntoResponse {
    // The page has a style sheet of its own and nothing else.
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    let headers = [(CONTENT_SECURITY_POLICY, policy), (CACHE_CONTROL, "no-store")];
    (headers, Html(page::page(&server.status())))
}

async fn metrics(State(server): State<Arc<Server>>) -> impl IntoResponse {
    let text = metrics::text(server.metrics());
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}

async fn readyz(State(server): State<Arc<Server>>) -> impl IntoResponse {
    if server.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn api_status(State(server): State<Arc<Server>>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(server.status()))
}

/// Accepts connections until `stopped`.
async fn serve(listener: TcpListener, routes: Router, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let has_place = connections.len() < MAX_CONNECTIONS;
            tokio::select! {
                accepted = listener.accept(), if has_place => Some(accepted),
                Some(_) = connections.join_next() => None,
            }
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            _ = &mut stopped => break,
        };
        match accepted {
            Some(Ok((stream, peer))) => {
                let routes = routes.clone().layer(Extension(drain::Caller(peer.ip())));
                connections.spawn(answer(stream, routes));
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "the admin address cannot accept connections");
                sleep(ACCEPT_PAUSE).await;
            }
            None => {}
        }
    }
    connections.shutdown().await;
}

/// Answers one request.
async fn answer(stream: TcpStream, routes: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ASKING_TIME)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    // A client that is slow, gone or talks nonsense concerns nobody else.
    let _ = timeout(CONNECTION_TIME, connection).await;
}
