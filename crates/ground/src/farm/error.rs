//! Why a farm is not as it should be.

use std::io;

use crate::network::NetworkError;

/// What went wrong with a farm.
#[derive(Debug, thiserror::Error)]
pub enum FarmError {
    /// There is no network for it.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The system refused something.
    #[error("{what}: {why}")]
    System {
        /// What was to be had.
        what: String,
        /// What the system said.
        why: io::Error,
    },
    /// Something else failed, or did not happen in time.
    #[error("{what}: {why}")]
    Failed {
        /// What should have happened.
        what: String,
        /// What is known of it.
        why: String,
    },
}

impl FarmError {
    /// Names what a system's error is about.
    pub(super) fn because(what: &str) -> impl FnOnce(io::Error) -> Self {
        move |why| Self::System { what: what.to_owned(), why }
    }
}
