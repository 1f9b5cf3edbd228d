//! A client that sends data before the handshake (0-RTT).
//!
//! Whether its early data is accepted is decided here: rustls has to accept it,
//! and the ticket has to be claimed in the farm before anything is answered. An
//! [`EarlyStream`] is then the plain stream from the first byte on: it gives the
//! early data and takes answers to it while the handshake is still going on.
//! Who settles the handshake and who answers the client share it, in one task.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use segue::{Cache, Claim, Wall};
use tls_rustls::Attempt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::client::key;
use super::figures::EarlyRefusal;
use super::handshake::HandshakeStream;

/// Has rustls look at the records of a hello, and claims the ticket if it would
/// accept the client's early data. Nothing was written or read beyond the hello
/// until this gives a connection.
pub(super) async fn claim(
    cache: &Cache,
    attempt: &Attempt,
    hello: &[u8],
) -> Result<ServerConnection, EarlyRefusal> {
    let early = attempt.early(hello).ok_or(EarlyRefusal::Unfit)?;
    if attempt.origin().is_none_or(|origin| is_ahead(origin.at, cache.now())) {
        return Err(EarlyRefusal::Clock);
    }
    match cache.claim(early.issuer, &key(early.ticket)).await {
        Claim::Granted => Ok(early.connection),
        Claim::Taken => Err(EarlyRefusal::Claimed),
        Claim::Unable => Err(EarlyRefusal::Unable),
        Claim::Unreachable => Err(EarlyRefusal::Unreachable),
    }
}

/// By how much the clocks of two nodes may differ for early data to be accepted.
///
/// A claim is kept for 25 hours, and a ticket ends at most 24 hours after a time
/// that the clock of a node gave. Each node accepts a ticket's early data from
/// half an hour before that time at the earliest, by its own clock, so none may
/// do so when the claim is forgotten, unless its clock is half an hour behind
/// that of the one that was first.
const CLOCKS_DIFFER: Duration = Duration::from_secs(30 * 60);

/// Whether what is said to have happened `at` a time has not, by far, `now`.
fn is_ahead(at: Wall, now: Wall) -> bool {
    at > now + CLOCKS_DIFFER
}

/// The plain stream of a client whose early data was accepted.
///
/// Its handles are for one task: what one of them brings forward, the others are
/// woken for by that task's waker.
pub(super) struct EarlyStream<S>(Arc<Mutex<Inner<S>>>);

struct Inner<S> {
    config: Arc<ServerConfig>,
    state: State<S>,
    /// Early data that was not given yet: rustls bounds it.
    early: Vec<u8>,
    /// How much of it was given.
    given: usize,
}

enum State<S> {
    Handshaking(Box<ServerConnection>, HandshakeStream<S>),
    /// The handshake is done, and its end is being written.
    Ending(Box<Accept<HandshakeStream<S>>>),
    Open(Box<TlsStream<HandshakeStream<S>>>),
    Broken,
}

impl<S> Clone for EarlyStream<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> EarlyStream<S> {
    /// The stream of a connection that was claimed; `stream` gives what follows
    /// the hello.
    pub(super) fn new(
        config: Arc<ServerConfig>,
        connection: ServerConnection,
        stream: HandshakeStream<S>,
    ) -> Self {
        let state = State::Handshaking(Box::new(connection), stream);
        Self(Arc::new(Mutex::new(Inner { config, state, early: Vec::new(), given: 0 })))
    }

    /// Goes on with the handshake until it is done.
    ///
    /// # Errors
    ///
    /// What it fails with; the stream is broken then.
    pub(super) async fn handshaken(&self) -> io::Result<HandshakeKind> {
        poll_fn(|cx| {
            let mut inner = self.0.lock();
            let stream = ready!(inner.poll_open(cx))?;
            let kind = stream.get_ref().1.handshake_kind();
            Poll::Ready(Ok(kind.expect("a finished handshake is of some kind")))
        })
        .await
    }

    /// Sends the tickets, which were kept back.
    pub(super) fn let_go(&self) {
        if let State::Open(stream) = &mut self.0.lock().state {
            stream.get_mut().0.let_go();
        }
    }

