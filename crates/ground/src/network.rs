//! Machines on one wire, which can be cut and loses packets.
//!
//! Each machine is a network namespace of the kernel; they are joined by a
//! bridge in one more. Nothing of it has a name outside: a namespace lasts as
//! long as a file descriptor or a process in it, so whatever way its user ends,
//! the kernel takes everything away.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sys::namespace::Namespace;

use crate::command::{CommandError, run};
use crate::watch::{PATIENCE, until};

/// Gives what stands on such a network, or says why it cannot be had here and a
/// test is skipped.
///
/// # Panics
///
/// With `SEGUE_REQUIRE_NETNS=1` in the environment, when there is none.
pub fn or_skip<T>(ground: Result<T, NetworkError>) -> Option<T> {
    let required = std::env::var_os("SEGUE_REQUIRE_NETNS").is_some_and(|value| value == "1");
    match ground {
        Ok(ground) => Some(ground),
        Err(reason) if required => panic!("SEGUE_REQUIRE_NETNS=1, but: {reason}"),
        Err(reason) => {
            // Without a standard error there is nobody to tell.
            let _ = writeln!(io::stderr(), "skipped: {reason}");
            None
        }
    }
}

/// Machines on one wire.
#[derive(Debug)]
pub struct Network {
    /// The bridge's own.
    street: Namespace,
    machines: Vec<Namespace>,
}

/// Why there is no such network here, or why it does not do as it is told.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// One may not make namespaces.
    #[error("a network namespace cannot be made, which takes root or CAP_SYS_ADMIN: {0}")]
    Namespace(io::Error),
    /// A program of the system is missing or fails.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The kernel refused a figure.
    #[error("{path}: {why}")]
    Figure {
        /// Where it stands.
        path: String,
        /// What the kernel said.
        why: io::Error,
    },
    /// A link was made that carries nothing.
    #[error("the link of machine {0} does not come up")]
    Link(u8),
}

impl Network {
    /// So many machines, at [`Network::address`] each.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] where one may not make namespaces, or where the `ip`
    /// command or the kernel's part is missing.
    pub fn new(machines: u8) -> Result<Self, NetworkError> {
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
        (0..network.count()).try_for_each(|machine| network.until_it_carries(machine))?;
        Ok(network)
    }

    /// Does something where the bridge is, at 10.77.0.254: beside all machines.
    pub fn among_clients<T>(&self, work: impl FnOnce() -> T) -> T {
        self.street.within(work)
    }

    /// Does something on a machine, such as to start a process there.
    pub fn on<T>(&self, machine: u8, work: impl FnOnce() -> T) -> T {
        self.machines[usize::from(machine)].within(work)
    }

    /// Makes a machine lose that share of what it gets from a group, each
    /// packet by chance for itself.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] where iptables or its statistic match is missing.
    pub fn lose(
        &self,
        machine: u8,
        group: impl Into<IpAddr>,
        share: f64,
    ) -> Result<(), NetworkError> {
        let group = group.into();
        let tables = if group.is_ipv4() { "iptables" } else { "ip6tables" };
        let chance = format!("-m statistic --mode random --probability {share}");
        self.part_runs()?;
        self.on(machine, || run(&format!("{tables} -A INPUT -p udp -d {group} {chance} -j DROP")))?;
        Ok(())
    }

    /// Makes the wire lose that share of all that any machine sends to another,
    /// each packet by chance for itself. It comes on top of what it loses
    /// already.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] where iptables or its statistic match is missing.
    pub fn lose_everywhere(&self, share: f64) -> Result<(), NetworkError> {
        self.part_runs()?;
        let chance = format!("-i eth0 -m statistic --mode random --probability {share} -j DROP");
        for machine in 0..self.count() {
            // Before anything else on the machine sees the packet.
            self.on(machine, || {
                run(&format!("iptables -t raw -A PREROUTING {chance}"))?;
                run(&format!("ip6tables -t raw -A PREROUTING {chance}"))
            })?;
        }
        Ok(())
    }

    /// Makes a machine lose all that comes from another by UDP.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] where iptables is missing.
    pub fn part(&self, machine: u8, from: u8) -> Result<(), NetworkError> {
        let from = Self::address(from);
        self.on(machine, || run(&format!("iptables -A INPUT -p udp -s {from} -j DROP")))?;
        Ok(())
    }

    /// Cuts two machines off from each other, and from nobody else.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] where iptables is missing.
    pub fn cut(&self, pair: [u8; 2]) -> Result<(), NetworkError> {
        for [machine, from] in [pair, [pair[1], pair[0]]] {
            let (v4, v6) = (Self::address(from), Self::address_v6(from));
            self.on(machine, || {
                run(&format!("iptables -A INPUT -s {v4} -j DROP"))?;
                run(&format!("ip6tables -A INPUT -s {v6} -j DROP"))
            })?;
        }
        Ok(())
    }

