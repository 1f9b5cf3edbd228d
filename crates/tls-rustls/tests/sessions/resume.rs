//! Sessions that begin at one node and go on at another.

use std::sync::Arc;
use std::time::Duration;

use crate::pair::{
    Ca, Credentials, Done, Farm, NOW, answer, client, first_flight, handshake, node,
};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, Error, PeerMisbehaved, SupportedProtocolVersion};
use tls_rustls::{Config, Incarnation, Miss, Terminator};

static VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A handshake for `a.test` at the usual time, which must succeed.
fn meet(client: &Arc<ClientConfig>, node: &Terminator, farm: &mut Farm) -> Done {
    handshake(client, "a.test", node, farm, NOW).unwrap()
}

#[test]
fn a_session_goes_on_at_every_other_node() {
    let server = Credentials::self_signed(&["a.test"]);
    let [a, b, c] = ["a", "b", "c"].map(|name| node(name, &[&server], |_| ()));
    for version in VERSIONS {
        let (client, mut farm) = (client(version, &[&server], None), Farm::default());
        let begun = meet(&client, &a, &mut farm).settled;
        assert!(!begun.resumed);
        assert_eq!((begun.origin.node.as_str(), begun.origin.at), ("a", NOW));
        assert_eq!(begun.sessions.len(), 1);
        for other in [&b, &c, &a] {
            let settled = meet(&client, other, &mut farm).settled;
            assert!(settled.resumed, "{version:?}");
            assert_eq!(settled.origin, begun.origin);
        }
        assert!(farm.misses.is_empty());
    }
}

#[test]
fn a_session_id_stays_and_a_ticket_is_followed_by_another() {
    let server = Credentials::self_signed(&["a.test"]);
    let a = node("a", &[&server], |_| ());
    for (version, stored) in [(&TLS12, 0), (&TLS13, 1)] {
        let (client, mut farm) = (client(version, &[&server], None), Farm::default());
        meet(&client, &a, &mut farm);
        assert_eq!(meet(&client, &a, &mut farm).settled.sessions.len(), stored);
    }
}

#[test]
fn as_many_tickets_as_configured() {
    let server = Credentials::self_signed(&["a.test"]);
    for tickets in [0, 1, 3, 8] {
        let a = node("a", &[&server], |config| config.tickets = tickets);
        let (client, mut farm) = (client(&TLS13, &[&server], None), Farm::default());
        assert_eq!(meet(&client, &a, &mut farm).settled.sessions.len(), tickets);
    }
}

#[test]
fn an_unknown_session_is_a_full_handshake() {
    let server = Credentials::self_signed(&["a.test"]);
    let a = node("a", &[&server], |_| ());
    for version in VERSIONS {
        let client = client(version, &[&server], None);
        meet(&client, &a, &mut Farm::default());
        assert!(!meet(&client, &a, &mut Farm::default()).settled.resumed);
    }
}

/// A session begins at one node; the other finds its record and must not
/// resume it.
fn check_miss(begin: &Terminator, other: &Terminator, client: &Arc<ClientConfig>, expected: Miss) {
    let mut farm = Farm::default();
    meet(client, begin, &mut farm);
    let settled = meet(client, other, &mut farm).settled;
    assert!(!settled.resumed);
    assert_eq!(farm.misses, [expected]);
    assert!(meet(client, other, &mut farm).settled.resumed, "its own session resumes");
}

#[test]
fn another_certificate_is_a_full_handshake() {
    let (one, two) = (Credentials::self_signed(&["a.test"]), Credentials::self_signed(&["a.test"]));
    for version in VERSIONS {
        let client = client(version, &[&one, &two], None);
        let (a, b) = (node("a", &[&one], |_| ()), node("b", &[&two], |_| ()));
        check_miss(&a, &b, &client, Miss::Configuration);
    }
}

#[test]
fn another_client_ca_is_a_full_handshake() {
    let server = Credentials::self_signed(&["a.test"]);
    let (ca, other_ca) = (Ca::new(), Ca::new());
    let own = ca.sign("client");
    let demanding = |authorities: Vec<&Ca>| {
        let client_ca = authorities.iter().map(|ca| ca.certificate()).collect();
        node("a", &[&server], |config| config.client_ca = client_ca)
    };
    for version in VERSIONS {
        let client = client(version, &[&server], Some(&own));
        let (open, strict) = (demanding(vec![]), demanding(vec![&ca]));
        check_miss(&open, &strict, &client, Miss::Configuration);
        check_miss(&strict, &demanding(vec![&ca, &other_ca]), &client, Miss::Configuration);
    }
}

