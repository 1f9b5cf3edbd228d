//! The TLS front: terminates TLS for the clients of this node, with sessions
//! that go on at every node of the farm.
//!
//! A [`Front`] owns its listeners and everything that its connections share.
//! It knows the farm as a [`Cache`] and nothing more, and the configuration as
//! resolved values; whoever starts it reads files and handles signals.
//!
//! In reading order: [`config`] what it is told; [`client`] one connection, and
//! [`handshake`] its stream until it is begun, [`early`] where it begins before
//! the handshake is done, [`carried`] where it
//! goes on elsewhere; [`pages`] and [`relay`] what is
//! behind the TLS; [`figures`] what is counted.

mod carried;
mod client;
mod config;
mod early;
mod figures;
mod handshake;
mod listener;
mod pages;
mod places;
mod relay;
mod throttle;

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use segue::{Ack, Cache};
use tls_rustls::{ConfigError, Terminator};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use client::Arrived;
pub(crate) use config::{Backend, Carrying, Config, Plain};
pub(crate) use figures::Figures;
use figures::{Counters, Failure};
use listener::Listener;
use pages::Pages;
use places::{Place, Places};
use throttle::Throttle;

/// How long a listener rests when the kernel cannot give it a connection, as
/// when all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a front does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The certificates, the client CA or the rules for sessions are unusable.
    #[error(transparent)]
    Tls(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The same of an address without TLS.
    #[error("cannot listen on {address}: {source}")]
    ListenPlain {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A running front. Dropped without [`Front::shut_down`], it closes all its
/// connections.
#[derive(Debug)]
pub(crate) struct Front {
    shared: Arc<Shared>,
    phase: watch::Sender<Stage>,
    addresses: Vec<SocketAddr>,
    drain_timeout: Duration,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    node: String,
    cache: Cache,
    /// Replaced as a whole by a reload; a handshake goes on with the one that
    /// it began with.
    terminator: RwLock<Arc<Terminator>>,
    backend: Option<Backend>,
    /// What is served where there is no backend.
    pages: Pages,
    proxy_protocol: bool,
    carrying: Option<Carrying>,
    ack: Ack,
    handshake_timeout: Duration,
    places: Places,
    counters: Counters,
    /// For lines about clients, and about what the front itself needs.
    client_lines: Throttle,
    own_lines: Throttle,
}

/// How far a front has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Open,
    /// No new connections; live ones go on.
    Draining,
    /// Live ones end at once.
    Closed,
}

/// A front's stage, as its tasks see it.
#[derive(Debug, Clone)]
struct Phase(watch::Receiver<Stage>);

impl Phase {
    /// Waits until the front takes no new connections.
    async fn draining(self) {
        self.reached(Stage::Draining).await;
    }

    /// Waits until connections must end.
    async fn closed(self) {
        self.reached(Stage::Closed).await;
    }

    async fn reached(mut self, stage: Stage) {
        // A front that is gone has closed.
        let _ = self.0.wait_for(|&current| current >= stage).await;
    }
}

impl Front {
    /// Listens on every address of `config`, and serves from then on.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the TLS configuration is unusable, or an address
    /// cannot be listened on; then nothing is served.
    pub(crate) fn start(config: Config, cache: Cache) -> Result<Self, StartError> {
        let Config { listen, tls, backend, proxy_protocol, ack, floating, carrying, .. } = config;
        let node = tls.node.clone();
        let terminator = RwLock::new(Arc::new(Terminator::new(tls)?));
        let listeners = listen
            .into_iter()
            .map(|address| {
                let carrying = carrying.as_ref().map(|carrying| &*carrying.carrier);
                let listener = if floating == Some(address.ip()) {
                    Listener::floating(address, carrying)
                } else {
                    Listener::open(address)
                };
                listener.map_err(|source| StartError::Listen { address, source })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let addresses = listeners.iter().map(|listener| listener.address).collect();
        let plain = config.plain.into_iter().map(|plain| {
            let address = plain.listen;
            Listener::plain(plain).map_err(|source| StartError::ListenPlain { address, source })
        });
        let plain = plain.collect::<Result<Vec<_>, _>>()?;
        let pages = Pages::new(&node, cache.clone());
        let shared = Arc::new(Shared {
            node,
            cache,
            terminator,
            backend,
            pages,
            proxy_protocol,
            carrying,
            ack,
            handshake_timeout: config.handshake_timeout,
            places: Places::new(config.max_connections),
            counters: Counters::default(),
            client_lines: Throttle::default(),
            own_lines: Throttle::default(),
        });
        let (phase, stage) = watch::channel(Stage::Open);
        for listener in listeners.into_iter().chain(plain) {
            tokio::spawn(accept(listener, Arc::clone(&shared), Phase(stage.clone())));
        }
        Ok(Self { shared, phase, addresses, drain_timeout: config.drain_timeout })
    }

    /// Where it listens for TLS, in the order of the configuration, with the ports
    /// that the kernel chose.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How long live connections are given at shutdown.
    pub(crate) const fn drain_timeout(&self) -> Duration {
        self.drain_timeout
    }

    /// What it has done so far.
    pub(crate) fn figures(&self) -> Figures {
        self.shared.counters.read(self.shared.places.taken())
    }

    /// Takes over certificates, client CA and rules for sessions, for all
    /// handshakes from now on. Live connections stay as they are.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when they are unusable; those in use then stay.
    pub(crate) fn reload(&self, tls: tls_rustls::Config) -> Result<(), ConfigError> {
        let terminator = Arc::new(Terminator::new(tls)?);
        *self.shared.terminator.write() = terminator;
        Ok(())
    }

    /// Stops accepting, gives live connections the configured time to end,
    /// and then ends them.
    pub(crate) async fn shut_down(&self) {
        self.phase.send_replace(Stage::Draining);
        let all_ended = self.shared.places.until_none_is_taken();
        if timeout(self.drain_timeout, all_ended).await.is_err() {
            let live = self.figures().live;
            tracing::info!(live, "connections are still open and end now");
        }
        self.phase.send_replace(Stage::Closed);
    }
}

impl Shared {
    fn terminator(&self) -> Arc<Terminator> {
        Arc::clone(&self.terminator.read())
    }

    /// Counts a failure, and logs it with what it is about.
    fn failed(&self, failure: Failure, about: &dyn Display, cause: &dyn Display) {
        self.counters.failure(failure);
        match failure {
            Failure::Backend => {
                if let Some(suppressed) = self.own_lines.pass(Instant::now()) {
                    tracing::warn!(backend = %about, %cause, suppressed, "no backend");
                }
            }
            Failure::Hello | Failure::Timeout | Failure::Closed | Failure::Handshake => {
                if let Some(suppressed) = self.client_lines.pass(Instant::now()) {
                    tracing::debug!(client = %about, %cause, suppressed, "no handshake");
                }
            }
        }
    }

    /// Counts and logs that a session could not be written to the cache.
    fn unstored(&self, cause: &dyn Display) {
        self.counters.unstored();
        if let Some(suppressed) = self.own_lines.pass(Instant::now()) {
            tracing::warn!(%cause, suppressed, "a session could not be stored");
        }
    }
}

/// Accepts connections for as long as the front is open.
async fn accept(listener: Listener, shared: Arc<Shared>, phase: Phase) {
    let accepting = async {
        loop {
            match listener.socket.accept().await {
                Ok((stream, peer)) => {
                    admit(&shared, (stream, peer), &listener, &phase).await;
                }
                Err(error) => {
                    if let Some(suppressed) = shared.own_lines.pass(Instant::now()) {
                        tracing::warn!(%error, suppressed, "cannot accept connections");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = phase.clone().draining() => {}
    }
}

/// Serves a connection as soon as there is a place for it.
async fn admit(
    shared: &Arc<Shared>,
    (stream, peer): (TcpStream, SocketAddr),
    listener: &Listener,
    phase: &Phase,
) {
    let place = shared.places.take().await;
    let (shared, phase) = (Arc::clone(shared), phase.clone());
    match &listener.plain {
        Some(backend) => {
            tokio::spawn(pass_on(shared, stream, backend.clone(), (place, phase)));
        }
        None => {
            let arrived = Arrived { stream, peer, is_carried: listener.is_carried, place };
            tokio::spawn(serve(shared, arrived, phase));
        }
    }
}

/// Passes a connection on as it is, at the longest until the front closes. Its
/// place is free afterwards.
async fn pass_on(
    shared: Arc<Shared>,
    client: TcpStream,
    backend: Backend,
    (place, phase): (Place, Phase),
) {
    if let Err(error) = relay::relay_plain(client, &backend, phase.closed()).await {
        shared.failed(Failure::Backend, &backend, &error);
    }
    drop(place);
}

/// Serves a connection, at the longest until the front closes. Its place is
/// free afterwards.
async fn serve(shared: Arc<Shared>, arrived: Arrived, phase: Phase) {
    tokio::select! {
        () = client::serve(&shared, arrived, phase.clone()) => {}
        () = phase.closed() => {}
    }
}
