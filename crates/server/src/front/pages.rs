//! The built-in pages, for a front without a backend: the shop, and what a
//! client's own session looks like from the server that it came to.
//!
//! What the shop does is its own business ([`shop`]); it is told here how a
//! request came.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::response::{Html, IntoResponse, Response};
use axum::{Json, Router};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, VARY};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::{ProtocolVersion, ServerConnection};
use segue::{Cache, Wall};
use serde::Serialize;
use shop::{Arrival, Shop, Tls};
use tls_rustls::Origin;
use tokio::io::{AsyncRead, AsyncWrite};

/// How long a client may keep its connection without a request.
const IDLE: Duration = Duration::from_secs(30);
/// The longest head of a request, in bytes: no page here needs more.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Where a client's session is shown: to browsers as a page, to others as JSON.
const SESSION: &str = "/session";

/// The pages of a node, for all of its clients.
#[derive(Debug, Clone)]
pub(super) struct Pages(TowerToHyperService<Router>);

impl Pages {
    /// Those of the node of that name.
    pub(super) fn new(node: &str, cache: Cache) -> Self {
        Self(TowerToHyperService::new(Shop::new(node, cache).router()))
    }
}

/// The pages, for one client.
#[derive(Debug)]
pub(super) struct Site<'a> {
    pub(super) pages: &'a Pages,
    pub(super) session: Box<Session<'a>>,
    /// Where the client is, if it was still there to be asked.
    pub(super) client: Option<IpAddr>,
}

/// A client's session, as far as it may be shown.
#[derive(Debug, Clone)]
pub(super) struct Session<'a> {
    node: &'a str,
    tls: &'static str,
    cipher: Option<&'static str>,
    protocol: Option<String>,
    server_name: Option<String>,
    client_certificate: bool,
    resumed: Option<Resumed>,
    origin: Origin,
}

/// How a session was resumed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resumed {
    /// Whether early data was accepted.
    pub(super) early_data: bool,
}

impl<'a> Session<'a> {
    /// What `connection` and its handshake show, at the node of that name.
    pub(super) fn new(
        node: &'a str,
        connection: &ServerConnection,
        resumed: Option<Resumed>,
        origin: &Origin,
    ) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let tls13 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        Self {
            node,
            tls: if tls13 { "1.3" } else { "1.2" },
            cipher: connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()),
            protocol: connection.alpn_protocol().map(text),
            server_name: connection.server_name().map(str::to_owned),
            client_certificate: connection.peer_certificates().is_some(),
            resumed,
            origin: origin.clone(),
        }
    }

    fn described(&self, now: Wall) -> Description<'_> {
        Description {
            node: self.node,
            tls: self.tls,
            cipher: self.cipher,
            protocol: self.protocol.as_deref(),
            server_name: self.server_name.as_deref(),
            client_certificate: self.client_certificate,
            resumed: self.resumed.is_some(),
            early_data: self.resumed.is_some_and(|resumed| resumed.early_data),
            began_at: &self.origin.node,
            age_seconds: self.origin.age(now).as_secs_f64(),
        }
    }
}

/// A session at one moment: the object at `/session`.
#[derive(Debug, Serialize)]
struct Description<'a> {
    /// The node that answers.
    node: &'a str,
    /// The version of TLS, as "1.3".
    tls: &'a str,
    /// The cipher suite, by its IANA name.
    cipher: Option<&'a str>,
    /// The protocol that was agreed on (ALPN).
    protocol: Option<&'a str>,
    /// The name that the client asked for (SNI).
    server_name: Option<&'a str>,
    /// Whether the client has shown a certificate, in this handshake or in
    /// the full one.
    client_certificate: bool,
    /// Whether the handshake resumed a session.
    resumed: bool,
    /// Whether data was accepted that the client sent before the handshake.
    early_data: bool,
    /// The node at which the full handshake was.
    began_at: &'a str,
    /// How long ago that was.
    age_seconds: f64,
}

