//! Messages as bytes.
//!
//! ```text
//! message   type(1) to(16) generation(4) founded(6) founder(16) epoch(8) fields
//! ballot    generation(4) epoch(8) round(8) proposer(16)
//! bytes     length(4) octets
//! key       length(1) octets, the last of which is the kind
//! ```
//!
//! What is decoded cannot be wrong in itself: lists are within their limits,
//! rounds can be raised, values are no larger than records. Nothing is
//! allocated that the input has not got.

mod fields;
mod roster;

use fields::{
    put_answer, put_ballot, put_key, put_operation, put_option, put_state, put_u64, take_answer,
    take_ballot, take_key, take_operation, take_option, take_state,
};
use roster::{put_roster, put_stand, take_roster, take_stand};

use zeroize::Zeroizing;

use super::message::{About, Envelope, Message, Proposal};
use super::state::RequestId;
use crate::record::KeyHash;
use crate::wire::header::Incarnation;
use crate::wire::{Malformed, Reader};

const KNOW: u8 = 1;
const ASK: u8 = 2;
const ROSTER: u8 = 3;
const STEP_PREPARE: u8 = 4;
const STEP_PROMISE: u8 = 5;
const STEP_ACCEPT: u8 = 6;
const STEP_ACCEPTED: u8 = 7;
const STEP_REJECT: u8 = 8;
const PREPARE: u8 = 9;
const PROMISE: u8 = 10;
const ACCEPT: u8 = 11;
const ACCEPTED: u8 = 12;
const REJECT: u8 = 13;
const FULL: u8 = 14;
const FORGET: u8 = 15;
const SUBMIT: u8 = 16;
const ANSWER: u8 = 17;

impl Envelope {
    /// The message as bytes, which may be of a session.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // What outgrows it leaves a copy behind.
        let mut out = Zeroizing::new(Vec::with_capacity(self.message.most_bytes()));
        out.push(self.message.type_byte());
        out.extend_from_slice(&self.to.0.to_be_bytes());
        put_stand(self.stand, &mut out);
        self.message.encode_fields(&mut out);
        out
    }

    /// Reads a message.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let type_byte = reader.u8("type")?;
        let to = Incarnation(u128::from_be_bytes(reader.array("receiver")?));
        let stand = take_stand(&mut reader)?;
        let message = decode_message(type_byte, &mut reader)?;
        reader.finish("message")?;
        Ok(Self { to, stand, message })
    }
}

impl Message {
    const fn type_byte(&self) -> u8 {
        match self {
            Self::Know { .. } => KNOW,
            Self::Ask => ASK,
            Self::Roster(_) => ROSTER,
            Self::StepPrepare(_) => STEP_PREPARE,
            Self::StepPromise(..) => STEP_PROMISE,
            Self::StepAccept(..) => STEP_ACCEPT,
            Self::StepAccepted(_) => STEP_ACCEPTED,
            Self::StepReject(_) => STEP_REJECT,
            Self::Register(_, about) => about.type_byte(),
            Self::Submit { .. } => SUBMIT,
            Self::Answer { .. } => ANSWER,
        }
    }

    /// How many bytes it takes at the most, if it carries values.
    fn most_bytes(&self) -> usize {
        /// A type, a receiver, a stand, a key and all fields of fixed length.
        const FIXED: usize = 1_024;
        FIXED
            + match self {
                Self::Register(
                    _,
                    About::Promise { accepted: Some((_, state)), .. }
                    | About::Accept(Proposal { state, .. }),
                ) => state.bytes(),
                Self::Submit { operation, .. } => operation.bytes(),
                Self::Answer { result: Ok(outcome), .. } => outcome.bytes(),
                Self::Know { .. }
                | Self::Ask
                | Self::Roster(_)
                | Self::StepPrepare(_)
                | Self::StepPromise(..)
                | Self::StepAccept(..)
                | Self::StepAccepted(_)
                | Self::StepReject(_)
                | Self::Register(..)
                | Self::Answer { .. } => 0,
            }
    }

