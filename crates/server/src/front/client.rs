//! One client, from its first byte to its last.
//!
//! The farm's part of the handshake is done around it: the session that the
//! client names is looked up first, without being consumed, and the sessions
//! that rustls begins are written before the client gets to know of them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::{AlertDescription, ServerConnection};
use segue::{Deadlines, Found, Key, Kind};
use tls_rustls::hello::{MAX_HELLO_BYTES, fatal_alert};
use tls_rustls::records::SecretTap;
use tls_rustls::{
    Attempt, Hello, HelloError, HelloReader, NewSession, Resumable, Scope, SessionId, Settled,
    Terminator, refuse_early_data,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::carried::{self, Ready, Shaken};
use super::early::{self, EarlyStream};
use super::figures::{EarlyRefusal, Failure, Handshake};
use super::handshake::HandshakeStream;
use super::pages::{self, Resumed, Session, Site};
use super::places::Place;
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

/// A client that has connected.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// Whether its connection is to be carried.
    pub(super) is_carried: bool,
    /// Its place among the front's connections.
    pub(super) place: Place,
}

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

/// A client that can be answered. Boxed, since it is moved from one future to
/// the next, and a future keeps room for each place that it was in.
enum Greeted<'a> {
    /// Its handshake is done.
    Whole(Client<'a>),
    /// Its early data is accepted, and the handshake goes on.
    Early(Box<EarlyClient<'a>>),
    /// Its handshake is done, and another goes on with it.
    Carried(Box<Ready>),
}

struct Client<'a> {
    stream: Box<TlsStream<HandshakeStream<TcpStream>>>,
    session: Box<Session<'a>>,
}

struct EarlyClient<'a> {
    stream: EarlyStream<TcpStream>,
    session: Box<Session<'a>>,
    attempt: Attempt,
    /// The address that it connected to.
    server: io::Result<SocketAddr>,
}

/// Serves the client of `stream`, and counts what comes of it.
pub(super) async fn serve(front: &Shared, arrived: Arrived, phase: Phase) {
    let Arrived { stream, peer, is_carried, place } = arrived;
    let deadline = Instant::now() + front.handshake_timeout;
    let greeted = timeout_at(deadline, greet(front, stream, is_carried)).await;
    match greeted.unwrap_or(Err(Refusal::Timeout)) {
        Ok(Greeted::Whole(Client { stream, session })) => {
            let server = stream.get_ref().0.get_ref().local_addr();
            let ends = server.map(|server| Ends { client: peer, server });
            answer(front, stream, (session, ends), phase, || std::future::ready(())).await;
        }
        // Seldom, and large: it takes no room in the futures of the others.
        Ok(Greeted::Early(client)) => {
            Box::pin(serve_early(front, *client, peer, phase, deadline)).await;
        }
        Ok(Greeted::Carried(ready)) => {
            if let Err(error) = carried::hand_over(front, *ready, peer, place) {
                front.failed(Failure::Closed, &peer, &error);
            }
        }
        Err(refusal) => front.failed(refusal.failure(), &peer, &refusal),
    }
}

/// Answers a client while its handshake is still going on.
async fn serve_early(
    front: &Shared,
    client: EarlyClient<'_>,
    peer: SocketAddr,
    phase: Phase,
    deadline: Instant,
) {
    let EarlyClient { stream, session, attempt, server } = client;
    let settling = async {
        let settled = timeout_at(deadline, settle_early(front, &stream, attempt)).await;
        match settled.unwrap_or(Err(Refusal::Timeout)) {
            Ok(()) => {
                // How the client takes the rest is between it and who answers.
                let _ = stream.clone().flush().await;
            }
            Err(refusal) => {
                stream.abort();
                front.failed(refusal.failure(), &peer, &refusal);
                // Who answers notices.
                tokio::task::yield_now().await;
            }
        }
    };
    let ends = server.map(|server| Ends { client: peer, server });
    let whole = || async {
        // What is answered to a client whose handshake failed, nobody reads.
        let _ = stream.handshaken().await;
    };
    let answering = answer(front, stream.clone(), (session, ends), phase, whole);
    tokio::join!(settling, answering);
}

/// Ends the handshake of a client that is answered already.
async fn settle_early(
    front: &Shared,
    stream: &EarlyStream<TcpStream>,
    attempt: Attempt,
) -> Result<(), Refusal> {
    let kind = stream.handshaken().await?;
    if let Some(tap) = attempt.tap() {
        // A client that is answered already is served to its end here.
        tap.forget();
    }
    settle(front, &attempt.settle(kind, front.cache.now())).await;
    stream.let_go();
    Ok(())
}

/// Reads the hello and does the handshake; one timer bounds both.
async fn greet(
    front: &Shared,
    mut stream: TcpStream,
    is_carried: bool,
) -> Result<Greeted<'_>, Refusal> {
    // Handshake flights are small, and each is waited for.
    stream.set_nodelay(true)?;
    match read_hello(&mut stream).await {
        Ok(read) => shake_hands(front, read, stream, is_carried).await,
        Err(refusal) => {
            if let Refusal::Hello(error) = &refusal {
                // How a refused client takes it does not matter.
                let _ = timeout(LINGER, refuse(&mut stream, error.alert())).await;
            }
            Err(refusal)
        }
    }
}

/// What a client has sent at first.
struct Read {
    hello: Hello,
    /// How many of the bytes are the hello's.
    hello_len: usize,
    bytes: Vec<u8>,
}

