//! Data before the handshake (0-RTT), as far as rustls decides on it.
//!
//! Rustls accepts early data when the ticket is the first that the client
//! offers, its binder is right, its age is what the client says it is, and name,
//! version, cipher suite and ALPN are the session's (RFC 8446, section 4.2.10).
//! Whether another server of the farm has accepted it before, it cannot know. So
//! [`Attempt::early`] has rustls look at the hello alone, and keeps what it would
//! answer back: until the ticket is claimed, nothing has happened that the client
//! or anybody else could see. Who claims, and where, is not known here.

use rustls::ServerConnection;

use crate::session::{Incarnation, SessionId};
use crate::terminator::Attempt;

/// The most early data that may be configured. A client's early data is kept in
/// memory until the application takes it, for each connection; what is to come
/// before the handshake is a request, and more seldom has any use.
pub const MAX_EARLY_DATA_BYTES: u32 = 64 * 1024;

/// A connection whose early data rustls accepts. It has taken in the hello, and
/// its answer waits to be written.
#[derive(Debug)]
pub struct Early {
    /// The ticket that is to be claimed.
    pub ticket: SessionId,
    /// The start of a node that issued it: where it is to be claimed.
    pub issuer: Incarnation,
    /// The connection, to go on with if the claim is granted.
    pub connection: ServerConnection,
}

impl Attempt {
    /// Has rustls look at the records of the hello, and nothing behind them.
    /// `None`: no early data is accepted. The connection must then be one of
    /// [`Attempt::config`] that [`refuse_early_data`] was called on, and it must
    /// be that as well if the claim is not granted.
    #[must_use]
    pub fn early(&self, hello: &[u8]) -> Option<Early> {
        let (ticket, issuer) = self.offered()?;
        let mut connection = ServerConnection::new(self.config()).ok()?;
        let mut rest = hello;
        while !rest.is_empty() {
            connection.read_tls(&mut rest).ok()?;
            // What is wrong with the hello, the connection without early data
            // will tell the client.
            connection.process_new_packets().ok()?;
        }
        connection.early_data()?;
        Some(Early { ticket, issuer, connection })
    }
}

/// Has a connection that has just begun refuse early data. What the client
/// sends of it is passed over, and the client sends it again after the
/// handshake (RFC 8446, section 4.2.10).
pub fn refuse_early_data(connection: &mut ServerConnection) {
    connection.reject_early_data();
}
