//! The server's side of TLS, without its sockets and without the farm.
//!
//! A [`Terminator`] holds what all connections of a listener share. For each
//! connection it says whether a record of the farm may be resumed
//! ([`Terminator::recognise`]), makes the rustls configuration that can resume
//! just that one ([`Terminator::attempt`]), and afterwards says what came of it
//! and which records are to be written ([`Attempt::settle`]). Looking records
//! up and writing them is the caller's part, and so is the clock.

use std::sync::Arc;
use std::time::Duration;

use proto::time::Wall;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{HandshakeKind, NoKeyLog, RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use crate::certificates::{CertificateError, Certificates, Fingerprint, Identity};
use crate::early::MAX_EARLY_DATA_BYTES;
use crate::hello::Hello;
use crate::records::SecretTap;
use crate::session::{self, Incarnation, Miss, Origin, Past, Scope, SessionId};
use crate::store::{ConnectionStore, MAX_TICKETS, Offered};

/// The longest that a session may live since its full handshake: what the
/// client's credentials were then is believed no longer.
pub const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest name of a node, in bytes.
const MAX_NODE_BYTES: usize = 255;

/// What a [`Terminator`] is made of.
#[derive(Debug)]
pub struct Config {
    /// This node's name, written into the sessions that begin here; at most
    /// 255 bytes.
    pub node: String,
    /// Which start of this node it is, written into the tickets that it gives.
    pub incarnation: Incarnation,
    /// The server's certificates; the first is for clients that name no
    /// server.
    pub identities: Vec<Identity>,
    /// The CA certificates that clients' certificates must go back to. Empty,
    /// the default: clients need no certificate.
    pub client_ca: Vec<CertificateDer<'static>>,
    /// The protocols to agree on (ALPN, RFC 7301), most wanted first. Empty,
    /// the default: none is agreed on.
    pub alpn: Vec<Vec<u8>>,
    /// How many tickets a TLS 1.3 handshake gives; 1 by default, at most
    /// [`MAX_TICKETS`].
    pub tickets: usize,
    /// How long a session may be resumed after its full handshake, through
    /// however many resumptions; 12 hours by default, at most
    /// [`MAX_LIFETIME`].
    pub lifetime: Duration,
    /// How much data a client may send before the handshake, in bytes; 0, none,
    /// by default, at most [`MAX_EARLY_DATA_BYTES`]. Anything else obliges the
    /// server to [`crate::Attempt::early`]'s rules.
    pub early_data_bytes: u32,
    /// Whether connections are to be carried to other servers, once their
    /// handshake is done: rustls then gives their secrets to
    /// [`crate::records::extract`]. Not by default.
    pub carried: bool,
}

impl Config {
    /// The defaults, for a node, this start of it, and its certificates.
    #[must_use]
    pub const fn new(node: String, incarnation: Incarnation, identities: Vec<Identity>) -> Self {
        Self {
            node,
            incarnation,
            identities,
            client_ca: Vec::new(),
            alpn: Vec::new(),
            tickets: 1,
            lifetime: Duration::from_secs(12 * 60 * 60),
            early_data_bytes: 0,
            carried: false,
        }
    }
}

/// Why a [`Terminator`] cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The certificates are unusable.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A CA certificate is unusable.
    #[error("client CA certificate {position}: {source}")]
    ClientCa {
        /// Which one, from 0.
        position: usize,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The CA certificates together are unusable.
    #[error("client CA: {0}")]
    ClientVerifier(#[from] VerifierBuilderError),
    /// Rustls refuses the combination.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    /// The node's name is longer than a header holds.
    #[error("a node name of {0} bytes; at most {MAX_NODE_BYTES} are allowed")]
    NodeTooLong(usize),
    /// More tickets than a handshake may give.
    #[error("{0} tickets a handshake; at most {MAX_TICKETS} are allowed")]
    TooManyTickets(usize),
    /// Sessions would live too long.
    #[error("a session lifetime of {0:?}; at most 24h are allowed")]
    LifetimeTooLong(Duration),
    /// More early data than may be kept.
    #[error("{0} bytes of early data; at most {MAX_EARLY_DATA_BYTES} are allowed")]
    TooMuchEarlyData(u32),
}

/// What all connections of a server share: certificates, the client CA, and
/// the rules for sessions. Cheap to make attempts from.
#[derive(Debug)]
pub struct Terminator {
    node: Arc<str>,
    incarnation: Incarnation,
    lifetime: Duration,
    certificates: Arc<Certificates>,
    /// Every connection's configuration but for its session store.
    template: ServerConfig,
}

impl Terminator {
    /// Checks and prepares a configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a certificate, a key or the client CA is unusable,
    /// or a limit is passed.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let Config { node, incarnation, identities, client_ca, alpn, .. } = config;
        let (tickets, lifetime) = (config.tickets, config.lifetime);
        if node.len() > MAX_NODE_BYTES {
            return Err(ConfigError::NodeTooLong(node.len()));
        }
        if tickets > MAX_TICKETS {
            return Err(ConfigError::TooManyTickets(tickets));
        }
        if lifetime > MAX_LIFETIME {
            return Err(ConfigError::LifetimeTooLong(lifetime));
        }
        if config.early_data_bytes > MAX_EARLY_DATA_BYTES {
            return Err(ConfigError::TooMuchEarlyData(config.early_data_bytes));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificates = Arc::new(Certificates::new(identities, &client_ca, &provider)?);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = if client_ca.is_empty() {
            builder.with_no_client_auth()
        } else {
            let roots = client_roots(client_ca)?;
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(roots, provider).build()?,
            )
        };
        let mut template = builder.with_cert_resolver(Arc::clone(&certificates) as _);
        template.alpn_protocols = alpn;
        template.send_tls13_tickets = tickets;
        template.max_early_data_size = config.early_data_bytes;
        // What early data asks for is answered before the handshake is done.
        template.send_half_rtt_data = config.early_data_bytes > 0;
        template.enable_secret_extraction = config.carried;
        Ok(Self { node: node.into(), incarnation, lifetime, certificates, template })
    }

    /// What the hello's sessions are bound to.
    #[must_use]
    pub fn scope<'a>(&self, hello: &'a Hello) -> Scope<'a> {
        let server_name = hello.server_name();
        Scope { fingerprint: self.certificates.fingerprint(server_name), server_name }
    }

    /// Judges a record that was found under one of the hello's candidates.
    ///
    /// # Errors
    ///
    /// [`Miss`] when it must not be resumed; the handshake is then a full one.
    pub fn recognise(
        &self,
        scope: Scope<'_>,
        id: SessionId,
        record: &[u8],
        now: Wall,
    ) -> Result<Resumable, Miss> {
        let (past, state) = session::decode(record, scope)?;
        if past.origin.age(now) >= self.lifetime {
            return Err(Miss::Expired);
        }
        let state = Zeroizing::new(state.to_vec());
        Ok(Resumable { past, offered: Offered { id, state } })
    }

    /// Prepares a connection that can resume `resumable` and nothing else.
    #[must_use]
    pub fn attempt(&self, scope: Scope<'_>, resumable: Option<Resumable>) -> Attempt {
        let past = resumable.as_ref().map(|Resumable { past, offered }| (offered.id, past.clone()));
        let store = Arc::new(ConnectionStore::new(resumable.map(|resumable| resumable.offered)));
        let mut config = self.template.clone();
        config.session_storage = Arc::clone(&store) as _;
        let tap = config.enable_secret_extraction.then(SecretTap::default);
        if let Some(tap) = &tap {
            config.key_log = Arc::new(tap.clone());
        }
        Attempt {
            node: Arc::clone(&self.node),
            incarnation: self.incarnation,
            lifetime: self.lifetime,
            fingerprint: scope.fingerprint,
            server_name: scope.server_name.map(Box::from),
            past,
            store,
            tap,
            config: config.into(),
        }
    }
}

