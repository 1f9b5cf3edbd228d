//! What can go wrong with a web session, and what is to be done about it.

use super::{MAX_APPLICATION_BYTES, MAX_SESSION_BYTES};
use crate::error::WriteError;

/// Why something was not done to a web session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The application's name cannot be one.
    #[error("an application's name of {found} bytes; it has 1 to {MAX_APPLICATION_BYTES}")]
    Application {
        /// Its length, in bytes.
        found: usize,
    },
    /// It is more than is kept for a session. Nothing was written.
    #[error(
        "a session of {found} bytes; at most {MAX_SESSION_BYTES} are kept: keep what is large \
         elsewhere, and in the session where it is"
    )]
    TooLarge {
        /// Its size, in bytes.
        found: usize,
    },
    /// It was deleted. Nothing was written, nor ever will be under its id.
    #[error("the session was ended, and nothing more is kept of it")]
    LoggedOut,
    /// It does not live. Nothing was written.
    #[error(
        "there is no session of that id: it has ended, or was dropped because memory is short (see \
         `evicted` in the node's status); the client begins another one with its next request"
    )]
    Gone,
    /// What is there was written by a later version of Segue, or by something
    /// else.
    #[error(
        "what is kept there is not to be read: upgrade this node, as a later version of Segue may \
         have written it"
    )]
    Unreadable,
    /// The operating system gave no random numbers.
    #[error("the operating system gives no random numbers")]
    Random,
    /// It is not in the farm's caches, or not where it was to be.
    #[error("{}{}", .0, remedy(.0))]
    Write(#[from] WriteError),
}

/// What an operator does about it.
fn remedy(error: &WriteError) -> &'static str {
    match error {
        WriteError::Unacknowledged { .. } => {
            ": look which member is behind in the node's status, or set the sessions' `ack` to less"
        }
        WriteError::NoRoom => ": give it more memory",
        WriteError::Upstream(_) => ": see the upstreams in the node's status",
        WriteError::Closed => ": have the client go on at another node",
        WriteError::TooLarge { .. }
        | WriteError::Expired
        | WriteError::Deleted
        | WriteError::NotFound => "",
    }
}
