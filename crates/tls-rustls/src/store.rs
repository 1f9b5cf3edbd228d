//! The session store of one connection.
//!
//! Rustls asks its store in the middle of a handshake and cannot wait, so what
//! it may ask for is here before: the one session that was looked up in the
//! farm. What it stores is kept until the handshake is over. The farm itself
//! is not known here.
//!
//! Rustls keys TLS 1.2 sessions by the bare session id (`get`) and TLS 1.3
//! sessions by the bare ticket (`take`).
//!
//! # A ticket is not consumed
//!
//! Rustls' contract asks `take` to delete for certain, because early data of a
//! ticket that is accepted twice is a replay (RFC 8446, section 8). What makes
//! early data unique here is a claim, which is made after rustls has verified
//! the binder and before its early data is used. Without early data a second
//! use of a ticket is an ordinary resumption with fresh keys (its key exchange
//! is always done anew, under `psk_dhe_ke`), so that the farm's record stays: a
//! client whose connection is lost half-way, or who opens several at once,
//! resumes with all of them.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use rustls::server::StoresServerSessions;
use zeroize::Zeroizing;

use crate::session::SessionId;

/// How many sessions one handshake may store: bounds the tickets that can be
/// configured.
pub const MAX_TICKETS: usize = 8;

/// A session that the client may resume, in rustls' encoding.
pub(crate) struct Offered {
    pub(crate) id: SessionId,
    pub(crate) state: Zeroizing<Vec<u8>>,
}

/// A session that rustls stored, in its encoding.
pub(crate) struct Stored {
    pub(crate) id: SessionId,
    pub(crate) state: Zeroizing<Vec<u8>>,
}

/// The store of one connection: at most one session to give, and those that
/// the handshake begins.
#[derive(Default)]
pub(crate) struct ConnectionStore {
    offered: Option<Offered>,
    stored: Mutex<Vec<Stored>>,
}

impl ConnectionStore {
    pub(crate) const fn new(offered: Option<Offered>) -> Self {
        Self { offered, stored: Mutex::new(Vec::new()) }
    }

    /// Takes out what the handshake stored.
    pub(crate) fn take_stored(&self) -> Vec<Stored> {
        std::mem::take(&mut *self.stored.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the handshake has stored anything that was not taken out.
    pub(crate) fn has_stored(&self) -> bool {
        !self.stored.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn find(&self, id: &[u8]) -> Option<Vec<u8>> {
        let offered = self.offered.as_ref()?;
        (offered.id.as_bytes() == id).then(|| offered.state.to_vec())
    }
}

impl StoresServerSessions for ConnectionStore {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let state = Zeroizing::new(value);
        let Some(id) = SessionId::from_bytes(&key) else { return false };
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.len() == MAX_TICKETS {
            return false;
        }
        stored.push(Stored { id, state });
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.find(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.find(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for ConnectionStore {
    /// Whether a session was offered: its content is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionStore")
            .field("offered", &self.offered.is_some())
            .finish_non_exhaustive()
    }
}
