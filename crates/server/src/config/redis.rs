//! `[redis]`: who is served Redis' protocol, and where.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::fault::{Fault, quoted};
use super::judge::Judge;
use super::units::{GatewayAddress, List};
use crate::gateway::Listen;
use crate::gateway::redis::Password;

/// The most connections that may be asked for: each is a file descriptor.
pub(super) const MOST_CONNECTIONS: u32 = 1_000_000;
/// The longest password that is read: a key file by mistake is not one.
const MOST_PASSWORD_BYTES: usize = 512;

/// `[redis]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Redis {
    /// Where clients connect.
    pub(crate) listen: List<GatewayAddress>,
    /// A file with the password. None: clients need none.
    pub(crate) password_file: Option<PathBuf>,
    /// What every key that clients name begins with.
    pub(crate) prefix: String,
    /// How many clients there may be at a time.
    pub(crate) max_connections: u32,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            listen: List(vec![GatewayAddress(Listen::Tcp(SocketAddr::from((
                [127, 0, 0, 1],
                6379,
            ))))]),
            password_file: None,
            prefix: String::new(),
            // What Redis allows.
            max_connections: 10_000,
        }
    }
}

impl Judge<'_> {
    /// Whether the section can be served, and its password.
    pub(super) fn redis(&mut self, given: Option<&Redis>) -> Option<Password> {
        let given = given?;
        if given.listen.0.is_empty() {
            let expected = "an address, as \"127.0.0.1:6379\" or \"unix:/run/segue.sock\"";
            self.fault("redis.listen", Fault::mismatch("an empty list", expected));
        }
        if !(1..=MOST_CONNECTIONS).contains(&given.max_connections) {
            let expected = format!("1 to {MOST_CONNECTIONS}");
            let found = given.max_connections;
            self.fault("redis.max_connections", Fault::mismatch(found, expected));
        }
        let open = given.listen.0.iter().find_map(|listen| match &listen.0 {
            Listen::Tcp(address) if !address.ip().is_loopback() => Some(address),
            Listen::Tcp(_) | Listen::Unix(_) => None,
        });
        if let (Some(address), None) = (open, &given.password_file) {
            let found =
                format!("no password, and {} is open to others", quoted(&address.to_string()));
            let expected = "redis.password_file, or loopback addresses and unix sockets only";
            self.fault("redis.listen", Fault::mismatch(found, expected));
        }
        let path = given.password_file.as_ref()?;
        match std::fs::read(path).map(Zeroizing::new) {
            Ok(bytes) => {
                let password = bytes.trim_ascii_end();
                if password.is_empty() || password.len() > MOST_PASSWORD_BYTES {
                    let found = format!("{} bytes in {}", password.len(), path.display());
                    let expected = format!("a password of 1 to {MOST_PASSWORD_BYTES} bytes");
                    self.fault("redis.password_file", Fault::mismatch(found, expected));
                }
                Some(Password::new(password))
            }
            Err(error) => {
                let found = format!("{}: {error}", path.display());
                self.fault("redis.password_file", Fault::mismatch(found, "a file with a password"));
                None
            }
        }
    }
}
