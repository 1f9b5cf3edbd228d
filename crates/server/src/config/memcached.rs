//! `[memcached]`: who is served memcached's protocols, and where.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds;
use super::fault::{Fault, quoted};
use super::judge::Judge;
use super::redis::MOST_CONNECTIONS;
use super::units::{GatewayAddress, List};
use crate::gateway::Listen;

/// Clients that speak memcached's protocols. Without this section none are served.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Memcached {
    /// Where clients connect.
    #[schemars(example = ["127.0.0.1:11211", "unix:/run/segue/memcached.sock"])]
    pub(crate) listen: List<GatewayAddress>,
    /// What every key that clients name begins with.
    #[schemars(example = &"app:")]
    pub(crate) prefix: String,
    /// How many clients there may be at a time.
    #[schemars(extend("bounds" = bounds::connections()), example = 2_000)]
    pub(crate) max_connections: u32,
    /// Whether whoever reaches an address that is not this machine's own may
    /// read and write all: the protocols have no password.
    #[schemars(example = true)]
    pub(crate) trusted_network: bool,
}

impl Default for Memcached {
    fn default() -> Self {
        let own = SocketAddr::from(([127, 0, 0, 1], 11_211));
        Self {
            listen: List(vec![GatewayAddress(Listen::Tcp(own))]),
            prefix: String::new(),
            // As many as of Redis' clients.
            max_connections: 10_000,
            trusted_network: false,
        }
    }
}

impl Judge<'_> {
    /// Whether the section can be served.
    pub(super) fn memcached(&mut self, given: Option<&Memcached>) {
        let Some(given) = given else { return };
        if given.listen.0.is_empty() {
            let expected = "an address, as \"127.0.0.1:11211\" or \"unix:/run/segue.sock\"";
            self.fault("memcached.listen", Fault::mismatch("an empty list", expected));
        }
        if !(1..=MOST_CONNECTIONS).contains(&given.max_connections) {
            let expected = format!("1 to {MOST_CONNECTIONS}");
            let found = given.max_connections;
            self.fault("memcached.max_connections", Fault::mismatch(found, expected));
        }
        let open = given.listen.0.iter().find_map(|listen| match &listen.0 {
            Listen::Tcp(address) if !address.ip().is_loopback() => Some(address),
            Listen::Tcp(_) | Listen::Unix(_) => None,
        });
        if let (Some(address), false) = (open, given.trusted_network) {
            let found = format!("{}, which is open to others", quoted(&address.to_string()));
            let expected = "loopback addresses and unix sockets, as memcached's protocols have no \
                            password; or memcached.trusted_network = true";
            self.fault("memcached.listen", Fault::mismatch(found, expected));
        }
    }
}
