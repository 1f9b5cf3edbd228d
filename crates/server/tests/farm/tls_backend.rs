//! The plain stream goes to a backend and back, whole, in its order, and with
//! its ends.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use ppp::v2::Header;
use rustls::{ClientConnection, StreamOwned};

use crate::client::Client;
use crate::nodes::{Farm, Node};
use crate::patience::{PATIENCE, until};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A farm of one node in front of a backend, and a client of it.
struct Served {
    backend: TcpListener,
    node: Node,
    client: Client,
    _farm: Farm,
}

impl Served {
    fn new(proxy_protocol: bool) -> Self {
        let mut farm = Farm::new();
        let backend = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = backend.local_addr().unwrap().to_string();
        let settings = toml::toml! {
            [tls]
            backend = address
            proxy_protocol = proxy_protocol
        };
        let node = farm.start("a", &settings);
        let client = Client::new(&farm);
        Self { backend, node, client, _farm: farm }
    }

    /// A client's stream, and the backend's end of it.
    fn connect(&self) -> (Stream, TcpStream) {
        let mut client = self.client.connect(self.node.tls()).unwrap();
        // Without a handshake there is no backend yet.
        client.conn.complete_io(&mut client.sock).unwrap();
        let (backend, _) = self.backend.accept().unwrap();
        backend.set_read_timeout(Some(PATIENCE)).unwrap();
        (client, backend)
    }
}

/// Ends the client's direction as TLS does: with close_notify.
fn end(client: &mut Stream) -> io::Result<()> {
    client.conn.send_close_notify();
    client.flush()
}

fn rest(mut stream: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map(|_| bytes)
}

#[test]
fn each_direction_ends_by_itself() {
    let served = Served::new(false);
    let (mut client, mut backend) = served.connect();
    client.write_all(b"all that I ask").unwrap();
    end(&mut client).unwrap();
    assert_eq!(rest(&backend).unwrap(), b"all that I ask");
    backend.write_all(b"an answer that comes after the end").unwrap();
    backend.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client).unwrap(), b"an answer that comes after the end");

    let (mut client, mut backend) = served.connect();
    backend.write_all(b"welcome").unwrap();
    backend.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client).unwrap(), b"welcome");
    client.write_all(b"more to say").unwrap();
    end(&mut client).unwrap();
    assert_eq!(rest(&backend).unwrap(), b"more to say");
}

#[test]
fn what_is_cut_short_does_not_look_complete() {
    let served = Served::new(false);
    let (mut client, mut backend) = served.connect();
    client.write_all(b"half of").unwrap();
    let mut half = [0; 7];
    backend.read_exact(&mut half).unwrap();
    drop(client.sock);
    assert_eq!(rest(&backend).unwrap_err().kind(), ErrorKind::ConnectionReset);

    let (mut client, backend) = served.connect();
    client.write_all(b"never read").unwrap();
    // To the kernel, a close before all was read is a reset.
    assert_eq!(backend.peek(&mut [0]).unwrap(), 1);
    drop(backend);
    assert_eq!(rest(&mut client).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_backend_that_does_not_read_stops_the_client() {
    /// Far more than the kernel buffers for two connections.
    const TOTAL: usize = 64 << 20;
    /// How long a client that is stopped waits to be sure of it.
    const STALL: Duration = Duration::from_millis(200);
    let served = Served::new(false);
    let (mut client, backend) = served.connect();
    let before = served.node.resident_bytes();
    // Rustls reads, too, when it cannot write.
    client.sock.set_write_timeout(Some(STALL)).unwrap();
    client.sock.set_read_timeout(Some(STALL)).unwrap();
    let chunk = vec![7; 16 << 10];
    let mut written = 0;
    let stalled = loop {
        match client.write(&chunk) {
            Ok(len) => written += len,
            Err(error) => break error,
        }
        assert!(written < TOTAL, "nothing stops the client");
    };
    assert_eq!(stalled.kind(), ErrorKind::WouldBlock);
    let grown = served.node.resident_bytes().saturating_sub(before);
    assert!(grown < 4 << 20, "the node keeps {grown} bytes of {written}");

    client.sock.set_write_timeout(Some(PATIENCE)).unwrap();
    client.sock.set_read_timeout(Some(PATIENCE)).unwrap();
    let reading = thread::spawn(move || rest(backend).unwrap().len());
    client.flush().unwrap();
    client.write_all(&vec![7; TOTAL - written]).unwrap();
    end(&mut client).unwrap();
    assert_eq!(reading.join().unwrap(), TOTAL);
}

#[test]
fn a_backend_that_asks_is_told_who_connects() {
    let served = Served::new(true);
    let (mut client, backend) = served.connect();
    client.write_all(b"hello").unwrap();
    end(&mut client).unwrap();
    let received = rest(&backend).unwrap();
    let header = Header::try_from(received.as_slice()).unwrap();
    let ends: (SocketAddr, SocketAddr) =
        (client.sock.local_addr().unwrap(), client.sock.peer_addr().unwrap());
    assert_eq!(header.addresses, ends.into());
    assert_eq!(&received[header.len()..], b"hello");
}

#[test]
fn a_backend_may_be_a_unix_socket() {
    let mut farm = Farm::new();
    let path = farm.path("app.sock");
    let backend = UnixListener::bind(&path).unwrap();
    let address = format!("unix:{}", path.display());
    let settings = toml::toml! {
        [tls]
        backend = address
    };
    let node = farm.start("a", &settings);
    let mut client = Client::new(&farm).connect(node.tls()).unwrap();
    client.write_all(b"ping").unwrap();
    end(&mut client).unwrap();
    let (mut stream, _) = backend.accept().unwrap();
    assert_eq!(rest(&stream).unwrap(), b"ping");
    stream.write_all(b"pong").unwrap();
    drop(stream);
    assert_eq!(rest(&mut client).unwrap(), b"pong");
    fs::remove_file(path).unwrap();
}

#[test]
fn a_client_whose_backend_is_gone_is_closed_cleanly() {
    let Served { backend, node, client, _farm } = Served::new(false);
    drop(backend);
    let mut client = client.connect(node.tls()).unwrap();
    assert!(rest(&mut client).unwrap().is_empty(), "with close_notify, and nothing else");
}

#[test]
fn what_is_open_is_finished_before_a_node_ends() {
    let served = Served::new(false);
    let (mut client, mut backend) = served.connect();
    client.write_all(b"a question").unwrap();
    let address = served.node.tls();
    let ending = thread::spawn(move || served.node.stop());
    until(
        || TcpStream::connect(address).is_err().then_some(()),
        || "it still takes connections".to_owned(),
    );
    let mut question = [0; 10];
    backend.read_exact(&mut question).unwrap();
    backend.write_all(b"its answer").unwrap();
    drop(backend);
    assert_eq!(rest(&mut client).unwrap(), b"its answer");
    end(&mut client).unwrap();
    assert!(ending.join().unwrap().success());
}
