//! One client, from its first byte to its last.
//!
//! The farm's part of the handshake is done around it: the session that the
//! client names is looked up first, without being consumed, and the sessions
//! that rustls begins are written before the client gets to know of them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::AlertDescription;
use segue::{Deadlines, Found, Key, Kind};
use tls_rustls::hello::{MAX_HELLO_BYTES, fatal_alert};
use tls_rustls::{
    Hello, HelloError, HelloReader, NewSession, Resumable, Scope, SessionId, Terminator,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::figures::{Failure, Handshake};
use super::handshake::HandshakeStream;
use super::pages::{self, Session};
use super::relay::{self, Ends};
use super::{Phase, Shared};

/// What is read at first: most hellos are shorter, also those with a
/// post-quantum key share (RFC 8446, section 4.1.2; 1,216 bytes of
/// X25519MLKEM768).
const USUAL_HELLO_BYTES: usize = 2048;

/// How long a refused client is read from, so that its unread bytes do not
/// make the kernel take back the alert.
const LINGER: Duration = Duration::from_secs(1);

/// How long a client waits for its sessions to be acknowledged as configured:
/// it can do without, and at the last node of a farm nobody acknowledges.
const STORE_PATIENCE: Duration = Duration::from_millis(250);

/// Why a client got no handshake.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error("it took too long")]
    Timeout,
    #[error("it went away")]
    Closed,
    #[error("{0}")]
    Handshake(io::Error),
}

impl Refusal {
    const fn failure(&self) -> Failure {
        match self {
            Self::Hello(_) => Failure::Hello,
            Self::Timeout => Failure::Timeout,
            Self::Closed => Failure::Closed,
            Self::Handshake(_) => Failure::Handshake,
        }
    }
}

impl From<io::Error> for Refusal {
    /// What rustls refuses comes as invalid data; the rest is the client's
    /// connection ending.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::InvalidData {
            Self::Handshake(error)
        } else {
            Self::Closed
        }
    }
}

/// A client whose handshake is done. Boxed, since it is moved from one future
/// to the next, and a future keeps room for each place that it was in.
struct Client<'a> {
    stream: Box<TlsStream<HandshakeStream<TcpStream>>>,
    session: Box<Session<'a>>,
}

/// Serves the client of `stream`, and counts what comes of it.
pub(super) async fn serve(front: &Shared, stream: TcpStream, peer: SocketAddr, phase: Phase) {
    let greeted = timeout(front.handshake_timeout, greet(front, stream)).await;
    match greeted.unwrap_or(Err(Refusal::Timeout)) {
        Ok(client) => answer(front, client, peer, phase).await,
        Err(refusal) => front.failed(refusal.failure(), &peer, &refusal),
    }
}

/// Reads the hello and does the handshake; one timer bounds both.
async fn greet(front: &Shared, mut stream: TcpStream) -> Result<Client<'_>, Refusal> {
    // Handshake flights are small, and each is waited for.
    stream.set_nodelay(true)?;
    let hello = read_hello(&mut stream).await;
    match hello {
        Ok((hello, bytes)) => shake_hands(front, &hello, bytes, stream).await,
        Err(refusal) => {
            if let Refusal::Hello(error) = &refusal {
                // How a refused client takes it does not matter.
                let _ = timeout(LINGER, refuse(&mut stream, error.alert())).await;
            }
            Err(refusal)
        }
    }
}

/// Reads the ClientHello, and gives it with all that was read.
async fn read_hello(stream: &mut TcpStream) -> Result<(Hello, Vec<u8>), Refusal> {
    let mut reader = HelloReader::default();
    reader.buffer().reserve(USUAL_HELLO_BYTES);
    loop {
        if stream.read_buf(reader.buffer()).await? == 0 {
            return Err(Refusal::Closed);
        }
        if let Some(hello) = reader.poll()? {
            return Ok((hello, reader.into_bytes()));
        }
    }
}

/// Says why with an alert, and waits for the client to have it.
async fn refuse(stream: &mut TcpStream, alert: AlertDescription) -> io::Result<()> {
    stream.write_all(&fatal_alert(alert)).await?;
    stream.shutdown().await?;
    let mut rest = stream.take(MAX_HELLO_BYTES as u64);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}

