//! What can be asked of a register, and what it makes of the register's state.
//!
//! Pure functions of state, operation and the proposer's clock: nothing here
//! knows how nodes agree on the state.

use std::time::Duration;

use bytes::Bytes;

use super::state::{Content, RequestId, State};
use crate::record::Hlc;
use crate::secret::secret;
use crate::time::Wall;

/// What is to be there for a write to happen.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Expect {
    /// Whatever it is.
    Anything,
    /// Nothing.
    Absent,
    /// A value, whichever.
    Present,
    /// This value.
    Value(Bytes),
    /// The value of this version.
    Version(Hlc),
}

/// An operation on one register.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Reads the value.
    Get,
    /// Writes a value, if what is expected is there.
    Put {
        /// What is to be there.
        expect: Expect,
        /// The new value.
        value: Bytes,
        /// When it ends.
        deadline: Wall,
    },
    /// Deletes the value, if what is expected is there.
    Delete {
        /// What is to be there.
        expect: Expect,
    },
    /// Reads the value and deletes it.
    Take,
    /// Adds to a decimal number; nothing counts as 0.
    Increment {
        /// How much.
        by: i64,
        /// When a number that was not there ends.
        deadline: Wall,
    },
    /// Acquires the lock, if it is free.
    Acquire {
        /// Who asks.
        owner: Bytes,
        /// How long it is his, from when it is given.
        lease: Duration,
    },
    /// Holds the lock for longer.
    Renew {
        /// What acquiring it gave.
        token: Hlc,
        /// How long from here on.
        lease: Duration,
    },
    /// Frees the lock.
    Release {
        /// What acquiring it gave.
        token: Hlc,
    },
    /// Takes away what has ended, so that the register can be forgotten.
    Retire,
}

/// A value as it was found.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Held {
    /// Its bytes.
    pub value: Bytes,
    /// Its version.
    pub version: Hlc,
    /// When it ends.
    pub deadline: Wall,
}

/// What an operation was answered.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// What was there; of a take, what was taken.
    Found(Option<Held>),
    /// It is written or deleted, as this version.
    Written(Hlc),
    /// Something else than expected was there; the version of it, if anything.
    Unexpected(Option<Hlc>),
    /// The number after the addition.
    Number(i64),
    /// What is there is no decimal number, or the sum is none of 64 bits.
    NotANumber,
    /// The lock is the asker's.
    Locked {
        /// The fencing token.
        token: Hlc,
        /// When the lease ends by the proposer's clock.
        until: Wall,
    },
    /// The lock is another's, until then unless he renews it.
    Occupied(Wall),
    /// The lock is free again.
    Released,
    /// The lock is not held with this token, any more or at all.
    NotHeld,
    /// A lock is there where a value was asked for, or the other way round.
    WrongKind,
    /// The register has nothing in it, and may be forgotten.
    Retired,
}

impl Operation {
    /// How many bytes of values it carries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Put { expect, value, .. } => expect.bytes() + value.len(),
            Self::Delete { expect } => expect.bytes(),
            Self::Acquire { owner, .. } => owner.len(),
            Self::Get
            | Self::Take
            | Self::Increment { .. }
            | Self::Renew { .. }
            | Self::Release { .. }
            | Self::Retire => 0,
        }
    }
}

impl Outcome {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Found(Some(held)) => held.value.len(),
            Self::Found(None)
            | Self::Written(_)
            | Self::Unexpected(_)
            | Self::Number(_)
            | Self::NotANumber
            | Self::Locked { .. }
            | Self::Occupied(_)
            | Self::Released
            | Self::NotHeld
            | Self::WrongKind
            | Self::Retired => 0,
        }
    }
}

/// What an operation makes of a state.
pub(super) struct Applied {
    /// The new state, if it is another.
    pub(super) state: Option<State>,
    pub(super) outcome: Outcome,
}

/// How long after its end a content is still kept, so that who asks again is
/// answered the same, and clocks that differ agree that it has ended: twenty
/// times what a hybrid clock lets another be ahead.
const RETIRED_AFTER: Duration = Duration::from_secs(10);

/// Whether a register whose state ends at `end` can be retired, by who waits so
/// many times as long as has to be waited.
pub(super) fn is_over(end: Wall, waits: u32, wall: Wall) -> bool {
    end + RETIRED_AFTER * waits <= wall
}

/// What `operation`, asked for by `request`, makes of `state`.
pub(super) fn apply(
    operation: &Operation,
    request: RequestId,
    state: &State,
    wall: Wall,
) -> Applied {
    let version = Hlc(Hlc::at(wall).0.max(state.version.0.saturating_add(1)));
    let (content, outcome) = decide(operation, state, wall, version);
    let state =
        content.map(|content| State { version, content, last: Some((request, outcome.clone())) });
    Applied { state, outcome }
}

