//! Operations that need one answer, whichever node they are asked at.
//!
//! They are linearizable, or they fail with an error: of two that set a key
//! where nothing is, one wins, whatever crashes or is cut off meanwhile. That
//! takes a round trip to a majority of the key's voters. What they write is
//! published like any record, so that every node's [`Cache::peek`] finds it a
//! moment later; but a plain [`Cache::put`] on the same key is not seen by
//! them: a key belongs to the ones or to the other.

use std::time::Duration;

use bytes::Bytes;
use proto::agree::message::Failure;
use proto::agree::operation::{Expect, Operation, Outcome};
use proto::agree::state::RequestId;
use proto::agree::{At, MAX_OWNER_BYTES, Request};
use proto::record::{Hlc, Key, MAX_PAYLOAD_BYTES};
use proto::secret::secret;
use proto::time::Wall;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::asks::Refused;
use crate::cache::Cache;

/// Why an operation that needs one answer was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OneAnswerError {
    /// Nothing was done: nobody votes yet. The farm's nodes agree on who does
    /// once all of them have been there together.
    #[error(
        "{here} of the farm's {needed} nodes are here, and nothing that needs one answer is done \
         until all have met: start those that are missing, or take them out of the peers of the \
         others"
    )]
    NoRoster {
        /// How many are here.
        here: u16,
        /// How many the farm has, by this node's configuration.
        needed: u16,
    },
    /// Nothing was done: too few of the key's voters answer.
    #[error(
        "{alive} of the key's voters answer and {needed} are needed: bring back the nodes that are \
         missing, or the way to them"
    )]
    NoQuorum {
        /// How many answer.
        alive: u8,
        /// How many are needed.
        needed: u8,
    },
    /// It may have been done, may yet be, or never will.
    #[error("it is unknown whether it was done: read before it is tried again")]
    Unknown,
    /// Nothing was done: too many operations wait.
    #[error("too many operations wait")]
    Busy,
    /// Nothing was done: the voters have no memory for it.
    #[error("the key's voters have no memory left for what needs one answer")]
    Full,
    /// Nothing was done: the value or the owner's name is too large.
    #[error("{found} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Its size, in bytes.
        found: usize,
        /// How large it may be.
        limit: usize,
    },
    /// Nothing was done: there is a lock where a value was asked for, or the
    /// other way round, or what is there is no number.
    #[error("the key holds something of another kind")]
    WrongKind,
    /// The node has shut down. What it had been asked may have been done.
    #[error("the node has shut down")]
    Closed,
}

impl OneAnswerError {
    /// Whether it may have been done all the same, or may yet be. After any
    /// other error nothing was, and nothing will be.
    #[must_use]
    pub const fn is_unknown(self) -> bool {
        matches!(self, Self::Unknown | Self::Closed)
    }
}

impl From<Failure> for OneAnswerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoRoster { here, needed } => Self::NoRoster { here, needed },
            Failure::NoQuorum { alive, needed } => Self::NoQuorum { alive, needed },
            Failure::Busy => Self::Busy,
            Failure::Full => Self::Full,
            // A failure of a kind that is not known may be of any meaning.
            Failure::Unknown | _ => Self::Unknown,
        }
    }
}

/// A lock that was acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The fencing token: whoever gets the lock later has a larger one. What
    /// the lock protects should refuse a token that is smaller than one that it
    /// has seen, since a lease may end while its holder does not run.
    pub token: u64,
    /// When the lease ends, by the clock of who gave it.
    pub until: Wall,
}

impl Cache {
    /// Writes a value where none is. Gives whether it did.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`].
    pub async fn set_if_absent(
        &self,
        key: &Key,
        value: &[u8],
        deadline: Wall,
    ) -> Result<bool, OneAnswerError> {
        self.put_if(key, Expect::Absent, value, deadline).await
    }

