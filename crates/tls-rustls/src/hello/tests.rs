use std::sync::Arc;

use proptest::prelude::*;
use rustls::crypto::aws_lc_rs;
use rustls::server::Acceptor;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

/// What the bytes of a hello are put together from.
#[derive(Default)]
struct Draft {
    session_id: Vec<u8>,
    extensions: Vec<(u16, Vec<u8>)>,
}

impl Draft {
    fn tls12(session_id: &[u8]) -> Self {
        Self { session_id: session_id.to_vec(), extensions: Vec::new() }
    }

    /// TLS 1.3, with a random session id as clients send it.
    fn tls13(identities: &[Vec<u8>]) -> Self {
        let psk = |identity: &Vec<u8>| [vector16(identity), vec![0; 4]].concat();
        let identities: Vec<u8> = identities.iter().flat_map(psk).collect();
        let binders = vector16(&vector8(&[0; 32]));
        Self { session_id: vec![7; 32], extensions: Vec::new() }
            .with(43, vector8(&[3, 4, 3, 3]))
            .with(41, [vector16(&identities), binders].concat())
    }

    fn with(mut self, kind: u16, content: Vec<u8>) -> Self {
        self.extensions.push((kind, content));
        self
    }

    fn with_server_name(self, name: &[u8]) -> Self {
        let name = [vec![0], vector16(name)].concat();
        self.with(0, vector16(&name))
    }

    /// The handshake message.
    fn message(&self) -> Vec<u8> {
        let extension =
            |(kind, content): &(u16, Vec<u8>)| [&kind.to_be_bytes(), &*vector16(content)].concat();
        let extensions: Vec<u8> = self.extensions.iter().flat_map(extension).collect();
        let body = [
            vec![3, 3],
            vec![9; 32],
            vector8(&self.session_id),
            vector16(&[0x13, 0x01]),
            vector8(&[0]),
            vector16(&extensions),
        ]
        .concat();
        let len = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[CLIENT_HELLO], &len[1..], &body].concat()
    }

    /// The message in records of `fragment` bytes.
    fn records(&self, fragment: usize) -> Vec<u8> {
        let record = |part: &[u8]| [vec![HANDSHAKE, 3, 1], vector16(part)].concat();
        self.message().chunks(fragment).flat_map(record).collect()
    }
}

fn vector8(content: &[u8]) -> Vec<u8> {
    [&[u8::try_from(content.len()).unwrap()], content].concat()
}

fn vector16(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
}

/// Reads `bytes`, `step` of them at a time.
fn read(bytes: &[u8], step: usize) -> Result<Option<Hello>, HelloError> {
    let mut reader = HelloReader::default();
    for part in bytes.chunks(step) {
        reader.buffer().extend_from_slice(part);
        if let Some(hello) = reader.poll()? {
            return Ok(Some(hello));
        }
    }
    Ok(None)
}

/// The ids that a draft's hello asks for.
fn candidates(draft: &Draft) -> Vec<Vec<u8>> {
    let hello = read(&draft.records(MAX_FRAGMENT_BYTES), MAX_HELLO_BYTES).unwrap().unwrap();
    hello.candidates().iter().map(|id| id.as_bytes().to_vec()).collect()
}

fn check_error(bytes: &[u8], expected: HelloError, alert: AlertDescription) {
    assert_eq!(read(bytes, 1), Err(expected));
    assert_eq!(expected.alert(), alert);
}

#[test]
fn a_hello_may_be_cut_anywhere() {
    let draft = Draft::tls13(&[vec![5; 32]]).with_server_name(b"Shop.Example");
    for fragment in [1, 3, 50, MAX_FRAGMENT_BYTES] {
        let bytes = draft.records(fragment);
        for step in [1, 2, 7, bytes.len()] {
            let hello = read(&bytes, step).unwrap().unwrap();
            assert_eq!(hello.server_name(), Some("shop.example"));
            assert_eq!(hello.candidates(), [crate::SessionId::from_bytes(&[5; 32]).unwrap()]);
            assert_eq!(read(&bytes[..bytes.len() - 1], step), Ok(None), "one byte is missing");
        }
    }
}

#[test]
fn what_follows_the_hello_is_kept() {
    let bytes = [Draft::tls12(&[]).records(100), b"more".to_vec()].concat();
    let mut reader = HelloReader::default();
    reader.buffer().extend_from_slice(&bytes);
    assert!(reader.poll().unwrap().is_some());
    assert_eq!(reader.into_bytes(), bytes);
}

#[test]
fn a_session_id_is_looked_up_before_tls13_only() {
    let id = [5; 32];
    assert_eq!(candidates(&Draft::tls12(&id)), [id]);
    assert!(candidates(&Draft::tls12(&[5; 31])).is_empty());
    assert!(candidates(&Draft::tls12(&[])).is_empty());
    assert!(candidates(&Draft::tls12(&id).with(43, vector8(&[3, 4]))).is_empty());
    assert_eq!(candidates(&Draft::tls12(&id).with(43, vector8(&[3, 3]))), [id]);
}

#[test]
fn a_session_id_beside_a_ticket_is_random() {
    let draft = || Draft::tls12(&[5; 32]);
    assert!(candidates(&draft().with(35, vec![1])).is_empty());
    assert_eq!(candidates(&draft().with(35, vec![])).len(), 1, "a client that would like a ticket");
}

#[test]
fn only_identities_of_the_right_length_are_looked_up() {
    let ours = vec![5; 32];
    let draft = Draft::tls13(&[vec![1; 200], ours.clone(), vec![2; 33]]);
    assert_eq!(candidates(&draft), [ours]);
}

