//! Live connections, as the daemon has them carried: the seam between it and
//! whoever does that.
//!
//! A carrier gets a connection after its handshake and has it from then on, here
//! or at another node. What a connection is on its way is not known here.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Context;
use aws_lc_rs::digest::{SHA256, digest};
use live::carrier::{Carrier, Service};
use segue::Node;
use tokio::net::lookup_host;
use tokio::runtime::Handle;

pub(crate) use live::carrier::{Figures, Handed};

use crate::config::{Config, Connections, Plain};
use crate::front::{self, Backend};

/// The command that stands by and takes the virtual address away when its parent
/// was killed.
pub(crate) const GUARD: &str = "guard";

/// Who carries connections.
pub(crate) trait Carry: fmt::Debug + Send + Sync {
    /// A listener at the virtual address, whether that is here or not, whose
    /// connections can be carried.
    ///
    /// # Errors
    ///
    /// The operating system's.
    fn listen(&self, address: SocketAddr) -> io::Result<TcpListener>;

    /// Whether it would take a connection. Otherwise that is served where it is.
    fn takes(&self) -> bool;

    /// Goes on with a connection, on which nothing else is under way.
    fn carry(&self, handed: Handed);

    /// Begins to move all connections to the node of that name, or to the one
    /// that follows; [`Figures::to_move`] says how many are left.
    fn drain(&self, to: Option<String>);

    /// What it has done, and how it stands.
    fn figures(&self) -> Figures;

    /// Lets the virtual address go and ends. Connections that are still here are
    /// closed without a word.
    fn stop(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl Carry for Carrier {
    fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        Self::listen(self, address).map_err(io::Error::other)
    }

    fn takes(&self) -> bool {
        self.runs()
    }

    fn carry(&self, handed: Handed) {
        Self::carry(self, handed);
    }

    fn drain(&self, to: Option<String>) {
        Self::drain(self, to);
    }

    fn figures(&self) -> Figures {
        Self::figures(self)
    }

    fn stop(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(Self::stop(self))
    }
}

/// A carrier that has begun.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) carrier: Arc<dyn Carry>,
    /// The TLS front's backend, if its connections can be carried.
    pub(crate) backend: Option<SocketAddr>,
}

/// Has connections carried, if that is asked for. Where this machine cannot do
/// so they are served as ever, and a warning says what it lacks.
///
/// # Errors
///
/// When the interface is not there: it is no matter of what the machine can do.
pub(crate) async fn start(config: &Config, node: &Node) -> anyhow::Result<Option<Started>> {
    let Some(given) = &config.sections.connections else { return Ok(None) };
    let interface = &given.interface.0;
    interface.index().with_context(|| {
        format!(
            "connections.interface: found {interface}, expected the name, address or index of an \
             interface of this machine; `ip address` lists them"
        )
    })?;
    let missing = sys::requirements::requirements();
    for missing in &missing {
        tracing::warn!("connections: {missing}");
    }
    let started = if missing.is_empty() {
        let backend = backend(config.sections.tls.backend.as_ref(), given.address.address).await;
        let told = told(config, given, backend, node);
        // It starts commands, and may wait for the queue of a process that was killed.
        tokio::task::block_in_place(|| Carrier::start(told, node, &Handle::current()))
            .inspect_err(|error| tracing::warn!("connections: {error}"))
            .ok()
            .map(|carrier| (carrier, backend))
    } else {
        None
    };
    if started.is_none() {
        tracing::warn!("connections are served by this node, and not carried to others");
    }
    Ok(started.map(|(carrier, backend)| Started { carrier: Arc::new(carrier), backend }))
}

/// The plain listeners that no carrier has: all, where there is none.
pub(crate) fn left(config: &Config, has_carrier: bool) -> Vec<front::Plain> {
    let given = config.sections.connections.iter().flat_map(|given| &given.plain);
    let left = given.filter(|it| !has_carrier || !is_reached_by_all(it));
    let left = left.map(|it| front::Plain {
        listen: it.listen.0,
        backend: Backend::Tcp(it.backend.0.to_string()),
    });
    left.collect()
}

/// Whether other nodes could go on with a listener's connections.
fn is_reached_by_all(plain: &Plain) -> bool {
    !plain.backend.0.ip().is_loopback()
}

/// What a carrier is told.
fn told(
    config: &Config,
    given: &Connections,
    backend: Option<SocketAddr>,
    node: &Node,
) -> live::carrier::Config {
    let address = given.address.address;
    let plain = given.plain.iter().filter(|it| is_reached_by_all(it));
    let plain = plain.map(|it| Service { listen: it.listen.0, backend: it.backend.0 });
    let tls = config.sections.tls.listen.0.iter().map(|listen| listen.0);
    let tls = tls.filter(|listen| listen.ip() == address);
    let own = node.address().ip();
    live::carrier::Config {
        name: config.name.clone(),
        own: Some(own).filter(|own| !own.is_unspecified()),
        address,
        interface: given.interface.0.clone(),
        takeover: given.takeover,
        plain: plain.collect(),
        tls: backend
            .map(|backend| tls.map(|listen| Service { listen, backend }).collect())
            .unwrap_or_default(),
        node: number(&config.name),
        hold: given.hold_timeout.0,
        silence: given.detect.0,
        guardian: std::env::current_exe().ok().map(|program| (program, GUARD)),
    }
}

/// The address of the TLS front's backend, if other nodes reach it too. It is
/// asked for once: at another node its name could mean another server.
async fn backend(given: Option<&Backend>, address: IpAddr) -> Option<SocketAddr> {
    let Some(Backend::Tcp(given)) = given else { return None };
    let found = match lookup_host(given).await {
        Ok(mut found) => found.find(|found| found.is_ipv4() == address.is_ipv4()),
        Err(error) => {
            tracing::warn!(%error, "tls.backend: {given} has no address");
            None
        }
    };
    found.filter(|found| !found.ip().is_loopback())
}

/// The number that tells this node's rules from those of others on the machine:
/// the same at each start, so that what was left is found.
fn number(name: &str) -> u64 {
    let digest = digest(&SHA256, name.as_bytes());
    let first = digest.as_ref().first_chunk().expect("a digest is 32 bytes long");
    u64::from_le_bytes(*first)
}
