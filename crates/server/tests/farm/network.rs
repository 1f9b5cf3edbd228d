//! Machines with a network of their own, which loses packets.
//!
//! Each machine is a network namespace of the kernel; they are joined by a
//! bridge in one more. Nothing of it has a name outside: a namespace lasts as
//! long as a file descriptor or a process in it, so whatever way a test ends,
//! the kernel takes everything away.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;

use sys::batch::{ReceiveBatch, SendQueue};
use sys::interface::Interface;
use sys::multicast::{Buffers, Group, open_group, open_unicast};
use sys::namespace::Namespace;

use crate::patience::{say, until};

/// Gives a test such a network, or says why it cannot be had here and the test
/// is skipped. With `SEGUE_REQUIRE_NETNS=1` in the environment that is a
/// failure.
pub(crate) fn or_skip(network: Result<Network, NetworkError>) -> Option<Network> {
    let required = std::env::var_os("SEGUE_REQUIRE_NETNS").is_some_and(|value| value == "1");
    match network {
        Ok(network) => Some(network),
        Err(reason) if required => panic!("SEGUE_REQUIRE_NETNS=1, but: {reason}"),
        Err(reason) => {
            say(&format!("skipped: {reason}"));
            None
        }
    }
}

/// Machines on one wire.
pub(crate) struct Network {
    /// The bridge's own, where clients are.
    street: Namespace,
    machines: Vec<Namespace>,
}

/// Why there is no such network here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    #[error("a network namespace cannot be made, which takes root or CAP_SYS_ADMIN: {0}")]
    Namespace(io::Error),
    #[error("{command}: {why}")]
    Command { command: String, why: String },
}

impl Network {
    /// So many machines, at [`Network::address`] each.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] where one may not make namespaces, or where the `ip`
    /// command or the kernel's part is missing.
    pub(crate) fn new(machines: u8) -> Result<Self, NetworkError> {
        let street = Namespace::new().map_err(NetworkError::Namespace)?;
        street.within(|| {
            run("ip link set lo up")?;
            run("ip link add bridge0 type bridge mcast_snooping 0")?;
            run("ip address add 10.77.0.254/24 dev bridge0")?;
            run("ip link set bridge0 up")
        })?;
        let machines =
            (0..machines).map(|index| attach(&street, index)).collect::<Result<_, _>>()?;
        let network = Self { street, machines };
        network.until_it_carries();
        Ok(network)
    }

    /// The kernel notices by and by that its links are up; packets that come
    /// earlier vanish.
    fn until_it_carries(&self) {
        let shows = |link: &str, state: &str| {
            let shown = output(&format!("ip -details link show {link}"));
            shown.is_ok_and(|shown| shown.contains(state)).then_some(())
        };
        for (index, machine) in self.machines.iter().enumerate() {
            let port = format!("port{index}");
            let forwards = || self.street.within(|| shows(&port, "state forwarding"));
            until(forwards, || format!("{port} does not forward"));
            let is_up = || machine.within(|| shows("eth0", "state UP"));
            until(is_up, || format!("machine {index} is not connected"));
        }
    }

    /// The address of a machine.
    pub(crate) fn address(machine: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, machine + 1)
    }

    /// Does something where the clients are.
    pub(crate) fn among_clients<T>(&self, work: impl FnOnce() -> T) -> T {
        self.street.within(work)
    }

    /// Does something on a machine, such as to start a process there.
    pub(crate) fn on<T>(&self, machine: u8, work: impl FnOnce() -> T) -> T {
        self.machines[usize::from(machine)].within(work)
    }

    /// Its IPv6 address.
    pub(crate) fn address_v6(machine: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, u16::from(machine) + 1)
    }

    /// Its address that means something on its link only.
    pub(crate) fn address_on_link(machine: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x77, u16::from(machine) + 1)
    }

    /// Makes a machine lose that share of what it gets from a group, each
    /// packet by chance for itself.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] where iptables or its statistic match is missing.
    pub(crate) fn lose(
        &self,
        machine: u8,
        group: impl Into<IpAddr>,
        share: f64,
    ) -> Result<(), NetworkError> {
        let group = group.into();
        let tables = if group.is_ipv4() { "iptables" } else { "ip6tables" };
        let chance = format!("-m statistic --mode random --probability {share}");
        self.on(machine, || run(&format!("{tables} -A INPUT -p udp -d {group} {chance} -j DROP")))
    }

    /// Makes a machine lose all that comes from another by UDP.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] where iptables is missing.
    pub(crate) fn part(&self, machine: u8, from: u8) -> Result<(), NetworkError> {
        let from = Self::address(from);
        self.on(machine, || run(&format!("iptables -A INPUT -p udp -s {from} -j DROP")))
    }

    /// Has a machine lose nothing any more of what comes by IPv4.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] where iptables is missing.
    pub(crate) fn lose_nothing(&self, machine: u8) -> Result<(), NetworkError> {
        self.on(machine, || run("iptables -F INPUT"))
    }

    /// How many packets a machine has lost so.
    pub(crate) fn lost(&self, machine: u8) -> u64 {
        let rules = self.on(machine, || output("iptables -nvxL INPUT")).unwrap();
        let counts = rules.lines().filter(|rule| rule.contains("DROP"));
        counts.filter_map(|rule| rule.split_whitespace().next()?.parse::<u64>().ok()).sum()
    }
}

