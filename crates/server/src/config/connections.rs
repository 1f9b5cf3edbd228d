//! `[connections]`: what is said of connections that go on at other nodes, and
//! whether it can be done.
//!
//! What this machine lacks for it is asked when it is done, not here.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds;
use super::fault::Fault;
use super::judge::Judge;
use super::sections::{Sections, Transport};
use super::units::{Address, Interface, Subnet, Time, from_to};
use crate::front::Backend;

/// How long an understudy may be waited for: longer than a round trip, and less
/// than a client waits before it takes its connection for dead.
pub(super) const HOLD_TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(10);
/// How long a node may be silent: three of the pulses that come every 10 ms, as
/// one may be lost and one late; and less than clients wait.
pub(super) const DETECTIONS: RangeInclusive<Duration> =
    Duration::from_millis(30)..=Duration::from_secs(10);
/// The most plain listeners: each is a socket at every node, and a rule of the
/// firewall's.
pub(super) const MAX_PLAIN: usize = 64;

/// Connections that go on at other nodes. Without this section they stay at the node
/// that accepted them. It needs Linux and CAP_NET_ADMIN: `segue check` says what is
/// missing.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connections {
    /// The address that clients connect to, wherever it is: the same for all
    /// nodes, and one of them has it.
    #[schemars(example = &"10.77.0.100/24")]
    pub(crate) address: Subnet,
    /// The interface that it is put on.
    #[schemars(example = &"eth0")]
    pub(crate) interface: Interface,
    /// Whether another node goes on with the connections of one that died.
    /// Otherwise they are moved by plan only.
    #[serde(default = "yes")]
    #[schemars(example = false)]
    pub(crate) takeover: bool,
    /// How long what a client sends waits for the understudy, before the
    /// connection goes on without one.
    #[serde(default = "hold_timeout")]
    #[schemars(extend("bounds" = bounds::hold_timeout()), example = &"100ms")]
    pub(crate) hold_timeout: Time,
    /// After how much silence of a node its connections are taken over.
    #[serde(default = "detect")]
    #[schemars(extend("bounds" = bounds::detect()), example = &"200ms")]
    pub(crate) detect: Time,
    /// Listeners whose connections are passed on as they are, without TLS.
    #[serde(default)]
    #[schemars(extend("bounds" = bounds::plain()))]
    pub(crate) plain: Vec<Plain>,
}

/// A listener whose connections are passed on as they are, without TLS.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plain {
    /// Where clients connect: a port of `connections.address`, of its own.
    #[schemars(example = &"10.77.0.100:22")]
    pub(crate) listen: Address,
    /// Where their connections go: an address that all nodes reach.
    #[schemars(example = &"10.77.0.50:22")]
    pub(crate) backend: Address,
}

const fn yes() -> bool {
    true
}

/// Well above a round trip within a farm, and at the shortest time after which
/// TCP sends something again (Linux, TCP_RTO_MIN).
const fn hold_timeout() -> Time {
    Time(Duration::from_millis(200))
}

/// Ten pulses: fewer would have a busy machine taken for dead.
const fn detect() -> Time {
    Time(Duration::from_millis(100))
}

