//! The farm that clients talk to: three nodes, so that most of the voters are there
//! when one is killed.

use std::fs;

use tempfile::TempDir;

use crate::node::{Node, directory, farm_with};

/// What the gateways ask for.
const PASSWORD: &str = "of-the-test";

/// Nodes that each have a gateway.
pub(crate) struct Bed {
    nodes: Vec<Node>,
    password: Option<&'static str>,
    pub(crate) directory: TempDir,
}

impl Bed {
    /// Whose gateways ask for a password.
    pub(crate) fn new() -> Self {
        let directory = directory();
        fs::write(directory.path().join("password"), PASSWORD).expect("a file of ours");
        Self::with(directory, "redis.password_file = \"password\"\n", Some(PASSWORD))
    }

    /// Whose gateways ask for none, and keep what begins so.
    pub(crate) fn of_prefix(prefix: &str) -> Self {
        Self::with(directory(), &format!("redis.prefix = \"{prefix}\"\n"), None)
    }

    fn with(directory: TempDir, more: &str, password: Option<&'static str>) -> Self {
        let nodes = farm_with(directory.path(), &["a", "b", "c"], more);
        Self { nodes, password, directory }
    }

    /// Where a node serves Redis' protocol.
    pub(crate) fn redis(&self, node: usize) -> &str {
        &self.nodes[node].redis
    }

    /// Where a node serves memcached's.
    pub(crate) fn memcached(&self, node: usize) -> &str {
        &self.nodes[node].memcached
    }

    /// Where it serves Redis', with the password, as most clients are told it.
    pub(crate) fn url(&self, node: usize) -> String {
        let password = self.password.map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{password}{}", self.redis(node))
    }

    /// The same, as phpredis is told it.
    pub(crate) fn phpredis(&self, node: usize) -> String {
        let password = self.password.map(|password| format!("?auth={password}"));
        format!("tcp://{}{}", self.redis(node), password.unwrap_or_default())
    }

    /// Ends the first node without a word.
    pub(crate) fn kill_the_first(&mut self) {
        self.nodes[0].process.kill();
    }
}
