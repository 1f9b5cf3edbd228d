//! Redis' protocol: a task for each connection.
//!
//! In reading order: [`config`] what it is told; [`connection`] the bytes of
//! one client; [`session`] what that client has said of itself; [`several`]
//! commands on several keys or all; [`transaction`] those that are queued;
//! [`scripted`] those in scripts; [`figures`] what is counted.

mod config;
mod connection;
mod figures;
mod scripted;
mod session;
mod several;
mod transaction;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

pub(crate) use config::{Config, Password};
use figures::Counters;
pub(crate) use figures::Figures;

use super::listener::{self, Host, Listener, Places, StartError};
use super::store::Store;

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
    store: Arc<Store>,
    node: String,
    password: Option<Password>,
    prefix: Vec<u8>,
    places: Places,
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
    pub(crate) fn start(config: Config, store: Arc<Store>) -> Result<Self, StartError> {
        let Config { listen, node, password, prefix, max_connections } = config;
        let listeners = listener::open(listen)?;
        let addresses = listeners.iter().map(Listener::name).collect();
        let shared = Arc::new(Shared {
            store,
            node,
            password,
            prefix,
            places: Places::new(max_connections),
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
        self.shared.counters.read(&self.shared.places)
    }

    /// Ends all connections, each after the commands that it is at.
    pub(crate) fn shut_down(&self) {
        self.open.send_replace(false);
    }
}

impl Host for Shared {
    const CLIENTS: &'static str = "Redis";
    const FULL: &'static [u8] = b"-ERR max number of clients reached\r\n";

    fn places(&self) -> &Places {
        &self.places
    }

    async fn serve<S>(&self, stream: S, open: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        connection::serve(self, stream, open).await;
    }
}
