//! A real client, and a carrier that relays in threads by the records that it was
//! handed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream as Stream};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use parking_lot::Mutex;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivatePkcs8KeyDer;
use segue::Node;
use tls_rustls::Identity;
use tls_rustls::records::MAX_OPEN_BYTES;

use super::super::{Backend, Config, Front};
use super::*;
use crate::connections::{Carry, Figures};

/// A line that ends the backend's stream.
const QUIT: &str = "quit\n";

/// What a carrier was handed.
#[derive(Debug)]
struct Told {
    unsent: usize,
    preface: Vec<u8>,
}

#[derive(Debug)]
struct Threads {
    takes: bool,
    told: Sender<Told>,
}

impl Carry for Threads {
    fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    fn takes(&self) -> bool {
        self.takes
    }

    fn carry(&self, handed: Handed) {
        let told = Told { unsent: handed.unsent.len(), preface: handed.preface.clone() };
        self.told.send(told).expect("the test waits for it");
        thread::spawn(|| relay(handed));
    }

    fn drain(&self, _to: Option<String>) {}

    fn stop(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    fn figures(&self) -> Figures {
        Figures::default()
    }
}

/// Passes on what a client says by its records, and what the backend says.
fn relay(handed: Handed) {
    let Handed { client, records, plaintext, unread, backend, preface, permit, .. } = handed;
    client.set_nonblocking(false).expect("a socket's flag");
    let mut backend = Stream::connect(backend).expect("the backend listens");
    backend.write_all(&preface).expect("the backend reads");
    backend.write_all(&plaintext).expect("the backend reads");
    let records = Arc::new(Mutex::new(records));
    let upwards = {
        let mut ends = [client.try_clone(), backend.try_clone()].map(|end| end.expect("a copy"));
        let records = Arc::clone(&records);
        thread::spawn(move || {
            let mut input = unread;
            let mut plain = Vec::new();
            loop {
                let mut rest = &input[..];
                while !rest.is_empty() {
                    let chunk = &rest[..rest.len().min(MAX_OPEN_BYTES)];
                    let taken = records.lock().open(chunk, &mut plain).expect("good records");
                    rest = &rest[taken..];
                }
                let [client, backend] = &mut ends;
                backend.write_all(&plain).expect("the backend reads");
                plain.clear();
                input.resize(MAX_OPEN_BYTES, 0);
                match client.read(&mut input) {
                    Ok(len) if len > 0 && !records.lock().received_close() => input.truncate(len),
                    _ => break,
                }
            }
        })
    };
    let mut client = client;
    let (mut answer, mut sealed) = (vec![0; 20_000], Vec::new());
    loop {
        let len = backend.read(&mut answer).expect("the backend ends as it should");
        {
            let mut records = records.lock();
            if len == 0 {
                records.close();
                let _ = records.flush(&mut sealed);
            } else {
                let _ = records.seal(&[&answer[..len]], &mut sealed).expect("it is open");
            }
        }
        client.write_all(&sealed).expect("the client reads");
        sealed.clear();
        if len == 0 {
            client.shutdown(Shutdown::Write).expect("the client is there");
            break;
        }
    }
    upwards.join().expect("the client's direction ends");
    drop(permit);
}

/// A server that gives back each line but the last, behind a header of some
/// bytes.
fn echo(header: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody connects");
        stream.read_exact(&mut vec![0; header]).expect("the header");
        let mut lines = BufReader::new(stream.try_clone().expect("a copy"));
        let mut line = String::new();
        while lines.read_line(&mut line).expect("lines of text") > 0 && line != QUIT {
            stream.write_all(line.as_bytes()).expect("it reads");
            line.clear();
        }
    });
    address
}

/// A front whose listener has the floating address.
struct Ground {
    front: Front,
    told: Receiver<Told>,
    _node: Node,
}

