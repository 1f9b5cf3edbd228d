//! Why a stream ends, for whoever has it and for logs. What follows from it is
//! not for here.

use std::io;

use proto::connection::sealed::Unreadable;
use proto::wire::Malformed;

/// Why a stream has ended. It is to be dropped then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The connection is closed, or could not be made: the other process is
    /// gone, or never was there.
    #[error("the connection is closed: {0}")]
    Closed(io::Error),
    /// Nothing was heard for too long: the other host is gone, or cannot be
    /// reached.
    #[error("nothing is heard of it")]
    Silent,
    /// The other end has not proven itself in time.
    #[error("it has not proven itself in time")]
    Late,
    /// The other end does not take our proof, or gives none.
    #[error(
        "it does not have this farm's key (id {key_id}): `farm.keys` of both nodes must have one \
         in common"
    )]
    Unproven {
        /// The key that was tried.
        key_id: u8,
    },
    /// It is this very node.
    #[error("it is this node itself")]
    Itself,
    /// The key that it was proven by is in the farm's ring no more.
    #[error("the key that it has proven is in use no more")]
    Rekeyed,
    /// It speaks no TLS, or none that nodes speak.
    #[error("it does not speak as nodes do: {0}")]
    Tls(#[from] rustls::Error),
    /// It speaks another version of the protocol, or none at all.
    #[error("it does not speak this version of the protocol: {0}")]
    Malformed(Malformed),
    /// What has come was changed on its way.
    #[error("what came was not sealed by it, or was changed on its way")]
    Forged,
    /// It sends much, and nothing that would be a frame.
    #[error("it sends no frames")]
    Wordy,
}

impl Ended {
    /// The other end has closed the connection.
    pub(super) fn closed() -> Self {
        Self::Closed(io::ErrorKind::UnexpectedEof.into())
    }
}

impl From<Unreadable> for Ended {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Forged => Self::Forged,
            Unreadable::Malformed(malformed) => Self::Malformed(malformed),
        }
    }
}
