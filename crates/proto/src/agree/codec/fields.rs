//! The fields of messages about registers, as bytes.

use std::time::Duration;

use bytes::Bytes;

use crate::agree::MAX_OWNER_BYTES;
use crate::agree::ballot::{Ballot, MAX_ROUND, Term};
use crate::agree::message::Failure;
use crate::agree::operation::{Expect, Held, Operation, Outcome};
use crate::agree::state::{Content, RequestId, State};
use crate::record::{Hlc, Key, MAX_ID_BYTES, MAX_PAYLOAD_BYTES};
use crate::secret::secret;
use crate::time::Wall;
use crate::wire::codec::put_u48;
use crate::wire::header::Incarnation;
use crate::wire::{Malformed, Reader};

pub(super) fn put_u64(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_incarnation(incarnation: Incarnation, out: &mut Vec<u8>) {
    out.extend_from_slice(&incarnation.0.to_be_bytes());
}

pub(super) fn take_incarnation(reader: &mut Reader<'_>) -> Result<Incarnation, Malformed> {
    Ok(Incarnation(u128::from_be_bytes(reader.array("incarnation")?)))
}

pub(super) fn put_term(term: Term, out: &mut Vec<u8>) {
    out.extend_from_slice(&term.generation.to_be_bytes());
    put_u64(term.epoch, out);
}

/// A roster's number, which can be raised.
pub(super) fn take_epoch(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    let epoch = reader.u64("epoch")?;
    if epoch > MAX_ROUND { Err(Malformed::Invalid("epoch")) } else { Ok(epoch) }
}

/// A generation, which can be raised.
pub(super) fn take_generation(reader: &mut Reader<'_>) -> Result<u32, Malformed> {
    let generation = reader.u32("generation")?;
    if generation > 1 << 30 { Err(Malformed::Invalid("generation")) } else { Ok(generation) }
}

pub(super) fn take_term(reader: &mut Reader<'_>) -> Result<Term, Malformed> {
    Ok(Term { generation: take_generation(reader)?, epoch: take_epoch(reader)? })
}

pub(super) fn put_ballot(ballot: Ballot, out: &mut Vec<u8>) {
    put_term(ballot.term, out);
    put_u64(ballot.round, out);
    put_incarnation(ballot.proposer, out);
}

pub(super) fn take_ballot(reader: &mut Reader<'_>) -> Result<Ballot, Malformed> {
    let (term, round) = (take_term(reader)?, reader.u64("round")?);
    if round > MAX_ROUND {
        return Err(Malformed::Invalid("round"));
    }
    Ok(Ballot { term, round, proposer: take_incarnation(reader)? })
}

pub(super) fn put_option<T>(
    value: Option<&T>,
    out: &mut Vec<u8>,
    put: impl FnOnce(&T, &mut Vec<u8>),
) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(value, out);
    }
}

pub(super) fn take_option<T>(
    reader: &mut Reader<'_>,
    take: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    match reader.u8("presence")? {
        0 => Ok(None),
        1 => take(reader).map(Some),
        _ => Err(Malformed::Invalid("presence")),
    }
}

pub(super) fn put_key(key: &Key, out: &mut Vec<u8>) {
    let bytes = key.as_bytes();
    out.push(u8::try_from(bytes.len()).expect("an id of at most 64 bytes, and a kind"));
    out.extend_from_slice(bytes);
}

