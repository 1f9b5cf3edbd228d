//! Makes connections to what is above, by what it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proto::holdings::Holdings;

use super::node;
#[cfg(feature = "redis")]
use super::redis;
use super::session::Session;
use super::target::UpstreamTarget;
use crate::config::UpstreamConfig;
use crate::error::StartError;
use crate::link::Links;

/// Connects to one upstream.
pub(super) enum Caller {
    #[cfg(feature = "redis")]
    Engine,
    Node(NodeCaller),
}

/// Calls the nodes of a farm above in turn.
pub(super) struct NodeCaller {
    links: Arc<Links>,
    holdings: Arc<Holdings>,
    addresses: Vec<SocketAddr>,
    /// The place of the one that is called next.
    next: AtomicUsize,
}

impl Caller {
    /// What connects to the target of `config`.
    pub(super) fn new(
        config: &UpstreamConfig,
        links: Option<&Arc<Links>>,
        holdings: &Arc<Holdings>,
    ) -> Result<Self, StartError> {
        match &config.address {
            #[cfg(feature = "redis")]
            UpstreamTarget::Engine(_) => Ok(Self::Engine),
            #[cfg(not(feature = "redis"))]
            UpstreamTarget::Engine(_) => Err(StartError::NoEngine),
            UpstreamTarget::Nodes(addresses) => Ok(Self::Node(NodeCaller {
                links: Arc::clone(links.ok_or(StartError::NoRuntime)?),
                holdings: Arc::clone(holdings),
                addresses: addresses.clone(),
                next: AtomicUsize::new(0),
            })),
        }
    }

    /// Whether what goes up is to be sealed.
    pub(super) const fn seals(&self) -> bool {
        match self {
            #[cfg(feature = "redis")]
            Self::Engine => true,
            Self::Node(_) => false,
        }
    }

    /// Connects. An error says why it failed.
    pub(super) async fn open(&self, config: &UpstreamConfig) -> Result<Session, String> {
        match (self, &config.address) {
            #[cfg(feature = "redis")]
            (Self::Engine, UpstreamTarget::Engine(address)) => {
                let opened = redis::Session::open(address, config.ca.as_ref()).await;
                opened.map(Session::Redis).map_err(|error| error.to_string())
            }
            (Self::Node(caller), _) => caller.open().await,
            #[cfg(feature = "redis")]
            (Self::Engine, UpstreamTarget::Nodes(_)) => unreachable!("made for its target"),
        }
    }
}

impl NodeCaller {
    /// Calls the next address: whoever waits may give up, and then another one
    /// is next all the same.
    async fn open(&self) -> Result<Session, String> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.addresses.len().max(1);
        let Some(&address) = self.addresses.get(place) else {
            return Err("no address is given".to_owned());
        };
        let link = self.links.connect(address).await;
        let link = link.map_err(|error| format!("{address}: {error}"))?;
        tracing::info!(%address, peer = link.peer.name, "linked to a node above");
        Ok(Session::Node(node::Session::new(link, Arc::clone(&self.holdings))))
    }
}
