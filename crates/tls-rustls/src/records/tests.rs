mod carried;
mod hostile;

use super::keys::Secret;
use super::state::State;
use super::*;

const SUITES: [Suite; 3] = [Suite::Aes128Gcm, Suite::Aes256Gcm, Suite::ChaCha20Poly1305];

/// The two secrets of a connection: the client's is all 1, the server's all 2.
fn secrets(suite: Suite) -> (Secret, Secret) {
    let secret = |byte| Secret::new(suite, &[byte; 48][..suite.secret_bytes()]);
    (secret(1).expect("the length fits"), secret(2).expect("the length fits"))
}

/// The server's side of a connection that has come this far.
fn snapshot(suite: Suite, received: Mark, sent: Mark) -> Snapshot {
    let (receiving, sending) = secrets(suite);
    let state = State::new(received, sent);
    Snapshot { epoch: Epoch(0), state, receiving, sending, pending: Vec::new() }
}

/// Both sides of a connection: the server's, and a client's of the same make.
fn pair(suite: Suite) -> (Records, Records) {
    let server = snapshot(suite, Mark::default(), Mark::default());
    let mut client = snapshot(suite, Mark::default(), Mark::default());
    std::mem::swap(&mut client.receiving, &mut client.sending);
    (start(server), start(client))
}

fn start(snapshot: Snapshot) -> Records {
    Records::restore(snapshot, Epoch(1)).expect("1 is later than 0")
}

/// Gives all of `input`, however many calls it takes.
fn open_all(records: &mut Records, mut input: &[u8]) -> (Vec<u8>, Result<(), Failure>) {
    let mut out = Vec::new();
    while !input.is_empty() {
        match records.open(input, &mut out) {
            Ok(taken) => input = &input[taken..],
            Err(failure) => return (out, Err(failure)),
        }
    }
    (out, Ok(()))
}

fn sealed(records: &mut Records, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    records.seal(&[content], &mut out).expect("the direction is open");
    out
}

fn flushed(records: &mut Records) -> Vec<u8> {
    let mut out = Vec::new();
    records.flush(&mut out);
    out
}

#[test]
fn small_writes_become_one_record_and_large_ones_several() {
    for suite in SUITES {
        let (mut server, mut client) = pair(suite);
        let mut out = Vec::new();
        let event = server.seal(&[b"a ", b"", b"few ", b"words"], &mut out).unwrap();
        assert_eq!((event.sent().sequence, event.records().len()), (1, 5 + 11 + 1 + 16));
        let large = vec![7; 40_000];
        let event = server.seal(&[b"x", &large], &mut out).unwrap();
        assert_eq!(event.sent(), server.sent());
        assert_eq!((server.sent().sequence, server.sent().plain), (4, 11 + 40_001));
        assert_eq!(server.sent().stream, out.len() as u64);
        let (plain, outcome) = open_all(&mut client, &out);
        assert_eq!(outcome, Ok(()));
        assert_eq!(plain, [b"a few wordsx".as_slice(), &large].concat());
        assert_eq!(client.received(), server.sent());
    }
}

#[test]
fn a_key_is_changed_before_it_has_sealed_too_much() {
    for suite in [Suite::Aes128Gcm, Suite::Aes256Gcm] {
        let near = Mark { sequence: (1 << 24) - 3, ..Mark::default() };
        let mut server = start(snapshot(suite, Mark::default(), near));
        let mut client = snapshot(suite, near, Mark::default());
        std::mem::swap(&mut client.receiving, &mut client.sending);
        let mut client = start(client);
        let content = vec![9; 5 * (1 << 14)];
        let (plain, outcome) = open_all(&mut client, &sealed(&mut server, &content));
        assert_eq!((plain == content, outcome), (true, Ok(())));
        // Two records, the key update under the last number, and three.
        assert_eq!((server.sent().generation, server.sent().sequence), (1, 3));
        assert!(!client.wants_flush(), "the client's key is its own business");
    }
}

#[test]
fn a_client_that_seals_too_much_is_asked_once_for_another_key() {
    let suite = Suite::Aes256Gcm;
    let far = Mark { sequence: 1 << 24, ..Mark::default() };
    let mut server = start(snapshot(suite, far, Mark::default()));
    let mut client = snapshot(suite, Mark::default(), far);
    std::mem::swap(&mut client.receiving, &mut client.sending);
    let (key, mut client) = (client.sending.key(), start(client));
    let mut record = Vec::new();
    for (number, content) in (far.sequence..).zip([b"more".as_slice(), b" yet"]) {
        let kind = (number, keys::APPLICATION_DATA);
        key.seal(kind, content.len(), std::iter::once(content), &mut record);
    }
    let (half, rest) = record.split_at(record.len() / 2);
    assert_eq!(open_all(&mut server, half).0, b"more");
    let asked = flushed(&mut server);
    assert!(!asked.is_empty());
    assert_eq!(open_all(&mut server, rest).0, b" yet");
    assert!(!server.wants_flush(), "it is asked once");
    assert_eq!(open_all(&mut client, &asked).1, Ok(()));
    client.state.sent.at.sequence += 2;
    assert_eq!(open_all(&mut server, &flushed(&mut client)).1, Ok(()));
    assert_eq!(server.received().generation, 1);
    assert!(!server.state.sent.asked, "the next key may be asked for as well");
}