pub(super) fn take_key(reader: &mut Reader<'_>) -> Result<Key, Malformed> {
    const { assert!(MAX_ID_BYTES < u8::MAX as usize) };
    let len = reader.u8("key length")?;
    Key::from_bytes(reader.take(len.into(), "key")?).ok_or(Malformed::Invalid("key"))
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let len = u32::try_from(bytes.len()).expect("at most a record's payload");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn take_bytes(reader: &mut Reader<'_>, limit: usize) -> Result<Bytes, Malformed> {
    let len = reader.u32("length")? as usize;
    if len > limit {
        return Err(Malformed::Invalid("length"));
    }
    reader.take(len, "bytes").map(secret)
}

fn take_hlc(reader: &mut Reader<'_>) -> Result<Hlc, Malformed> {
    reader.u64("version").map(Hlc)
}

pub(super) fn put_state(state: &State, out: &mut Vec<u8>) {
    put_u64(state.version.0, out);
    match &state.content {
        Content::Absent => out.push(0),
        Content::Value { bytes, deadline } => {
            out.push(1);
            put_u48(deadline.as_millis(), out);
            put_bytes(bytes, out);
        }
        Content::Lock { owner, token, until } => {
            out.push(2);
            put_u48(until.as_millis(), out);
            put_u64(token.0, out);
            put_bytes(owner, out);
        }
    }
    put_option(state.last.as_ref(), out, |(request, outcome), out| {
        out.extend_from_slice(&request.0.to_be_bytes());
        put_outcome(outcome, out);
    });
}

pub(super) fn take_state(reader: &mut Reader<'_>) -> Result<State, Malformed> {
    let version = take_hlc(reader)?;
    let content = match reader.u8("content")? {
        0 => Content::Absent,
        1 => {
            let deadline = reader.wall("deadline")?;
            Content::Value { deadline, bytes: take_bytes(reader, MAX_PAYLOAD_BYTES)? }
        }
        2 => {
            let (until, token) = (reader.wall("lease")?, take_hlc(reader)?);
            Content::Lock { until, token, owner: take_bytes(reader, MAX_OWNER_BYTES)? }
        }
        _ => return Err(Malformed::Invalid("content")),
    };
    let last = take_option(reader, |reader| {
        let request = RequestId(u128::from_be_bytes(reader.array("request")?));
        Ok((request, take_outcome(reader)?))
    })?;
    Ok(State { version, content, last })
}

fn put_expect(expect: &Expect, out: &mut Vec<u8>) {
    match expect {
        Expect::Anything => out.push(0),
        Expect::Absent => out.push(1),
        Expect::Present => out.push(2),
        Expect::Value(value) => {
            out.push(3);
            put_bytes(value, out);
        }
        Expect::Version(version) => {
            out.push(4);
            put_u64(version.0, out);
        }
    }
}

fn take_expect(reader: &mut Reader<'_>) -> Result<Expect, Malformed> {
    Ok(match reader.u8("expectation")? {
        0 => Expect::Anything,
        1 => Expect::Absent,
        2 => Expect::Present,
        3 => Expect::Value(take_bytes(reader, MAX_PAYLOAD_BYTES)?),
        4 => Expect::Version(take_hlc(reader)?),
        _ => return Err(Malformed::Invalid("expectation")),
    })
}

fn put_lease(lease: Duration, out: &mut Vec<u8>) {
    put_u48(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX).min(Wall::MAX.as_millis()), out);
}

fn take_lease(reader: &mut Reader<'_>) -> Result<Duration, Malformed> {
    reader.u48("lease").map(Duration::from_millis)
}

pub(super) fn put_operation(operation: &Operation, out: &mut Vec<u8>) {
    match operation {
        Operation::Get => out.push(0),
        Operation::Put { expect, value, deadline } => {
            out.push(1);
            put_expect(expect, out);
            put_u48(deadline.as_millis(), out);
            put_bytes(value, out);
        }
        Operation::Delete { expect } => {
            out.push(2);
            put_expect(expect, out);
        }
        Operation::Take => out.push(3),
        Operation::Increment { by, deadline } => {
            out.push(4);
            out.extend_from_slice(&by.to_be_bytes());
            put_u48(deadline.as_millis(), out);
        }
        Operation::Acquire { owner, lease } => {
            out.push(5);
            put_lease(*lease, out);
            put_bytes(owner, out);
        }
        Operation::Renew { token, lease } => {
            out.push(6);
            put_u64(token.0, out);
            put_lease(*lease, out);
        }
        Operation::Release { token } => {
            out.push(7);
            put_u64(token.0, out);
        }
        Operation::Retire => out.push(8),
    }
}