#[test]
fn another_certificate_of_the_same_server_does_not_matter() {
    let (one, two) = (Credentials::self_signed(&["a.test"]), Credentials::self_signed(&["b.test"]));
    let a = node("a", &[&one], |_| ());
    let b = node("b", &[&two, &one], |_| ());
    for version in VERSIONS {
        let (client, mut farm) = (client(version, &[&one, &two], None), Farm::default());
        meet(&client, &a, &mut farm);
        assert!(meet(&client, &b, &mut farm).settled.resumed);
    }
}

#[test]
fn another_server_name_is_a_full_handshake() {
    let server = Credentials::self_signed(&["a.test", "b.test"]);
    let a = node("a", &[&server], |_| ());
    for version in VERSIONS {
        let mut farm = Farm::default();
        let client = client(version, &[&server], None);
        let begun = meet(&client, &a, &mut farm).settled;
        // A client keeps its sessions by name; this one is made to mix them up.
        let (connection, bytes) = first_flight(&client, "a.test");
        let at = bytes.windows(6).position(|part| part == b"a.test").unwrap();
        let mut renamed = bytes;
        renamed[at] = b'b';
        assert!(
            answer((connection, renamed), &a, &mut farm, NOW).is_err(),
            "the transcripts differ"
        );
        assert_eq!(farm.misses, [Miss::Name]);
        assert_eq!(begun.sessions.len(), 1);
    }
}

#[test]
fn another_format_or_damage_is_a_full_handshake() {
    let server = Credentials::self_signed(&["a.test"]);
    let a = node("a", &[&server], |_| ());
    for version in VERSIONS {
        for (place, expected) in [(0, Miss::Format), (1, Miss::Rustls)] {
            let (client, mut farm) = (client(version, &[&server], None), Farm::default());
            meet(&client, &a, &mut farm);
            farm.records.values_mut().for_each(|record| record[place] ^= 0xff);
            assert!(!meet(&client, &a, &mut farm).settled.resumed);
            assert_eq!(farm.misses, [expected]);
        }
        let (client, mut farm) = (client(version, &[&server], None), Farm::default());
        meet(&client, &a, &mut farm);
        farm.records.values_mut().for_each(|record| record.truncate(record.len() - 20));
        assert!(!meet(&client, &a, &mut farm).settled.resumed, "rustls' own part is cut");
    }
}

#[test]
fn a_chain_of_resumptions_ends() {
    let server = Credentials::self_signed(&["a.test"]);
    let lifetime = Duration::from_secs(3600);
    let a = node("a", &[&server], |config| config.lifetime = lifetime);
    for version in VERSIONS {
        let (client, mut farm) = (client(version, &[&server], None), Farm::default());
        let mut at = |minutes: u64| {
            let now = NOW + Duration::from_secs(60 * minutes);
            handshake(&client, "a.test", &a, &mut farm, now).unwrap().settled
        };
        assert!(!at(0).resumed);
        for minutes in [20, 40, 59] {
            let settled = at(minutes);
            assert!(settled.resumed);
            assert!(settled.sessions.iter().all(|session| session.ends == NOW + lifetime));
        }
        assert!(!at(60).resumed, "an hour after the full handshake");
        assert_eq!(farm.misses, [Miss::Expired]);
    }
}

#[test]
fn a_wrong_binder_burns_nothing() {
    let server = Credentials::self_signed(&["a.test"]);
    let a = node("a", &[&server], |config| config.tickets = 2);
    let (client, mut farm) = (client(&TLS13, &[&server], None), Farm::default());
    meet(&client, &a, &mut farm);
    let (connection, genuine) = first_flight(&client, "a.test");
    let mut forged = genuine.clone();
    *forged.last_mut().unwrap() ^= 1;
    let (victim, _) = first_flight(&client, "a.test");
    let error = answer((victim, forged), &a, &mut farm, NOW).unwrap_err();
    assert_eq!(error, Error::PeerMisbehaved(PeerMisbehaved::IncorrectBinder));
    assert!(answer((connection, genuine), &a, &mut farm, NOW).unwrap().settled.resumed);
}

