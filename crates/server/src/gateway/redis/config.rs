//! What a gateway of Redis' protocol is told.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use segue::Ack;

use super::{Channels, Entrance};
use crate::gateway::Rule;

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
    pub(crate) entrances: Vec<Entrance>,
    /// This node's name.
    pub(crate) node: String,
    /// Whether no other node will ever be met.
    pub(crate) alone: bool,
    /// What a write waits for.
    pub(crate) ack: Ack,
    /// What holds for keys that begin alike.
    pub(crate) rules: Vec<Rule>,
    pub(crate) max_connections: u32,
    /// Who listens to what is said and happens at all nodes.
    pub(crate) channels: Arc<Channels>,
}
