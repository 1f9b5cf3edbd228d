//! Farms above one another: what an edge knew outlives it at the core.

use std::net::{SocketAddr, UdpSocket};

use toml::Table;

use crate::nodes::{Farm, Node};
use crate::openssl::{Openssl, Version};

/// What a node of the core is told.
fn core() -> Table {
    Table::new()
}

/// What a node of the edge is told: the core has a group that it does not hear,
/// and no node of it is a peer.
fn edge(farm: &Farm, peers: &[&Node], above: &[SocketAddr]) -> Table {
    let group = SocketAddr::new(farm.group().into(), 7801).to_string();
    let peers: Vec<_> = peers.iter().map(|node| node.farm().to_string()).collect();
    let above: Vec<_> = above.iter().map(ToString::to_string).collect();
    toml::toml! {
        upstream = [{ segue = above }]
        [farm]
        group = group
        peers = peers
        [writes]
        tls = "tier"
    }
}

fn until_up(node: &Node) {
    node.until_status(|status| status["upstreams"][0]["state"] == "up");
}

/// The third tier: a client whose session began at an edge goes on at a node of
/// the core that never spoke with that edge, after every edge has died, and at
/// an edge that is new.
#[test]
fn a_session_of_an_edge_goes_on_at_the_core_and_at_a_new_edge() {
    for version in Version::BOTH {
        let mut farm = Farm::new();
        let [first, second] = ["core-1", "core-2"].map(|name| farm.start(name, &core()));
        let a = farm.start("edge-1", &edge(&farm, &[], &[first.farm()]));
        let b = farm.start("edge-2", &edge(&farm, &[&a], &[first.farm()]));
        [&a, &b].into_iter().for_each(until_up);
        let client = Openssl::new(version);
        assert!(!client.begin(a.tls()).reused);
        let members = a.status()["members"].as_array().map(Vec::len);
        assert_eq!(members, Some(1), "two farms: {:#}", a.status());
        // The ticket was sent when two nodes of the core had the session.
        drop((a, b));
        let visit = client.go_on(second.tls());
        assert!(visit.reused, "{version:?}: {}\n{:#}", visit.said, second.status());
        assert_eq!(visit.session()["began_at"], "edge-1");
        drop(first);
        let c = farm.start("edge-3", &edge(&farm, &[], &[second.farm()]));
        until_up(&c);
        let visit = client.go_on(c.tls());
        assert!(visit.reused, "{version:?}: {}\n{:#}", visit.said, c.status());
        assert_eq!(c.status()["cache"]["hits_upstream"], 1, "{:#}", c.status());
    }
}

/// A core that stands still is asked for no longer than a look-up may take, and
/// then not any more; clients are served meanwhile.
#[test]
fn a_core_that_stands_still_keeps_no_client_waiting() {
    let mut farm = Farm::new();
    let core = farm.start("core", &core());
    let a = farm.start("edge", &edge(&farm, &[], &[core.farm()]));
    until_up(&a);
    core.halt();
    let client = Openssl::new(Version::Tls13);
    assert!(!client.begin(a.tls()).reused, "its ticket waits for the core, in vain");
    a.until_status(|status| status["upstreams"][0]["state"] == "down");
    assert!(client.go_on(a.tls()).reused, "the edge itself has it");
    core.go_on();
    until_up(&a);
    core.until_status(|status| status["cache"]["by_kind"]["tls"] != 0);
}

/// Datagrams that look like QUIC, by the thousand: they are bounded and counted,
/// and the farm's own packets and links are served.
#[test]
fn floods_at_the_port_of_links_are_bounded() {
    let mut farm = Farm::new();
    let core = farm.start("core", &core());
    let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut initial = [0_u8; 1_200];
    for round in 0..20_000_u32 {
        // An Initial packet of version 1 with another connection id each time.
        initial[..6].copy_from_slice(&[0xc0, 0, 0, 0, 1, 8]);
        initial[6..10].copy_from_slice(&round.to_be_bytes());
        let _ = flood.send_to(&initial, core.farm());
        let _ = flood.send_to(&[0x40 | round.to_be_bytes()[3]; 60], core.farm());
    }
    let a = farm.start("edge", &edge(&farm, &[], &[core.farm()]));
    until_up(&a);
    let status = core.status();
    assert!(status["links"]["dropped"].as_u64() > Some(10_000), "{status:#}");
    assert_eq!(status["multicast"]["rejected"]["malformed"], 0, "{status:#}");
    let client = Openssl::new(Version::Tls13);
    assert!(!client.begin(a.tls()).reused);
    assert!(client.go_on(core.tls()).reused);
}
