//! Redis' protocol: listeners, and a task for each connection.
//!
//! In reading order: [`config`] what it is told; [`access`] who may come in;
//! [`listener`] where clients arrive; [`connection`] the bytes of one client,
//! with its [`input`]; [`session`] what that client has said of itself;
//! [`words`] commands about the connection, and [`tuning`] about the
//! configuration; [`several`] commands on several keys or all; [`transaction`]
//! those that are queued; [`scripted`] those in scripts, [`aspnet`] those of
//! ASP.NET's sessions; [`channels`] who
//! listens to what, with a [`mailbox`] each, and [`listening`] the commands for
//! it; [`figures`] what is counted.

mod access;
mod aspnet;
mod channels;
mod config;
mod connection;
mod figures;
mod input;
mod listener;
mod listening;
mod mailbox;
mod scripted;
mod session;
mod several;
mod transaction;
mod tuning;
mod words;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use segue::Cache;
use tokio::sync::{Semaphore, watch};

pub(crate) use access::{Access, Entrance, Password, User};
pub(crate) use channels::Channels;
pub(crate) use config::{Config, Listen};
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
    channels: Arc<Channels>,
    scripts: scripted::Names,
    node: String,
    places: Arc<Semaphore>,
    counters: Counters,
    next_id: AtomicU64,
    /// Failed log-ins that wait for their answer.
    failing: AtomicU32,
}

impl Shared {
    fn figures(&self) -> Figures {
        self.counters.read(&self.channels)
    }
}

impl Gateway {
    /// Listens on every address of `config`, and serves from then on.
    ///
    /// # Errors
    ///
    /// [`StartError`] when an address cannot be listened on.
    pub(crate) fn start(config: Config, cache: Cache) -> Result<Self, StartError> {
        let Config { entrances, node, alone, ack, rules, max_connections, channels } = config;
        let mut listeners = Vec::new();
        for entrance in entrances.into_iter().map(Arc::new) {
            for listen in &entrance.listen {
                let listener = Listener::open(listen, Arc::clone(&entrance));
                let failed = |source| StartError { listen: listen.clone(), source };
                listeners.push(listener.map_err(failed)?);
            }
        }
        let addresses = listeners.iter().map(Listener::name).collect();
        let shared = Arc::new(Shared {
            store: Store::new(cache, alone, ack, rules),
            channels,
            scripts: scripted::Names::default(),
            node,
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
        self.shared.figures()
    }

    /// Ends all connections, each after the commands that it is at.
    pub(crate) fn shut_down(&self) {
        self.open.send_replace(false);
    }
}