    /// Has a machine lose nothing any more, whatever it lost until then.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] where iptables is missing.
    pub fn lose_nothing(&self, machine: u8) -> Result<(), NetworkError> {
        self.on(machine, || {
            for tables in ["iptables", "ip6tables"] {
                run(&format!("{tables} -F INPUT"))?;
                run(&format!("{tables} -t raw -F PREROUTING"))?;
            }
            Ok(())
        })
    }

    /// Pulls a machine's plug: nothing leaves it, nothing comes, and it can see
    /// that.
    ///
    /// # Errors
    ///
    /// That of `ip`.
    pub fn unplug(&self, machine: u8) -> Result<(), NetworkError> {
        self.street.within(|| run(&format!("ip link set port{machine} down")))?;
        Ok(())
    }

    /// Plugs a machine in again, and waits until its link carries.
    ///
    /// # Errors
    ///
    /// That of `ip`, and [`NetworkError::Link`].
    pub fn plug(&self, machine: u8) -> Result<(), NetworkError> {
        self.street.within(|| run(&format!("ip link set port{machine} up")))?;
        self.until_it_carries(machine)
    }

    /// Whether a machine's plug is pulled.
    ///
    /// # Errors
    ///
    /// That of `ip`.
    pub fn is_unplugged(&self, machine: u8) -> Result<bool, NetworkError> {
        let port = self.street.within(|| run(&format!("ip link show port{machine}")))?;
        Ok(!port.contains("state UP"))
    }

    /// Sets one of the kernel's figures for a machine's network, as
    /// `ipv4/tcp_sack`.
    ///
    /// # Errors
    ///
    /// When the kernel has none of that name, or refuses.
    pub fn set(&self, machine: u8, figure: &str, value: u32) -> Result<(), NetworkError> {
        let path = format!("/proc/sys/net/{figure}");
        let written = self.on(machine, || std::fs::write(&path, value.to_string()));
        written.map_err(|why| NetworkError::Figure { path, why })
    }

    /// Has a machine announce that it takes segments of so many bytes at most.
    ///
    /// # Errors
    ///
    /// That of `ip`.
    pub fn take_segments(&self, machine: u8, bytes: u16) -> Result<(), NetworkError> {
        self.on(machine, || run(&format!("ip route change 10.77.0.0/24 dev eth0 advmss {bytes}")))?;
        Ok(())
    }

    /// How many packets a machine has lost by [`Network::lose`],
    /// [`Network::part`] and [`Network::cut`] of what came by IPv4.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] where iptables is missing.
    pub fn lost(&self, machine: u8) -> Result<u64, NetworkError> {
        let rules = self.on(machine, || run("iptables -nvxL INPUT"))?;
        let counts = rules.lines().filter(|rule| rule.contains("DROP"));
        Ok(counts.filter_map(|rule| rule.split_whitespace().next()?.parse::<u64>().ok()).sum())
    }

    /// The address of a machine.
    #[must_use]
    pub fn address(machine: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, machine + 1)
    }

    /// Its IPv6 address.
    #[must_use]
    pub fn address_v6(machine: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, u16::from(machine) + 1)
    }

    /// Its address that means something on its link only.
    #[must_use]
    pub fn address_on_link(machine: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x77, u16::from(machine) + 1)
    }

    fn count(&self) -> u8 {
        u8::try_from(self.machines.len()).expect("they were counted so")
    }

    /// Has packets that are sent as one run part before the wire, so that each
    /// is lost or not by itself.
    fn part_runs(&self) -> Result<(), NetworkError> {
        for machine in &self.machines {
            machine.within(|| run("ip link set eth0 gso_max_segs 1"))?;
        }
        Ok(())
    }

    /// The kernel notices by and by that its links are up; packets that come
    /// earlier vanish.
    fn until_it_carries(&self, machine: u8) -> Result<(), NetworkError> {
        let port = format!("ip -details link show port{machine}");
        let carries = until(PATIENCE, || {
            let port = self.street.within(|| run(&port))?;
            let link = self.on(machine, || run("ip link show eth0"))?;
            let both = port.contains("state forwarding") && link.contains("state UP");
            Ok::<_, NetworkError>(both.then_some(()))
        })?;
        carries.ok_or(NetworkError::Link(machine))
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
        run("ip link set eth0 up")?;
        run(&format!("ip address add {}/24 dev eth0", Network::address(index)))?;
        // Used at once: nobody else on this wire can have it.
        run(&format!("ip address add {}/64 dev eth0 nodad", Network::address_v6(index)))?;
        run(&format!("ip address add {}/64 dev eth0 nodad", Network::address_on_link(index)))
    })?;
    Ok(machine)
}

#[cfg(test)]
mod tests;