    fn encode_fields(&self, out: &mut Vec<u8>) {
        match self {
            Self::Know { swept } => put_u64(*swept, out),
            Self::Ask => {}
            Self::Roster(roster) => put_roster(roster, out),
            Self::StepPrepare(ballot) | Self::StepAccepted(ballot) | Self::StepReject(ballot) => {
                put_ballot(*ballot, out);
            }
            Self::StepPromise(ballot, accepted) => {
                put_ballot(*ballot, out);
                put_option(accepted.as_ref(), out, |(ballot, roster), out| {
                    put_ballot(*ballot, out);
                    put_roster(roster, out);
                });
            }
            Self::StepAccept(ballot, roster) => {
                put_ballot(*ballot, out);
                put_roster(roster, out);
            }
            Self::Register(key, about) => {
                put_key(key, out);
                about.encode(out);
            }
            Self::Submit { ticket, id, key, hash, operation } => {
                put_u64(*ticket, out);
                out.extend_from_slice(&id.0.to_be_bytes());
                put_key(key, out);
                put_u64(hash.0, out);
                put_operation(operation, out);
            }
            Self::Answer { ticket, result } => {
                put_u64(*ticket, out);
                put_answer(result, out);
            }
        }
    }
}

impl About {
    const fn type_byte(&self) -> u8 {
        match self {
            Self::Prepare(_) => PREPARE,
            Self::Promise { .. } => PROMISE,
            Self::Accept(_) => ACCEPT,
            Self::Accepted { .. } => ACCEPTED,
            Self::Reject { .. } => REJECT,
            Self::Full(_) => FULL,
            Self::Forget(_) => FORGET,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Prepare(ballot) | Self::Full(ballot) | Self::Forget(ballot) => {
                put_ballot(*ballot, out);
            }
            Self::Promise { ballot, accepted, room } => {
                put_ballot(*ballot, out);
                put_u64(*room, out);
                put_option(accepted.as_ref(), out, |(ballot, state), out| {
                    put_ballot(*ballot, out);
                    put_state(state, out);
                });
            }
            Self::Accept(Proposal { ballot, hash, state }) => {
                put_ballot(*ballot, out);
                put_u64(hash.0, out);
                put_state(state, out);
            }
            Self::Accepted { ballot, room } => {
                put_ballot(*ballot, out);
                put_u64(*room, out);
            }
            Self::Reject { ballot, promised } => {
                put_ballot(*ballot, out);
                put_ballot(*promised, out);
            }
        }
    }
}

fn decode_message(type_byte: u8, reader: &mut Reader<'_>) -> Result<Message, Malformed> {
    Ok(match type_byte {
        KNOW => Message::Know { swept: reader.u64("swept")? },
        ASK => Message::Ask,
        ROSTER => Message::Roster(Box::new(take_roster(reader)?)),
        STEP_PREPARE => Message::StepPrepare(take_ballot(reader)?),
        STEP_PROMISE => {
            let ballot = take_ballot(reader)?;
            let accepted = take_option(reader, |reader| {
                Ok((take_ballot(reader)?, Box::new(take_roster(reader)?)))
            })?;
            Message::StepPromise(ballot, accepted)
        }
        STEP_ACCEPT => Message::StepAccept(take_ballot(reader)?, Box::new(take_roster(reader)?)),
        STEP_ACCEPTED => Message::StepAccepted(take_ballot(reader)?),
        STEP_REJECT => Message::StepReject(take_ballot(reader)?),
        PREPARE..=FORGET => {
            let key = take_key(reader)?;
            Message::Register(key, decode_about(type_byte, reader)?)
        }
        SUBMIT => Message::Submit {
            ticket: reader.u64("ticket")?,
            id: RequestId(u128::from_be_bytes(reader.array("request")?)),
            key: take_key(reader)?,
            hash: KeyHash(reader.u64("hash")?),
            operation: take_operation(reader)?,
        },
        ANSWER => Message::Answer { ticket: reader.u64("ticket")?, result: take_answer(reader)? },
        _ => return Err(Malformed::Invalid("type")),
    })
}

fn decode_about(type_byte: u8, reader: &mut Reader<'_>) -> Result<About, Malformed> {
    let ballot = take_ballot(reader)?;
    Ok(match type_byte {
        PREPARE => About::Prepare(ballot),
        PROMISE => {
            let room = reader.u64("room")?;
            let accepted =
                take_option(reader, |reader| Ok((take_ballot(reader)?, take_state(reader)?)))?;
            About::Promise { ballot, accepted, room }
        }
        ACCEPT => {
            let hash = KeyHash(reader.u64("hash")?);
            About::Accept(Proposal { ballot, hash, state: take_state(reader)? })
        }
        ACCEPTED => About::Accepted { ballot, room: reader.u64("room")? },
        REJECT => About::Reject { ballot, promised: take_ballot(reader)? },
        FULL => About::Full(ballot),
        FORGET => About::Forget(ballot),
        _ => return Err(Malformed::Invalid("type")),
    })
}

#[cfg(test)]
mod tests;