/// A session of the farm that a client may resume.
pub struct Resumable {
    past: Past,
    offered: Offered,
}

impl std::fmt::Debug for Resumable {
    /// Where it comes from: its state is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Resumable").field(&self.past).finish()
    }
}

/// One connection's handshake.
#[derive(Debug)]
pub struct Attempt {
    node: Arc<str>,
    incarnation: Incarnation,
    lifetime: Duration,
    /// What the sessions that begin are bound to.
    fingerprint: Fingerprint,
    server_name: Option<Box<str>>,
    /// Of the session that may be resumed: its id, and where it comes from.
    past: Option<(SessionId, Past)>,
    store: Arc<ConnectionStore>,
    tap: Option<SecretTap>,
    config: Arc<ServerConfig>,
}

impl Attempt {
    /// The configuration for this connection, and for no other. Where early data
    /// is configured, the connection has to refuse it
    /// ([`crate::refuse_early_data`]), unless its ticket was claimed
    /// ([`Attempt::early`]).
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The same attempt for a connection that stays where it is: its secrets are
    /// rustls' own.
    #[must_use]
    pub fn uncarried(mut self) -> Self {
        if self.tap.take().is_some() {
            let config = Arc::make_mut(&mut self.config);
            config.enable_secret_extraction = false;
            config.key_log = Arc::new(NoKeyLog);
        }
        self
    }

