//! A node of the farm: starting it, looking at it, ending it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::record::HybridClock;
use proto::table::{self, Table};
use proto::wire::header::Incarnation;
use tokio::sync::mpsc;

use crate::cache::{Cache, Shared};
use crate::config::Config;
use crate::driver::clock::Clock;
use crate::error::StartError;
use crate::status::{Lag, MulticastStats, Status, Warning};

/// How many writes may wait for the driver before writers wait too.
const PUBLISH_QUEUE: usize = 4_096;

/// A node of the farm. Dropping it ends it without a word to the others;
/// [`Node::shutdown`] takes leave.
pub struct Node {
    config: Config,
    incarnation: Incarnation,
    shared: Arc<Shared>,
}

impl Node {
    /// Starts a node: opens its sockets, joins the farm and begins to fetch
    /// its portion. [`Node::ready`] tells when that has arrived.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the configuration cannot work or a socket cannot be
    /// opened.
    #[expect(clippy::unused_async, reason = "waits for its driver once there is one")]
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let incarnation = Incarnation(u128::from_be_bytes(random()?));
        let table = Table::new(table::Config {
            capacity_bytes: config.memory_bytes,
            placement_secret: config.keys.placement_secret(),
            own_secret: random()?,
        });
        let (publish, mut receiver) = mpsc::channel::<crate::cache::Publish>(PUBLISH_QUEUE);
        tokio::spawn(async move { while receiver.recv().await.is_some() {} });
        let shared = Arc::new(Shared {
            table: Arc::new(table),
            versions: Arc::new(HybridClock::default()),
            clock: Clock::start(),
            writer: incarnation.writer(),
            ack_timeout: config.ack_timeout,
            closed: AtomicBool::new(false),
            publish,
        });
        Ok(Self { config, incarnation, shared })
    }

    /// The cache, to be read and written through this node.
    #[must_use]
    pub fn cache(&self) -> Cache {
        Cache::new(Arc::clone(&self.shared))
    }

    /// Waits until the node's portion has arrived, or there is no other node
    /// to fetch it from.
    #[expect(clippy::unused_async, reason = "waits for the farm once there is one")]
    pub async fn ready(&self) {}

    /// The node's state and figures.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            name: self.config.name.clone(),
            incarnation: self.incarnation.to_string(),
            address: self.config.listen,
            ready: true,
            members: Vec::new(),
            cache: self.shared.table.stats(),
            multicast: MulticastStats::default(),
            lag: Lag::default(),
        }
    }

    /// What the operator should know about how the node started.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        Vec::new()
    }

    /// Takes leave of the farm and ends the node. Handles on its cache fail
    /// with [`crate::WriteError::Closed`] from then on.
    #[expect(clippy::unused_async, reason = "waits for its driver once there is one")]
    pub async fn shutdown(self) {
        self.shared.closed.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({:?}, {:?})", self.config.name, self.incarnation)
    }
}

fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(StartError::Random)?;
    Ok(bytes)
}
