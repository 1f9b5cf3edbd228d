//! A client's stream, as rustls sees it during the handshake.
//!
//! It stands between rustls and the client twice: what was read of the hello
//! is read again, and once rustls has begun sessions, what it writes is kept
//! back until they have been written to the cache, as well as they can be. A
//! client thus is not ahead of its own ticket. Afterwards it is the stream
//! itself.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tls_rustls::Begun;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is kept back is the end of a handshake: some tickets of a few hundred
/// bytes each, or a Finished; and where the client is answered before that, the
/// rest of the answer. Whoever has more to write waits.
const MAX_KEPT_BYTES: usize = 64 * 1024;

/// Gives `read` again and then goes on with the stream; keeps back what is
/// written from when sessions begin until [`HandshakeStream::let_go`].
#[derive(Debug)]
pub(super) struct HandshakeStream<S> {
    read: Vec<u8>,
    /// How much of `read` was given.
    given: usize,
    /// Whether sessions have begun; `None` once nothing is kept back any more.
    begun: Option<Begun>,
    /// What is kept back: the end of the server's last flight.
    kept: Vec<u8>,
    /// How much of `kept` was written.
    written: usize,
    /// Who waits for room in `kept`.
    waiting: Option<Waker>,
    stream: S,
}

impl<S> HandshakeStream<S> {
    pub(super) const fn new(read: Vec<u8>, stream: S, begun: Begun) -> Self {
        let begun = Some(begun);
        Self { read, given: 0, begun, kept: Vec::new(), written: 0, waiting: None, stream }
    }

    pub(super) const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Lets go of what is kept back, from the next write or flush on: the
    /// sessions are in the farm.
    pub(super) fn let_go(&mut self) {
        self.begun = None;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    fn keeps_back(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| !self.kept.is_empty() || begun.any())
    }

    fn poll_keep(&mut self, cx: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let len = bytes.len().min(MAX_KEPT_BYTES - self.kept.len());
        if len == 0 && !bytes.is_empty() {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.kept.extend_from_slice(&bytes[..len]);
        Poll::Ready(Ok(len))
    }
}

impl<S: AsyncWrite + Unpin> HandshakeStream<S> {
    /// Writes what was kept back and is so no longer.
    fn poll_kept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.begun.is_none() && !self.kept.is_empty() {
            let rest = &self.kept[self.written..];
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
            if self.written == self.kept.len() {
                (self.kept, self.written) = (Vec::new(), 0);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HandshakeStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.given == self.read.len() {
            // Kept for as long as the connection lives, the bytes of a hello
            // would be most of its memory.
            self.read = Vec::new();
            self.given = 0;
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let rest = &self.read[self.given..];
        let len = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..len]);
        self.given += len;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HandshakeStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.keeps_back() {
            return self.poll_keep(cx, buf);
        }
        ready!(self.poll_kept(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.keeps_back() {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_keep(cx, first.map_or(&[], |buf| buf));
        }
        ready!(self.poll_kept(cx))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_kept(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// What is kept back goes first.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.keeps_back() {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        ready!(self.poll_kept(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    /// A stream whose sessions have begun.
    fn keeping(stream: DuplexStream) -> HandshakeStream<DuplexStream> {
        let mut keeping = HandshakeStream::new(Vec::new(), stream, Begun::default());
        keeping.kept = b"tickets ".to_vec();
        keeping
    }

    #[tokio::test]
    async fn what_is_kept_back_goes_before_what_follows() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut stream = keeping(near);
        stream.write_all(b"and an answer").await.unwrap();
        stream.flush().await.unwrap();
        stream.let_go();
        stream.write_all(b", to its end").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut written = String::new();
        far.read_to_string(&mut written).await.unwrap();
        assert_eq!(written, "tickets and an answer, to its end");
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_until_it_may_go() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut stream = keeping(near);
        let answer = vec![7; 2 * MAX_KEPT_BYTES];
        let kept = MAX_KEPT_BYTES - stream.kept.len();
        assert_eq!(stream.write(&answer).await.unwrap(), kept);
        assert!(at_once(stream.write(&answer[kept..])).is_none(), "it waits");
        stream.let_go();
        let write = async {
            stream.write_all(&answer[kept..]).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let mut written = Vec::new();
        let (_, read) = tokio::join!(write, far.read_to_end(&mut written));
        assert_eq!(read.unwrap(), "tickets ".len() + answer.len());
    }

    /// What a future comes to at once, if it does.
    fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn what_was_read_comes_before_what_follows() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"and what follows").await.unwrap();
        far.shutdown().await.unwrap();
        let read = b"what was read ".to_vec();
        let mut stream = HandshakeStream::new(read, near, Begun::default());
        let mut first = [0; 5];
        stream.read_exact(&mut first).await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&first, rest.as_str()), (b"what ", "was read and what follows"));
    }
}