/// Reads the ClientHello.
async fn read_hello(stream: &mut TcpStream) -> Result<Read, Refusal> {
    let mut reader = HelloReader::default();
    reader.buffer().reserve(USUAL_HELLO_BYTES);
    loop {
        if stream.read_buf(reader.buffer()).await? == 0 {
            return Err(Refusal::Closed);
        }
        if let Some(hello) = reader.poll()? {
            let hello_len = reader.hello_len();
            return Ok(Read { hello, hello_len, bytes: reader.into_bytes() });
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

async fn shake_hands(
    front: &Shared,
    read: Read,
    stream: TcpStream,
    is_carried: bool,
) -> Result<Greeted<'_>, Refusal> {
    let Read { hello, hello_len, bytes } = read;
    let terminator = front.terminator();
    let scope = terminator.scope(&hello);
    let resumable = find_session(front, &terminator, hello.candidates(), scope).await;
    let attempt_with = |resumable| {
        let attempt = terminator.attempt(scope, resumable);
        if is_carried { attempt } else { attempt.uncarried() }
    };
    let mut attempt = attempt_with(resumable);
    if hello.offers_early_data() {
        match early::claim(&front.cache, &attempt, &bytes[..hello_len]).await {
            Ok(connection) => {
                front.counters.early_data_accepted();
                let after = bytes[hello_len..].to_vec();
                let connection = (connection, after);
                return Ok(Greeted::Early(Box::new(begin_early(
                    front, attempt, connection, stream,
                ))));
            }
            Err(cause) => {
                front.counters.early_data_refused(cause);
                if cause == EarlyRefusal::Claimed {
                    attempt = attempt_with(None);
                }
            }
        }
    }
    if let Some(tap) = attempt.tap() {
        let shaken = Shaken::shake(&attempt, &bytes, stream).await?;
        return go_on(front, (attempt, tap), shaken).await;
    }
    let stream = HandshakeStream::new(bytes, stream, attempt.begun());
    let acceptor = TlsAcceptor::from(attempt.config());
    let mut stream = Box::new(Box::pin(acceptor.accept_with(stream, refuse_early_data)).await?);
    let connection = stream.get_ref().1;
    let kind = connection.handshake_kind().expect("a finished handshake is of some kind");
    let settled = attempt.settle(kind, front.cache.now());
    let resumed = settled.resumed.then_some(Resumed { early_data: false });
    let session = Box::new(Session::new(&front.node, connection, resumed, &settled.origin));
    settle(front, &settled).await;
    stream.get_mut().0.let_go();
    stream.flush().await?;
    Ok(Greeted::Whole(Client { session, stream }))
}

/// Goes on with a client whose connection is to be carried, as far as it can be.
async fn go_on<'a>(
    front: &'a Shared,
    (attempt, tap): (Attempt, SecretTap),
    shaken: Shaken,
) -> Result<Greeted<'a>, Refusal> {
    let acceptor = TlsAcceptor::from(attempt.config());
    let kind = shaken.connection.handshake_kind().expect("a finished handshake is of some kind");
    let settled = attempt.settle(kind, front.cache.now());
    settle(front, &settled).await;
    let takes = front.carrying.as_ref().is_some_and(|carrying| carrying.carrier.takes());
    if takes && shaken.fits() {
        return Ok(Greeted::Carried(Box::new(shaken.take(&tap).await?)));
    }
    let resumed = settled.resumed.then_some(Resumed { early_data: false });
    let session = Box::new(Session::new(&front.node, &shaken.connection, resumed, &settled.origin));
    let stream = Box::new(Box::pin(shaken.keep(acceptor, &tap)).await?);
    Ok(Greeted::Whole(Client { session, stream }))
}

/// A client whose early data is accepted.
fn begin_early(
    front: &Shared,
    attempt: Attempt,
    (connection, after): (ServerConnection, Vec<u8>),
    stream: TcpStream,
) -> EarlyClient<'_> {
    let server = stream.local_addr();
    let origin = attempt.origin().expect("early data comes with a session that is resumed");
    let resumed = Some(Resumed { early_data: true });
    let session = Box::new(Session::new(&front.node, &connection, resumed, origin));
    let stream = HandshakeStream::new(after, stream, attempt.begun());
    let stream = EarlyStream::new(attempt.config(), connection, stream);
    EarlyClient { stream, session, attempt, server }
}

/// Writes the sessions that a handshake began, and counts it. The client gets to
/// know of them afterwards, so that it is not ahead of its own ticket.
async fn settle(front: &Shared, settled: &Settled) {
    if timeout(STORE_PATIENCE, store(front, &settled.sessions)).await.is_err() {
        front.unstored(&"nobody has acknowledged it in time");
    }
    front.counters.handshake(if !settled.resumed {
        Handshake::Full
    } else if settled.origin.node == front.node {
        Handshake::ResumedLocal
    } else {
        Handshake::ResumedRemote
    });
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
pub(super) fn key(id: SessionId) -> Key {
    Key::new(Kind::Tls, id.as_bytes()).expect("a session id is short enough for a record")
}

/// Serves what the client asks for; what is not to be done before its handshake
/// waits until that is `whole`.
async fn answer<S, W>(
    front: &Shared,
    stream: S,
    (session, ends): (Box<Session<'_>>, io::Result<Ends>),
    phase: Phase,
    whole: impl Fn() -> W,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    W: Future<Output = ()>,
{
    let Some(backend) = &front.backend else {
        let client = ends.ok().map(|ends| ends.client.ip());
        let site = Site { pages: &front.pages, session, client };
        // A client may end its connection as it likes.
        let _ = pages::serve(stream, site, || front.cache.now(), phase.draining(), whole).await;
        return;
    };
    let header = if front.proxy_protocol {
        // Without an address of ours the client is gone.
        let Ok(ends) = ends else { return };
        relay::proxy_header(ends)
    } else {
        Vec::new()
    };
    if let Err(error) = relay::relay(stream, backend, &header).await {
        front.failed(Failure::Backend, backend, &error);
    }
}
