//! memcached's protocols: a task for each connection.
//!
//! In reading order: [`connection`] the bytes of one client; [`session`] what
//! it asks, command by command; [`accesses`] how values were used here;
//! [`flush`] all that goes at once; [`stats`] what clients are told of the
//! server; [`figures`] what is counted. What commands do to a value is
//! [`proto::gateway::memcached::values`]'s to know.

mod accesses;
mod connection;
mod figures;
mod flush;
mod session;
mod stats;

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use proto::time::Wall;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use accesses::Accesses;
use figures::Counters;
pub(crate) use figures::Figures;

use super::listener::{self, Host, Listen, Listener, Places, StartError};
use super::store::Store;

/// What a gateway is told, resolved.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: Vec<Listen>,
    /// This node's name.
    pub(crate) node: String,
    /// Which keys clients may name.
    pub(crate) prefix: Vec<u8>,
    pub(crate) max_connections: u32,
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
    store: Arc<Store>,
    node: String,
    prefix: Vec<u8>,
    max_connections: u32,
    places: Places,
    counters: Counters,
    accesses: Accesses,
    /// When all that is there is to go, if a client has asked for that.
    flush_at: watch::Sender<Option<Wall>>,
    began: Instant,
    /// The figures that `stats` counts from.
    counted_from: Mutex<Figures>,
}

impl Gateway {
    /// Listens on every address of `config`, and serves from then on.
    ///
    /// # Errors
    ///
    /// [`StartError`] when an address cannot be listened on.
    pub(crate) fn start(config: Config, store: Arc<Store>) -> Result<Self, StartError> {
        let Config { listen, node, prefix, max_connections } = config;
        let listeners = listener::open(listen)?;
        let addresses = listeners.iter().map(Listener::name).collect();
        let shared = Arc::new(Shared {
            store,
            node,
            prefix,
            max_connections,
            places: Places::new(max_connections),
            counters: Counters::default(),
            accesses: Accesses::default(),
            flush_at: watch::Sender::new(None),
            began: Instant::now(),
            counted_from: Mutex::default(),
        });
        let (open, is_open) = watch::channel(true);
        tokio::spawn(flush::when_due(Arc::clone(&shared), is_open.clone()));
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

impl Shared {
    fn figures(&self) -> Figures {
        self.counters.read(&self.places)
    }
}

impl Host for Shared {
    const CLIENTS: &'static str = "memcached";

    fn full(&self) -> &'static [u8] {
        b"ERROR Too many open connections\r\n"
    }

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
