//! Breaking the protocol on purpose, from outside the machines.
//!
//! A checker that never fails proves nothing. Each of these makes the machines
//! behave as if they had a mistake, by changing what comes over the network or
//! how nodes start.

use proto::agree::Agree;
use proto::agree::ballot::Ballot;
use proto::agree::message::{About, Envelope, Message as Said};
use proto::wire::header::Incarnation;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tamper {
    /// Nothing.
    Nothing,
    /// Acceptors keep no promise: what they refuse comes as granted.
    ForgetsPromises,
    /// One voter is a quorum: what one says comes from all.
    QuorumOfOne,
    /// What was accepted under earlier rosters is not told.
    AsksNoEarlier,
    /// A node that starts again, with empty memory, takes itself for the same.
    KeepsIncarnation,
    /// Nodes do not know how many the farm has.
    KnowsNoFarm,
    /// A node takes what was meant for its earlier start.
    TakesWhatWasAnothers,
}

/// A message on its way.
pub(super) struct Message<'a> {
    pub(super) from: Incarnation,
    pub(super) bytes: &'a [u8],
}

impl Tamper {
    /// What a start of a node takes in place of a message that reaches it.
    pub(super) fn taken(self, bytes: Vec<u8>, by: Incarnation) -> Vec<u8> {
        if self != Self::TakesWhatWasAnothers {
            return bytes;
        }
        Envelope::decode(&bytes)
            .map(|envelope| Envelope { to: by, ..envelope }.encode().to_vec())
            .unwrap_or(bytes)
    }

    /// What arrives in place of a message, and from whom it seems to be.
    pub(super) fn apply(
        self,
        message: &Message<'_>,
        receiver: Option<&Agree>,
    ) -> Vec<(Incarnation, Vec<u8>)> {
        let as_it_is = || vec![(message.from, message.bytes.to_vec())];
        let Ok(Envelope { to, stand, message: Said::Register(key, about) }) =
            Envelope::decode(message.bytes)
        else {
            return as_it_is();
        };
        let say =
            |about| Envelope { to, stand, message: Said::Register(key, about) }.encode().to_vec();
        match (self, about) {
            (Self::ForgetsPromises, About::Reject { ballot, .. }) => {
                granted(ballot).map(|about| (message.from, say(about))).to_vec()
            }
            (Self::QuorumOfOne, about @ (About::Promise { .. } | About::Accepted { .. })) => {
                let roster = receiver.and_then(Agree::roster);
                let voters = roster.into_iter().flat_map(|roster| &roster.electorate.voters);
                let bytes = say(about);
                voters.map(|voter| (voter.incarnation, bytes.clone())).collect()
            }
            (Self::AsksNoEarlier, About::Promise { ballot, accepted, room }) => {
                let accepted = accepted.filter(|(accepted, _)| accepted.term == ballot.term);
                vec![(message.from, say(About::Promise { ballot, accepted, room }))]
            }
            _ => as_it_is(),
        }
    }
}

fn granted(ballot: Ballot) -> [About; 2] {
    let room = u64::MAX;
    [About::Promise { ballot, accepted: None, room }, About::Accepted { ballot, room }]
}
