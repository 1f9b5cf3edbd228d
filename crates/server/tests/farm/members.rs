//! Who is a member: real processes that die, that bear another's name, that
//! have other keys, and that have nobody to join.

use std::net::TcpListener;

use serde_json::Value;
use toml::Table;

use crate::nodes::{Farm, Node, segue, status_at};
use crate::patience::until;

/// What a node's figures say of the state of another that is at an address.
fn state_of(status: &Value, address: &str) -> Option<String> {
    let members = status["members"].as_array().unwrap();
    let member = members.iter().find(|member| member["address"] == address)?;
    Some(member["state"].as_str().unwrap().to_owned())
}

/// How often a node has logged this.
fn logged(node: &Node, what: &str) -> usize {
    node.logged().matches(what).count()
}

#[test]
fn a_killed_node_is_dead_to_all_others() {
    let mut farm = Farm::new();
    let mut nodes = Vec::from(["a", "b", "c", "d"].map(|name| farm.start(name, &Table::new())));
    for node in &nodes {
        node.until_status(|status| status["members"].as_array().unwrap().len() == 3);
    }
    let killed = nodes.remove(1);
    let address = killed.farm().to_string();
    drop(killed);
    for node in &nodes {
        node.until_status(|status| state_of(status, &address).as_deref() == Some("dead"));
        let alive = |member: &&Value| member["state"] == "alive";
        let status = node.status();
        assert_eq!(status["members"].as_array().unwrap().iter().filter(alive).count(), 2);
        assert!(status["multicast"]["gossip_bytes"].as_u64() > Some(0), "{status:#}");
        assert_eq!(status["multicast"]["gossip_refused"], 0, "{status:#}");
    }
}

#[test]
fn two_nodes_of_one_name_say_so_and_serve_on() {
    const COMPLAINT: &str = "two nodes that live have one name";
    let mut farm = Farm::new();
    let named = toml::toml! { node.name = "twin" };
    let nodes = ["a", "b"].map(|name| farm.start(name, &named));
    for (node, other) in [(&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])] {
        node.until_status(|status| status["node"]["same_name"] == 1);
        until(
            || (logged(node, COMPLAINT) > 0).then_some(()),
            || format!("it is logged: {}", node.logged()),
        );
        let log = node.logged();
        let line = log.lines().find(|line| line.contains(COMPLAINT)).unwrap();
        for address in [node.farm(), other.farm()] {
            assert!(line.contains(&address.to_string()), "{line}");
        }
        assert!(line.contains("[node] name"), "the remedy: {line}");
        let status = node.status();
        assert_eq!(state_of(&status, &other.farm().to_string()).as_deref(), Some("alive"));
        assert_eq!(status["node"]["ready"], true);
        assert_eq!(logged(node, COMPLAINT), 1, "once");
    }
}

#[test]
fn a_peer_with_another_farm_key_is_named_and_the_node_serves_alone() {
    const COMPLAINT: &str = "the farm keys differ";
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let made = segue().arg("keygen").arg("--out").arg(farm.path("other.key")).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let b = farm.start("b", &toml::toml! { farm.keys = ["other.key"] });
    until(|| (logged(&b, COMPLAINT) > 0).then_some(()), || b.logged());
    let log = b.logged();
    let line = log.lines().find(|line| line.contains(COMPLAINT)).unwrap();
    assert!(line.contains(&a.farm().to_string()), "{line}");
    for node in [&a, &b] {
        let status = node.status();
        assert_eq!(status["node"]["ready"], true);
        assert_eq!(status["members"].as_array().unwrap().len(), 0, "{status:#}");
    }
    let forged = |status: &Value| status["multicast"]["rejected"]["forged"].as_u64() > Some(20);
    b.until_status(forged);
    assert_eq!(logged(&b, COMPLAINT), 1, "once, however much comes");
    assert_eq!(logged(&a, COMPLAINT), 0, "nobody is configured there");
}

/// Two nodes with one farm key in common, of which one takes another key for the
/// farm's first, and places records by it.
#[test]
fn a_node_that_places_records_elsewhere_is_no_member_and_does_not_found_a_farm() {
    const COMPLAINT: &str = "places records by another secret";
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let made = segue().arg("keygen").arg("--out").arg(farm.path("other.key")).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = admin.to_string();
    let b = farm.begin(
        "b",
        &toml::toml! {
            farm.keys = ["farm.key", "other.key"]
            admin.listen = place
        },
    );
    until(|| b.logged().contains(COMPLAINT).then_some(()), || b.logged());
    until(|| (logged(&a, COMPLAINT) > 0).then_some(()), || a.logged());
    for (log, other) in [(a.logged(), "\"b\""), (b.logged(), "\"a\"")] {
        let line = log.lines().find(|line| line.contains(COMPLAINT)).unwrap();
        assert!(line.contains(other), "{line}");
        for part in ["[farm] keys", "segue keygen --rotate"] {
            assert!(line.contains(part), "the remedy: {line}");
        }
        assert_eq!(log.matches(COMPLAINT).count(), 1, "once");
    }
    let told = |status: &Value| status["node"]["placed_elsewhere"] == 1;
    let of_b = until(|| status_at(admin).filter(told), || b.logged());
    for (status, ready) in [(a.until_status(told), true), (of_b, false)] {
        assert_eq!(status["node"]["ready"], ready, "{status:#}");
        assert_eq!(status["members"].as_array().unwrap().len(), 0, "{status:#}");
    }
    // What it was held back by is gone.
    drop(a);
    let b = b.ready();
    b.until_status(|status| status["node"]["placed_elsewhere"] == 0);
}

#[test]
fn a_node_whose_peers_are_all_dead_serves_alone_and_joins_when_one_comes() {
    const COMPLAINT: &str = "none of the 1 configured peers answers";
    let mut farm = Farm::new();
    let unicast = toml::toml! { farm.transport = "unicast" };
    let gone = farm.start("gone", &unicast);
    let address = gone.farm().to_string();
    drop(gone);
    // Its only peer is the one that was started before it.
    let a = farm.start("a", &unicast);
    assert_eq!(logged(&a, COMPLAINT), 1, "{}", a.logged());
    let listen = address.as_str();
    let _back = farm.start(
        "back",
        &toml::toml! {
            [farm]
            transport = "unicast"
            listen = listen
            peers = []
        },
    );
    a.until_status(|status| state_of(status, &address).as_deref() == Some("alive"));
    assert_eq!(logged(&a, COMPLAINT), 1, "{}", a.logged());
}