pub(super) fn take_operation(reader: &mut Reader<'_>) -> Result<Operation, Malformed> {
    Ok(match reader.u8("operation")? {
        0 => Operation::Get,
        1 => {
            let (expect, deadline) = (take_expect(reader)?, reader.wall("deadline")?);
            Operation::Put { expect, deadline, value: take_bytes(reader, MAX_PAYLOAD_BYTES)? }
        }
        2 => Operation::Delete { expect: take_expect(reader)? },
        3 => Operation::Take,
        4 => {
            let by = i64::from_be_bytes(reader.array("addend")?);
            Operation::Increment { by, deadline: reader.wall("deadline")? }
        }
        5 => {
            let lease = take_lease(reader)?;
            Operation::Acquire { lease, owner: take_bytes(reader, MAX_OWNER_BYTES)? }
        }
        6 => Operation::Renew { token: take_hlc(reader)?, lease: take_lease(reader)? },
        7 => Operation::Release { token: take_hlc(reader)? },
        8 => Operation::Retire,
        _ => return Err(Malformed::Invalid("operation")),
    })
}

fn put_outcome(outcome: &Outcome, out: &mut Vec<u8>) {
    match outcome {
        Outcome::Found(held) => {
            out.push(0);
            put_option(held.as_ref(), out, |held, out| {
                put_u64(held.version.0, out);
                put_u48(held.deadline.as_millis(), out);
                put_bytes(&held.value, out);
            });
        }
        Outcome::Written(version) => {
            out.push(1);
            put_u64(version.0, out);
        }
        Outcome::Unexpected(version) => {
            out.push(2);
            put_option(version.as_ref(), out, |version, out| put_u64(version.0, out));
        }
        Outcome::Number(number) => {
            out.push(3);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Outcome::NotANumber => out.push(4),
        Outcome::Locked { token, until } => {
            out.push(5);
            put_u64(token.0, out);
            put_u48(until.as_millis(), out);
        }
        Outcome::Occupied(until) => {
            out.push(6);
            put_u48(until.as_millis(), out);
        }
        Outcome::Released => out.push(7),
        Outcome::NotHeld => out.push(8),
        Outcome::WrongKind => out.push(9),
        Outcome::Retired => out.push(10),
    }
}

fn take_outcome(reader: &mut Reader<'_>) -> Result<Outcome, Malformed> {
    Ok(match reader.u8("outcome")? {
        0 => Outcome::Found(take_option(reader, |reader| {
            let (version, deadline) = (take_hlc(reader)?, reader.wall("deadline")?);
            Ok(Held { version, deadline, value: take_bytes(reader, MAX_PAYLOAD_BYTES)? })
        })?),
        1 => Outcome::Written(take_hlc(reader)?),
        2 => Outcome::Unexpected(take_option(reader, take_hlc)?),
        3 => Outcome::Number(i64::from_be_bytes(reader.array("number")?)),
        4 => Outcome::NotANumber,
        5 => Outcome::Locked { token: take_hlc(reader)?, until: reader.wall("lease")? },
        6 => Outcome::Occupied(reader.wall("lease")?),
        7 => Outcome::Released,
        8 => Outcome::NotHeld,
        9 => Outcome::WrongKind,
        10 => Outcome::Retired,
        _ => return Err(Malformed::Invalid("outcome")),
    })
}

pub(super) fn put_answer(result: &Result<Outcome, Failure>, out: &mut Vec<u8>) {
    match result {
        Ok(outcome) => {
            out.push(0);
            put_outcome(outcome, out);
        }
        Err(Failure::NoRoster { here, needed }) => {
            out.push(1);
            out.extend_from_slice(&here.to_be_bytes());
            out.extend_from_slice(&needed.to_be_bytes());
        }
        Err(Failure::NoQuorum { alive, needed }) => out.extend_from_slice(&[2, *alive, *needed]),
        Err(Failure::Busy) => out.push(3),
        Err(Failure::Full) => out.push(4),
        Err(Failure::Unknown) => out.push(5),
    }
}

pub(super) fn take_answer(reader: &mut Reader<'_>) -> Result<Result<Outcome, Failure>, Malformed> {
    Ok(Err(match reader.u8("answer")? {
        0 => return take_outcome(reader).map(Ok),
        1 => Failure::NoRoster {
            here: u16::from_be_bytes(reader.array("nodes here")?),
            needed: u16::from_be_bytes(reader.array("nodes needed")?),
        },
        2 => Failure::NoQuorum { alive: reader.u8("alive")?, needed: reader.u8("needed")? },
        3 => Failure::Busy,
        4 => Failure::Full,
        5 => Failure::Unknown,
        _ => return Err(Malformed::Invalid("answer")),
    }))
}
