//! Data before the handshake: accepted once in the whole farm, whoever replays
//! it, and sent again by the client where it is not accepted.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;

use toml::Table;

use crate::nodes::{Farm, Node, SERVER_NAME};
use crate::openssl::{Openssl, Version, session_of};
use crate::patience::{PATIENCE, until};
use ground::{Network, or_skip};

/// How many tickets are replayed.
const TICKETS: usize = 1_000;
/// How many clients come at a time: the machine's processors are the limit.
const CLIENTS: usize = 4;

/// What takes early data. A ticket is at every node before the client has it, and
/// however busy the machine is, its issuer is asked with patience.
fn taking_early_data() -> Table {
    toml::toml! {
        [tls]
        early_data = "16KiB"
        claim_timeout = "5s"
        [writes]
        tls = "all"
    }
}

/// A server behind the farm, which counts what it is asked for.
struct Backend {
    address: SocketAddr,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Backend {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::default();
        let counted = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counted = Arc::clone(&counted);
                thread::spawn(move || serve(stream, &counted));
            }
        });
        Self { address, asked }
    }

    /// How often it was asked for a path.
    fn asked_for(&self, path: &str) -> usize {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.get(path).copied().unwrap_or_default()
    }

    fn until_asked_for(&self, path: &str) {
        let asked = || (self.asked_for(path) > 0).then_some(());
        until(asked, || format!("{path} does not reach the backend"));
    }
}

/// Answers one request, and counts its path.
fn serve(mut stream: TcpStream, counted: &Mutex<BTreeMap<String, usize>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    *counted.lock().unwrap_or_else(PoisonError::into_inner).entry(path).or_default() += 1;
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {SERVER_NAME}\r\n\r\n")
}

/// Has a client send early data, and keeps its whole first flight from all
/// servers.
fn record(client: &Openssl, request: &str) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| client.go_on_early(address, request, ""));
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut flight = Vec::new();
        loop {
            let mut header = [0; 5];
            stream.read_exact(&mut header).unwrap();
            let [kind, .., high, low] = header;
            let mut record = vec![0; usize::from(u16::from_be_bytes([high, low]))];
            stream.read_exact(&mut record).unwrap();
            flight.extend(header);
            flight.extend(record);
            // Early data is the first that looks like data of an application.
            if kind == 23 {
                return flight;
            }
        }
    })
}

/// Says to a node what a client has said, and waits until it answers.
fn replay(node: SocketAddr, flight: &[u8], together: &Barrier) -> TcpStream {
    let mut stream = TcpStream::connect(node).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    together.wait();
    stream.write_all(flight).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    stream
}

fn alone() -> Barrier {
    Barrier::new(1)
}

fn early_data(node: &Node) -> (u64, u64) {
    let tls = &node.status()["tls"];
    let figure = |name: &str| tls[name].as_u64().unwrap();
    (figure("early_data_accepted"), figure("early_data_refused"))
}

fn client_of(node: &Node) -> Openssl {
    let client = Openssl::new(Version::Tls13);
    assert!(!client.begin(node.tls()).reused);
    client
}

#[test]
fn early_data_is_accepted_where_the_ticket_is_from_and_elsewhere_but_once() {
    let mut farm = Farm::new();
    let [a, b] = ["a", "b"].map(|name| farm.start(name, &taking_early_data()));
    let asks = session_of(SERVER_NAME);
    for (node, other) in [(&a, &b), (&b, &a)] {
        let client = client_of(&a);
        let visit = client.go_on_early(node.tls(), &asks, "");
        assert!(visit.early_data_accepted, "{}", visit.said);
        assert_eq!(visit.session()["early_data"], true);
        for again in [node, other] {
            let visit = client.go_on_early(again.tls(), &asks, &asks);
            assert!(!visit.early_data_accepted, "{}", visit.said);
            assert_eq!(visit.session()["resumed"], false, "a full handshake");
        }
        // Without early data the ticket is as good as any.
        assert_eq!(client.go_on(other.tls()).session()["resumed"], true);
    }
    assert_eq!(early_data(&a), (1, 2));
    assert_eq!(early_data(&b), (1, 2));
}

#[test]
fn replayed_to_two_nodes_at_once_it_is_accepted_exactly_once() {
    let backend = Backend::start();
    let address = backend.address.to_string();
    let mut settings = taking_early_data();
    settings["tls"].as_table_mut().unwrap().insert("backend".into(), address.into());
    let mut farm = Farm::new();
    let nodes = ["a", "b", "c"].map(|name| farm.start(name, &settings));
    let [a, b, c] = &nodes;
    thread::scope(|scope| {
        for first in 0..CLIENTS {
            let backend = &backend;
            scope.spawn(move || {
                for ticket in (first..TICKETS).step_by(CLIENTS) {
                    let path = format!("/once/{ticket}");
                    let client = Openssl::new(Version::Tls13);
                    client.say(a.tls(), &request("/begin"));
                    let flight = record(&client, &request(&path));
                    let together = Barrier::new(2);
                    thread::scope(|scope| {
                        let replays = [b, c]
                            .map(|node| scope.spawn(|| replay(node.tls(), &flight, &together)));
                        let _open = replays.map(|replay| replay.join().unwrap());
                        backend.until_asked_for(&path);
                    });
                }
            });
        }
    });
    for ticket in 0..TICKETS {
        assert_eq!(backend.asked_for(&format!("/once/{ticket}")), 1, "ticket {ticket}");
    }
    let figures = nodes.each_ref().map(early_data);
    let accepted: u64 = figures.iter().map(|(accepted, _)| accepted).sum();
    let refused: u64 = figures.iter().map(|(_, refused)| refused).sum();
    assert_eq!((accepted, refused), (TICKETS as u64, TICKETS as u64), "{figures:?}");
    assert!(figures[1].0 > 0 && figures[2].0 > 0, "each of the two was first at times");
}