#[test]
fn a_ticket_resumes_more_than_once() {
    let server = Credentials::self_signed(&["a.test"]);
    let [a, b] = ["a", "b"].map(|name| node(name, &[&server], |_| ()));
    let (client, mut farm) = (client(&TLS13, &[&server], None), Farm::default());
    meet(&client, &a, &mut farm);
    let (connection, hello) = first_flight(&client, "a.test");
    let lost = first_flight(&client, "a.test").0;
    assert!(answer((lost, hello.clone()), &a, &mut farm, NOW).is_err(), "its client is another");
    assert!(answer((connection, hello), &b, &mut farm, NOW).unwrap().settled.resumed);
}

#[test]
fn a_client_certificate_is_carried_through_resumption() {
    let server = Credentials::self_signed(&["a.test"]);
    let ca = Ca::new();
    let own = ca.sign("client");
    let with_ca = |config: &mut Config| config.client_ca = vec![ca.certificate()];
    let [a, b] = ["a", "b"].map(|name| node(name, &[&server], with_ca));
    for version in VERSIONS {
        let (client, mut farm) = (client(version, &[&server], Some(&own)), Farm::default());
        meet(&client, &a, &mut farm);
        let done = meet(&client, &b, &mut farm);
        assert!(done.settled.resumed);
        assert_eq!(done.server.peer_certificates().unwrap(), [own.certificate().clone()]);

        let stranger = crate::pair::client(version, &[&server], None);
        assert!(handshake(&stranger, "a.test", &a, &mut farm, NOW).is_err());
    }
}

#[test]
fn the_certificate_follows_the_name() {
    let exact = Credentials::self_signed(&["a.test", "b.test"]);
    let wildcard = Credentials::self_signed(&["*.a.test"]);
    let a = node("a", &[&exact, &wildcard], |_| ());
    let client = client(&TLS13, &[&exact, &wildcard], None);
    let shown = |name: &str| {
        let done = handshake(&client, name, &a, &mut Farm::default(), NOW).unwrap();
        done.client.peer_certificates().unwrap()[0].clone()
    };
    assert_eq!(shown("a.test"), *exact.certificate());
    assert_eq!(shown("B.test"), *exact.certificate());
    assert_eq!(shown("shop.a.test"), *wildcard.certificate());
    let refused = handshake(&client, "x.shop.a.test", &a, &mut Farm::default(), NOW);
    assert!(matches!(refused, Err(Error::InvalidCertificate(_))), "a wildcard is for one label");
    assert!(ParsedCertificate::try_from(exact.certificate()).is_ok());
}

#[test]
fn a_protocol_is_agreed_on() {
    let server = Credentials::self_signed(&["a.test"]);
    let a = node("a", &[&server], |config| config.alpn = vec![b"h2".into(), b"http/1.1".into()]);
    let mut client = (*client(&TLS13, &[&server], None)).clone();
    client.alpn_protocols = vec![b"http/1.1".into()];
    let (client, mut farm) = (Arc::new(client), Farm::default());
    for _ in ["full", "resumed"] {
        let done = meet(&client, &a, &mut farm);
        assert_eq!(done.server.alpn_protocol(), Some(b"http/1.1".as_slice()));
    }
}

#[test]
fn an_unusable_configuration_says_why() {
    let (one, two) = (Credentials::self_signed(&["a.test"]), Credentials::self_signed(&["a.test"]));
    let check = |identities, change: fn(&mut Config), expected: &str| {
        let mut config = Config::new("a".to_owned(), Incarnation(1), identities);
        change(&mut config);
        let error = Terminator::new(config).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let mut mixed = one.identity();
    mixed.key = two.identity().key;
    check(vec![], |_| (), "no certificate");
    check(vec![one.identity(), mixed], |_| (), "the key of certificate 1");
    check(vec![one.identity()], |config| config.tickets = 9, "at most 8");
    check(vec![one.identity()], |config| config.lifetime *= 3, "at most 24h");
    check(vec![one.identity()], |config| config.node = "n".repeat(256), "256 bytes");
    check(
        vec![one.identity()],
        |config| config.client_ca = vec![vec![1].into()],
        "CA certificate 0",
    );
}