#[test]
fn both_directions_close_by_themselves() {
    let (mut server, mut client) = pair(Suite::ChaCha20Poly1305);
    client.close();
    assert!(client.seal(&[b"more"], &mut Vec::new()).is_err(), "it is closing");
    let mut closing = flushed(&mut client);
    assert!(client.sent_close());
    // Nothing that follows a closure is looked at.
    closing.extend_from_slice(b"what follows");
    assert_eq!(open_all(&mut server, &closing), (Vec::new(), Ok(())));
    assert!(server.received_close());
    assert_eq!(server.received(), client.sent());
    let answer = sealed(&mut server, b"the rest");
    assert_eq!(open_all(&mut client, &answer), (b"the rest".to_vec(), Ok(())));
    server.close();
    assert_eq!(open_all(&mut client, &flushed(&mut server)).1, Ok(()));
    assert!(client.received_close() && server.sent_close());
    assert!(flushed(&mut server).is_empty(), "it closes once");
    assert_eq!(server.seal(&[b"x"], &mut Vec::new()).unwrap_err(), SealError::Closed);
}

#[test]
fn keys_change_in_both_directions_at_any_time() {
    let (mut server, mut client) = pair(Suite::Aes256Gcm);
    server.update_keys();
    client.update_keys();
    let (to_client, to_server) = (flushed(&mut server), flushed(&mut client));
    assert_eq!(open_all(&mut client, &to_client).1, Ok(()));
    assert_eq!(open_all(&mut server, &to_server).1, Ok(()));
    // Each answers the other's, with its next data.
    let to_client = sealed(&mut server, b"to the client");
    assert_eq!(open_all(&mut client, &to_client), (b"to the client".to_vec(), Ok(())));
    let to_server = sealed(&mut client, b"to the server");
    assert_eq!(open_all(&mut server, &to_server), (b"to the server".to_vec(), Ok(())));
    assert_eq!((server.sent().generation, server.received().generation), (2, 2));
}

#[test]
fn nothing_is_said_to_a_client_that_gave_up() {
    let (mut server, mut client) = pair(Suite::Aes256Gcm);
    client.update_keys();
    let mut bytes = flushed(&mut client);
    client.state.sent.alert = Some(Alert::BAD_RECORD_MAC);
    bytes.extend(flushed(&mut client));
    let given_up = Err(Failure::Peer(Alert::BAD_RECORD_MAC));
    assert_eq!(open_all(&mut server, &bytes).1, given_up);
    assert!(!server.wants_flush(), "the key update is not answered");
    assert!(server.sent_close() && flushed(&mut server).is_empty());
}

#[test]
fn an_epoch_goes_on_once() {
    let (server, _) = pair(Suite::Aes256Gcm);
    let again = Records::restore(server.snapshot(), Epoch(1)).unwrap_err();
    assert_eq!(again, Fenced { asked: Epoch(1), own: Epoch(1) });
    let next = Records::restore(server.hand_over(), Epoch(2)).unwrap();
    assert_eq!(next.epoch(), Epoch(2));
}

#[test]
fn nothing_secret_is_printed() {
    let (server, _) = pair(Suite::Aes256Gcm);
    let printed = format!("{server:?} {:?} {:?}", server.snapshot(), server.opened());
    assert!(!printed.contains("[2, 2"), "{printed}");
}

#[test]
fn no_record_costs_an_allocation() {
    let (mut server, mut client) = pair(Suite::Aes256Gcm);
    let content = [7; 20_000];
    let (mut out, mut plain) = (Vec::new(), Vec::new());
    let mut places = Vec::new();
    for _ in 0..5 {
        out.clear();
        plain.clear();
        server.seal(&[&content], &mut out).unwrap();
        for piece in out.chunks(7000) {
            assert_eq!(client.open(piece, &mut plain), Ok(piece.len()));
        }
        assert_eq!(plain, content);
        let pending = client.opener.pending();
        places.push([out.as_ptr(), plain.as_ptr(), pending.as_ptr()]);
    }
    assert!(places[1..].windows(2).all(|two| two[0] == two[1]), "the buffers stay where they are");
    client.shrink();
}
