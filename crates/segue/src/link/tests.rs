use proto::keyring::{FARM_KEY_BYTES, FarmKey};
use proto::time::Instant;
use proto::wire::link::LINK_FORMAT;

use super::*;

/// A node's links without the node: a task leaves for them what comes to the
/// socket.
pub(crate) struct Bare {
    links: Arc<Links>,
    pub(crate) address: SocketAddr,
    keys: watch::Sender<Keyring>,
    reads: tokio::task::JoinHandle<()>,
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.reads.abort();
        Arc::clone(&self.links).end_by_itself();
    }
}

fn ring(keys: &[u8]) -> Keyring {
    let keys = keys.iter().map(|&byte| FarmKey::new([byte; FARM_KEY_BYTES]));
    Keyring::new(keys.collect()).expect("their ids differ")
}

fn bare(name: &str, keys: &[u8]) -> Bare {
    serving(name, keys, Arc::new(Echo))
}

/// The same, with somebody else who serves.
pub(crate) fn serving(name: &str, keys: &[u8], service: Arc<dyn Serve>) -> Bare {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("any port");
    let address = socket.local_addr().expect("it has one");
    socket.set_nonblocking(true).expect("a socket can be");
    let read = socket.try_clone().expect("another handle");
    let (keys, of_links) = watch::channel(ring(keys));
    let incarnation = Incarnation(name.bytes().fold(1, |sum, byte| sum * 256 + u128::from(byte)));
    let identity = Identity { name: name.to_owned(), incarnation, keys: of_links };
    let (links, mut inlet) = Links::open(socket, identity).expect("there is a runtime");
    links.serve(service);
    let links = Arc::new(links);
    let reads = tokio::spawn(async move {
        let read = tokio::net::UdpSocket::from_std(read).expect("it does not block");
        let mut datagram = [0; 2_048];
        loop {
            let (len, from) = read.recv_from(&mut datagram).await.expect("it is open");
            inlet.leave(Instant::default(), from, &datagram[..len]);
            inlet.tell();
        }
    });
    Bare { links, address, keys, reads }
}

/// Says again what is said.
struct Echo;

impl Serve for Echo {
    fn serve(
        self: Arc<Self>,
        _: Purpose,
        (mut send, mut receive): (SendStream, RecvStream),
    ) -> Served {
        Box::pin(async move {
            let bytes = receive.read_to_end(1 << 20).await.map_err(|_| Broken)?;
            send.write_all(&bytes).await.map_err(|_| Broken)?;
            let _ = send.finish();
            Ok(())
        })
    }
}

async fn echo(link: &Link, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let (mut send, mut receive) = link.open(Purpose::Probe).await?;
    send.write_all(bytes).await?;
    let _ = send.finish();
    receive.read_to_end(1 << 20).await.map_err(io::Error::other)
}

