//! Live connections, as the daemon has them carried: the seam between it and
//! whoever does that.
//!
//! A carrier gets a connection after its handshake and has it from then on, here
//! or at another node. What a connection is on its way is not known here.

use std::any::Any;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::Context;
use tls_rustls::records::Records;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::front::Carrying;

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
}

/// A client's connection whose TLS handshake is done.
#[cfg_attr(not(test), expect(dead_code, reason = "for whoever carries it"))]
pub(crate) struct Handed {
    /// The client's socket; it does not block.
    pub(crate) client: TcpStream,
    /// What goes on with TLS.
    pub(crate) records: Records,
    /// What the client has said already: the backend gets it first.
    pub(crate) plaintext: Zeroizing<Vec<u8>>,
    /// What is still to be written to the client, before anything else.
    pub(crate) unsent: Vec<u8>,
    /// What the client has sent beyond the handshake, for [`Records::open`].
    pub(crate) unread: Vec<u8>,
    /// Where its plain stream goes.
    pub(crate) backend: SocketAddr,
    /// What the backend is told before all of that.
    pub(crate) preface: Vec<u8>,
    /// The connection counts as one of the front's until this is dropped.
    pub(crate) permit: Box<dyn Any + Send>,
}

impl fmt::Debug for Handed {
    /// What the client said is between it and the backend.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handed")
            .field("client", &self.client)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

/// What a carrier has done, and how it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Connections that are here.
    pub(crate) live: usize,
    /// Those of them that the understudy could go on with.
    pub(crate) protected: usize,
    /// Connections of other nodes that this one could go on with.
    pub(crate) followed: usize,
    /// Connections that others went on with by plan.
    pub(crate) handed_over: u64,
    /// Connections of others that this node went on with.
    pub(crate) taken_over: u64,
    /// How long the last ones stood still, as far as this node knows.
    pub(crate) last_pause: Option<Duration>,
    /// Connections that came here and could not be gone on with.
    pub(crate) lost: u64,
    /// How often connections became unprotected while the understudy was there.
    pub(crate) left: u64,
    /// How often the understudy was given up.
    pub(crate) alone: u64,
    /// Packets that were dropped, to be sent again.
    pub(crate) refused: u64,
    /// Connections that began without being told, as there were too many.
    pub(crate) unheld: u64,
    /// How often packets were lost on their way to this process.
    pub(crate) overruns: u64,
    /// Whether the virtual address is here.
    pub(crate) has_address: bool,
    /// Who follows.
    pub(crate) understudy: Option<String>,
    /// Connections that are still to be moved, once all are.
    pub(crate) to_move: Option<usize>,
}

/// Has connections carried, if that is asked for. Where this machine cannot do
/// so they are served as ever, and a warning says what it lacks.
///
/// # Errors
///
/// When the interface is not there: it is no matter of what the machine can do.
pub(crate) fn start(config: &Config) -> anyhow::Result<Option<Carrying>> {
    let Some(given) = &config.sections.connections else { return Ok(None) };
    let interface = &given.interface.0;
    interface.index().with_context(|| {
        format!(
            "connections.interface: found {interface}, expected the name, address or index of an \
             interface of this machine; `ip address` lists them"
        )
    })?;
    for missing in sys::requirements::requirements() {
        tracing::warn!("connections: {missing}");
    }
    tracing::warn!("connections are served by this node, and not carried to others");
    Ok(None)
}