#[test]
fn a_hello_with_700_identities_asks_for_four() {
    let identities: Vec<Vec<u8>> =
        (0..700_u16).map(|n| [n.to_be_bytes().as_slice(), &[0; 30]].concat()).collect();
    let draft = Draft::tls13(&identities).with(0xfe00, vec![0; 34_000]);
    assert!(draft.records(MAX_FRAGMENT_BYTES).len() > 60_000);
    assert_eq!(candidates(&draft), identities[..MAX_CANDIDATES]);
}

#[test]
fn an_address_is_no_server_name() {
    for name in [b"127.0.0.1".as_slice(), b"::1", b"", b"a..b", b"\xff"] {
        let bytes = Draft::tls12(&[]).with_server_name(name).records(MAX_FRAGMENT_BYTES);
        assert_eq!(read(&bytes, bytes.len()).unwrap().unwrap().server_name(), None);
    }
}

#[test]
fn what_is_no_hello_is_refused_as_early_as_can_be() {
    use AlertDescription as Alert;
    check_error(
        b"GET / HTTP/1.1\r\n",
        HelloError::UnexpectedRecord(b'G'),
        Alert::UnexpectedMessage,
    );
    check_error(&[22, 2, 0, 0, 1], HelloError::RecordVersion(0x0200), Alert::ProtocolVersion);
    check_error(&[22, 3, 1, 0, 0], HelloError::EmptyRecord, Alert::DecodeError);
    check_error(&[22, 3, 1, 0x40, 1], HelloError::RecordTooLong(0x4001), Alert::RecordOverflow);
    check_error(&[22, 3, 1, 0, 1, 2], HelloError::UnexpectedMessage(2), Alert::UnexpectedMessage);
    check_error(&[22, 3, 1, 0, 4, 1, 1, 0, 0], HelloError::TooLong, Alert::DecodeError);
}

#[test]
fn endless_fragments_are_refused() {
    let mut bytes = vec![22, 3, 1, 0, 4, CLIENT_HELLO, 0, 0xff, 0xff];
    while bytes.len() < MAX_HELLO_BYTES {
        bytes.extend([22, 3, 1, 0, 1, 0]);
    }
    assert_eq!(read(&bytes, 1000), Err(HelloError::TooLong));
}

#[test]
fn what_contradicts_itself_is_malformed() {
    let broken = [
        Draft::tls12(&[]).with(43, vec![1, 3]),
        Draft::tls12(&[]).with(43, vec![3, 3, 4, 3]),
        Draft::tls12(&[]).with(0, vec![0, 9, 0]),
        Draft::tls12(&[]).with(0, vec![0, 0]),
        Draft::tls12(&[]).with(0, vector16(&[1])).with(0, vector16(&[1])),
        Draft::tls13(&[]).with(41, vec![]),
        Draft::default().with(43, vector8(&[3, 4])).with(41, vec![0, 3, 0, 9, 1]),
    ];
    for draft in broken {
        let bytes = draft.records(MAX_FRAGMENT_BYTES);
        let error = read(&bytes, bytes.len()).unwrap_err();
        assert!(matches!(error, HelloError::Malformed(_)), "{error}");
        assert_eq!(error.alert(), AlertDescription::DecodeError);
    }
}

#[test]
fn an_alert_is_a_record_of_its_own() {
    assert_eq!(fatal_alert(AlertDescription::DecodeError), [21, 3, 3, 0, 2, 2, 50]);
}

/// The first flight of rustls' own client.
fn hello_of_rustls(server_name: &str) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = server_name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn reads_what_rustls_reads() {
    let bytes = hello_of_rustls("Shop.Example");
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut bytes.as_slice()).unwrap();
    let accepted = acceptor.accept().unwrap().unwrap();
    let hello = read(&bytes, 100).unwrap().unwrap();
    assert_eq!(hello.server_name(), accepted.client_hello().server_name());
    assert!(hello.offers_tls13());
    assert!(hello.candidates().is_empty(), "the legacy session id is no candidate");
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes: Vec<u8>, step in 1_usize..50) {
        let _ = read(&bytes, step);
    }

    /// Bytes changed in a well-formed hello reach further than garbage does.
    #[test]
    fn a_damaged_hello_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        fragment in 1_usize..300,
    ) {
        let draft = Draft::tls13(&[vec![5; 32], vec![6; 40]]).with_server_name(b"a.test");
        let mut bytes = draft.records(fragment);
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Ok(Some(hello)) = read(&bytes, 64) {
            prop_assert!(hello.candidates().len() <= MAX_CANDIDATES);
        }
    }

    #[test]
    fn never_more_than_four_candidates(lens in prop::collection::vec(0_usize..64, 0..60)) {
        let identities: Vec<Vec<u8>> = lens.iter().map(|&len| vec![1; len]).collect();
        let expected: Vec<_> =
            identities.iter().filter(|id| id.len() == 32).take(MAX_CANDIDATES).cloned().collect();
        prop_assert_eq!(candidates(&Draft::tls13(&identities)), expected);
    }
}

/// Each file's first byte says how many bytes come at a time.
#[test]
fn the_fuzzers_corpus_is_read_or_refused() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/hello");
    let mut hellos = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let Some((&step, bytes)) = bytes.split_first() else { continue };
        let mut reader = HelloReader::default();
        let polled = bytes.chunks(usize::from(step) * 16 + 1).find_map(|piece| {
            reader.buffer().extend_from_slice(piece);
            reader.poll().transpose()
        });
        hellos += usize::from(matches!(polled, Some(Ok(_))));
    }
    assert!(hellos > 0, "none of the corpus is a hello");
}