impl Ground {
    fn new(backend: SocketAddr, takes: bool, proxy_protocol: bool) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
        let identity = Identity { chain: vec![cert.der().clone()], key };
        let node = Node::start(segue::Config::single("a")).expect("a node");
        let mut tls = tls_rustls::Config::new("a".to_owned(), node.incarnation(), vec![identity]);
        tls.carried = true;
        let (sender, told) = channel();
        let carrier = Arc::new(Threads { takes, told: sender });
        let listen: SocketAddr = ([127, 0, 0, 1], 0).into();
        let config = Config {
            backend: Some(Backend::Tcp(backend.to_string())),
            proxy_protocol,
            floating: Some(listen.ip()),
            carrying: Some(Carrying { carrier, backend }),
            ..Config::new(vec![listen], tls)
        };
        let front = Front::start(config, node.cache()).expect("a front");
        Self { front, told, _node: node }
    }

    /// Has a client say much, and compares what it hears.
    async fn check(&self, options: &[&str]) {
        let client = openssl(self.front.addresses()[0], options);
        let said: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
        let heard = tokio::task::spawn_blocking({
            let said = said.clone();
            move || talk(client, said + QUIT)
        });
        assert_eq!(heard.await.expect("the client's thread"), said, "{options:?}");
    }
}

fn openssl(server: SocketAddr, options: &[&str]) -> Child {
    Command::new("openssl")
        .args(["s_client", "-quiet", "-servername", "localhost", "-connect"])
        .arg(server.to_string())
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command openssl")
}

/// Says all of that, and gives what is heard until the end.
fn talk(mut client: Child, said: String) -> String {
    let mut stdin = client.stdin.take().expect("it is piped");
    let saying = thread::spawn(move || {
        stdin.write_all(said.as_bytes()).expect("the client reads");
        // Kept until the client has heard all: it would take leave otherwise.
        stdin
    });
    let mut heard = String::new();
    let stdout = client.stdout.as_mut().expect("it is piped");
    stdout.read_to_string(&mut heard).expect("text");
    drop(saying.join().expect("all is said"));
    client.wait().expect("the client ends");
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_goes_on_with_its_carrier_in_each_suite() {
    for suite in
        ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"]
    {
        let ground = Ground::new(echo(0), true, false);
        ground.check(&["-tls1_3", "-ciphersuites", suite]).await;
        let told = ground.told.try_recv().expect("it was handed over");
        assert_eq!((told.unsent, told.preface.len()), (0, 0), "the ticket was written before");
        assert_eq!(ground.front.figures().handshakes_full, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_is_told_who_connected() {
    // Signature, version, lengths, and two IPv4 addresses with their ports.
    const HEADER_BYTES: usize = 28;
    let ground = Ground::new(echo(HEADER_BYTES), true, true);
    ground.check(&["-tls1_3"]).await;
    let told = ground.told.try_recv().expect("it was handed over");
    assert_eq!(told.preface.len(), HEADER_BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_carried_is_served() {
    for (takes, version) in [(true, "-tls1_2"), (false, "-tls1_3")] {
        let ground = Ground::new(echo(0), takes, false);
        ground.check(&[version]).await;
        assert!(ground.told.try_recv().is_err(), "it stays here");
        assert_eq!(ground.front.figures().handed, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_began_with_a_carrier_is_resumed() {
    let session = tempfile::NamedTempFile::new().expect("a file");
    let path = session.path().to_str().expect("its name is text").to_owned();
    let backend = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = backend.local_addr().expect("an address");
    let ground = Ground::new(address, true, false);
    thread::spawn(move || {
        for stream in backend.incoming().take(2) {
            let mut lines = BufReader::new(stream.expect("somebody connects"));
            let mut line = String::new();
            // The client has its ticket when it hears something behind it.
            lines.read_line(&mut line).expect("a line");
            lines.get_mut().write_all(line.as_bytes()).expect("it reads");
        }
    });
    for option in ["-sess_out", "-sess_in"] {
        let client = openssl(ground.front.addresses()[0], &["-tls1_3", option, &path]);
        let heard = tokio::task::spawn_blocking(move || talk(client, "a line\n".to_owned()));
        assert_eq!(heard.await.expect("the client's thread"), "a line\n", "{option}");
    }
    let figures = ground.front.figures();
    assert_eq!((figures.handshakes_full, figures.resumed_local), (1, 1));
}
