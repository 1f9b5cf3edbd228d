//! A client's stream, as rustls sees it during the handshake.
//!
//! It stands between rustls and the client twice: what was read of the hello
//! is read again, and once rustls has begun sessions, what it writes is kept
//! back until they have been written to the cache, as well as they can be. A
//! client thus is not ahead of its own ticket. Afterwards it is the stream
//! itself.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tls_rustls::Begun;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// What is kept back is the end of a handshake: some tickets of a few hundred
/// bytes each, or a Finished. A handshake that has more of it fails.
const MAX_KEPT_BYTES: usize = 64 * 1024;

/// Gives `read` again and then goes on with the stream; keeps back what is
/// written from when sessions begin until [`HandshakeStream::release`].
#[derive(Debug)]
pub(super) struct HandshakeStream<S> {
    read: Vec<u8>,
    /// How much of `read` was given.
    given: usize,
    /// Whether sessions have begun; `None` once nothing is kept back any more.
    begun: Option<Begun>,
    /// What is kept back: the end of the server's last flight.
    kept: Vec<u8>,
    stream: S,
}

impl<S> HandshakeStream<S> {
    pub(super) const fn new(read: Vec<u8>, stream: S, begun: Begun) -> Self {
        Self { read, given: 0, begun: Some(begun), kept: Vec::new(), stream }
    }

    pub(super) const fn get_ref(&self) -> &S {
        &self.stream
    }

    fn keeps_back(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| !self.kept.is_empty() || begun.any())
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.kept.len() + bytes.len() > MAX_KEPT_BYTES {
            return Err(io::Error::other("a handshake that does not end"));
        }
        self.kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl<S: AsyncWrite + Unpin> HandshakeStream<S> {
    /// Lets go of what was kept back: the sessions are in the farm.
    pub(super) async fn release(&mut self) -> io::Result<()> {
        self.begun = None;
        let kept = std::mem::take(&mut self.kept);
        if kept.is_empty() {
            return Ok(());
        }
        self.stream.write_all(&kept).await?;
        self.stream.flush().await
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
            return Poll::Ready(self.keep(buf));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.keeps_back() {
            return Poll::Ready(bufs.iter().map(|buf| self.keep(buf)).sum());
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

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
