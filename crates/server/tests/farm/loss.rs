//! What a network loses, the farm does not.

use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::client::Client;
use crate::nodes::{Farm, Node};
use crate::patience::say;
use ground::{Network, NetworkError, or_skip};

/// How many sessions begin at the first node.
const SESSIONS: usize = 10_000;

/// How many clients are at it at a time.
const CLIENTS: usize = 4;

/// Every so many sessions go on at the other nodes.
const SAMPLE: usize = 100;

/// The share of the multicast that each receiver loses.
const LOSS: f64 = 0.05;

/// The nodes, by the number of their machine.
const NAMES: [&str; 3] = ["a", "b", "c"];

#[test]
fn long_sessions_survive_five_percent_loss() {
    let mut farm = Farm::new();
    let Some(network) = or_skip(lossy_network(&farm)) else { return };
    let nodes = [0, 1, 2].map(|machine| start(&mut farm, &network, machine));
    network.among_clients(|| {
        for node in &nodes {
            node.until_status(knows_everyone);
        }
        let start = Instant::now();
        let clients = begin_sessions(&farm, &nodes[0]);
        let written = start.elapsed();
        let statuses = [0, 1, 2].map(|node| nodes[node].until_status(holds_every_session));
        say(&format!(
            "{SESSIONS} sessions in {written:.1?}, everywhere after {:.1?}",
            start.elapsed()
        ));
        for (machine, status) in (1..3).zip(&statuses[1..]) {
            check_losses(&network, machine, status);
        }
        for node in &nodes[1..] {
            for client in &clients {
                let session = client.visit(node.tls()).unwrap();
                assert_eq!(session["resumed"], true, "{session}");
            }
        }
    });
}

fn lossy_network(farm: &Farm) -> Result<Network, NetworkError> {
    let network = Network::new(3)?;
    for machine in 0..3 {
        network.lose(machine, farm.group(), LOSS)?;
    }
    Ok(network)
}

fn start(farm: &mut Farm, network: &Network, machine: u8) -> Node {
    let anywhere = format!("{}:0", Network::address(machine));
    let anywhere = anywhere.as_str();
    let settings = toml::toml! {
        [farm]
        listen = anywhere
        interface = "eth0"
        [tls]
        listen = anywhere
        [admin]
        listen = anywhere
        token_file = "admin.token"
    };
    network.on(machine, || farm.start(NAMES[usize::from(machine)], &settings))
}

/// Begins the sessions at a node; gives the clients of a sample of them.
fn begin_sessions(farm: &Farm, node: &Node) -> Vec<Client> {
    let first = Client::new(farm);
    let begin = |share: usize| {
        let sessions = (share..SESSIONS).step_by(CLIENTS);
        let visits = sessions.map(|session| (session, first.another())).inspect(|(_, client)| {
            let session = client.visit(node.tls()).unwrap();
            assert_eq!(session["resumed"], false, "{session}");
        });
        let sample = visits.filter(|(session, _)| session.is_multiple_of(SAMPLE));
        sample.map(|(_, client)| client).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let shares: [_; CLIENTS] = std::array::from_fn(|share| scope.spawn(move || begin(share)));
        shares.into_iter().flat_map(|share| share.join().unwrap()).collect()
    })
}

fn knows_everyone(status: &Value) -> bool {
    let members = status["members"].as_array().unwrap();
    let alive = |name| members.iter().any(|one| one["name"] == name && one["state"] == "alive");
    NAMES.iter().all(|name| status["node"]["name"] == *name || alive(*name))
}

/// Whether every session is there; not one may be there twice.
fn holds_every_session(status: &Value) -> bool {
    let records = status["cache"]["records"].as_u64().unwrap();
    assert!(records <= SESSIONS as u64, "{status:#}");
    records == SESSIONS as u64 && status["cache"]["by_kind"]["tls"] == SESSIONS
}

/// The network has really lost packets, and they were really repaired.
fn check_losses(network: &Network, machine: u8, status: &Value) {
    let (lost, multicast) = (network.lost(machine).unwrap(), &status["multicast"]);
    let count = |name: &str| multicast[name].as_u64().unwrap();
    say(&format!(
        "{} lost {lost} packets beside {} received, asked {} times, got {} repairs",
        NAMES[usize::from(machine)],
        count("received_packets"),
        count("naks_sent"),
        count("repairs_received"),
    ));
    assert!(lost > 0 && count("naks_sent") > 0 && count("repairs_received") > 0);
    assert_eq!(count("unrecovered"), 0);
    // It is the network that loses, and the figures say so.
    assert_eq!(count("overflowed"), 0);
    for member in status["members"].as_array().unwrap() {
        assert_eq!(member["overflowed"], 0, "{member}");
    }
}