impl Judge<'_> {
    /// Whether connections can be carried as it is told.
    pub(super) fn connections(&mut self, sections: &Sections) {
        let Some(connections) = &sections.connections else { return };
        let Subnet { address, prefix } = connections.address;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if !(1..=bits).contains(&prefix) {
            let expected = format!("a prefix of 1 to {bits} bits, as {address}/24");
            self.fault("connections.address", Fault::mismatch(connections.address, expected));
        }
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
            let expected = "an address that several machines can have, one after the other";
            self.fault("connections.address", Fault::mismatch(address, expected));
        }
        self.times(connections);
        self.plain(connections, sections);
        self.company(sections);
        self.carried(connections, sections);
    }

    fn times(&mut self, connections: &Connections) {
        let times = [
            ("connections.hold_timeout", connections.hold_timeout, HOLD_TIMEOUTS),
            ("connections.detect", connections.detect, DETECTIONS),
        ];
        for (key, Time(time), range) in times {
            if !range.contains(&time) {
                let found = humantime::format_duration(time);
                self.fault(key, Fault::mismatch(found, from_to(&range)));
            }
        }
    }

    fn plain(&mut self, connections: &Connections, sections: &Sections) {
        let address = connections.address.address;
        if connections.plain.len() > MAX_PLAIN {
            let found = format!("{} listeners", connections.plain.len());
            let expected = format!("at most {MAX_PLAIN}");
            self.fault("connections.plain", Fault::mismatch(found, expected));
        }
        let mut taken: BTreeSet<SocketAddr> =
            sections.tls.listen.0.iter().map(|listen| listen.0).collect();
        for (at, plain) in connections.plain.iter().enumerate() {
            let Plain { listen: Address(listen), backend: Address(backend) } = *plain;
            let place = format!("connections.plain[{at}]");
            let key = format!("{place}.listen");
            if listen.ip() != address {
                let expected = format!("a port of connections.address, {address}");
                self.fault(&key, Fault::mismatch(listen, expected));
            } else if listen.port() == 0 {
                self.fault(&key, Fault::mismatch(listen, "a port above 0, the same at all nodes"));
            } else if !taken.insert(listen) {
                let found = format!("{listen}, where another listener is");
                self.fault(&key, Fault::mismatch(found, "a port of its own"));
            }
            let key = format!("{place}.backend");
            if backend.port() == 0 || backend.ip().is_unspecified() {
                let expected = "the address and port of a server, as 10.77.0.50:22";
                self.fault(&key, Fault::mismatch(backend, expected));
            } else if backend.is_ipv4() != address.is_ipv4() {
                let expected =
                    format!("an address of the family of connections.address, {address}");
                self.fault(&key, Fault::mismatch(backend, expected));
            } else if backend.ip().is_loopback() {
                self.warn(&key, uncarried(backend));
            }
        }
    }

    /// Warns if nobody is there who could go on with a connection.
    fn company(&mut self, sections: &Sections) {
        let farm = &sections.farm;
        if farm.keys.0.is_empty() {
            let fault = Fault::mismatch("connections without farm.keys", "the key of a farm")
                .remedy("nobody can go on with connections of a node that is alone");
            self.warn("connections", fault);
        } else if farm.peers.0.is_empty() && farm.transport == Transport::Unicast {
            let fault = Fault::mismatch("connections without farm.peers", "other nodes")
                .remedy("unless others name this one, nobody can go on with its connections");
            self.warn("connections", fault);
        }
    }

    /// Warns of what is served and not carried.
    fn carried(&mut self, connections: &Connections, sections: &Sections) {
        let address = connections.address.address;
        let tls = &sections.tls;
        let is_tls = tls.listen.0.iter().any(|listen| listen.0.ip() == address);
        if !is_tls && connections.plain.is_empty() {
            let expected = format!("a listener at {address}, in tls.listen or connections.plain");
            self.warn("connections", Fault::mismatch("no listener", expected));
        }
        if !is_tls {
            return;
        }
        match &tls.backend {
            None => {
                let expected = "a backend that its connections go on with at any node";
                let fault = Fault::mismatch("the built-in pages", expected);
                self.warn("tls.backend", fault.remedy("their connections are served, not carried"));
            }
            Some(backend) if is_local(backend) => self.warn("tls.backend", uncarried(backend)),
            Some(Backend::Tcp(_) | Backend::Unix(_)) => {}
        }
    }
}

/// Whether a backend can be reached from this machine only.
fn is_local(backend: &Backend) -> bool {
    match backend {
        Backend::Unix(_) => true,
        Backend::Tcp(address) => {
            let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
    }
}

/// A backend that no other node can go on with.
fn uncarried(backend: impl std::fmt::Display) -> Fault {
    Fault::mismatch(
        format_args!("{backend}, which only this machine reaches"),
        "an address that all nodes reach",
    )
    .remedy("its connections are served, not carried")
}
