//! The admin address: a node's state for its operators and their tools.
//!
//! In reading order: [`status`] the JSON, [`summary`] the same in words,
//! [`picture`] the farm as it is drawn, [`history`] the last minutes, [`events`]
//! what is told to pages that are open, [`page`] the page; [`drain`], which ends
//! the node, [`sessions`], which shows and ends those of users, and [`drill`],
//! which only a demo has. [`access`] says who may do what, [`token`] what they
//! have to know; and below are the routes and the bounds of their server.

mod access;
mod drain;
mod drill;
mod events;
mod history;
mod page;
mod picture;
mod sessions;
mod status;
mod summary;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::metrics;
use crate::serve::Server;

use access::{Caller, Refusal};
use events::{Events, Lease};

pub(crate) use access::Access;
pub(crate) use drain::{Order, Progress};
pub(crate) use picture::Own;
pub(crate) use sessions::{End, Ended, Session, Sessions, Wanted};
pub(crate) use status::{Cache, Connections, Member, Status, Upstream};
pub(crate) use summary::{headline, lookups, sections};
pub(crate) use token::Token;

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

/// The longest body of a request, in bytes: a token of 512, each written as three
/// by a form.
const MAX_BODY_BYTES: usize = 1600;

/// How long to rest when the kernel has no connection to give, as when all
/// file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is shown, and to whom.
#[derive(Debug)]
struct Site {
    server: Arc<Server>,
    access: Access,
    events: Events,
}

/// A running admin server.
#[derive(Debug)]
pub(crate) struct Admin {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Admin {
    /// Listens on `listen` and shows `server` from then on, to those who may see it.
    ///
    /// # Errors
    ///
    /// The operating system's, when the address cannot be listened on.
    pub(crate) async fn start(
        listen: SocketAddr,
        access: Access,
        server: Arc<Server>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let site = Arc::new(Site { server, access, events: Events::default() });
        let serving = tokio::spawn(serve(listener, site, stopped));
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

fn routes(site: Arc<Site>) -> Router {
    let mut routes = Router::new()
        .route("/", get(page::page))
        .route("/login", get(|| async { page::log_in(false) }).post(page::logged_in))
        .route("/logout", post(page::logged_out))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/api/status", get(api_status))
        .route("/api/events", get(events::events))
        .route("/api/drain", get(drain::progress).post(drain::begin))
        .route("/api/sessions", post(sessions::list))
        .route("/api/sessions/end", post(sessions::end));
    for name in page::ASSETS {
        routes = routes.route(&format!("/{name}"), get(move || async move { page::asset(name) }));
    }
    if site.server.has_drill() {
        routes = routes.route("/api/drill", post(drill::kill));
    }
    routes
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(Arc::clone(&site), guard))
        .with_state(site)
}

/// Lets through what may be asked.
async fn guard(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let judged = site.access.judge(caller, &method, &path, request.headers());
    let mut response = match judged {
        Ok(()) => next.run(request).await,
        Err(Refusal::Forbidden(why)) => (StatusCode::FORBIDDEN, why).into_response(),
        // Whoever opens the page is a person.
        Err(Refusal::Unknown) if method == Method::GET && path == "/" => page::log_in(false),
        Err(refusal) => {
            if refusal == Refusal::Wrong {
                site.access.back_off().await;
            }
            let why = "the token of admin.token_file is asked for: Authorization: Bearer TOKEN, \
                       as of `segue status --token-file FILE`, or log in at /\n";
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], why).into_response()
        }
    };
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

async fn metrics(State(site): State<Arc<Site>>) -> impl IntoResponse {
    let text = metrics::text(site.server.metrics());
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}

async fn readyz(State(site): State<Arc<Site>>) -> impl IntoResponse {
    if site.server.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn api_status(State(site): State<Arc<Site>>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(site.server.status()))
}

/// Accepts connections until `stopped`.
async fn serve(listener: TcpListener, site: Arc<Site>, mut stopped: oneshot::Receiver<()>) {
    let routes = routes(Arc::clone(&site));
    let mut connections = JoinSet::new();
    let beat = site.events.beat(&site.server);
    tokio::pin!(beat);
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
            () = &mut beat => None,
            _ = &mut stopped => break,
        };
        match accepted {
            Some(Ok((stream, peer))) => {
                let routes = routes.clone().layer(Extension(Caller(peer.ip())));
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
    let lease = Arc::new(Lease::default());
    let routes = routes.layer(Extension(Arc::clone(&lease)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ASKING_TIME)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    tokio::select! {
        // A client that is slow, gone or talks nonsense concerns nobody else.
        _ = connection => {}
        () = lease.ends(CONNECTION_TIME) => {}
    }
}