    /// Writes a value where `expected` is. Gives whether it did.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`].
    pub async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        value: &[u8],
        deadline: Wall,
    ) -> Result<bool, OneAnswerError> {
        self.put_if(key, Expect::Value(bytes(expected)?), value, deadline).await
    }

    /// Writes a value, whatever is there.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`].
    pub async fn set_agreed(
        &self,
        key: &Key,
        value: &[u8],
        deadline: Wall,
    ) -> Result<(), OneAnswerError> {
        self.put_if(key, Expect::Anything, value, deadline).await.map(|_| ())
    }

    /// Deletes the value where it is `expected`. Gives whether it did.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`].
    pub async fn compare_and_remove(
        &self,
        key: &Key,
        expected: &[u8],
    ) -> Result<bool, OneAnswerError> {
        let expect = Expect::Value(bytes(expected)?);
        self.agree(key, Operation::Delete { expect }, done).await
    }

    /// Adds to a decimal number, and gives the sum. Nothing counts as 0, and
    /// then the sum ends at `deadline`.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`]; [`OneAnswerError::WrongKind`] when what is there is
    /// no number, or the sum is none of 64 bits.
    pub async fn increment(
        &self,
        key: &Key,
        by: i64,
        deadline: Wall,
    ) -> Result<i64, OneAnswerError> {
        let number = |outcome: &Outcome| {
            if let Outcome::Number(number) = outcome { Some(*number) } else { None }
        };
        self.agree(key, Operation::Increment { by, deadline }, number).await
    }

    /// Reads the value and deletes it: of all who ask, one gets it.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`].
    pub async fn take(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, OneAnswerError> {
        self.agree(key, Operation::Take, found).await
    }

    /// Reads the value as it is, not as this node last heard of it.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`].
    pub async fn get_agreed(
        &self,
        key: &Key,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, OneAnswerError> {
        self.agree(key, Operation::Get, found).await
    }

    /// Acquires a lock for so long, if it is free. `owner` is for people.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`].
    pub async fn lock(
        &self,
        key: &Key,
        owner: &str,
        lease: Duration,
    ) -> Result<Option<Lease>, OneAnswerError> {
        let found = owner.len();
        if found > MAX_OWNER_BYTES {
            return Err(OneAnswerError::TooLarge { found, limit: MAX_OWNER_BYTES });
        }
        let owner = Bytes::copy_from_slice(owner.as_bytes());
        self.agree(key, Operation::Acquire { owner, lease }, leased).await
    }

    /// Holds a lock for so long from here on. None when it is no longer held.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`].
    pub async fn renew(
        &self,
        key: &Key,
        held: Lease,
        lease: Duration,
    ) -> Result<Option<Lease>, OneAnswerError> {
        self.agree(key, Operation::Renew { token: Hlc(held.token), lease }, leased).await
    }

    /// Frees a lock. Gives whether it was still held.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`].
    pub async fn unlock(&self, key: &Key, held: Lease) -> Result<bool, OneAnswerError> {
        let freed = |outcome: &Outcome| {
            let held = *outcome == Outcome::Released;
            (held || *outcome == Outcome::NotHeld).then_some(held)
        };
        self.agree(key, Operation::Release { token: Hlc(held.token) }, freed).await
    }

    async fn put_if(
        &self,
        key: &Key,
        expect: Expect,
        value: &[u8],
        deadline: Wall,
    ) -> Result<bool, OneAnswerError> {
        self.agree(key, Operation::Put { expect, value: bytes(value)?, deadline }, done).await
    }

    async fn agree<T>(
        &self,
        key: &Key,
        operation: Operation,
        read: impl FnOnce(&Outcome) -> Option<T>,
    ) -> Result<T, OneAnswerError> {
        self.agree_at(At::Home, key, operation, read).await
    }

    /// Has an operation brought about. What `read` makes nothing of is no answer
    /// to it: a lock is where a value was asked for, or the like.
    pub(crate) async fn agree_at<T>(
        &self,
        at: At,
        key: &Key,
        operation: Operation,
        read: impl FnOnce(&Outcome) -> Option<T>,
    ) -> Result<T, OneAnswerError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| OneAnswerError::Busy)?;
        let hash = self.shared.holdings.hash(key);
        let id = RequestId(u128::from_be_bytes(id));
        let (asker, answer) = oneshot::channel();
        let request = Request { id, key: *key, hash, operation, at };
        self.shared.asks.push(request, asker).map_err(|refused| match refused {
            Refused::Busy => OneAnswerError::Busy,
            Refused::Closed => OneAnswerError::Closed,
        })?;
        self.tell_driver();
        // The driver drops the asker only when it ends.
        let outcome = answer.await.map_err(|_| OneAnswerError::Closed)??;
        read(&outcome).ok_or(OneAnswerError::WrongKind)
    }
}

pub(crate) fn bytes(value: &[u8]) -> Result<Bytes, OneAnswerError> {
    let found = value.len();
    if found > MAX_PAYLOAD_BYTES {
        return Err(OneAnswerError::TooLarge { found, limit: MAX_PAYLOAD_BYTES });
    }
    Ok(secret(value))
}

/// Whether a write happened.
pub(crate) fn done(outcome: &Outcome) -> Option<bool> {
    let written = matches!(outcome, Outcome::Written(_));
    (written || matches!(outcome, Outcome::Unexpected(_))).then_some(written)
}

/// What was there.
pub(crate) fn found(outcome: &Outcome) -> Option<Option<Zeroizing<Vec<u8>>>> {
    let Outcome::Found(held) = outcome else { return None };
    Some(held.as_ref().map(|held| Zeroizing::new(held.value.to_vec())))
}

/// The lock, if it is the asker's.
fn leased(outcome: &Outcome) -> Option<Option<Lease>> {
    if let Outcome::Locked { token, until } = outcome {
        return Some(Some(Lease { token: token.0, until: *until }));
    }
    matches!(outcome, Outcome::Occupied(_) | Outcome::NotHeld).then_some(None)
}
