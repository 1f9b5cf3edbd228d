//! The rustls adapter: TLS sessions that go on at any server of the farm.
//!
//! Rustls asks its session store in the middle of a handshake and cannot wait
//! for an answer from the network. So the farm's part is done before and
//! after: read the raw ClientHello ([`HelloReader`]), look up the few ids in it
//! that can name a session ([`Hello::candidates`]), give rustls a configuration
//! whose store holds the session that was found ([`Terminator::attempt`]), and
//! write the sessions that it began to the farm ([`Attempt::settle`]). Where the
//! client sends data before the handshake, its ticket is claimed in between
//! ([`Attempt::early`]).
//!
//! TLS 1.2 sessions by id and TLS 1.3 sessions by stateful ticket, both: no
//! key exists that opens tickets. There is no socket and no clock here, and
//! nothing of how the farm keeps its records.
//!
//! In reading order:
//!
//! - [`hello`]: the raw ClientHello;
//! - [`session`]: a session as a record, and what it may be resumed under;
//! - `certificates`: the server's certificates, by name;
//! - `store`: the session store of one connection;
//! - `terminator`: what ties them together;
//! - `early`: data before the handshake;
//! - [`records`]: the record layer of connections that go on at other servers.

mod certificates;
mod early;
pub mod hello;
mod reader;
pub mod records;
pub mod session;
mod store;
mod terminator;

pub use certificates::{CertificateError, Identity};
pub use early::{Early, MAX_EARLY_DATA_BYTES, refuse_early_data};
pub use hello::{Hello, HelloError, HelloReader};
pub use session::{Incarnation, Miss, Origin, Scope, SessionId};
pub use store::MAX_TICKETS;
pub use terminator::{
    Attempt, Begun, Config, ConfigError, MAX_LIFETIME, NewSession, Resumable, Settled, Terminator,
};
