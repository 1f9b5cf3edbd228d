use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::agree::ballot::{Ballot, Term};
use crate::agree::message::Failure;
use crate::agree::operation::{Expect, Held, Operation, Outcome};
use crate::agree::roster::{Electorate, Lineage, Roster, Stand, Voter};
use crate::agree::state::{Content, State};
use crate::record::{Hlc, Key, Kind};
use crate::time::Wall;
use crate::wire::header::Incarnation;

fn ballot(round: u64) -> Ballot {
    let term = Term { generation: 1, epoch: 3 };
    Ballot { term, round, proposer: Incarnation(round.into()) }
}

fn stand() -> Stand {
    let lineage =
        Lineage { generation: 2, founded: Wall::from_millis(77), founder: Incarnation(8) };
    Stand { lineage, epoch: 4 }
}

fn roster() -> Roster {
    let voter = |number: u64| Voter { incarnation: Incarnation(number.into()), place: number };
    let electorate = |voters: &[u64]| Electorate {
        since: Term { generation: 1, epoch: 1 },
        voters: voters.iter().copied().map(voter).collect(),
    };
    Roster {
        stand: stand(),
        voters_of_key: 3,
        electorate: electorate(&[1, 2, 3]),
        earlier: vec![electorate(&[1, 2]), electorate(&[4])],
        gone: vec![Incarnation(4)],
    }
}

fn outcomes() -> Vec<Outcome> {
    let held =
        Held { value: Bytes::from_static(b"v"), version: Hlc(5), deadline: Wall::from_millis(6) };
    vec![
        Outcome::Found(Some(held)),
        Outcome::Found(None),
        Outcome::Written(Hlc(1)),
        Outcome::Unexpected(Some(Hlc(2))),
        Outcome::Unexpected(None),
        Outcome::Number(-3),
        Outcome::NotANumber,
        Outcome::Locked { token: Hlc(4), until: Wall::from_millis(5) },
        Outcome::Occupied(Wall::MAX),
        Outcome::Released,
        Outcome::NotHeld,
        Outcome::WrongKind,
        Outcome::Retired,
    ]
}

fn operations() -> Vec<Operation> {
    let lease = std::time::Duration::from_millis(9);
    let expected = [
        Expect::Anything,
        Expect::Absent,
        Expect::Present,
        Expect::Value(Bytes::from_static(b"old")),
        Expect::Version(Hlc(4)),
    ];
    let put = |expect| Operation::Put {
        expect,
        value: Bytes::from_static(b"new"),
        deadline: Wall::from_millis(1),
    };
    let mut operations: Vec<Operation> = expected.into_iter().map(put).collect();
    operations.extend([
        Operation::Get,
        Operation::Delete { expect: Expect::Present },
        Operation::Take,
        Operation::Increment { by: -1, deadline: Wall::MAX },
        Operation::Acquire { owner: Bytes::from_static(b"me"), lease },
        Operation::Renew { token: Hlc(3), lease },
        Operation::Release { token: Hlc(3) },
        Operation::Retire,
    ]);
    operations
}

fn states() -> Vec<State> {
    let contents = [
        Content::Absent,
        Content::Value { bytes: Bytes::from_static(b"v"), deadline: Wall::MAX },
        Content::Lock {
            owner: Bytes::from_static(b"o"),
            token: Hlc(2),
            until: Wall::from_millis(3),
        },
    ];
    let last = outcomes().into_iter().map(|outcome| Some((RequestId(7), outcome))).chain([None]);
    let of = |last: Option<_>| {
        let contents = contents.clone();
        contents.map(|content| State { version: Hlc(9), content, last: last.clone() })
    };
    last.flat_map(of).collect()
}

/// One of every message, with one of everything that it can carry.
fn messages() -> Vec<Message> {
    let key = Key::new(Kind::Web, b"id").expect("short");
    let at = (ballot(5), Box::new(roster()));
    let mut messages = vec![
        Message::Know { swept: 3 },
        Message::Ask,
        Message::Roster(Box::new(roster())),
        Message::StepPrepare(ballot(1)),
        Message::StepPromise(ballot(1), None),
        Message::StepPromise(ballot(1), Some(at)),
        Message::StepAccept(ballot(2), Box::new(roster())),
        Message::StepAccepted(ballot(3)),
        Message::StepReject(ballot(4)),
    ];
    let mut abouts = vec![
        About::Prepare(ballot(1)),
        About::Promise { ballot: ballot(1), accepted: None, room: 9 },
        About::Accepted { ballot: ballot(1), room: u64::MAX },
        About::Reject { ballot: ballot(1), promised: ballot(2) },
        About::Full(ballot(1)),
        About::Forget(ballot(1)),
    ];
    for state in states() {
        let accepted = Some((ballot(2), state.clone()));
        abouts.push(About::Promise { ballot: ballot(1), accepted, room: 0 });
        abouts.push(About::Accept(Proposal { ballot: ballot(1), hash: KeyHash(3), state }));
    }
    messages.extend(abouts.into_iter().map(|about| Message::Register(key, about)));
    messages.extend(operations().into_iter().map(|operation| Message::Submit {
        ticket: 3,
        id: RequestId(4),
        key,
        hash: KeyHash(5),
        operation,
    }));
    let failures = [
        Failure::NoRoster { here: 2, needed: 300 },
        Failure::NoQuorum { alive: 1, needed: 2 },
        Failure::Busy,
        Failure::Full,
        Failure::Unknown,
    ];
    let results = outcomes().into_iter().map(Ok).chain(failures.into_iter().map(Err));
    messages.extend(results.map(|result| Message::Answer { ticket: 1, result }));
    messages
}

#[test]
fn what_is_encoded_is_decoded_and_nothing_that_is_shorter_or_longer() {
    for message in messages() {
        let envelope = Envelope { to: Incarnation(9), stand: stand(), message };
        let bytes = envelope.encode();
        assert_eq!(Envelope::decode(&bytes), Ok(envelope));
        for len in 0..bytes.len() {
            assert!(Envelope::decode(&bytes[..len]).is_err());
        }
        assert!(Envelope::decode(&[&bytes[..], &[0]].concat()).is_err());
    }
}

#[test]
fn a_voter_that_stands_twice_is_refused() {
    let mut roster = roster();
    roster.electorate.voters.push(roster.electorate.voters[0]);
    let message = Message::Roster(Box::new(roster));
    let bytes = Envelope { to: Incarnation(9), stand: stand(), message }.encode();
    assert_eq!(Envelope::decode(&bytes), Err(Malformed::Invalid("voters")));
}

proptest! {
    #[test]
    fn damaged_messages_never_panic_and_read_what_they_write(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let messages = messages();
        let message = messages[which.index(messages.len())].clone();
        let mut bytes = Envelope { to: Incarnation(9), stand: stand(), message }.encode();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(envelope) = Envelope::decode(&bytes) {
            prop_assert_eq!(envelope.encode(), bytes);
        }
    }
}
