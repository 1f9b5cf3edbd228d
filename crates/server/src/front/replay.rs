//! A stream some of whose first bytes have been read already.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Gives `read` again, then goes on with the stream itself. Writing is
/// unchanged.
#[derive(Debug)]
pub(super) struct Replay<S> {
    read: Vec<u8>,
    /// How much of `read` was given.
    given: usize,
    stream: S,
}

impl<S> Replay<S> {
    pub(super) const fn new(read: Vec<u8>, stream: S) -> Self {
        Self { read, given: 0, stream }
    }

    pub(super) const fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Replay<S> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Replay<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_was_read_comes_before_what_follows() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"and what follows").await.unwrap();
        far.shutdown().await.unwrap();
        let mut replay = Replay::new(b"what was read ".to_vec(), near);
        let mut first = [0; 5];
        replay.read_exact(&mut first).await.unwrap();
        let mut rest = String::new();
        replay.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&first, rest.as_str()), (b"what ", "was read and what follows"));
    }
}
