//! Redis' protocol: a task for each connection.
//!
//! In reading order: [`config`] what it is told; [`access`] who may come in;
//! [`connection`] the bytes of one client, with its [`input`], [`encrypted`] or
//! not; [`session`] what that client has said of itself; [`quick`] what is done at
//! once; [`words`] commands about the connection, and [`tuning`] about the
//! configuration; [`several`] commands on several keys or all; [`transaction`]
//! those that are queued; [`scripted`] those in scripts, [`aspnet`] those of
//! ASP.NET's sessions; [`channels`] who listens to what, with a [`mailbox`] each,
//! and [`listening`] the commands for it; [`figures`] what is counted.

mod access;
mod aspnet;
mod channels;
mod config;
mod connection;
mod encrypted;
mod figures;
mod input;
mod listening;
mod mailbox;
mod quick;
mod scripted;
mod session;
mod several;
mod transaction;
mod tuning;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

pub(crate) use access::{Access, Entrance, Password, User};
pub(crate) use channels::Channels;
pub(crate) use config::Config;
use figures::Counters;
pub(crate) use figures::Figures;

use super::listener::{self, Host, Places, StartError};
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
    channels: Arc<Channels>,
    scripts: scripted::Names,
    node: String,
    places: Places,
    counters: Counters,
    next_id: AtomicU64,
    /// Failed log-ins that wait for their answer.
    failing: AtomicU32,
}

impl Shared {
    fn figures(&self) -> Figures {
        self.counters.read(&self.places, &self.channels)
    }
}

impl Gateway {
    /// Listens on every address of `config`, and serves from then on.
    ///
    /// # Errors
    ///
    /// [`StartError`] when an address cannot be listened on.
    pub(crate) fn start(config: Config, store: Arc<Store>) -> Result<Self, StartError> {
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
        let mut doors = Vec::new();
        for entrance in entrances {
            let listeners = listener::open(entrance.listen.clone())?;
            let door = Arc::new(Door { shared: Arc::clone(&shared), entrance });
            doors.extend(listeners.into_iter().map(|listener| (listener, Arc::clone(&door))));
        }
        let addresses = doors.iter().map(|(listener, _)| listener.name()).collect();
        let (open, is_open) = watch::channel(true);
        for (listener, door) in doors {
            tokio::spawn(listener.serve(door, is_open.clone()));
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

/// Where clients come in: what holds for them, and what all share.
struct Door {
    shared: Arc<Shared>,
    entrance: Entrance,
}

impl Host for Door {
    const CLIENTS: &'static str = "Redis";

    fn full(&self) -> &'static [u8] {
        // Who speaks TLS could not read it.
        if self.entrance.tls.is_some() { b"" } else { b"-ERR max number of clients reached\r\n" }
    }

    fn places(&self) -> &Places {
        &self.shared.places
    }

    async fn serve<S>(&self, mut stream: S, open: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { shared, entrance } = self;
        match &entrance.tls {
            None => connection::serve(shared, &entrance.access, &mut stream, open).await,
            Some(tls) => encrypted::serve(shared, &entrance.access, (stream, tls), open).await,
        }
    }
}