async fn shake_hands<'a>(
    front: &'a Shared,
    hello: &Hello,
    read: Vec<u8>,
    stream: TcpStream,
) -> Result<Client<'a>, Refusal> {
    let terminator = front.terminator();
    let scope = terminator.scope(hello);
    let resumable = find_session(front, &terminator, hello.candidates(), scope).await;
    let attempt = terminator.attempt(scope, resumable);
    let stream = HandshakeStream::new(read, stream, attempt.begun());
    let accepting = Box::pin(TlsAcceptor::from(attempt.config()).accept(stream));
    let mut stream = Box::new(accepting.await?);
    let connection = stream.get_ref().1;
    let kind = connection.handshake_kind().expect("a finished handshake is of some kind");
    let settled = attempt.settle(kind, front.cache.now());
    let session = Session::new(&front.node, connection, &settled);
    // In this order, so that the client is not ahead of its own ticket.
    if timeout(STORE_PATIENCE, store(front, &settled.sessions)).await.is_err() {
        front.unstored(&"nobody has acknowledged it in time");
    }
    stream.get_mut().0.release().await?;
    front.counters.handshake(if !settled.resumed {
        Handshake::Full
    } else if settled.origin.node == front.node {
        Handshake::ResumedLocal
    } else {
        Handshake::ResumedRemote
    });
    Ok(Client { session: Box::new(session), stream })
}

/// The first of the sessions that is in the farm and may be resumed here: one
/// that this node holds, else one of another's. Others are asked for all of
/// them together. That is for four ids at the most, once in a connection: the
/// hello gives no more, and what a client says afterwards is looked up nowhere.
async fn find_session(
    front: &Shared,
    terminator: &Terminator,
    candidates: &[SessionId],
    scope: Scope<'_>,
) -> Option<Resumable> {
    let judge = |id, found: Option<Found>| {
        let judged = terminator.recognise(scope, id, &found?.value, front.cache.now());
        judged.inspect_err(|&miss| front.counters.miss(miss)).ok()
    };
    let held = |id: &SessionId| (*id, front.cache.peek(&key(*id)));
    let (here, missed): (Vec<_>, Vec<_>) =
        candidates.iter().map(held).partition(|(_, found)| found.is_some());
    if let Some(resumable) = here.into_iter().find_map(|(id, found)| judge(id, found)) {
        return Some(resumable);
    }
    if let [(id, _)] = missed[..] {
        return judge(id, front.cache.get(&key(id)).await);
    }
    let look_up = |(id, _)| {
        let cache = front.cache.clone();
        (id, tokio::spawn(async move { cache.get(&key(id)).await }))
    };
    let asked: Vec<_> = missed.into_iter().map(look_up).collect();
    for (id, found) in asked {
        // A look-up that panicked has found nothing.
        if let Some(resumable) = judge(id, found.await.ok().flatten()) {
            return Some(resumable);
        }
    }
    None
}

/// Writes the sessions that a handshake began to the farm. One that cannot be
/// written costs its client a full handshake later, and nothing else.
async fn store(front: &Shared, sessions: &[NewSession]) {
    for session in sessions {
        let (key, ends) = (key(session.id), Deadlines::at(session.ends));
        if let Err(error) = front.cache.put(&key, &session.record, ends, front.ack).await {
            front.unstored(&error);
        }
    }
}

/// The key of a session's record.
fn key(id: SessionId) -> Key {
    Key::new(Kind::Tls, id.as_bytes()).expect("a session id is short enough for a record")
}

/// Serves what the client asks for.
async fn answer(front: &Shared, client: Client<'_>, peer: SocketAddr, phase: Phase) {
    let Client { stream, session } = client;
    let Some(backend) = &front.backend else {
        // A client may end its connection as it likes.
        let _ = pages::serve(stream, session, &front.cache, phase.draining()).await;
        return;
    };
    let header = if front.proxy_protocol {
        // Without an address of ours the client is gone.
        let Ok(server) = stream.get_ref().0.get_ref().local_addr() else { return };
        relay::proxy_header(Ends { client: peer, server })
    } else {
        Vec::new()
    };
    if let Err(error) = relay::relay(stream, backend, &header).await {
        front.failed(Failure::Backend, backend, &error);
    }
}
