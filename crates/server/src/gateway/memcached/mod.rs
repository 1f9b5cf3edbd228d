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

use super::encrypted::Encryption;
use super::listener::{Door, Host, Listen, Places, StartError};
use super::running::Service;
use super::store::Store;

/// What a gateway is told, resolved.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: Vec<Listen>,
    /// None: what is said there is not encrypted.
    pub(crate) tls: Option<Encryption>,
    /// This node's name.
    pub(crate) node: String,
    /// Which keys clients may name.
    pub(crate) prefix: Vec<u8>,
    pub(crate) max_connections: u32,
}

/// A running gateway of memcached's protocols.
pub(crate) type Gateway = super::running::Gateway<Shared>;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
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

impl Service for Shared {
    type Figures = Figures;

    fn figures(&self) -> Figures {
        self.counters.read(&self.places)
    }
}

/// Listens on every address of `config`, and serves from then on.
///
/// # Errors
///
/// [`StartError`] when an address cannot be listened on.
pub(crate) fn start(config: Config, store: Arc<Store>) -> Result<Gateway, StartError> {
    let Config { listen, tls, node, prefix, max_connections } = config;
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
    let door = Door { listen, tls, host: Arc::clone(&shared) };
    let gateway = Gateway::open(Arc::clone(&shared), vec![door])?;
    tokio::spawn(flush::when_due(shared, gateway.is_open()));
    Ok(gateway)
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
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        connection::serve(self, stream, open).await;
    }
}
