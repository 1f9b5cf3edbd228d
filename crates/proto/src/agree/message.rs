//! What nodes say to each other to agree.
//!
//! Every message carries where its sender stands. One that asks something of a
//! register or a roster counts only between nodes that stand at the same
//! place: whoever is behind is told the roster first.

use super::ballot::Ballot;
use super::operation::{Operation, Outcome};
use super::roster::{Roster, Stand};
use super::state::{RequestId, State};
use crate::record::{Key, KeyHash};
use crate::wire::header::Incarnation;

/// Why a request was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Nothing was done: this node knows of no roster, since not all of the
    /// farm's nodes are there to found one.
    #[error(
        "no roster: {here} of the farm's {needed} nodes are here, and all have to be before they \
         agree on who votes; start those that are missing, or take them out of the peers"
    )]
    NoRoster {
        /// How many are here and have none.
        here: u16,
        /// How many there are to be.
        needed: u16,
    },
    /// Nothing was done: too few of the key's voters answer.
    #[error(
        "no quorum: {alive} of the key's voters answer and {needed} are needed; bring back the \
         nodes that are missing, or the way to them"
    )]
    NoQuorum {
        /// How many answered.
        alive: u8,
        /// How many are needed.
        needed: u8,
    },
    /// Nothing was done: more requests wait than are kept.
    #[error("too many requests wait at the key's home")]
    Busy,
    /// Nothing was done: the voters have no memory for it.
    #[error("the key's voters have no memory left for what needs one answer")]
    Full,
    /// It may have been done, or may yet be. The same request asked again is
    /// answered the same while it is the last that changed the key.
    #[error("unknown: it may or may not have been done")]
    Unknown,
}

/// A message, whom it is for, and where its sender stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Which start of a node it is for: a later one at the same address knows
    /// nothing of what was asked before, and would do it again.
    pub to: Incarnation,
    /// The roster that the sender goes by.
    pub stand: Stand,
    /// What it says.
    pub message: Message,
}

/// What a node says to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// I stand here.
    Know {
        /// All that I hold has been chosen under this roster or a later one.
        swept: u64,
    },
    /// Tell me your roster.
    Ask,
    /// This is the roster.
    Roster(Box<Roster>),
    /// Promise to accept no lower ballot for the next roster.
    StepPrepare(Ballot),
    /// I promise; this is the highest that I accepted.
    StepPromise(Ballot, Option<(Ballot, Box<Roster>)>),
    /// Accept this as the next roster.
    StepAccept(Ballot, Box<Roster>),
    /// I accepted it.
    StepAccepted(Ballot),
    /// I have promised this one.
    StepReject(Ballot),
    /// Something about one register.
    Register(Key, About),
    /// Bring this about.
    Submit {
        /// The sender's number for this; one that comes twice is done once.
        ticket: u64,
        /// Which request.
        id: RequestId,
        /// On which register.
        key: Key,
        /// Its placement hash.
        hash: KeyHash,
        /// What is asked.
        operation: Operation,
    },
    /// What came of it.
    Answer {
        /// The asker's number for it.
        ticket: u64,
        /// What came of it.
        result: Result<Outcome, Failure>,
    },
}

/// What is said of one register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// Promise to accept no lower ballot.
    Prepare(Ballot),
    /// I promise.
    Promise {
        /// The ballot.
        ballot: Ballot,
        /// The highest that I accepted, and what.
        accepted: Option<(Ballot, State)>,
        /// How many bytes more I have room for.
        room: u64,
    },
    /// Accept this.
    Accept(Proposal),
    /// I accepted it, and promised its next ballot.
    Accepted {
        /// The ballot.
        ballot: Ballot,
        /// How many bytes more I have room for.
        room: u64,
    },
    /// I have promised a higher one.
    Reject {
        /// What was asked.
        ballot: Ballot,
        /// What I have promised.
        promised: Ballot,
    },
    /// I have no memory for it.
    Full(Ballot),
    /// All voters have accepted that nothing is there: forget the register.
    Forget(Ballot),
}

/// A state that is to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Under which ballot.
    pub ballot: Ballot,
    /// The register's placement hash.
    pub hash: KeyHash,
    /// What.
    pub state: State,
}
