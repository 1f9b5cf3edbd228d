//! A foreign client's TLS sessions go on at other nodes, within their bounds.

use std::fs;

use rcgen::generate_simple_self_signed;
use toml::Table;

use crate::client::Client;
use crate::nodes::{Farm, Node, SERVER_NAME};
use crate::openssl::{Openssl, Version};

/// Waits until a node holds so many TLS sessions.
fn until_held(node: &Node, sessions: u64) {
    node.until_status(|status| status["cache"]["by_kind"]["tls"] == sessions);
}

#[test]
fn after_the_first_node_was_killed_its_sessions_go_on_at_the_others() {
    for version in Version::BOTH {
        let mut farm = Farm::new();
        let [a, b, c] = ["a", "b", "c"].map(|name| farm.start(name, &Table::new()));
        let client = Openssl::new(version);
        let begun = client.begin(a.tls());
        assert!(!begun.reused);
        assert_eq!(begun.session()["began_at"], "a");
        until_held(&b, 1);
        until_held(&c, 1);
        drop(a);
        for (name, node) in [("b", &b), ("c", &c)] {
            let visit = client.go_on(node.tls());
            assert!(visit.reused, "{version:?} at {name}: {}", visit.said);
            assert_eq!(visit.session()["node"], name);
            assert_eq!(visit.session()["began_at"], "a");
            let tls = node.status()["tls"].clone();
            assert_eq!((&tls["resumed_remote"], &tls["handshakes_full"]), (&1.into(), &0.into()));
        }
    }
}

/// The client is sent its ticket only when every node has it.
#[test]
fn a_client_is_known_wherever_it_comes_at_once() {
    let mut farm = Farm::new();
    let everywhere = toml::toml! {
        [writes]
        tls = "all"
    };
    let nodes = ["a", "b", "c"].map(|name| farm.start(name, &everywhere));
    for node in &nodes {
        node.until_status(|status| status["members"].as_array().unwrap().len() == 2);
    }
    let client = Client::new(&farm);
    assert_eq!(client.visit(nodes[0].tls()).unwrap()["resumed"], false);
    for visit in 1..60 {
        let session = client.visit(nodes[visit % nodes.len()].tls()).unwrap();
        assert_eq!(session["resumed"], true, "visit {visit}: {session}");
    }
}

#[test]
fn a_node_that_joins_later_goes_on_with_sessions_from_before() {
    for version in Version::BOTH {
        let mut farm = Farm::new();
        let a = farm.start("a", &Table::new());
        let client = Openssl::new(version);
        client.begin(a.tls());
        let b = farm.start("b", &Table::new());
        let visit = client.go_on(b.tls());
        assert!(visit.reused, "{version:?}: {}", visit.said);
    }
}

#[test]
fn an_unknown_session_is_a_full_handshake() {
    for version in Version::BOTH {
        let mut farm = Farm::new();
        let client = Openssl::new(version);
        client.begin(farm.start("a", &Table::new()).tls());
        let forgetful = farm.start("a", &Table::new());
        assert_eq!(client.go_on(forgetful.tls()).session()["resumed"], false);
    }
}

#[test]
fn a_session_of_another_certificate_or_name_is_a_full_handshake() {
    for version in Version::BOTH {
        let mut farm = Farm::new();
        let other = generate_simple_self_signed([SERVER_NAME.to_owned()]).unwrap();
        fs::write(farm.path("other.pem"), other.cert.pem()).unwrap();
        fs::write(farm.path("other.key"), other.signing_key.serialize_pem()).unwrap();
        let a = farm.start("a", &Table::new());
        let with_other = toml::toml! {
            [tls]
            certificates = [{ cert = "other.pem", key = "other.key" }]
        };
        let b = farm.start("b", &with_other);
        let client = Openssl::new(version);
        client.begin(a.tls());
        until_held(&b, 1);
        assert_eq!(client.go_on(b.tls()).session()["resumed"], false);
        assert_eq!(client.go_on_as(a.tls(), "other.segue.example").session()["resumed"], false);
        assert_eq!(client.go_on(a.tls()).session()["resumed"], true);
    }
}

#[test]
fn a_session_ends_with_its_lifetime() {
    let mut farm = Farm::new();
    let brief = toml::toml! {
        [tls]
        lifetime = "1s"
    };
    let a = farm.start("a", &brief);
    for version in Version::BOTH {
        let client = Openssl::new(version);
        client.begin(a.tls());
        until_held(&a, 0);
        assert_eq!(client.go_on(a.tls()).session()["resumed"], false);
    }
}
