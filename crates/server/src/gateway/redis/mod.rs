//! Redis' protocol: a task for each connection.
//!
//! In reading order: [`config`] what it is told; [`access`] who may come in;
//! [`connection`] the bytes of one client, with its [`input`]; [`session`] what
//! that client has said of itself; [`quick`] what is done at once; [`words`]
//! commands about the connection, and [`tuning`] about the configuration;
//! [`several`] commands on several keys, and [`listing`] on all; [`transaction`]
//! those that are queued; [`scripted`] those in scripts, [`aspnet`] those of
//! ASP.NET's sessions, [`slots`] those of Laravel's limiter; [`channels`] who
//! listens to what, with a [`mailbox`] each, and [`listening`] the commands for it;
//! [`figures`] what is counted.

mod access;
mod aspnet;
mod channels;
mod config;
mod connection;
mod figures;
mod input;
mod listening;
mod listing;
mod mailbox;
mod quick;
mod scripted;
mod session;
mod several;
mod slots;
mod transaction;
mod tuning;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

pub(crate) use access::{Access, Entrance, User};
pub(crate) use channels::Channels;
pub(crate) use config::Config;
use figures::Counters;
pub(crate) use figures::Figures;

use super::listener::{Door, Host, Places, StartError};
use super::running::Service;
use super::store::Store;

/// A running gateway of Redis' protocol.
pub(crate) type Gateway = super::running::Gateway<Shared>;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    store: Arc<Store>,
    channels: Arc<Channels>,
    scripts: scripted::Names,
    node: String,
    places: Places,
    counters: Counters,
    next_id: AtomicU64,
    /// Failed log-ins that wait for their answer.
    failing: AtomicU32,
}

impl Service for Shared {
    type Figures = Figures;

    fn figures(&self) -> Figures {
        self.counters.read(&self.places, &self.channels)
    }
}

/// Listens on every address of `config`, and serves from then on.
///
/// # Errors
///
/// [`StartError`] when an address cannot be listened on.
pub(crate) fn start(config: Config, store: Arc<Store>) -> Result<Gateway, StartError> {
    let Config { entrances, node, max_connections, channels } = config;
    let shared = Arc::new(Shared {
        store,
        channels,
        scripts: scripted::Names::default(),
        node,
        places: Places::new(max_connections),
        counters: Counters::default(),
        next_id: AtomicU64::new(1),
        failing: AtomicU32::new(0),
    });
    let door = |Entrance { listen, tls, access }| {
        let host = Arc::new(Clients { shared: Arc::clone(&shared), access });
        Door { listen, tls, host }
    };
    let doors = entrances.into_iter().map(door).collect();
    Gateway::open(shared, doors)
}

/// Those who come in by one entrance: what holds for them, and what all share.
#[derive(Debug)]
struct Clients {
    shared: Arc<Shared>,
    access: Access,
}

impl Host for Clients {
    const CLIENTS: &'static str = "Redis";

    fn full(&self) -> &'static [u8] {
        b"-ERR max number of clients reached\r\n"
    }

    fn places(&self) -> &Places {
        &self.shared.places
    }

    async fn serve<S>(&self, mut stream: S, open: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        connection::serve(&self.shared, &self.access, &mut stream, open).await;
    }
}