    /// Breaks the stream, so that what follows is no orderly end.
    pub(super) fn abort(&self) {
        self.0.lock().state = State::Broken;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    /// Goes on with the handshake, and gives the stream when it is done.
    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<&mut TlsStream<HandshakeStream<S>>>> {
        let step = self.poll_step(cx);
        if let Poll::Ready(Err(error)) = step {
            self.state = State::Broken;
            cx.waker().wake_by_ref();
            return Poll::Ready(Err(error));
        }
        ready!(step)?;
        let State::Open(stream) = &mut self.state else { unreachable!("it was just reached") };
        Poll::Ready(Ok(stream))
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { config, state, early, .. } = self;
        if let State::Handshaking(connection, stream) = state {
            let before = early.len();
            let done = poll_handshake(connection, stream, early, cx);
            if early.len() > before {
                cx.waker().wake_by_ref();
            }
            ready!(done)?;
            if let State::Handshaking(connection, stream) = std::mem::replace(state, State::Broken)
            {
                let acceptor = TlsAcceptor::from(Arc::clone(config));
                let accept = acceptor.accept_with(stream, |fresh| *fresh = *connection);
                *state = State::Ending(Box::new(accept));
            }
        }
        if let State::Ending(accept) = state {
            let stream = ready!(Pin::new(accept.as_mut()).poll(cx))?;
            *state = State::Open(Box::new(stream));
            cx.waker().wake_by_ref();
        }
        match state {
            State::Open(_) => Poll::Ready(Ok(())),
            State::Handshaking(..) | State::Ending(_) | State::Broken => {
                Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for EarlyStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        let inner = &mut *inner;
        loop {
            let rest = &inner.early[inner.given..];
            if !rest.is_empty() {
                let len = rest.len().min(buf.remaining());
                buf.put_slice(&rest[..len]);
                inner.given += len;
                return Poll::Ready(Ok(()));
            }
            (inner.early, inner.given) = (Vec::new(), 0);
            let open = inner.poll_open(cx).map_ok(drop);
            if inner.early.is_empty() {
                ready!(open)?;
                let stream = ready!(inner.poll_open(cx))?;
                return Pin::new(stream).poll_read(cx, buf);
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for EarlyStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        if let State::Handshaking(connection, stream) = &mut inner.state {
            let written = connection.writer().write(buf)?;
            let sent = poll_send(connection, stream, cx)?;
            return if written == 0 && !buf.is_empty() && sent.is_pending() {
                Poll::Pending
            } else {
                Poll::Ready(Ok(written))
            };
        }
        Pin::new(ready!(inner.poll_open(cx))?).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        if let State::Handshaking(connection, stream) = &mut inner.state {
            ready!(poll_send(connection, stream, cx))?;
            return Pin::new(stream).poll_flush(cx);
        }
        Pin::new(ready!(inner.poll_open(cx))?).poll_flush(cx)
    }

    /// The handshake is ended first: what follows a close_notify is not read.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        Pin::new(ready!(inner.poll_open(cx))?).poll_shutdown(cx)
    }
}

/// Goes on with a handshake until it is done; appends the early data that comes
/// meanwhile to `early`.
fn poll_handshake<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut ServerConnection,
    stream: &mut HandshakeStream<S>,
    early: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        let sent = poll_send(connection, stream, cx)?;
        if !connection.is_handshaking() {
            return Poll::Ready(Ok(()));
        }
        if sent.is_ready() {
            // A client whose data is waited for has to have our answer.
            let _ = Pin::new(&mut *stream).poll_flush(cx)?;
        }
        match connection.read_tls(&mut Polled { stream, cx }) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }
        if let Err(error) = connection.process_new_packets() {
            // The alert that says so, if it can go at once.
            let _ = poll_send(connection, stream, cx);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        if let Some(mut accepted) = connection.early_data() {
            accepted.read_to_end(early)?;
        }
    }
}

/// Writes what rustls has to write.
fn poll_send<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut ServerConnection,
    stream: &mut HandshakeStream<S>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while connection.wants_write() {
        match connection.write_tls(&mut Polled { stream, cx }) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}

/// A stream as rustls reads and writes it.
struct Polled<'a, 'b, S> {
    stream: &'a mut HandshakeStream<S>,
    cx: &'a mut Context<'b>,
}

impl<S: AsyncRead + Unpin> Read for Polled<'_, '_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        match Pin::new(&mut *self.stream).poll_read(self.cx, &mut buf) {
            Poll::Ready(read) => read.map(|()| buf.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: AsyncWrite + Unpin> Write for Polled<'_, '_, S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.stream).poll_write(self.cx, buf) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match Pin::new(&mut *self.stream).poll_flush(self.cx) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first claim that is granted lasts for as long as anybody may ask for
    /// another, whatever the clock of the node said that gave the ticket.
    #[test]
    fn no_ticket_outlives_the_claim_to_it() {
        const TICKET: Duration = Duration::from_secs(24 * 60 * 60);
        let now = Wall::from_millis(1_700_000_000_000);
        for (ahead, accepted) in [(0, true), (30 * 60, true), (30 * 60 + 1, false), (86_400, false)]
        {
            let at = now + Duration::from_secs(ahead);
            assert_eq!(is_ahead(at, now), !accepted, "{ahead} s ahead");
            if accepted {
                let ends = at + TICKET;
                // By the clock of who is as much behind as is allowed for.
                let last = ends + CLOCKS_DIFFER;
                assert!(last.saturating_since(now) <= proto::claims::KEPT);
            }
        }
    }
}
