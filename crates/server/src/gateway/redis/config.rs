//! What a gateway of Redis' protocol is told.

use std::sync::Arc;

use super::{Channels, Entrance};

/// What a gateway is told, resolved.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) entrances: Vec<Entrance>,
    /// This node's name.
    pub(crate) node: String,
    pub(crate) max_connections: u32,
    /// Who listens to what is said and happens at all nodes.
    pub(crate) channels: Arc<Channels>,
}
