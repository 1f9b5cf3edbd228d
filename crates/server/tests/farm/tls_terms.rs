//! What a node's front agrees to: certificates by name, protocols, client
//! certificates, and what it reads anew while it runs; and what it refuses.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use toml::Table;

use crate::client::Client;
use crate::http;
use crate::nodes::{Farm, Node, SERVER_NAME};
use crate::openssl::{Openssl, Version};
use crate::patience::{PATIENCE, until};

/// Writes a certificate for `names` and its key to the farm's directory, as
/// `{file}.pem` and `{file}.key`.
fn write_certificate(farm: &Farm, file: &str, names: &[&str]) {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(farm.path(&format!("{file}.pem")), made.cert.pem()).unwrap();
    fs::write(farm.path(&format!("{file}.key")), made.signing_key.serialize_pem()).unwrap();
}

/// Whether a node shows the certificate in `file` to a client that asks for
/// `name`.
fn shows(farm: &Farm, node: &Node, file: &str, name: &str) -> bool {
    let client = Openssl::new(Version::Tls13).that_trusts(farm.path(file));
    client.begin_as(node.tls(), name).session.is_some()
}

#[test]
fn a_client_sees_the_certificate_of_the_name_that_it_asks_for() {
    let mut farm = Farm::new();
    write_certificate(&farm, "shop", &["shop.example"]);
    write_certificate(&farm, "wild", &["*.wild.example"]);
    let several = toml::toml! {
        [tls]
        certificates = [
            { cert = "cert.pem", key = "key.pem" },
            { cert = "shop.pem", key = "shop.key" },
            { cert = "wild.pem", key = "wild.key" },
        ]
    };
    let node = farm.start("a", &several);
    let shown = |file: &str, name: &str| shows(&farm, &node, file, name);
    assert!(shown("shop.pem", "shop.example"));
    assert!(shown("wild.pem", "a.wild.example"));
    assert!(shown("cert.pem", "unknown.example"), "the first one is for all others");
    assert!(!shown("cert.pem", "shop.example"));
}

#[test]
fn a_protocol_is_agreed_on_or_there_is_no_connection() {
    let mut farm = Farm::new();
    let node = farm.start("a", &Table::new());
    for version in Version::BOTH {
        let agreed = Openssl::new(version).with("-alpn", "h2,http/1.1").begin(node.tls());
        assert_eq!(agreed.session()["protocol"], "http/1.1");
        let refused = Openssl::new(version).with("-alpn", "h2").begin(node.tls());
        assert!(refused.session.is_none() && refused.said.contains("no application protocol"));
    }
}

#[test]
fn a_client_certificate_is_asked_for_once_a_session() {
    let mut farm = Farm::new();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own =
        CertificateParams::new(["customer".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    fs::write(farm.path("ca.pem"), ca.pem()).unwrap();
    fs::write(farm.path("own.pem"), own.pem()).unwrap();
    fs::write(farm.path("own.key"), key.serialize_pem()).unwrap();
    let demanding = toml::toml! {
        [tls]
        client_ca = "ca.pem"
    };
    let [a, b] = ["a", "b"].map(|name| farm.start(name, &demanding));
    for version in Version::BOTH {
        let known = Openssl::new(version)
            .with("-cert", farm.path("own.pem"))
            .with("-key", farm.path("own.key"));
        let begun = known.begin(a.tls());
        assert_eq!(begun.session()["client_certificate"], true);
        let held = a.status()["cache"]["by_kind"]["tls"].clone();
        b.until_status(|status| status["cache"]["by_kind"]["tls"] == held);
        let resumed = known.go_on(b.tls());
        assert_eq!(resumed.session()["client_certificate"], true);
        assert!(resumed.reused);
        let stranger = Openssl::new(version).begin(a.tls());
        assert!(stranger.session.is_none(), "{}", stranger.said);
    }
}

#[test]
fn a_node_reads_its_certificates_anew_when_told_to() {
    let mut farm = Farm::new();
    let node = farm.start("a", &Table::new());
    let client = Client::new(&farm);
    let mut live = client.connect(node.tls()).unwrap();
    live.conn.complete_io(&mut live.sock).unwrap();
    let serves = |file: &str| shows(&farm, &node, file, SERVER_NAME);
    fs::copy(farm.path("cert.pem"), farm.path("old.pem")).unwrap();
    assert!(serves("old.pem"));

    fs::write(farm.path("cert.pem"), "no certificate").unwrap();
    node.reload();
    until(|| node.logged().contains("not reloaded").then_some(()), || node.logged());
    assert!(serves("old.pem"), "what cannot be used changes nothing");

    write_certificate(&farm, "new", &[SERVER_NAME]);
    fs::copy(farm.path("new.pem"), farm.path("cert.pem")).unwrap();
    fs::copy(farm.path("new.key"), farm.path("key.pem")).unwrap();
    node.reload();
    until(|| serves("new.pem").then_some(()), || "the new certificate is not shown".to_owned());
    assert!(!serves("old.pem"));
    let page = http::get(live, SERVER_NAME, "/session").unwrap();
    assert!(page.contains("\"node\":\"a\""), "a connection from before goes on: {page}");
}

/// Sends bytes to a node, and gives all that it answers until it closes.
fn answer(node: &Node, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(node.tls()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn what_is_no_hello_gets_an_alert() {
    const UNEXPECTED_MESSAGE: u8 = 10;
    const RECORD_OVERFLOW: u8 = 22;
    const DECODE_ERROR: u8 = 50;
    const PROTOCOL_VERSION: u8 = 70;
    let mut farm = Farm::new();
    let node = farm.start("a", &Table::new());
    let check = |bytes: &[u8], alert| {
        assert_eq!(answer(&node, bytes), [21, 3, 3, 0, 2, 2, alert], "{bytes:?}");
    };
    check(b"GET / HTTP/1.1\r\n\r\n", UNEXPECTED_MESSAGE);
    check(&[0; 30_000], UNEXPECTED_MESSAGE);
    check(&[22, 2, 0, 0, 1], PROTOCOL_VERSION);
    check(&[22, 3, 1, 0xff, 0xff], RECORD_OVERFLOW);
    check(&[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff], DECODE_ERROR);
    check(&[22, 3, 1, 0, 5, 1, 0, 0, 1, 9], DECODE_ERROR);
    assert_eq!(Client::new(&farm).visit(node.tls()).unwrap()["node"], "a");
}

#[test]
fn long_a_client_that_says_nothing_is_closed() {
    let mut farm = Farm::new();
    let node = farm.start("a", &Table::new());
    thread::scope(|scope| {
        for bytes in [b"".as_slice(), &[22, 3, 1, 0, 100, 1, 0, 0, 96]] {
            let node = &node;
            scope.spawn(move || assert!(answer(node, bytes).is_empty()));
        }
    });
}
