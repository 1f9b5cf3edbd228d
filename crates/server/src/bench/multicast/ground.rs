//! Where the bench takes place: machines of their own where that is possible.

use std::net::{Ipv4Addr, SocketAddr};

use ground::{Network, NetworkError};

use super::orders::Place;

/// The group's port; each run has a group of its own on loopback.
const GROUP_PORT: u16 = 7799;

/// Where members are.
pub(super) enum Ground {
    /// Each on a machine of its own.
    Machines(Network),
    /// All on the loopback interface.
    Loopback,
}

impl Ground {
    /// So many machines; on loopback, with the reason, where there can be none.
    pub(super) fn new(machines: u8) -> (Self, Option<NetworkError>) {
        match Network::new(machines) {
            Ok(network) => (Self::Machines(network), None),
            Err(why) => (Self::Loopback, Some(why)),
        }
    }

    /// Where that member is.
    pub(super) fn place(&self, member: u8) -> Place {
        match self {
            Self::Machines(_) => Place {
                address: Network::address(member),
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
            Self::Machines(network) => network.on(member, work),
            Self::Loopback => work(),
        }
    }
}
