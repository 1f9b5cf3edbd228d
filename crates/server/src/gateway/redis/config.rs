//! What a gateway of Redis' protocol is told.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use segue::Ack;

use super::Channels;

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// An address of this machine.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What a gateway is told, resolved.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: Vec<Listen>,
    /// This node's name.
    pub(crate) node: String,
    /// None: clients need not log in.
    pub(crate) password: Option<Password>,
    /// Which keys clients may name.
    pub(crate) prefix: Vec<u8>,
    /// Whether no other node will ever be met.
    pub(crate) alone: bool,
    /// What a write waits for.
    pub(crate) ack: Ack,
    pub(crate) max_connections: u32,
    /// Who listens to what is said and happens at all nodes.
    pub(crate) channels: Arc<Channels>,
}

/// A password, as its hash: comparing tells nothing by its time, not even how
/// long it is.
#[derive(Clone)]
pub(crate) struct Password([u8; 32]);

impl Password {
    pub(crate) fn new(password: &[u8]) -> Self {
        Self(hash(password))
    }

    pub(super) fn is(&self, given: &[u8]) -> bool {
        verify_slices_are_equal(&self.0, &hash(given)).is_ok()
    }
}

fn hash(password: &[u8]) -> [u8; 32] {
    digest(&SHA256, password).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}
