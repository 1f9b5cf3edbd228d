//! Passing the plain stream to the backend and back.
//!
//! What one side ends, the other side sees ended: a client's close_notify
//! becomes the backend's FIN, the backend's FIN a close_notify, and the other
//! direction goes on. What breaks on one side breaks on the other: a stream
//! that was cut short never looks complete.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ppp::v2::{Builder, Command, Protocol, Version};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::config::Backend;

/// How long the backend may take to accept: a dead one answers never.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What is read from one side before it is written to the other: a TLS
/// record's content. The slower side so stops the faster one.
const BUFFER_BYTES: usize = 16 * 1024;

/// The two ends of a client's connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) client: SocketAddr,
    /// The address that the client connected to.
    pub(super) server: SocketAddr,
}

/// Connects to `backend` and passes both directions until both have ended,
/// led by `header`. The client's stream is closed in any case.
///
/// # Errors
///
/// When the backend cannot be reached. How the streams end later is between
/// the two sides.
pub(super) async fn relay<C>(mut client: C, backend: &Backend, header: &[u8]) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    match connect(backend).await {
        Ok(mut upstream) => {
            if pass(&mut client, &mut upstream, header).await.is_err() {
                upstream.reset();
            }
            Ok(())
        }
        Err(error) => {
            let _ = client.shutdown().await;
            Err(error)
        }
    }
}

/// The header that tells the backend who connected (PROXY protocol, version
/// 2): what it sees itself is this front.
pub(super) fn proxy_header(ends: Ends) -> Vec<u8> {
    // A client of an IPv6 socket may be an IPv4 one.
    let canonical =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let addresses = (canonical(ends.client), canonical(ends.server));
    Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Stream, addresses)
        .build()
        .expect("two addresses fit a header")
}

/// A connection to the backend.
trait Upstream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Makes the connection end, when it is dropped, in a way that the backend
    /// can tell from the end of a stream.
    fn reset(&self);
}

impl Upstream for TcpStream {
    fn reset(&self) {
        let _ = self.set_zero_linger();
    }
}

impl Upstream for UnixStream {
    /// A unix socket has no such way.
    fn reset(&self) {}
}

async fn connect(backend: &Backend) -> io::Result<Box<dyn Upstream>> {
    let connecting = async {
        Ok::<Box<dyn Upstream>, io::Error>(match backend {
            Backend::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                // What the client sends in small pieces is to arrive so.
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Backend::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    };
    timeout(CONNECT_TIMEOUT, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn pass<C, B>(client: &mut C, backend: &mut B, header: &[u8]) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    backend.write_all(header).await?;
    copy_bidirectional_with_sizes(client, backend, BUFFER_BYTES, BUFFER_BYTES).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_both_addresses() {
        let ends = Ends {
            client: "[::ffff:192.0.2.7]:4000".parse().unwrap(),
            server: "[::ffff:192.0.2.1]:443".parse().unwrap(),
        };
        let header = proxy_header(ends);
        let parsed = ppp::v2::Header::try_from(header.as_slice()).unwrap();
        let expected = (
            "192.0.2.7:4000".parse::<SocketAddr>().unwrap(),
            "192.0.2.1:443".parse::<SocketAddr>().unwrap(),
        );
        assert_eq!(parsed.addresses, expected.into());
    }
}
