//! What is under way at the moment of the extraction is not lost: through
//! memory, so that the moment is exact.

use std::io::{Read, Write};
use std::sync::Arc;

use proto::time::Wall;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConnection, SideData,
};
use tls_rustls::records::{Epoch, ExtractError, Extracted, Inlet, SecretTap, Suite, extract};
use tls_rustls::{Attempt, HelloReader, SessionId, Terminator, refuse_early_data};

use super::rustls_client::{SUITES, config};
use super::server::terminator;

const NOW: Wall = Wall::from_millis(1_700_000_000_000);

fn flight<S: SideData>(from: &mut ConnectionCommon<S>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn deliver<S: SideData>(mut bytes: &[u8], to: &mut ConnectionCommon<S>) {
    while !bytes.is_empty() {
        to.read_tls(&mut bytes).unwrap();
        to.process_new_packets().unwrap();
    }
}

fn client(config: ClientConfig) -> ClientConnection {
    ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
}

/// An attempt for the client's hello, which may resume the session that
/// `record` is of.
fn attempt(terminator: &Terminator, hello: &[u8], record: Option<(SessionId, &[u8])>) -> Attempt {
    let mut reader = HelloReader::default();
    reader.buffer().extend_from_slice(hello);
    let hello = reader.poll().unwrap().unwrap();
    let scope = terminator.scope(&hello);
    let resumable =
        record.map(|(id, record)| terminator.recognise(scope, id, record, NOW).unwrap());
    terminator.attempt(scope, resumable)
}

fn read(client: &mut ClientConnection) -> Vec<u8> {
    let mut plain = Vec::new();
    let _ = client.reader().read_to_end(&mut plain);
    plain
}

/// Goes on with what was extracted: gives all that the client sent, and the
/// answer to the client.
fn go_on(extracted: Extracted, client: &mut ClientConnection, answer: &[u8]) -> Vec<u8> {
    let Extracted { mut records, mut plaintext, unsent, unread } = extracted;
    assert_eq!(records.open(&unread, &mut plaintext), Ok(unread.len()));
    deliver(&unsent, client);
    let mut sealed = Vec::new();
    records.seal(&[answer], &mut sealed).unwrap();
    deliver(&sealed, client);
    plaintext
}

/// The client's Finished and its first data arrive together, and cut anywhere.
#[test]
fn what_comes_with_the_end_of_the_handshake_is_kept() {
    for suite in SUITES {
        for missing in [0, 1, 17, 30] {
            let (terminator, certificate) = terminator(|_| {});
            let mut client = client(config(suite, certificate));
            let hello = flight(&mut client);
            let attempt = attempt(&terminator, &hello, None);
            let mut server = ServerConnection::new(attempt.config()).unwrap();
            let mut inlet = Inlet::default();
            inlet.put(&hello);
            assert!(!inlet.feed(&mut server).unwrap());
            let answer = flight(&mut server);
            deliver(&answer, &mut client);
            client.writer().write_all(b"first, second").unwrap();
            let bytes = flight(&mut client);
            let (now, later) = bytes.split_at(bytes.len() - missing);
            inlet.put(now);
            assert!(inlet.feed(&mut server).unwrap());
            // The tickets were not written yet.
            let tap = attempt.tap().unwrap();
            let written = answer.len() as u64;
            let mut extracted = extract(server, &tap, inlet, written, Epoch(1)).unwrap();
            assert!(extracted.plaintext.is_empty() && !extracted.unsent.is_empty());
            let sent = extracted.records.sent();
            assert_eq!(sent.stream, written + extracted.unsent.len() as u64);
            let received = extracted.records.received();
            let all = (hello.len() + now.len()) as u64;
            assert_eq!(received.stream, all - extracted.unread.len() as u64);
            extracted.unread.extend_from_slice(later);
            assert_eq!(go_on(extracted, &mut client, b"answer"), b"first, second");
            assert_eq!(read(&mut client), b"answer");
            assert_eq!(client.tls13_tickets_received(), 1);
        }
    }
}

/// Rustls was given more than the handshake, as by those who drive it
/// otherwise: data, and a key update that it has not answered yet.
#[test]
fn what_rustls_has_already_seen_is_not_lost() {
    let (terminator, certificate) = terminator(|_| {});
    let mut client = client(config(SUITES[1], certificate));
    let hello = flight(&mut client);
    let attempt = attempt(&terminator, &hello, None);
    let mut server = ServerConnection::new(attempt.config()).unwrap();
    deliver(&hello, &mut server);
    let mut written = flight(&mut server);
    deliver(&written, &mut client);
    let mut given = hello;
    for (data, update) in [(b"one ", true), (b"two ", true), (b"six ", false)] {
        client.writer().write_all(data).unwrap();
        if update {
            client.refresh_traffic_keys().unwrap();
        }
        let bytes = flight(&mut client);
        deliver(&bytes, &mut server);
        given.extend(bytes);
    }
    server.writer().write_all(b"sealed by rustls ").unwrap();
    let early = flight(&mut server);
    deliver(&early, &mut client);
    written.extend(early);
    // One more, which is answered with whatever is written next.
    client.refresh_traffic_keys().unwrap();
    let bytes = flight(&mut client);
    deliver(&bytes, &mut server);
    given.extend(bytes);
    let inlet = Inlet::after(given.len() as u64);
    let tap = attempt.tap().unwrap();
    let extracted = extract(server, &tap, inlet, written.len() as u64, Epoch(1)).unwrap();
    assert!(!extracted.unsent.is_empty(), "the key update's answer");
    assert_eq!(extracted.records.received().generation, 3);
    // Rustls answers those that come before its next write once.
    assert_eq!(extracted.records.sent().generation, 2);
    assert_eq!(go_on(extracted, &mut client, b"and by us"), b"one two six ");
    assert_eq!(read(&mut client), b"sealed by rustls and by us");
}

/// Early data was accepted and answered before the handshake's end.
#[test]
fn early_data_and_its_answer_are_not_lost() {
    let (terminator, certificate) = terminator(|config| config.early_data_bytes = 1000);
    let mut config = config(SUITES[2], certificate);
    config.enable_early_data = true;
    let config = Arc::new(config);
    let connect = || ClientConnection::new(Arc::clone(&config), "localhost".try_into().unwrap());
    // A first connection, for the ticket.
    let mut first = connect().unwrap();
    let hello = flight(&mut first);
    let begun = attempt(&terminator, &hello, None);
    let mut server = ServerConnection::new(begun.config()).unwrap();
    refuse_early_data(&mut server);
    deliver(&hello, &mut server);
    while first.is_handshaking() || server.is_handshaking() || server.wants_write() {
        deliver(&flight(&mut server), &mut first);
        deliver(&flight(&mut first), &mut server);
    }
    let settled = begun.settle(server.handshake_kind().unwrap(), NOW);
    let session = &settled.sessions[0];

    let mut client = connect().unwrap();
    client.early_data().unwrap().write_all(b"early ").unwrap();
    let hello = flight(&mut client);
    let attempt = attempt(&terminator, &hello, Some((session.id, &session.record)));
    let mut server = ServerConnection::new(attempt.config()).unwrap();
    let mut inlet = Inlet::default();
    inlet.put(&hello);
    assert!(!inlet.feed(&mut server).unwrap());
    server.writer().write_all(b"answered early ").unwrap();
    let answer = flight(&mut server);
    deliver(&answer, &mut client);
    assert!(client.is_early_data_accepted());
    client.writer().write_all(b"late").unwrap();
    inlet.put(&flight(&mut client));
    assert!(inlet.feed(&mut server).unwrap());
    let tap = attempt.tap().unwrap();
    let extracted = extract(server, &tap, inlet, answer.len() as u64, Epoch(1)).unwrap();
    assert!(extracted.records.sent().sequence > 0, "the answer was sealed by rustls");
    assert_eq!(go_on(extracted, &mut client, b"and late"), b"early late");
    assert_eq!(read(&mut client), b"answered early and late");
}

fn handshake(
    tls13: bool,
    change: impl FnOnce(&mut tls_rustls::Config),
) -> (Attempt, ServerConnection) {
    let (terminator, certificate): (_, CertificateDer<'static>) = terminator(change);
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let version = if tls13 { &rustls::version::TLS13 } else { &rustls::version::TLS12 };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = client(config);
    let hello = flight(&mut client);
    let attempt = attempt(&terminator, &hello, None);
    let mut server = ServerConnection::new(attempt.config()).unwrap();
    deliver(&hello, &mut server);
    while client.is_handshaking() || server.is_handshaking() {
        deliver(&flight(&mut server), &mut client);
        deliver(&flight(&mut client), &mut server);
    }
    (attempt, server)
}

#[test]
fn what_is_not_carried_says_so() {
    let (attempt, server) = handshake(false, |_| {});
    assert_eq!(Suite::of(&server), None);
    let tap = attempt.tap().unwrap();
    let error = extract(server, &tap, Inlet::default(), 0, Epoch(1)).unwrap_err();
    assert!(matches!(error, ExtractError::NotCarried));

    let (_, server) = handshake(true, |_| {});
    assert!(Suite::of(&server).is_some());
    let error = extract(server, &SecretTap::default(), Inlet::default(), 0, Epoch(1)).unwrap_err();
    assert!(matches!(error, ExtractError::Secrets));

    let (one, server) = handshake(true, |_| {});
    let (other, _) = handshake(true, |_| {});
    drop(one);
    let error = extract(server, &other.tap().unwrap(), Inlet::default(), 0, Epoch(1)).unwrap_err();
    assert!(matches!(error, ExtractError::Secrets), "those of another connection");

    let (attempt, server) = handshake(true, |config| config.carried = false);
    assert!(attempt.tap().is_none());
    let error = extract(server, &SecretTap::default(), Inlet::default(), 0, Epoch(1)).unwrap_err();
    assert!(matches!(error, ExtractError::Rustls(_)));
}
