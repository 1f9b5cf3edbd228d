//! The configurations of a farm's nodes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::SERVERS;
use crate::network::Network;

/// Ports, the same on each machine.
const FARM_PORT: u16 = 7700;
const ADMIN_PORT: u16 = 9700;
const PLAIN_PORT: u16 = 8080;

/// What is up to whoever builds a farm.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where its clients connect.
    pub listeners: Listeners,
    /// Whether the virtual address is one of IPv6.
    pub v6: bool,
    /// More listeners without TLS at the virtual address: their ports, and
    /// where their connections go.
    pub more: Vec<(u16, SocketAddr)>,
    /// Where connections of the listener with TLS go; none: to the farm's backend.
    pub behind_tls: Option<SocketAddr>,
    /// After how much silence of a node others go on with what it has; none: as
    /// nodes have it by default. Who tries no lost hosts gives it much, so that a
    /// busy machine is not taken for one.
    pub detect: Option<Duration>,
    /// Where the farm's directory is made; none: where temporary files are.
    pub place: Option<PathBuf>,
}

/// Where clients of a farm connect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Listeners {
    /// At a virtual address, and another server takes over.
    #[default]
    TakenOver,
    /// At a virtual address, and connections move by plan only.
    MovedByPlan,
    /// At the first server's own address, by TLS only.
    Ordinary,
}

impl Settings {
    /// Where a node's admin server is, on each machine: who orders something
    /// has to be on the same.
    pub const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), ADMIN_PORT);

    /// The port of the listener with TLS.
    pub const TLS_PORT: u16 = 8443;

    /// Where the nodes' clients connect.
    pub(super) fn address(&self) -> IpAddr {
        match (self.listeners, self.v6) {
            (Listeners::Ordinary, _) => Network::address(0).into(),
            (_, false) => Ipv4Addr::new(10, 77, 0, 100).into(),
            (_, true) => Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x100).into(),
        }
    }

    pub(super) fn tls(&self) -> SocketAddr {
        (self.address(), Self::TLS_PORT).into()
    }

    pub(super) fn plain(&self) -> SocketAddr {
        (self.address(), PLAIN_PORT).into()
    }

    /// The configuration of one node.
    pub(super) fn of(&self, server: u8, name: &str, backend: SocketAddr) -> String {
        let farm = |server| SocketAddr::from((Network::address(server), FARM_PORT));
        let tls = match self.listeners {
            Listeners::Ordinary => (Network::address(server), Self::TLS_PORT).into(),
            Listeners::TakenOver | Listeners::MovedByPlan => self.tls(),
        };
        let peers: Vec<_> = (0..SERVERS).filter(|&other| other != server).map(farm).collect();
        let mut configuration = json!({
            "node": { "name": name },
            "farm": {
                "keys": ["farm.key"],
                "listen": farm(server),
                "peers": peers,
                "interface": "eth0",
            },
            "cache": { "memory": "64MiB" },
            "tls": {
                "listen": tls,
                "certificates": [{ "cert": "cert.pem", "key": "key.pem" }],
                "backend": self.behind_tls.unwrap_or(backend),
            },
            "admin": { "listen": Self::ADMIN },
            // A connection that is lost is told of at this level only.
            "log": { "level": "info,live=debug" },
        });
        if self.listeners != Listeners::Ordinary {
            let more = self.more.iter().map(|&(port, to)| (port, to));
            let plain = [(PLAIN_PORT, backend)].into_iter().chain(more).map(|(port, to)| {
                json!({ "listen": SocketAddr::new(self.address(), port), "backend": to })
            });
            configuration["connections"] = json!({
                "address": format!("{}/{}", self.address(), if self.v6 { 64 } else { 24 }),
                "interface": "eth0",
                "takeover": self.listeners == Listeners::TakenOver,
                "plain": plain.collect::<Vec<_>>(),
            });
            if let Some(detect) = self.detect {
                configuration["connections"]["detect"] = format!("{}ms", detect.as_millis()).into();
            }
        }
        toml::to_string(&configuration).expect("it has no null and no enum")
    }
}
