//! Data that is sent before the handshake.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConnection};
use tls_rustls::{Attempt, Early, HelloReader, Incarnation, Terminator, refuse_early_data};

use crate::pair::{Credentials, Farm, NOW, client, deliver, first_flight, flight, handshake, node};

const EARLY: &[u8] = b"GET /early";
/// The node that the client begins at.
const ISSUER: Incarnation = Incarnation(77);

/// A client with a session, of which it has said that it would send early data.
struct Returning {
    server: Credentials,
    config: Arc<ClientConfig>,
    farm: Farm,
    /// Another node.
    other: Terminator,
}

impl Returning {
    fn new() -> Self {
        let server = Credentials::self_signed(&["a.test", "b.test"]);
        let mut config = (*client(&TLS13, &[&server], None)).clone();
        config.enable_early_data = true;
        let config = Arc::new(config);
        let issuer = node("a", &[&server], |config| {
            config.incarnation = ISSUER;
            config.early_data_bytes = 1_000;
        });
        let mut farm = Farm::default();
        handshake(&config, "a.test", &issuer, &mut farm, NOW).unwrap();
        let other = node("b", &[&server], |config| config.early_data_bytes = 1_000);
        Self { server, config, farm, other }
    }

    /// The client's first flight, with early data.
    fn flight(&self) -> (ClientConnection, Vec<u8>) {
        let (mut client, mut bytes) = first_flight(&self.config, "a.test");
        client.early_data().unwrap().write_all(EARLY).unwrap();
        bytes.extend(flight(&mut client));
        (client, bytes)
    }

    /// What a node makes of the hello in `bytes`.
    fn attempt(&mut self, node: &Terminator, bytes: &[u8]) -> (Attempt, Option<Early>) {
        let mut reader = HelloReader::default();
        reader.buffer().extend_from_slice(bytes);
        let hello = reader.poll().unwrap().expect("a client sends its hello at once");
        let resumable = self.farm.find(node, &hello, NOW);
        let attempt = node.attempt(node.scope(&hello), resumable);
        let early = attempt.early(&bytes[..reader.hello_len()]);
        (attempt, early)
    }

    fn hello_len(bytes: &[u8]) -> usize {
        let mut reader = HelloReader::default();
        reader.buffer().extend_from_slice(bytes);
        assert!(reader.poll().unwrap().unwrap().offers_early_data());
        reader.hello_len()
    }
}

/// Ends a handshake of which the server has taken in the first flight.
fn finish(client: &mut ClientConnection, server: &mut ServerConnection) {
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
        let answer = flight(server);
        deliver(&answer, client).unwrap();
        let answer = flight(client);
        deliver(&answer, server).unwrap();
    }
}

#[test]
fn what_is_to_be_claimed_is_known_before_early_data_is_read() {
    let mut returning = Returning::new();
    let (mut client, bytes) = returning.flight();
    let ticket = *returning.farm.records.keys().next().unwrap();
    let other = node("b", &[&returning.server], |config| config.early_data_bytes = 1_000);
    let (attempt, early) = returning.attempt(&other, &bytes);
    let Early { ticket: claimed, issuer, connection: mut server } = early.unwrap();
    assert_eq!((claimed, issuer), (ticket, ISSUER));

    let mut data = Vec::new();
    server.early_data().unwrap().read_to_end(&mut data).unwrap();
    assert!(data.is_empty(), "only the hello was looked at");
    deliver(&bytes[Returning::hello_len(&bytes)..], &mut server).unwrap();
    server.early_data().unwrap().read_to_end(&mut data).unwrap();
    assert_eq!(data, EARLY);

    // An answer can go before the handshake is done.
    server.writer().write_all(b"early answer").unwrap();
    finish(&mut client, &mut server);
    assert!(client.is_early_data_accepted());
    let mut answer = [0; 12];
    client.reader().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"early answer");
    let settled = attempt.settle(server.handshake_kind().unwrap(), NOW);
    assert!(settled.resumed && settled.origin.node == "a");
}

/// A client's early data is refused, and its handshake goes on.
fn check_refused(returning: &mut Returning, in_full: bool) {
    let (mut client, bytes) = returning.flight();
    let other = node("b", &[&returning.server], |config| config.early_data_bytes = 1_000);
    let (mut attempt, early) = returning.attempt(&other, &bytes);
    assert!(early.is_some());
    let mut reader = HelloReader::default();
    reader.buffer().extend_from_slice(&bytes);
    let hello = reader.poll().unwrap().unwrap();
    if in_full {
        attempt = other.attempt(other.scope(&hello), None);
    }
    let mut server = ServerConnection::new(attempt.config()).unwrap();
    refuse_early_data(&mut server);
    deliver(&bytes, &mut server).unwrap();
    finish(&mut client, &mut server);
    assert!(!client.is_early_data_accepted() && server.early_data().is_none());
    let kind = if in_full { HandshakeKind::Full } else { HandshakeKind::Resumed };
    assert_eq!((client.handshake_kind(), server.handshake_kind()), (Some(kind), Some(kind)));
    client.writer().write_all(EARLY).unwrap();
    let again = flight(&mut client);
    deliver(&again, &mut server).unwrap();
    let mut data = [0; EARLY.len()];
    server.reader().read_exact(&mut data).unwrap();
    assert_eq!(data, EARLY, "sent again after the handshake");
    let sessions = attempt.settle(kind, NOW).sessions;
    returning.farm.records.extend(sessions.iter().map(|new| (new.id, new.record.to_vec())));
}

#[test]
fn a_client_whose_early_data_is_refused_sends_it_again() {
    let mut returning = Returning::new();
    check_refused(&mut returning, true);
    // And the ticket that it got then allows early data once more.
    check_refused(&mut returning, false);
    check_refused(&mut returning, false);
}

#[test]
fn what_rustls_does_not_accept_is_not_claimed() {
    let check = |what: &str, change: &dyn Fn(&mut Returning, &mut Vec<u8>)| {
        let mut returning = Returning::new();
        let (_, mut bytes) = returning.flight();
        change(&mut returning, &mut bytes);
        let other =
            std::mem::replace(&mut returning.other, node("unused", &[&returning.server], |_| ()));
        assert!(returning.attempt(&other, &bytes).1.is_none(), "{what}");
    };
    check("a binder that is wrong by a bit", &|_, bytes| {
        let end = Returning::hello_len(bytes);
        bytes[end - 1] ^= 1;
    });
    check("another server name", &|_, bytes| {
        let at = bytes.windows(6).position(|part| part == b"a.test").unwrap();
        bytes[at] = b'b';
    });
    check("no such session", &|returning, _| returning.farm.records.clear());
    check("a node where it is off", &|returning, _| {
        returning.other = node("b", &[&returning.server], |_| ());
    });
    check("no early data", &|returning, bytes| {
        let mut config = (*returning.config).clone();
        config.enable_early_data = false;
        *bytes = first_flight(&Arc::new(config), "a.test").1;
    });
}

#[test]
fn another_protocol_is_resumed_without_early_data() {
    let mut returning = Returning::new();
    let mut config = (*returning.config).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (_, bytes) = first_flight(&Arc::new(config), "a.test");
    let h2 = node("b", &[&returning.server], |config| {
        config.early_data_bytes = 1_000;
        config.alpn = vec![b"h2".to_vec()];
    });
    assert!(returning.attempt(&h2, &bytes).1.is_none());
}