fn decide(
    operation: &Operation,
    state: &State,
    wall: Wall,
    version: Hlc,
) -> (Option<Content>, Outcome) {
    let content = state.at(wall);
    let held = match content {
        Content::Value { bytes, deadline } => {
            Some(Held { value: bytes.clone(), version: state.version, deadline: *deadline })
        }
        Content::Absent | Content::Lock { .. } => None,
    };
    let locked = matches!(content, Content::Lock { .. });
    match operation {
        Operation::Acquire { .. } | Operation::Renew { .. } | Operation::Release { .. } => {
            lock(operation, content, wall, version)
        }
        Operation::Retire if is_over(state.end(), 1, wall) => {
            (Some(Content::Absent), Outcome::Retired)
        }
        Operation::Retire => (None, Outcome::Found(held)),
        _ if locked => (None, Outcome::WrongKind),
        Operation::Get => (None, Outcome::Found(held)),
        Operation::Take => (held.is_some().then_some(Content::Absent), Outcome::Found(held)),
        Operation::Put { expect, .. } | Operation::Delete { expect }
            if !expect.holds(held.as_ref()) =>
        {
            (None, Outcome::Unexpected(held.map(|held| held.version)))
        }
        Operation::Put { value, deadline, .. } => {
            let content = Content::Value { bytes: value.clone(), deadline: *deadline };
            (Some(content), Outcome::Written(version))
        }
        Operation::Delete { .. } => (Some(Content::Absent), Outcome::Written(version)),
        Operation::Increment { by, deadline } => increment(*by, *deadline, held.as_ref()),
    }
}

fn increment(by: i64, deadline: Wall, held: Option<&Held>) -> (Option<Content>, Outcome) {
    let number = held.map_or(Some(0), |held| {
        std::str::from_utf8(&held.value).ok().and_then(|text| text.parse::<i64>().ok())
    });
    match number.and_then(|number| number.checked_add(by)) {
        Some(sum) => {
            let deadline = held.map_or(deadline, |held| held.deadline);
            let bytes = secret(sum.to_string().as_bytes());
            (Some(Content::Value { bytes, deadline }), Outcome::Number(sum))
        }
        None => (None, Outcome::NotANumber),
    }
}

fn lock(
    operation: &Operation,
    content: &Content,
    wall: Wall,
    version: Hlc,
) -> (Option<Content>, Outcome) {
    match (operation, content) {
        (_, Content::Value { .. }) => (None, Outcome::WrongKind),
        (Operation::Acquire { owner, lease }, Content::Absent) => {
            let (token, until) = (version, wall + *lease);
            let content = Content::Lock { owner: owner.clone(), token, until };
            (Some(content), Outcome::Locked { token, until })
        }
        (Operation::Acquire { .. }, Content::Lock { until, .. }) => {
            (None, Outcome::Occupied(*until))
        }
        (Operation::Renew { token, lease }, Content::Lock { owner, token: held, .. })
            if token == held =>
        {
            let until = wall + *lease;
            let content = Content::Lock { owner: owner.clone(), token: *token, until };
            (Some(content), Outcome::Locked { token: *token, until })
        }
        (Operation::Release { token }, Content::Lock { token: held, .. }) if token == held => {
            (Some(Content::Absent), Outcome::Released)
        }
        _ => (None, Outcome::NotHeld),
    }
}

impl Expect {
    const fn bytes(&self) -> usize {
        match self {
            Self::Value(value) => value.len(),
            Self::Anything | Self::Absent | Self::Present | Self::Version(_) => 0,
        }
    }

    fn holds(&self, held: Option<&Held>) -> bool {
        match (self, held) {
            (Self::Anything, _) | (Self::Absent, None) | (Self::Present, Some(_)) => true,
            (Self::Value(value), Some(held)) => *value == held.value,
            (Self::Version(version), Some(held)) => *version == held.version,
            (Self::Absent, Some(_)) | (Self::Present | Self::Value(_) | Self::Version(_), None) => {
                false
            }
        }
    }
}

impl std::fmt::Debug for Expect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anything => write!(f, "Anything"),
            Self::Absent => write!(f, "Absent"),
            Self::Present => write!(f, "Present"),
            Self::Value(value) => write!(f, "Value({} bytes)", value.len()),
            Self::Version(version) => write!(f, "Version({})", version.0),
        }
    }
}

impl std::fmt::Debug for Operation {
    /// What it is: values are state of sessions.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Get => write!(f, "Get"),
            Self::Put { expect, value, .. } => {
                write!(f, "Put({} bytes if {expect:?})", value.len())
            }
            Self::Delete { expect } => write!(f, "Delete(if {expect:?})"),
            Self::Take => write!(f, "Take"),
            Self::Increment { by, .. } => write!(f, "Increment({by})"),
            Self::Acquire { lease, .. } => write!(f, "Acquire({lease:?})"),
            Self::Renew { token, .. } => write!(f, "Renew({})", token.0),
            Self::Release { token } => write!(f, "Release({})", token.0),
            Self::Retire => write!(f, "Retire"),
        }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({} bytes, {})", self.value.len(), self.version.0)
    }
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Found(held) => write!(f, "Found({held:?})"),
            Self::Written(version) => write!(f, "Written({})", version.0),
            Self::Unexpected(version) => write!(f, "Unexpected({version:?})"),
            Self::Number(number) => write!(f, "Number({number})"),
            Self::NotANumber => write!(f, "NotANumber"),
            Self::Locked { token, .. } => write!(f, "Locked({})", token.0),
            Self::Occupied(_) => write!(f, "Occupied"),
            Self::Released => write!(f, "Released"),
            Self::NotHeld => write!(f, "NotHeld"),
            Self::WrongKind => write!(f, "WrongKind"),
            Self::Retired => write!(f, "Retired"),
        }
    }
}

#[cfg(test)]
mod tests;