/// Waits until the figures are as they should be.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = std::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(std::time::Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_know_each_other_and_talk() {
    let (a, b) = (bare("a", &[1]), bare("b", &[1]));
    let link = a.links.connect(b.address).await.expect("one key");
    assert_eq!(link.peer.name, "b");
    let long = vec![7; 1 << 20];
    assert_eq!(echo(&link, &long).await.expect("the link stands"), long);
    eventually("both count it", || {
        [&a, &b].iter().all(|end| {
            let figures = end.links.figures();
            (figures.live, figures.made, figures.refused) == (1, 1, 0)
                && figures.sent_bytes > 1 << 20
                && figures.received_bytes > 1 << 20
        })
    })
    .await;
    link.end(Code::Done);
    eventually("it ended at both", || [&a, &b].iter().all(|end| end.links.figures().live == 0))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_key_of_the_ring_proves_and_no_other() {
    let b = bare("b", &[1, 2]);
    for (key, proves) in [(1, true), (2, true), (3, false)] {
        let a = bare("a", &[key]);
        let link = a.links.connect(b.address).await;
        assert_eq!(link.is_ok(), proves, "key {key}: {link:?}");
        if let Ok(link) = &link {
            // It stands at the other end too.
            assert_eq!(echo(link, b"on").await.expect("it stands"), b"on");
        }
        if !proves {
            let error = link.expect_err("just said").to_string();
            assert!(error.contains("`farm.keys`"), "{error}");
            eventually("both count it", || {
                [&a, &b].iter().all(|end| end.links.figures().refused == 1)
            })
            .await;
            assert_eq!(a.links.figures().made, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_when_its_key_leaves_the_ring() {
    let (a, b) = (bare("a", &[1]), bare("b", &[1]));
    let link = a.links.connect(b.address).await.expect("one key");
    // It is published first, and then it seals: the link goes on.
    b.keys.send_replace(ring(&[2, 1]));
    assert_eq!(echo(&link, b"on").await.expect("the link stands"), b"on");
    b.keys.send_replace(ring(&[2]));
    let ended = link.held.0.closed().await;
    let rekeyed: VarInt = Code::Rekeyed.into();
    assert!(
        matches!(&ended, ConnectionError::ApplicationClosed(close) if close.error_code == rekeyed),
        "{ended:?}"
    );
    assert!(matches!(a.links.connect(b.address).await, Err(LinkError::Unproven { .. })));
}

/// An end that speaks the protocol below links, and has no key.
async fn stranger(address: SocketAddr) -> (Endpoint, Connection) {
    let mut endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).expect("any port");
    let tls::Configs { client, .. } = tls::configs().expect("they can be made");
    endpoint.set_default_client_config(client);
    let connection = endpoint.connect(address, "any").expect("it can be called").await;
    (endpoint, connection.expect("TLS asks for nothing"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_learns_nothing_and_is_let_go() {
    let b = bare("the-name-of-b", &[1]);
    // It says nothing, opens more than it may, or says too much.
    let (_silent, quiet) = stranger(b.address).await;
    let (_forger, forging) = stranger(b.address).await;
    let (mut send, mut receive) = forging.open_bi().await.expect("the first stream");
    let second = tokio::time::timeout(Duration::from_millis(200), forging.open_bi()).await;
    assert!(second.is_err(), "one stream is all that it may open");
    let unread =
        tokio::time::timeout(Duration::from_secs(20), send.write_all(&[LINK_FORMAT; 4_096])).await;
    let heard = receive.read_to_end(1 << 20).await;
    assert!(heard.as_ref().is_ok_and(Vec::is_empty) || heard.is_err(), "not one byte: {heard:?}");
    assert!(!matches!(unread, Ok(Ok(()))), "it does not take what it does not read");
    let unproven: VarInt = Code::Unproven.into();
    let reason = forging.closed().await;
    assert!(
        matches!(&reason, ConnectionError::ApplicationClosed(close)
            if close.error_code == unproven && close.reason.is_empty()),
        "{reason:?}"
    );
    // Its time is up some day, without a word from it.
    quiet.closed().await;
    assert_eq!(b.links.figures().refused, 2);
    let a = bare("a", &[1]);
    assert!(a.links.connect(b.address).await.is_ok(), "others are served as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_a_stranger_tells_it_nothing() {
    let tls::Configs { server, .. } = tls::configs().expect("they can be made");
    let endpoint = Endpoint::server(server, ([127, 0, 0, 1], 0).into()).expect("any port");
    let address = endpoint.local_addr().expect("it has one");
    let hears = tokio::spawn(async move {
        let incoming = endpoint.accept().await.expect("it is called");
        let connection = incoming.await.expect("TLS asks for nothing");
        let (mut send, mut receive) = connection.accept_bi().await.expect("the first stream");
        let mut heard = vec![0; proto::wire::link::CLAIM_BYTES];
        receive.read_exact(&mut heard).await.expect("it proves itself first");
        // What it said is sent back to it, and then a name.
        send.write_all(&heard).await.expect("it is there");
        let _ = send.write_all(&[1; 64]).await;
        let rest = receive.read_to_end(1 << 20).await;
        (heard, rest.is_err())
    });
    let a = bare("the-name-of-a", &[1]);
    let error = a.links.connect(address).await.expect_err("it has no key");
    assert!(matches!(error, LinkError::Unproven { .. }), "{error:?}");
    let (heard, is_all) = hears.await.expect("it heard");
    assert!(is_all, "nothing but a proof, whatever the answer to it is");
    assert!(!heard.windows(4).any(|bytes| b"the-name-of-a".windows(4).any(|name| name == bytes)));
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_callers_are_bounded_in_number() {
    let b = bare("b", &[1]);
    let strangers: Vec<_> = (0..80).map(|_| tokio::spawn(stranger_or_none(b.address))).collect();
    eventually("some are turned away", || b.links.figures().turned_away > 0).await;
    assert!(b.links.inner.tally.unproven.load(Ordering::Relaxed) <= 64);
    for stranger in strangers {
        stranger.abort();
    }
}

async fn stranger_or_none(address: SocketAddr) {
    let mut endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).expect("any port");
    let tls::Configs { client, .. } = tls::configs().expect("they can be made");
    endpoint.set_default_client_config(client);
    if let Ok(connection) = endpoint.connect(address, "any").expect("it can be called").await {
        connection.closed().await;
    }
}
