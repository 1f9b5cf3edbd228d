//! What a front is told, with every value resolved.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use segue::Ack;

use crate::connections::{Carry, Started};

/// What a [`super::Front`] is started with.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where clients connect. Port 0 lets the kernel choose.
    pub(crate) listen: Vec<SocketAddr>,
    /// Certificates, client CA and the rules for sessions.
    pub(crate) tls: tls_rustls::Config,
    /// What gets the plain stream. `None`: the built-in pages.
    pub(crate) backend: Option<Backend>,
    /// Whether the backend is told the client's address first (PROXY protocol,
    /// version 2).
    pub(crate) proxy_protocol: bool,
    /// What a session that began waits for before its client is served: by
    /// default nothing, for at worst it costs the client a full handshake.
    pub(crate) ack: Ack,
    /// How many clients are served at once; the next wait in the kernel's
    /// queue. Default 10,000.
    pub(crate) max_connections: u32,
    /// How long a client may take for its ClientHello and handshake together.
    /// Default 10 s.
    pub(crate) handshake_timeout: Duration,
    /// How long live connections are given at shutdown. Default 10 s.
    pub(crate) drain_timeout: Duration,
    /// The address that is listened on whether this machine has it or not, if
    /// there is such a one. Default none.
    pub(crate) floating: Option<IpAddr>,
    /// Who gets the connections of that address after their handshake. `None`:
    /// they are served here.
    pub(crate) carrying: Option<Carrying>,
    /// Listeners without TLS whose connections nobody carries. Default none.
    pub(crate) plain: Vec<Plain>,
}

/// A listener without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plain {
    /// Where clients connect, whether this machine has the address or not.
    pub(crate) listen: SocketAddr,
    /// Where their connections are passed on to as they are.
    pub(crate) backend: Backend,
}

/// Who carries connections, and where their plain streams go.
#[derive(Debug, Clone)]
pub(crate) struct Carrying {
    pub(crate) carrier: Arc<dyn Carry>,
    /// The backend, by its address: at another node its name could mean another
    /// server.
    pub(crate) backend: SocketAddr,
}

impl Carrying {
    /// By a carrier that has begun, if the backend can be reached from other nodes.
    pub(crate) fn of(started: Started) -> Option<Self> {
        let Started { carrier, backend } = started;
        backend.map(|backend| Self { carrier, backend })
    }
}

impl Config {
    /// The defaults, for where to listen and the TLS configuration.
    pub(crate) const fn new(listen: Vec<SocketAddr>, tls: tls_rustls::Config) -> Self {
        Self {
            listen,
            tls,
            backend: None,
            proxy_protocol: false,
            ack: Ack::Local,
            max_connections: 10_000,
            handshake_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
            floating: None,
            carrying: None,
            plain: Vec::new(),
        }
    }
}

/// The server behind the front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backend {
    /// A host and port; the name is resolved for each connection.
    Tcp(String),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// A backend that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no backend; expected \"host:port\" or \"unix:/path\"")]
pub(crate) struct BackendError(String);

impl FromStr for Backend {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self, BackendError> {
        let error = || BackendError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(error()) } else { Ok(Self::Unix(path.into())) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let is_usable = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0);
        if is_usable { Ok(Self::Tcp(text.to_owned())) } else { Err(error()) }
    }
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_an_address_or_a_socket() {
        let check = |text: &str, expected: Option<Backend>| {
            assert_eq!(text.parse::<Backend>().ok(), expected, "{text}");
            if let Some(backend) = expected {
                assert_eq!(backend.to_string(), text);
            }
        };
        check("127.0.0.1:80", Some(Backend::Tcp("127.0.0.1:80".to_owned())));
        check("[::1]:80", Some(Backend::Tcp("[::1]:80".to_owned())));
        check("app.internal:8080", Some(Backend::Tcp("app.internal:8080".to_owned())));
        check("unix:/run/app.sock", Some(Backend::Unix("/run/app.sock".into())));
        for wrong in ["", "127.0.0.1", ":80", "app:", "app:0", "app:70000", "unix:"] {
            check(wrong, None);
        }
    }
}