#[test]
fn a_forged_hello_burns_no_ticket() {
    let backend = Backend::start();
    let address = backend.address.to_string();
    let mut settings = taking_early_data();
    settings["tls"].as_table_mut().unwrap().insert("backend".into(), address.into());
    let mut farm = Farm::new();
    let [a, b] = ["a", "b"].map(|name| farm.start(name, &settings));
    let client = Openssl::new(Version::Tls13);
    client.say(a.tls(), &request("/begin"));
    let genuine = record(&client, &request("/genuine"));

    let hello_len = 5 + usize::from(u16::from_be_bytes([genuine[3], genuine[4]]));
    let mut wrong_binder = genuine.clone();
    wrong_binder[hello_len - 1] ^= 1;
    let name = SERVER_NAME.as_bytes();
    let at = genuine.windows(name.len()).position(|part| part == name).unwrap();
    let mut wrong_name = genuine.clone();
    wrong_name[at] ^= 1;
    for forged in [&wrong_binder[..], &wrong_name] {
        for node in [&a, &b] {
            replay(node.tls(), forged, &alone());
        }
    }
    // Cut off before the hello is whole.
    TcpStream::connect(b.tls()).unwrap().write_all(&genuine[..hello_len - 1]).unwrap();
    assert_eq!((early_data(&a).0, early_data(&b).0), (0, 0));

    let _open = replay(b.tls(), &genuine, &alone());
    backend.until_asked_for("/genuine");
    assert_eq!(early_data(&b).0, 1);
}

/// A client comes with early data to a node that cannot ask who issued its
/// ticket: it resumes, and is answered after the handshake.
fn check_without_issuer(client: &Openssl, node: SocketAddr) {
    let asks = session_of(SERVER_NAME);
    let visit = client.go_on_early(node, &asks, &asks);
    assert!(!visit.early_data_accepted, "{}", visit.said);
    let session = visit.session();
    assert_eq!((&session["resumed"], &session["early_data"]), (&true.into(), &false.into()));
}

#[test]
fn without_its_issuer_a_ticket_resumes_without_early_data() {
    let mut farm = Farm::new();
    let settings = toml::toml! {
        [tls]
        early_data = "16KiB"
        [writes]
        tls = "all"
    };
    let [a, b] = ["a", "b"].map(|name| farm.start(name, &settings));
    let client = client_of(&a);
    drop(a);
    check_without_issuer(&client, b.tls());
    b.until_status(|status| status["members"][0]["state"] == "dead");
    check_without_issuer(&client, b.tls());
    // Another start of the node does not know what the one before had granted.
    let a = farm.start("a", &settings);
    check_without_issuer(&client, b.tls());
    check_without_issuer(&client, a.tls());
    assert_eq!((early_data(&a), early_data(&b)), ((0, 1), (0, 3)));
}

#[test]
fn apart_from_its_issuer_a_ticket_resumes_without_early_data() {
    let Some(network) = or_skip(Network::new(2)) else { return };
    let mut farm = Farm::new();
    let [a, b] = [(0, "a"), (1, "b")].map(|(machine, name)| {
        let anywhere = format!("{}:0", Network::address(machine));
        let anywhere = anywhere.as_str();
        let settings = toml::toml! {
            [tls]
            listen = anywhere
            early_data = "16KiB"
            [admin]
            listen = anywhere
            token_file = "admin.token"
            [farm]
            listen = anywhere
            interface = "eth0"
            [writes]
            tls = "all"
        };
        network.on(machine, || farm.start(name, &settings))
    });
    network.among_clients(|| {
        let asks = session_of(SERVER_NAME);
        let client = client_of(&a);
        let visit = client.go_on_early(b.tls(), &asks, "");
        assert!(visit.early_data_accepted, "{}", visit.said);
        let client = client_of(&a);
        // The question arrives, and no answer to it.
        network.part(1, 0).unwrap();
        check_without_issuer(&client, b.tls());
        network.lose_nothing(1).unwrap();
        b.until_status(|status| status["members"][0]["state"] == "alive");
        let visit = client_of(&a).go_on_early(b.tls(), &asks, "");
        assert!(visit.early_data_accepted, "{}", visit.said);
    });
}
