//! Where multicast does not arrive, the same goes by unicast, by itself.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;
use toml::Table;

use crate::client::Client;
use crate::nodes::{Farm, Node};
use ground::{Network, or_skip};

/// The nodes, by the number of their machine.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// How many sessions begin at a node at a time.
const SESSIONS: u64 = 50;

/// A farm on machines of its own.
struct Ground {
    farm: Farm,
    network: Network,
    nodes: Vec<Node>,
    /// How many sessions have begun.
    sessions: u64,
}

impl Ground {
    /// Nodes with these settings of their farm, where some machines get nothing
    /// that is sent to a group. `None` where there can be no such network.
    fn new(settings: [&Table; 3], deaf: &[(u8, IpAddr)]) -> Option<Self> {
        let mut farm = Farm::new();
        let network = or_skip(Network::new(3).and_then(|network| {
            deaf.iter().try_for_each(|&(machine, group)| network.lose(machine, group, 1.0))?;
            Ok(network)
        }))?;
        let nodes = (0..3)
            .zip(settings)
            .map(|(machine, settings)| start(&mut farm, &network, machine, settings))
            .collect();
        Some(Self { farm, network, nodes, sessions: 0 })
    }

    /// A farm by IPv4, of which one machine gets nothing from `farm.group()`.
    fn with_filter(machine: u8) -> Option<Self> {
        let ground = Self::new([&Table::new(); 3], &[])?;
        ground.network.lose(machine, ground.farm.group(), 1.0).unwrap();
        Some(ground)
    }

    /// Begins sessions at a node, of which every other one then has them all.
    fn begin_sessions(&mut self, at: usize) {
        let first = Client::new(&self.farm);
        self.sessions += SESSIONS;
        let sessions = self.sessions;
        self.network.among_clients(|| {
            for client in (0..SESSIONS).map(|_| first.another()) {
                client.visit(self.nodes[at].tls()).unwrap();
            }
            for node in &self.nodes {
                let status = node.until_status(|status| status["cache"]["records"] == sessions);
                assert_eq!(status["multicast"]["unrecovered"], 0);
            }
        });
    }

    /// Waits until a node reaches another, and hears it, by these ways.
    fn until_by(&self, node: usize, other: usize, by: [&str; 2]) {
        self.network.among_clients(|| {
            self.nodes[node].until_status(|status| {
                let members = status["members"].as_array().unwrap();
                let alive = |it: &&Value| it["name"] == NAMES[other] && it["state"] == "alive";
                let found = members.iter().find(alive);
                found.is_some_and(|it| [&it["by"], &it["heard_by"]] == by)
            })
        });
    }
}

fn start(farm: &mut Farm, network: &Network, machine: u8, settings: &Table) -> Node {
    let anywhere = format!("{}:0", Network::address(machine));
    let anywhere = anywhere.as_str();
    let mut all = toml::toml! {
        [farm]
        listen = anywhere
        interface = "eth0"
        [tls]
        listen = anywhere
        [admin]
        listen = anywhere
        token_file = "admin.token"
    };
    all["farm"].as_table_mut().expect("it is above").extend(settings.clone());
    network.on(machine, || farm.start(NAMES[usize::from(machine)], &all))
}

#[test]
fn who_does_not_get_multicast_is_sent_copies() {
    let Some(mut ground) = Ground::with_filter(2) else { return };
    for sender in 0..2 {
        ground.until_by(2, sender, ["multicast", "unicast"]);
        ground.until_by(sender, 2, ["unicast", "multicast"]);
        ground.until_by(sender, 1 - sender, ["multicast", "multicast"]);
    }
    (0..3).for_each(|at| ground.begin_sessions(at));
    assert!(ground.network.lost(2).unwrap() > 0, "the filter is the cause");
    // Of the first node's packets the group gets none but heartbeats then.
    ground.network.lose(1, ground.farm.group(), 1.0).unwrap();
    ground.until_by(0, 1, ["unicast", "multicast"]);
    (0..3).for_each(|at| ground.begin_sessions(at));
}

#[test]
fn a_farm_may_be_mixed() {
    let unicast = toml::toml! { transport = "unicast" };
    let (plain, none) = (Table::new(), []);
    let Some(mut ground) = Ground::new([&plain, &unicast, &plain], &none) else { return };
    for other in [0, 2] {
        ground.until_by(other, 1, ["unicast", "unicast"]);
        ground.until_by(1, other, ["unicast", "unicast"]);
        ground.until_by(other, 2 - other, ["multicast", "multicast"]);
    }
    (0..3).for_each(|at| ground.begin_sessions(at));
}

#[test]
fn multicast_that_ends_in_mid_flight_is_replaced_and_taken_up_again() {
    let Some(mut ground) = Ground::new([&Table::new(); 3], &[]) else { return };
    ground.until_by(0, 2, ["multicast", "multicast"]);
    ground.begin_sessions(0);
    let group = ground.farm.group();
    ground.network.lose(2, group, 1.0).unwrap();
    // Before anybody can have noticed, and after.
    ground.begin_sessions(0);
    ground.until_by(0, 2, ["unicast", "multicast"]);
    ground.begin_sessions(0);
    ground.network.lose_nothing(2).unwrap();
    ground.begin_sessions(0);
    ground.until_by(0, 2, ["multicast", "multicast"]);
    ground.begin_sessions(0);
}

/// A farm by IPv6, where one machine gets nothing from the group.
fn check_ipv6(group: &str, listen: impl Fn(u8) -> String) {
    let group: SocketAddr = group.parse().unwrap();
    let settings = [0, 1, 2].map(|machine| {
        let (group, listen) = (group.to_string(), listen(machine));
        toml::toml! {
            listen = listen
            group = group
        }
    });
    let Some(mut ground) = Ground::new(settings.each_ref(), &[(2, group.ip())]) else { return };
    ground.until_by(0, 1, ["multicast", "multicast"]);
    ground.until_by(0, 2, ["unicast", "multicast"]);
    (0..3).for_each(|at| ground.begin_sessions(at));
}

#[test]
fn ipv6_is_no_other_matter() {
    check_ipv6("[ff15::77:2]:7799", |machine| format!("[{}]:0", Network::address_v6(machine)));
}

#[test]
fn ipv6_of_one_link_will_do() {
    check_ipv6("[ff12::77:2]:7799", |machine| {
        format!("[{}%eth0]:0", Network::address_on_link(machine))
    });
}
