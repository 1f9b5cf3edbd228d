//! Portions and tiers with real processes: sessions that a node lacks, and
//! nodes that keep what others kept.

use toml::Table;

use crate::nodes::{Farm, Node};
use crate::openssl::{Openssl, Version};

/// Sessions of a test: so many that a node with two thirds of all keeps every
/// one of them by chance once in 10^7.
const SESSIONS: u64 = 40;

/// What a node is told that keeps a share.
fn share(replicas: i64) -> Table {
    toml::toml! {
        [portion]
        keep = "share"
        replicas = replicas
    }
}

/// What a node is told that keeps what others keep.
fn of(names: &[&str]) -> Table {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    toml::toml! {
        [portion]
        keep = "of"
        of = names
    }
}

fn until_acquainted(nodes: &[&Node]) {
    for node in nodes {
        node.until_status(|status| {
            let members = status["members"].as_array().expect("a list");
            members.iter().filter(|member| member["state"] == "alive").count() == nodes.len() - 1
        });
    }
}

fn kept(node: &Node) -> u64 {
    node.status()["cache"]["by_kind"]["tls"].as_u64().expect("a count")
}

/// Waits until a node keeps so many sessions.
fn until_kept(node: &Node, sessions: u64) {
    node.until_status(|status| status["cache"]["by_kind"]["tls"] == sessions);
}

/// Clients that begin sessions at a node, by both versions of TLS.
fn begin(node: &Node) -> Vec<Openssl> {
    let versions = Version::BOTH.into_iter().cycle();
    let clients: Vec<_> =
        (0..SESSIONS).zip(versions).map(|(_, version)| Openssl::new(version)).collect();
    for client in &clients {
        assert!(!client.begin(node.tls()).reused);
    }
    clients
}

/// All of them go on at a node, from sessions that began at `began_at`.
fn go_on(clients: &[Openssl], node: &Node, began_at: &str) {
    for client in clients {
        let visit = client.go_on(node.tls());
        assert!(visit.reused, "{}\n{:#}", visit.said, node.status());
        assert_eq!(visit.session()["began_at"], began_at);
    }
}

/// How many sessions a node has got from another one that it asked.
fn found_elsewhere(node: &Node) -> u64 {
    node.status()["cache"]["hits_remote"].as_u64().expect("a count")
}

/// Row Q1.
#[test]
fn disjoint_portions_keep_each_session_once() {
    let mut farm = Farm::new();
    let [a, b] = ["a", "b"].map(|name| farm.start(name, &share(1)));
    until_acquainted(&[&a, &b]);
    let clients = begin(&a);
    a.until_status(|_| kept(&a) + kept(&b) == SESSIONS);
    assert!(kept(&a) > 0 && kept(&b) > 0, "{} and {}", kept(&a), kept(&b));
    go_on(&clients, &b, "a");
}

/// Row Q1.
#[test]
fn equal_portions_keep_every_session_twice() {
    let mut farm = Farm::new();
    let [a, b] = ["a", "b"].map(|name| farm.start(name, &share(2)));
    until_acquainted(&[&a, &b]);
    let clients = begin(&a);
    [&a, &b].into_iter().for_each(|node| until_kept(node, SESSIONS));
    drop(a);
    go_on(&clients, &b, "a");
    assert_eq!(found_elsewhere(&b), 0);
}

/// Rows Q1 and S3: portions overlap, and the third server obtains from the
/// second's cache what it lacks, after the first has died.
#[test]
fn a_third_server_obtains_from_the_second_what_it_lacks() {
    let mut farm = Farm::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| farm.start(name, &share(2)));
    until_acquainted(&[&a, &b, &c]);
    let clients = begin(&a);
    let together = |nodes: &[&Node]| nodes.iter().map(|node| kept(node)).sum::<u64>();
    c.until_status(|_| together(&[&a, &b, &c]) == 2 * SESSIONS);
    assert!(kept(&c) < SESSIONS);
    drop(a);
    go_on(&clients, &c, "a");
    assert_ne!(found_elsewhere(&c), 0, "{:#}", c.status());
}

/// Row R2: the state is cached at a third server, and the second obtains it
/// from there.
#[test]
fn a_second_server_obtains_from_a_third_what_the_first_kept() {
    let mut farm = Farm::new();
    let [a, b] = ["a", "b"].map(|name| farm.start(name, &share(1)));
    let c = farm.start("c", &of(&["a", "b"]));
    until_acquainted(&[&a, &b, &c]);
    let clients = begin(&a);
    until_kept(&c, SESSIONS);
    assert!(kept(&b) < SESSIONS);
    drop(a);
    go_on(&clients, &b, "a");
    assert_ne!(found_elsewhere(&b), 0, "{:#}", b.status());
}

/// Rows Q2 and Q3: each tier goes on alone with what those below it kept.
#[test]
fn a_tier_goes_on_when_everything_below_it_is_dead() {
    let mut farm = Farm::new();
    let [a, b] = ["a", "b"].map(|name| farm.start(name, &share(1)));
    let c = farm.start("c", &of(&["a", "b"]));
    let d = farm.start("d", &of(&["c"]));
    until_acquainted(&[&a, &b, &c, &d]);
    let clients = begin(&a);
    [&c, &d].into_iter().for_each(|node| until_kept(node, SESSIONS));
    drop((a, b));
    go_on(&clients, &c, "a");
    // Resuming gave each client a session anew (TLS 1.3) that d keeps as well.
    let held = kept(&c);
    d.until_status(|status| status["cache"]["by_kind"]["tls"] == held);
    drop(c);
    go_on(&clients, &d, "a");
}