    /// Where the connection's secrets are once its handshake is done, if it is
    /// to be carried.
    #[must_use]
    pub fn tap(&self) -> Option<SecretTap> {
        self.tap.clone()
    }

    /// The session that may be resumed, and who gave the client its ticket.
    pub(crate) fn offered(&self) -> Option<(SessionId, Incarnation)> {
        self.past.as_ref().map(|(id, past)| (*id, past.issuer))
    }

    /// The full handshake that the session goes back to which may be resumed.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.past.as_ref().map(|(_, past)| &past.origin)
    }

    /// What tells, during the handshake, whether it has begun sessions.
    #[must_use]
    pub fn begun(&self) -> Begun {
        Begun(Arc::clone(&self.store))
    }

    /// What came of it, once rustls has finished a handshake of `kind`.
    #[must_use]
    pub fn settle(self, kind: HandshakeKind, now: Wall) -> Settled {
        let resumed_from = match kind {
            HandshakeKind::Resumed => self.past.map(|(_, past)| past.origin),
            HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest => None,
        };
        let resumed = resumed_from.is_some();
        let origin =
            resumed_from.unwrap_or_else(|| Origin { node: self.node.as_ref().to_owned(), at: now });
        let ends = origin.at + self.lifetime;
        let scope =
            Scope { fingerprint: self.fingerprint, server_name: self.server_name.as_deref() };
        let past = Past { origin, issuer: self.incarnation };
        let sessions = self
            .store
            .take_stored()
            .into_iter()
            .map(|stored| NewSession {
                id: stored.id,
                record: session::encode(scope, &past, &stored.state),
                ends,
            })
            .collect();
        Settled { resumed, origin: past.origin, sessions }
    }
}

/// Whether a handshake has begun sessions; that of none, by default, has not.
///
/// Rustls begins them just before it writes what tells the client of them: the
/// ticket, or the Finished that ends the handshake of a session with an id
/// (RFC 8446, section 4.6.1; RFC 5246, section 7.3).
#[derive(Debug, Clone, Default)]
pub struct Begun(Arc<ConnectionStore>);

impl Begun {
    /// Whether any session was begun.
    #[must_use]
    pub fn any(&self) -> bool {
        self.0.has_stored()
    }
}

/// What came of a handshake.
#[derive(Debug)]
pub struct Settled {
    /// Whether it resumed a session.
    pub resumed: bool,
    /// The full handshake that its session goes back to: this one, if none
    /// was resumed.
    pub origin: Origin,
    /// The sessions that it began, for the farm to keep.
    pub sessions: Vec<NewSession>,
}

/// A session that a handshake began.
pub struct NewSession {
    /// The record's id.
    pub id: SessionId,
    /// The record's payload.
    pub record: Zeroizing<Vec<u8>>,
    /// When it can no longer be resumed.
    pub ends: Wall,
}

impl std::fmt::Debug for NewSession {
    /// When it ends: the rest is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSession").field("ends", &self.ends).finish_non_exhaustive()
    }
}

fn client_roots(
    client_ca: Vec<CertificateDer<'static>>,
) -> Result<Arc<RootCertStore>, ConfigError> {
    let mut roots = RootCertStore::empty();
    for (position, certificate) in client_ca.into_iter().enumerate() {
        roots.add(certificate).map_err(|source| ConfigError::ClientCa { position, source })?;
    }
    Ok(Arc::new(roots))
}
