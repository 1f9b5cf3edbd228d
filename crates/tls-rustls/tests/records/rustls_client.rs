//! Rustls' client: megabytes both ways, key updates, and what is wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls::{SupportedCipherSuite, version::TLS13};
use tls_rustls::records::Failure;

use super::server::{Ended, Plan, Told, serve, terminator};

pub(crate) const SUITES: [SupportedCipherSuite; 3] = [
    aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
    aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
    aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

type Client = StreamOwned<ClientConnection, TcpStream>;

pub(crate) fn config(
    suite: SupportedCipherSuite,
    certificate: CertificateDer<'static>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = CryptoProvider { cipher_suites: vec![suite], ..aws_lc_rs::default_provider() };
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn connect(suite: SupportedCipherSuite, plan: Plan) -> (Client, Receiver<Told>) {
    let (terminator, certificate) = terminator(|_| {});
    let (sender, told) = channel();
    let address: SocketAddr = serve(terminator, plan, sender);
    let config = Arc::new(config(suite, certificate));
    let connection = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    (StreamOwned::new(connection, stream), told)
}

pub(crate) fn ended(told: &Receiver<Told>) -> Ended {
    told.iter()
        .find_map(|told| if let Told::Ended(ended) = told { Some(ended) } else { None })
        .expect("the server tells how it ended")
}

/// Sends `total` bytes in pieces of odd sizes, and compares the echo; the keys
/// are changed now and then.
fn exchange(client: &mut Client, total: usize, updates: bool) {
    let (mut sent, mut echoed) = (0, 0);
    let sizes = [1, 16_384, 313, 40_000, 7, 100_000, 16_385];
    for size in sizes.into_iter().cycle() {
        let size = size.min(total - sent);
        if size == 0 {
            break;
        }
        let piece = text(sent, size);
        client.write_all(&piece).unwrap();
        if updates && size == 313 {
            client.conn.refresh_traffic_keys().unwrap();
        }
        client.flush().unwrap();
        sent += size;
        let mut echo = vec![0; size];
        client.read_exact(&mut echo).unwrap();
        assert!(echo == piece, "the echo of bytes {echoed} to {sent}");
        echoed += size;
    }
    assert_eq!(echoed, total);
}

/// Bytes that tell where in the stream they are.
pub(crate) fn text(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| (at * 31 + at / 251).to_be_bytes()[7]).collect()
}

#[test]
fn megabytes_pass_while_the_owner_changes() {
    const TOTAL: usize = 3_000_000;
    for suite in SUITES {
        for seed in 1..=3 {
            let plan = Plan { seed, updates: seed == 2, closes_after: None };
            let (mut client, told) = connect(suite, plan);
            exchange(&mut client, TOTAL, seed == 3);
            client.conn.send_close_notify();
            client.flush().unwrap();
            // Read to the end: it is an error unless the server closes as well.
            assert_eq!(client.read_to_end(&mut Vec::new()).unwrap(), 0);
            let ended = ended(&told);
            assert_eq!(ended.failure, None);
            assert!(ended.owners > 10, "{} owners", ended.owners);
            assert_eq!((ended.received.plain, ended.sent.plain), (TOTAL as u64, TOTAL as u64));
            let turned = ended.received.generation > 5 && ended.sent.generation > 5;
            assert_eq!(turned, plan.updates || seed == 3);
        }
    }
}

#[test]
fn the_server_closes_and_the_client_sees_it() {
    let plan = Plan { seed: 5, updates: false, closes_after: Some(50_000) };
    let (mut client, told) = connect(SUITES[1], plan);
    exchange(&mut client, 50_000, false);
    assert_eq!(client.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert_eq!(ended(&told).sent.plain, 50_000);
}

/// Sends `record` behind an exchange, and says which alert comes back.
fn refused(record: &[u8]) -> (Option<Failure>, AlertDescription) {
    let plan = Plan { seed: 7, updates: false, closes_after: None };
    let (mut client, told) = connect(SUITES[2], plan);
    exchange(&mut client, 100_000, false);
    client.sock.write_all(record).unwrap();
    let error = client.read(&mut [0]).unwrap_err();
    let error = error.downcast::<rustls::Error>().unwrap();
    let rustls::Error::AlertReceived(alert) = error else { panic!("{error}") };
    (ended(&told).failure, alert)
}

#[test]
fn what_is_wrong_is_answered_by_its_alert() {
    let forged = [&[23, 3, 3, 0, 40], [7; 40].as_slice()].concat();
    let cases = [
        (forged, Failure::Forged, AlertDescription::BadRecordMac),
        (vec![23, 3, 3, 0x41, 1], Failure::TooLarge, AlertDescription::RecordOverflow),
        (vec![20, 3, 3, 0, 1, 1], Failure::Unexpected, AlertDescription::UnexpectedMessage),
        (vec![21, 3, 3, 0, 2, 1, 0], Failure::Unexpected, AlertDescription::UnexpectedMessage),
    ];
    for (record, failure, alert) in cases {
        assert_eq!(refused(&record), (Some(failure), alert));
    }
}

#[test]
fn a_client_s_fatal_alert_ends_it() {
    let plan = Plan { seed: 0, updates: false, closes_after: None };
    let (mut client, told) = connect(SUITES[0], plan);
    exchange(&mut client, 1000, false);
    // The client refuses what is not from the server, and says so.
    let mut forged: &[u8] =
        &[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];
    client.conn.read_tls(&mut forged).unwrap();
    client.conn.process_new_packets().unwrap_err();
    client.conn.write_tls(&mut client.sock).unwrap();
    let alert = tls_rustls::records::Alert::BAD_RECORD_MAC;
    assert_eq!(ended(&told).failure, Some(Failure::Peer(alert)));
}