/// Answers requests on `stream` until the client ends, is idle for too long,
/// or `draining` comes true; then the request at hand is still answered. What is
/// not safe to do waits until the handshake is `whole` (RFC 8470, section 3): it
/// may have come as early data.
pub(super) async fn serve<S, W>(
    stream: S,
    site: Site<'_>,
    now: impl Fn() -> Wall,
    draining: impl Future<Output = ()>,
    whole: impl Fn() -> W,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    W: Future<Output = ()>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let whole = (!is_safe(request.method())).then(&whole);
        let (site, now) = (&site, &now);
        async move {
            if let Some(whole) = whole {
                whole.await;
            }
            Ok::<_, Infallible>(site.answer(request, now()).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(MAX_HEAD_BYTES)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = draining => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

impl Site<'_> {
    async fn answer(&self, mut request: Request<Incoming>, now: Wall) -> Response<Body> {
        if request.uri().path() == SESSION {
            return show(&request, &self.session.described(now));
        }
        let origin = &self.session.origin;
        let resumed = self.session.resumed.is_some();
        let tls = Tls { began_at: origin.node.clone(), resumed, page: SESSION };
        request.extensions_mut().insert(Arrival { peer: self.client, tls: Some(tls) });
        match self.pages.0.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Shows a session: as JSON, unless HTML is asked for.
fn show<B>(request: &Request<B>, session: &Description<'_>) -> Response<Body> {
    if !is_safe(request.method()) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response();
    }
    let headers = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (VARY, "accept"),
    ];
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        return (headers, Html(page(session))).into_response();
    }
    (headers, Json(session)).into_response()
}

/// Whether a request changes nothing, however often it is made.
const fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// A session as a page.
fn page(session: &Description<'_>) -> String {
    let title = if session.resumed {
        format!("{} goes on with your session", session.node)
    } else {
        format!("{} began your session", session.node)
    };
    let handshake = if session.resumed { "resumed" } else { "in full" };
    let age = format!("{:.1} s", session.age_seconds);
    let certificate = if session.client_certificate { "shown" } else { "none" };
    let facts = [
        ("Answered by", session.node),
        ("TLS", session.tls),
        ("Cipher suite", session.cipher.unwrap_or("unknown")),
        ("Handshake", handshake),
        ("Session began at", session.began_at),
        ("Session's age", &age),
        ("Server name", session.server_name.unwrap_or("none")),
        ("Protocol", session.protocol.unwrap_or("none")),
        ("Your certificate", certificate),
    ];
    let rows: String =
        facts.map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>\n", escaped(value))).concat();
    include_str!("page.html").replace("{title}", &escaped(&title)).replace("{rows}", &rows)
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use hyper::header::CONTENT_TYPE;
    use segue::{Config, Node};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn description(resumed: bool) -> Description<'static> {
        Description {
            node: "<b>",
            tls: "1.3",
            cipher: Some("TLS13_AES_256_GCM_SHA384"),
            protocol: None,
            server_name: Some("a.test"),
            client_certificate: false,
            resumed,
            early_data: false,
            began_at: "a",
            age_seconds: 1.25,
        }
    }

    fn check((method, accept): (Method, &str), expected: StatusCode, shown_as: Option<&str>) {
        let request = Request::builder().method(method).uri(SESSION).header(ACCEPT, accept);
        let response = show(&request.body(()).unwrap(), &description(true));
        assert_eq!(response.status(), expected);
        let kind = response.headers().get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap());
        assert_eq!(kind, shown_as);
    }

    #[test]
    fn a_session_is_shown_as_it_is_asked_for() {
        let json = Some("application/json");
        check((Method::GET, "*/*"), StatusCode::OK, json);
        check((Method::GET, "application/json"), StatusCode::OK, json);
        check((Method::HEAD, ""), StatusCode::OK, json);
        let html = Some("text/html; charset=utf-8");
        check((Method::GET, "text/html,application/xml;q=0.9"), StatusCode::OK, html);
        check((Method::POST, "*/*"), StatusCode::METHOD_NOT_ALLOWED, None);
    }

    /// Asks with `method`, and gives the status line, and whether the handshake had
    /// come to its end by then.
    async fn ask(method: &str) -> (String, bool) {
        let session = Box::new(Session {
            node: "a",
            tls: "1.3",
            cipher: None,
            protocol: None,
            server_name: None,
            client_certificate: false,
            resumed: Some(Resumed { early_data: true }),
            origin: Origin { node: "a".to_owned(), at: Wall::from_millis(0) },
        });
        let ended = Cell::new(false);
        let whole = || async {
            tokio::task::yield_now().await;
            ended.set(true);
        };
        let (near, mut far) = tokio::io::duplex(4_096);
        let now = || Wall::from_millis(0);
        let node = Node::start(Config::single("a")).unwrap();
        let pages = Pages::new("a", node.cache());
        let site = Site { pages: &pages, session, client: None };
        let serving = serve(near, site, now, std::future::pending::<()>(), whole);
        let request = format!("{method} /cart HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let asking = async {
            far.write_all(request.as_bytes()).await.unwrap();
            let mut line = String::new();
            let mut byte = [0];
            while !line.ends_with("\r\n") {
                far.read_exact(&mut byte).await.unwrap();
                line.push(byte[0].into());
            }
            let asked = (line, ended.get());
            far.read_to_end(&mut Vec::new()).await.unwrap();
            asked
        };
        let (served, asked) = tokio::join!(serving, asking);
        served.unwrap();
        asked
    }

    #[tokio::test]
    async fn only_what_is_safe_is_answered_before_the_handshake_ends() {
        let check = async |method, status: &str, waited| {
            let (line, ended) = ask(method).await;
            assert!(line.contains(status) && ended == waited, "{method}: {line:?}, {ended}");
        };
        check("GET", "200", false).await;
        check("HEAD", "200", false).await;
        check("POST", "405", true).await;
        check("DELETE", "405", true).await;
    }

    #[test]
    fn a_page_shows_names_as_text() {
        for (resumed, title) in [(true, "&lt;b&gt; goes on with"), (false, "&lt;b&gt; began")] {
            let page = page(&description(resumed));
            assert!(page.contains(title) && page.contains("<dd>a.test</dd>"), "{page}");
            assert!(!page.contains("<b>") && !page.contains("{title}") && !page.contains("{rows}"));
        }
    }
}
