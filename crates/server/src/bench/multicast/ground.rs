//! Where the bench takes place: machines of their own where that is possible.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use sys::namespace::Namespace;

use super::orders::Place;

/// How long links may take to carry.
const PATIENCE: Duration = Duration::from_secs(10);

/// The group's port; each run has a group of its own on loopback.
const GROUP_PORT: u16 = 7799;

/// Where members are.
pub(super) enum Ground {
    /// Each in a network namespace, joined by a bridge in the first one.
    Machines { _street: Namespace, machines: Vec<Namespace> },
    /// All on the loopback interface.
    Loopback,
}

impl Ground {
    /// So many machines; on loopback, with the reason, where there can be none.
    pub(super) fn new(machines: u8) -> (Self, Option<anyhow::Error>) {
        match Self::machines(machines) {
            Ok(ground) => (ground, None),
            Err(why) => (Self::Loopback, Some(why)),
        }
    }

    fn machines(count: u8) -> anyhow::Result<Self> {
        let street = Namespace::new().context("a network namespace takes root")?;
        street.within(|| ip("link add bridge0 up type bridge mcast_snooping 0"))?;
        let machines = (0..count)
            .map(|index| {
                let machine = Namespace::new()?;
                let there = machine.path();
                let pair = format!("port{index} master bridge0 up type veth peer name eth0 netns");
                street.within(|| ip(&format!("link add {pair} {}", there.display())))?;
                machine.within(|| {
                    ip("link set lo up")?;
                    ip(&format!("address add {}/24 dev eth0", on_machine(index)))?;
                    ip("link set eth0 up")
                })?;
                Ok(machine)
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        for index in 0..count {
            street.within(|| until_forwarding(index))?;
        }
        Ok(Self::Machines { _street: street, machines })
    }

    /// Where that member is.
    pub(super) fn place(&self, member: u8) -> Place {
        match self {
            Self::Machines { .. } => Place {
                address: on_machine(member),
                interface: "eth0".to_owned(),
                group: SocketAddr::from(([239, 255, 77, 1], GROUP_PORT)),
            },
            Self::Loopback => {
                let own = std::process::id().to_be_bytes();
                Place {
                    // Not 127.0.0.1: an address for each.
                    address: Ipv4Addr::new(127, 0, 0, 2 + member),
                    interface: Ipv4Addr::LOCALHOST.to_string(),
                    group: SocketAddr::from(([239, 255, own[2], own[3]], GROUP_PORT)),
                }
            }
        }
    }

    /// Does something where that member is.
    pub(super) fn within<T>(&self, member: u8, work: impl FnOnce() -> T) -> T {
        match self {
            Self::Machines { machines, .. } => machines[usize::from(member)].within(work),
            Self::Loopback => work(),
        }
    }
}

fn on_machine(member: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 1 + member)
}

/// The kernel notices by and by that its links are up.
fn until_forwarding(index: u8) -> anyhow::Result<()> {
    let limit = Instant::now() + PATIENCE;
    loop {
        let shown = run(&format!("-details link show port{index}"))?;
        if shown.contains("state forwarding") {
            return Ok(());
        }
        ensure!(Instant::now() < limit, "the link of machine {index} does not come up");
        // The kernel does not say when, short of a netlink socket.
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    run(arguments).map(drop)
}

fn run(arguments: &str) -> anyhow::Result<String> {
    let output = match Command::new("ip").args(arguments.split(' ')).output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("the command `ip` (Debian: iproute2) is not installed")
        }
        Err(error) => return Err(error).context("ip"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {arguments}: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
