//! What a client sends that means no good: every message is either what TLS
//! allows or ends the connection with the alert that the RFC has for it.

use proptest::prelude::*;

use super::super::keys::{ALERT, APPLICATION_DATA, HANDSHAKE, Key};
use super::super::open::MAX_CONTENT_BYTES;
use super::*;

/// A client that seals whatever it is told.
struct Client {
    key: Key,
    sequence: u64,
}

impl Client {
    fn record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.key.seal((self.sequence, kind), content.len(), std::iter::once(content), &mut out);
        self.sequence += 1;
        out
    }

    fn padded(&mut self, kind: u8, content: &[u8], padding: usize) -> Vec<u8> {
        // The last byte of the padding takes the place of a type.
        self.record(0, &[content, &[kind], &vec![0; padding - 1]].concat())
    }
}

fn connection() -> (Records, Client) {
    let (server, _) = pair(Suite::ChaCha20Poly1305);
    (server, Client { key: secrets(Suite::ChaCha20Poly1305).0.key(), sequence: 0 })
}

const KEY_UPDATE: &[u8] = &[24, 0, 0, 1, 0];

/// Gives the server records after a first one of data, and says what it did.
fn check(records: impl FnOnce(&mut Client) -> Vec<u8>, expected: Result<&[u8], Failure>) {
    let (_, mut client) = connection();
    let bytes = [client.record(APPLICATION_DATA, b"first "), records(&mut client)].concat();
    for step in [1, 7, bytes.len()] {
        let (mut server, (_, mut observer)) = (connection().0, pair(Suite::ChaCha20Poly1305));
        let mut plain = Vec::new();
        let outcome = bytes.chunks(step).try_for_each(|piece| {
            let (out, outcome) = open_all(&mut server, piece);
            plain.extend_from_slice(&out);
            outcome
        });
        match expected {
            Ok(expected) => {
                assert_eq!((plain.as_slice(), outcome), (expected, Ok(())));
            }
            Err(failure) => {
                assert_eq!((plain.as_slice(), outcome), (b"first ".as_slice(), Err(failure)));
                assert_eq!(open_all(&mut server, b"more").1, Err(Failure::Over));
                // The client hears why, and nothing after that.
                let told = open_all(&mut observer, &flushed(&mut server)).1;
                let alert = failure.alert().map(Failure::Peer);
                assert_eq!(told.err(), alert);
                assert!(server.seal(&[b"x"], &mut Vec::new()).is_err());
            }
        }
    }
}

#[test]
fn what_tls_allows_passes() {
    check(|client| client.record(APPLICATION_DATA, b"second"), Ok(b"first second"));
    check(|client| client.padded(APPLICATION_DATA, b"second", 300), Ok(b"first second"));
    check(|client| client.record(APPLICATION_DATA, b""), Ok(b"first "));
    check(|client| client.padded(ALERT, &[1, 90], 3), Ok(b"first "));
    check(|client| client.record(ALERT, &[2, 0]), Ok(b"first "));
    // A key update in three records.
    let pieces = |client: &mut Client| {
        [&KEY_UPDATE[..1], &KEY_UPDATE[1..4], &KEY_UPDATE[4..]]
            .map(|piece| client.record(HANDSHAKE, piece))
            .concat()
    };
    check(pieces, Ok(b"first "));
    let full = vec![3; MAX_CONTENT_BYTES];
    let expected = [b"first ".as_slice(), &full].concat();
    check(|client| client.record(APPLICATION_DATA, &full), Ok(&expected));
}

#[test]
fn what_does_not_open_ends_it() {
    let flipped = |at: usize| {
        move |client: &mut Client| {
            let mut record = client.record(APPLICATION_DATA, b"second");
            record[at] ^= 1;
            record
        }
    };
    for at in [1, 2, 5, 12, 27] {
        check(flipped(at), Err(Failure::Forged));
    }
    // A record again, one left out, one that is too short for its tag.
    let again = |client: &mut Client| {
        client.sequence -= 1;
        client.record(APPLICATION_DATA, b"first ")
    };
    check(again, Err(Failure::Forged));
    let left_out = |client: &mut Client| {
        client.sequence += 1;
        client.record(APPLICATION_DATA, b"third")
    };
    check(left_out, Err(Failure::Forged));
    check(|_| [&[23, 3, 3, 0, 15], [0; 15].as_slice()].concat(), Err(Failure::Forged));
    check(|_| vec![23, 3, 3, 0, 0], Err(Failure::Forged));
}

#[test]
fn what_is_too_large_ends_it() {
    check(|_| vec![23, 3, 3, 0xff, 0xff], Err(Failure::TooLarge));
    check(|_| vec![23, 3, 3, 0x41, 0x01], Err(Failure::TooLarge));
    let full = [3; MAX_CONTENT_BYTES + 1];
    check(|client| client.record(APPLICATION_DATA, &full), Err(Failure::TooLarge));
    check(|client| client.padded(ALERT, &[1, 0], MAX_CONTENT_BYTES), Err(Failure::TooLarge));
}

