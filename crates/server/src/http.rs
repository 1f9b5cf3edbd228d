//! One HTTP/1.1 request over a stream that is open already.
//!
//! Whether the stream is TLS, and what the answer means, is the caller's
//! business.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST};
use hyper::http::request::Builder;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// The longest answer that is read, in bytes: far more than any page of a
/// node has.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Whom a request is for, and what it shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct To<'a> {
    pub(crate) host: &'a str,
    /// A token, for those who ask for one.
    pub(crate) token: Option<&'a str>,
}

impl<'a> From<&'a str> for To<'a> {
    fn from(host: &'a str) -> Self {
        Self { host, token: None }
    }
}

/// What a server answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GetError {
    /// The host or the path cannot stand in a request.
    #[error("no request can be made of it: {0}")]
    Request(#[from] hyper::http::Error),
    /// The connection ended, or what came is no HTTP.
    #[error("{0}")]
    Connection(#[from] hyper::Error),
    /// The answer broke off, or had no end within the limit.
    #[error("the answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// Asks for `path` and reads the whole answer; the connection is used up.
///
/// # Errors
///
/// [`GetError`] when no whole answer comes. Any status is an answer.
pub(crate) async fn get<'a, S>(
    stream: S,
    to: impl Into<To<'a>>,
    path: &str,
) -> Result<Answer, GetError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    ask(stream, to.into(), Request::get(path), Bytes::new()).await
}

/// Tells `path` something in JSON and reads the whole answer; the connection is
/// used up.
///
/// # Errors
///
/// As those of [`get`].
pub(crate) async fn post_json<'a, S>(
    stream: S,
    to: impl Into<To<'a>>,
    path: &str,
    json: Vec<u8>,
) -> Result<Answer, GetError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = Request::post(path).header(CONTENT_TYPE, "application/json");
    ask(stream, to.into(), request, json.into()).await
}

/// Asks something of any kind and reads the whole answer; the connection is used
/// up.
///
/// # Errors
///
/// As those of [`get`].
pub(crate) async fn ask<S>(
    stream: S,
    to: To<'_>,
    request: Builder,
    body: Bytes,
) -> Result<Answer, GetError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = request.header(HOST, to.host).header(CONNECTION, "close");
    if let Some(token) = to.token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Full::new(body))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async move {
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(GetError::Body)?
            .to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    // The exchange has what it needs once the answer is whole; how the
    // connection ends after that is of no interest.
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}
