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

/// Connects to `backend` and passes both directions of a client without TLS until
/// both have ended, or until `end`. A stream without TLS that is cut short has to
/// be reset to look so.
///
/// # Errors
///
/// When the backend cannot be reached.
pub(super) async fn relay_plain(
    mut client: TcpStream,
    backend: &Backend,
    end: impl Future<Output = ()>,
) -> io::Result<()> {
    let passing = async {
        client.set_nodelay(true)?;
        let mut upstream = connect(backend).await?;
        let passed = tokio::select! {
            passed = pass(&mut client, &mut upstream, &[]) => passed,
            () = end => Err(io::ErrorKind::ConnectionAborted.into()),
        };
        if passed.is_err() {
            upstream.reset();
        }
        Ok(passed.is_ok())
    };
    let passed = passing.await;
    if !matches!(passed, Ok(true)) {
        client.reset();
    }
    passed.map(drop)
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
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// A client's two sockets: its own, and the one that it is served at.
    async fn client() -> [TcpStream; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let client = TcpStream::connect(listener.local_addr().expect("it is bound")).await;
        let (served, _) = listener.accept().await.expect("one has connected");
        [client.expect("somebody listens"), served]
    }

    #[tokio::test]
    async fn a_plain_stream_ends_as_its_other_side_does() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Backend::Tcp(listener.local_addr().unwrap().to_string());
        for cut_short in [false, true] {
            let [mut client, served] = client().await;
            let relaying = relay_plain(served, &backend, std::future::pending());
            let talking = async {
                let (mut far, _) = listener.accept().await.unwrap();
                client.write_all(b"asked").await.unwrap();
                let mut asked = [0; 5];
                far.read_exact(&mut asked).await.unwrap();
                far.write_all(b"answered").await.unwrap();
                let mut answered = [0; 8];
                client.read_exact(&mut answered).await.unwrap();
                if cut_short {
                    far.set_zero_linger().unwrap();
                }
                drop(far);
                let end = client.read(&mut [0; 1]).await.map_err(|error| error.kind());
                client.shutdown().await.ok();
                (asked, answered, end)
            };
            let (relayed, (asked, answered, end)) = tokio::join!(relaying, talking);
            relayed.unwrap();
            assert_eq!((&asked, &answered), (b"asked", b"answered"));
            let expected = if cut_short { Err(io::ErrorKind::ConnectionReset) } else { Ok(0) };
            assert_eq!(end, expected);
        }
    }

    #[tokio::test]
    async fn a_plain_stream_that_is_given_up_is_no_complete_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Backend::Tcp(listener.local_addr().unwrap().to_string());
        let [mut client, served] = client().await;
        let accepted = async { drop(listener.accept().await.unwrap()) };
        relay_plain(served, &backend, accepted).await.unwrap();
        let end = client.read(&mut [0; 1]).await.map_err(|error| error.kind());
        assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
    }

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
