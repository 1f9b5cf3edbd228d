//! Redis' protocol: listeners, and a task for each connection.
//!
//! In reading order: [`config`] what it is told; [`connection`] the bytes of
//! one client; [`session`] what that client has said of itself; [`quick`]
//! what is done at once; [`several`]
//! commands on several keys or all; [`transaction`] those that are queued;
//! [`scripted`] those in scripts; [`figures`] what is counted.

mod config;
mod connection;
mod figures;
mod listener;
mod quick;
mod scripted;
mod session;
mod several;
mod transaction;
mod words;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use segue::Cache;
use tokio::sync::{Semaphore, watch};

pub(crate) use config::{Config, Listen, Password};
use figures::Counters;
pub(crate) use figures::Figures;
use listener::Listener;

use super::store::Store;

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {source}")]
pub(crate) struct StartError {
    pub(crate) listen: Listen,
    pub(crate) source: io::Error,
}

/// A running gateway. Dropped, it closes its connections.
#[derive(Debug)]
pub(crate) struct Gateway {
    shared: Arc<Shared>,
    /// False once connections are to end.
    open: watch::Sender<bool>,
    addresses: Vec<String>,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    store: Store,
    node: String,
    password: Option<Password>,
    prefix: Vec<u8>,
    places: Arc<Semaphore>,
    counters: Counters,
    next_id: AtomicU64,
    /// Failed log-ins that wait for their answer.
    failing: AtomicU32,
}

impl Gateway {
    /// Listens on every address of `config`, and serves from then on.
    ///
    /// # Errors
    ///
    /// [`StartError`] when an address cannot be listened on.
    pub(crate) fn start(config: Config, cache: Cache) -> Result<Self, StartError> {
        let Config { listen, node, password, prefix, alone, ack, max_connections } = config;
        let listeners = listen
            .into_iter()
            .map(|listen| Listener::open(&listen).map_err(|source| StartError { listen, source }))
            .collect::<Result<Vec<_>, _>>()?;
        let addresses = listeners.iter().map(Listener::name).collect();
        let shared = Arc::new(Shared {
            store: Store::new(cache, alone, ack),
            node,
            password,
            prefix,
            places: Arc::new(Semaphore::new(max_connections as usize)),
            counters: Counters::default(),
            next_id: AtomicU64::new(1),
            failing: AtomicU32::new(0),
        });
        let (open, is_open) = watch::channel(true);
        for listener in listeners {
            tokio::spawn(listener.serve(Arc::clone(&shared), is_open.clone()));
        }
        Ok(Self { shared, open, addresses })
    }

    /// Where it listens, with the ports that the kernel chose.
    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// What it has done so far.
    pub(crate) fn figures(&self) -> Figures {
        self.shared.counters.read()
    }

    /// Ends all connections, each after the commands that it is at.
    pub(crate) fn shut_down(&self) {
        self.open.send_replace(false);
    }
}
