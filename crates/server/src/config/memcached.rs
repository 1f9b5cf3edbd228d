//! `[memcached]`: who is served memcached's protocols, and where.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds;
use super::encrypted;
use super::fault::{Fault, quoted};
use super::judge::Judge;
use super::redis::{MOST_CONNECTIONS, take_certificate};
use super::sections::Certificate;
use super::units::{GatewayAddress, List};
use crate::gateway::{Encryption, Listen};

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
    /// What clients are shown, who then have to speak TLS. Not given: they speak
    /// plainly. Read again on SIGHUP.
    #[schemars(example = serde_json::json!({ "cert": "cert.pem", "key": "key.pem" }))]
    pub(crate) certificate: Option<Certificate>,
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
            certificate: None,
            // As many as of Redis' clients.
            max_connections: 10_000,
            trusted_network: false,
        }
    }
}

impl Memcached {
    /// What a reload takes over: the certificate, where there was one before.
    pub(crate) fn take_reloadable(&mut self, old: &Self) {
        take_certificate(&mut self.certificate, &old.certificate);
    }

    /// Where clients connect.
    pub(crate) fn listens(&self) -> Vec<Listen> {
        self.listen.0.iter().map(|listen| listen.0.clone()).collect()
    }

    /// Every file that is named, with its key.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = (String, &mut PathBuf)> {
        encrypted::paths("memcached", &mut self.certificate)
    }
}

impl Judge<'_> {
    /// Whether the section can be served, and what is shown to clients that
    /// speak TLS.
    pub(super) fn memcached(&mut self, given: Option<&Memcached>) -> Option<Encryption> {
        let given = given?;
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
        self.encryption("memcached", given.certificate.as_ref())
    }
}