#[test]
fn what_may_not_come_ends_it() {
    let plain = |kind: u8| move |_: &mut Client| vec![kind, 3, 3, 0, 2, 2, 0];
    for kind in [20, 21, 22, 24, 0, 255] {
        check(plain(kind), Err(Failure::Unexpected));
    }
    check(|client| client.record(20, &[1]), Err(Failure::Unexpected));
    check(|client| client.record(99, b"?"), Err(Failure::Unexpected));
    check(|client| client.record(0, b""), Err(Failure::Unexpected));
    check(|client| client.record(0, &[0; 100]), Err(Failure::Unexpected));
    check(|client| client.record(HANDSHAKE, b""), Err(Failure::Unexpected));
    // A ClientHello, a session ticket, a certificate, a Finished.
    for message in [1, 4, 11, 20] {
        check(|client| client.record(HANDSHAKE, &[message, 0, 0, 1, 0]), Err(Failure::Unexpected));
    }
    let behind = |client: &mut Client| client.record(HANDSHAKE, &[KEY_UPDATE, &[24]].concat());
    check(behind, Err(Failure::Unexpected));
    let between = |client: &mut Client| {
        let begun = client.record(HANDSHAKE, &KEY_UPDATE[..2]);
        [begun, client.record(APPLICATION_DATA, b"second")].concat()
    };
    check(between, Err(Failure::Unexpected));
}

#[test]
fn what_is_malformed_ends_it() {
    check(|client| client.record(HANDSHAKE, &[24, 0, 0, 2, 0, 0]), Err(Failure::Malformed));
    check(|client| client.record(HANDSHAKE, &[24, 0, 0, 1, 2]), Err(Failure::IllegalKeyUpdate));
    for alert in [b"".as_slice(), &[1], &[1, 0, 0], &[2, 20, 2, 20]] {
        check(|client| client.record(ALERT, alert), Err(Failure::Malformed));
    }
    let fatal = |number| move |client: &mut Client| client.record(ALERT, &[2, number]);
    check(fatal(20), Err(Failure::Peer(Alert::BAD_RECORD_MAC)));
    // A warning is fatal too (RFC 8446, section 6.2).
    let warning = |client: &mut Client| client.record(ALERT, &[1, 40]);
    check(warning, Err(Failure::Peer(Alert(40))));
}

#[test]
fn a_flood_of_nothing_ends_it() {
    let many = |kind: u8, content: &'static [u8], count: usize| {
        move |client: &mut Client| {
            (0..count).flat_map(|_| client.record(kind, content)).collect::<Vec<u8>>()
        }
    };
    check(many(APPLICATION_DATA, b"", 32), Ok(b"first "));
    check(many(APPLICATION_DATA, b"", 33), Err(Failure::Flood));
    check(many(ALERT, &[1, 90], 4), Ok(b"first "));
    check(many(ALERT, &[1, 90], 5), Err(Failure::Flood));
    let updates = |count: usize, between: &'static [u8]| {
        move |client: &mut Client| {
            let mut secret = secrets(Suite::ChaCha20Poly1305).0;
            let mut out = Vec::new();
            for _ in 0..count {
                out.extend(client.record(HANDSHAKE, KEY_UPDATE));
                secret = secret.next();
                *client = Client { key: secret.key(), sequence: 0 };
                if !between.is_empty() {
                    out.extend(client.record(APPLICATION_DATA, between));
                }
            }
            out
        }
    };
    check(updates(32, b""), Ok(b"first "));
    check(updates(33, b""), Err(Failure::Flood));
    check(updates(40, b"x"), Ok(&[b"first ".as_slice(), &[b'x'; 40]].concat()));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes: Vec<u8>, step in 1_usize..50) {
        let (mut server, _) = connection();
        for piece in bytes.chunks(step) {
            let (out, _) = open_all(&mut server, piece);
            prop_assert!(out.is_empty());
        }
    }

    /// Sealed by one who has the key, so that it gets past the tag.
    #[test]
    fn a_client_s_messages_never_panic(
        messages in prop::collection::vec(
            (prop_oneof![Just(APPLICATION_DATA), Just(ALERT), Just(HANDSHAKE), any::<u8>()],
             prop_oneof![
                prop::collection::vec(any::<u8>(), 0..8),
                Just(vec![1, 90]),
                Just(KEY_UPDATE[..3].to_vec()),
                Just(vec![24, 0, 0, 1, 1]),
             ],
             1_usize..600),
            1..20,
        ),
    ) {
        let (mut server, mut client) = connection();
        let mut expected = Vec::new();
        for (kind, content, padding) in messages {
            let record = client.padded(kind, &content, padding);
            let before = server.received().generation;
            let (out, outcome) = open_all(&mut server, &record);
            let data = if kind == APPLICATION_DATA { &content[..] } else { &[] };
            if outcome.is_err() || server.received_close() { break }
            if server.received().generation > before { break }
            prop_assert_eq!(&out, &data);
            expected.extend_from_slice(data);
            prop_assert_eq!(server.received().plain, expected.len() as u64);
        }
    }
}
