//! A TCP connection that is taken out of one kernel and put into another one:
//! `TCP_REPAIR` as a safe interface.
//!
//! [`Frozen::freeze`] makes a connection stand still and reads its [`State`];
//! dropping the frozen socket closes it without a word to the peer.
//! [`Restored::restore`] makes a socket of a state, fenced, on this or on another
//! machine; [`Restored::thaw`] lets it speak. A state is plain data, so it can
//! as well be filled from a record of the connection when the kernel that had
//! it is gone.
//!
//! What is sent but not acknowledged is the delicate part, since only the peer
//! knows what it has. So a restored socket *asks* ([`Asking`]): leaving repair,
//! it sends a window probe, and the peer's answer says how far it has come and
//! carries its timestamp. What the answer shows as missing is then sent at once
//! as new, where the kernel would wait out a retransmission timer of a second.
//! Sending without asking can hang: with an acknowledgement past what the new
//! kernel has sent, which it ignores.
//!
//! [`look`] reads a connection that stays where it is, for somebody who is to
//! know it from then on.
//!
//! This module knows nothing of why a connection moves, nor who may own it.

mod ask;
mod forge;
mod freeze;
mod kernel;
mod restore;
mod silent;
mod syn_ack;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::call::{CallError, Named};

pub use ask::{Asking, Overheard};
pub(crate) use forge::checksum;
pub use forge::{Flags, Forge, Forged, MAX_DATA_BYTES};
pub use freeze::{FreezeError, Frozen, Stopped, Why, look};
pub(crate) use kernel::{Agreed, disconnect, info, unacknowledged};
pub use restore::{Buffers, Restored, Thawed};
pub use syn_ack::SynAck;

/// Tries whether this process may put a socket under repair.
///
/// # Errors
///
/// EPERM without CAP_NET_ADMIN, ENOPROTOOPT if this kernel cannot.
pub fn available() -> Result<(), CallError> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).of("socket")?;
    kernel::repair(&socket, kernel::Mode::On)
}

/// All that another kernel needs to go on with a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub peer: SocketAddr,
    /// What comes from the peer.
    pub incoming: Incoming,
    /// What goes to it.
    pub outgoing: Outgoing,
    /// What the two agreed on when the connection began.
    pub options: Options,
    /// How much either may send.
    pub windows: Windows,
}

/// The direction from the peer to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The sequence number of the byte that is expected next, behind `unread`.
    pub next: u32,
    /// What was acknowledged, and not yet read by the application.
    pub unread: Vec<u8>,
    /// Whether the peer's FIN stands behind these bytes and was acknowledged.
    pub closed: bool,
}

/// The direction from us to the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The sequence number of the first byte that the peer has not acknowledged.
    pub first: u32,
    /// What was sent, from there on.
    pub sent: Vec<u8>,
    /// What the application wrote and was not sent yet.
    pub unsent: Vec<u8>,
    /// Whether our FIN comes behind these bytes, or went already.
    pub closed: bool,
}

impl Outgoing {
    /// How much there is that the peer has not acknowledged.
    fn bytes(&self) -> usize {
        self.sent.len() + self.unsent.len()
    }

    /// Takes all that is not acknowledged for unsent, so that it goes out again
    /// at once.
    pub fn send_again(&mut self) {
        let unsent = std::mem::take(&mut self.unsent);
        self.unsent = std::mem::take(&mut self.sent);
        self.unsent.extend_from_slice(&unsent);
    }
}

/// What the two agreed on in SYN and SYN-ACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The largest segment that the peer takes, in bytes.
    pub segment: u16,
    /// Selective acknowledgements (RFC 2018).
    pub sack: bool,
    /// Window scaling (RFC 7323).
    pub scales: Option<Scales>,
    /// Timestamps (RFC 7323): what our clock showed.
    pub timestamp: Option<Timestamp>,
}

/// By how many bits the windows in segments are shifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scales {
    /// The peer's windows, which we read.
    pub peer: u8,
    /// Ours, which the peer reads.
    pub own: u8,
}

/// A connection's own clock, as its timestamps show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// What it showed, in its units; it wraps.
    pub value: u32,
    /// Whether a unit is a microsecond and not a millisecond.
    pub microseconds: bool,
}

impl Timestamp {
    /// What the clock shows after so long: never less than it would where it
    /// came from, or the peer would take segments for old ones (RFC 7323, 5).
    #[must_use]
    pub fn after(self, passed: std::time::Duration) -> Self {
        let units = if self.microseconds { passed.as_micros() } else { passed.as_millis() };
        // The clock wraps at 32 bits, and a unit more rounds up.
        let [low, ..] = bytes_of(units);
        Self { value: self.value.wrapping_add(low).wrapping_add(1), ..self }
    }
}

/// A number of units in 32-bit parts, the lowest first.
fn bytes_of(units: u128) -> [u32; 4] {
    let mut parts = [0; 4];
    for (part, bytes) in parts.iter_mut().zip(units.to_le_bytes().chunks_exact(4)) {
        *part = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    }
    parts
}

/// How much either side may send past what was acknowledged, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// What we have promised to take, from the next expected byte on. More than
    /// was promised is harmless, less would shut out what is under way.
    pub promised: u32,
    /// What the peer takes, from the first unacknowledged byte on.
    pub peer: u32,
    /// The largest that the peer ever allowed.
    pub peer_largest: u32,
}