/// A new machine, connected to the street's bridge.
fn attach(street: &Namespace, index: u8) -> Result<Namespace, NetworkError> {
    let machine = Namespace::new().map_err(NetworkError::Namespace)?;
    let there = machine.path();
    street.within(|| {
        let link = format!("port{index} type veth peer name eth0");
        run(&format!("ip link add {link} netns {}", there.display()))?;
        run(&format!("ip link set port{index} master bridge0 up"))
    })?;
    machine.within(|| {
        run("ip link set lo up")?;
        // Packets that were sent as one run part before the wire, so that each
        // is lost or not by itself.
        run("ip link set eth0 gso_max_segs 1 up")?;
        run(&format!("ip address add {}/24 dev eth0", Network::address(index)))?;
        // Used at once: nobody else on this wire can have it.
        run(&format!("ip address add {}/64 dev eth0 nodad", Network::address_v6(index)))?;
        run(&format!("ip address add {}/64 dev eth0 nodad", Network::address_on_link(index)))
    })?;
    Ok(machine)
}

/// Runs a command in the calling thread's namespace.
fn run(command: &str) -> Result<(), NetworkError> {
    output(command).map(drop)
}

/// What a command has to say in the calling thread's namespace.
fn output(command: &str) -> Result<String, NetworkError> {
    let failed = |why| NetworkError::Command { command: command.to_owned(), why };
    let mut words = command.split(' ');
    let program = words.next().expect("a command has a name");
    let output = Command::new(program).args(words).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

#[test]
fn a_machine_loses_its_share_packet_by_packet() {
    const PACKETS: usize = 2_000;
    /// Far below what the kernel's backlog of a device holds, which drops
    /// without telling the firewall.
    const AT_ONCE: usize = 50;
    let address = std::net::SocketAddr::from(([239, 255, 0, 1], 7799));
    let group =
        Group { address, interface: Interface::Name("eth0".into()), ttl: 1, sources: vec![] };
    let buffers = Buffers { receive: 4 << 20, send: 1 << 20 };
    let Some(network) = or_skip(Network::new(2).and_then(|network| {
        network.lose(1, Ipv4Addr::new(239, 255, 0, 1), 0.05)?;
        Ok(network)
    })) else {
        return;
    };
    let receiver = network.on(1, || open_group(&group, buffers)).unwrap().socket;
    let from = (Network::address(0), 0).into();
    let sender = network.on(0, || open_unicast(from, Some(&group), buffers)).unwrap().socket;

    let mut queue = SendQueue::new(AT_ONCE, 1_000);
    let mut batch = ReceiveBatch::new(&receiver, 32);
    let (mut arrived, mut lost) = (0, 0);
    for sent in (AT_ONCE..=PACKETS).step_by(AT_ONCE) {
        while queue.room().is_some() {
            queue.commit(1_000, &[address]);
        }
        queue.flush(&sender).unwrap();
        let arrived_or_lost = || {
            while batch.receive(&receiver).is_ok() {
                arrived += batch.packets().count();
            }
            let lost = usize::try_from(network.lost(1)).unwrap();
            (arrived + lost == sent).then_some(lost)
        };
        lost = until(arrived_or_lost, || "packets that neither arrived nor were lost".to_owned());
    }
    // 100 of them on average, with a deviation of 10.
    assert!((20..300).contains(&lost), "{lost} of {PACKETS} packets were lost");
}
