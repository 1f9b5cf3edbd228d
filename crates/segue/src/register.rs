//! Registers for those who cannot wait: the farm's word on who acts.
//!
//! The same registers as [`Cache::compare_and_set`] has, and as linearizable.
//! But what is asked here is brought about by the node that is asked, if it is
//! one of the key's voters: a node that has just died, and that nobody has
//! missed yet, is waited for no more than any other. For keys that two or three
//! nodes ask for, and seldom at once. What the values mean is the caller's.

use proto::agree::At;
use proto::agree::operation::{Expect, Operation};
use proto::record::Key;
use proto::time::Wall;
use zeroize::Zeroizing;

use crate::cache::Cache;
use crate::one_answer::{OneAnswerError, bytes, done, found};

/// The farm's registers, as this node asks for them.
#[derive(Debug, Clone)]
pub struct Registers(Cache);

impl Cache {
    /// The farm's registers, for those who cannot wait for a key's home.
    #[must_use]
    pub fn registers(&self) -> Registers {
        Registers(self.clone())
    }
}

impl Registers {
    /// Reads a register as it is, not as this node last heard of it.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`].
    pub async fn read(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, OneAnswerError> {
        self.0.agree_at(At::Here, key, Operation::Get, found).await
    }

    /// Writes `new`, which ends at `deadline`, if `expected` is there; none: if
    /// nothing is. Gives whether it did.
    ///
    /// Who loses against another at once may be told that it is not known
    /// whether it did: [`Registers::read`] tells.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`]; [`OneAnswerError::is_unknown`] tells those after
    /// which it may have been done from those after which it was not.
    pub async fn compare_and_set(
        &self,
        key: &Key,
        expected: Option<&[u8]>,
        new: &[u8],
        deadline: Wall,
    ) -> Result<bool, OneAnswerError> {
        let expect = expected.map_or(Ok(Expect::Absent), |it| bytes(it).map(Expect::Value))?;
        let operation = Operation::Put { expect, value: bytes(new)?, deadline };
        self.0.agree_at(At::Here, key, operation, done).await
    }
}
