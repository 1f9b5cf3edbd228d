//! A farm below an engine: what it knew outlives it.

use std::fs;

use rcgen::generate_simple_self_signed;
use toml::Table;

use crate::engine::{Cluster, Engine, free_port};
use crate::nodes::{Farm, Node};
use crate::openssl::{Openssl, Version};

/// What a node below an engine is told, whose sessions wait for it.
fn below(url: &str) -> Table {
    toml::toml! {
        upstream = [{ redis = url }]
        [writes]
        tls = "tier"
    }
}

fn until_up(node: &Node) {
    node.until_status(|status| status["upstreams"][0]["state"] == "up");
}

/// A session that began at a farm of which every node is killed goes on at
/// another farm that has its key.
fn a_session_outlives_its_farm(farm: &mut Farm, settings: &Table, version: Version) {
    let [a, b] = ["a", "b"].map(|name| farm.start(name, settings));
    [&a, &b].into_iter().for_each(until_up);
    let client = Openssl::new(version);
    let begun = client.begin(a.tls());
    assert!(!begun.reused);
    // Its ticket was sent when the engine had it.
    drop((a, b));
    let c = farm.start("c", settings);
    until_up(&c);
    let visit = client.go_on(c.tls());
    assert!(visit.reused, "{version:?}: {}\n{:#}", visit.said, c.status());
    assert_eq!(visit.session()["began_at"], "a");
    let status = c.status();
    assert_eq!(status["cache"]["hits_upstream"], 1, "{status:#}");
    assert_eq!(status["upstreams"][0]["hits"], 1, "{status:#}");
}

#[test]
fn tls_sessions_outlive_their_farm() {
    for version in Version::BOTH {
        let engine = Engine::start(&[]);
        a_session_outlives_its_farm(&mut Farm::new(), &below(&engine.url()), version);
    }
}

#[test]
fn tls_sessions_outlive_their_farm_in_a_cluster() {
    let cluster = Cluster::start();
    a_session_outlives_its_farm(&mut Farm::new(), &below(&cluster.url()), Version::Tls13);
}

#[test]
fn an_engine_is_reached_by_tls_and_its_certificate_is_checked() {
    let mut farm = Farm::new();
    let pair = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        fs::write(farm.path(name), text).unwrap();
        farm.path(name).display().to_string()
    };
    let cert = file("engine.pem", pair.cert.pem());
    let key = file("engine.key", pair.signing_key.serialize_pem());
    file("other.pem", other.cert.pem());
    let port = free_port();
    let tls_port = port.to_string();
    let options = ["--tls-port", &tls_port, "--tls-cert-file", &cert, "--tls-key-file", &key];
    let options = [&options[..], &["--tls-auth-clients", "no", "--requirepass", "s3cret"]].concat();
    let engine = Engine::start(&options);
    let settings = |ca: &str| {
        let url = format!("rediss://:s3cret@127.0.0.1:{port}");
        toml::toml! {
            upstream = [{ redis = url, ca = ca }]
            [writes]
            tls = "tier"
        }
    };
    let stranger = farm.start("stranger", &settings("other.pem"));
    let status = stranger.until_status(|status| !status["upstreams"][0]["error"].is_null());
    assert_eq!(status["upstreams"][0]["state"], "down");
    assert!(!status.to_string().contains("s3cret") && !stranger.logged().contains("s3cret"));
    drop(stranger);
    a_session_outlives_its_farm(&mut farm, &settings("engine.pem"), Version::Tls13);
    drop(engine);
}

/// Its clients are served all the same.
#[test]
fn a_farm_whose_engine_is_down_serves_and_tells() {
    let mut farm = Farm::new();
    let url = format!("redis://127.0.0.1:{}", free_port());
    let a = farm.start("a", &below(&url));
    let b = farm.start("b", &below(&url));
    let client = Openssl::new(Version::Tls13);
    assert!(!client.begin(a.tls()).reused);
    b.until_status(|status| status["cache"]["by_kind"]["tls"] == 1);
    assert!(client.go_on(b.tls()).reused, "the farm itself has it");
    let upstream = a.status()["upstreams"][0].clone();
    assert_eq!((&upstream["state"], &upstream["queued"]), (&"down".into(), &1.into()));
    assert!(a.logged().contains("the upstream is down"), "{}", a.logged());
}
