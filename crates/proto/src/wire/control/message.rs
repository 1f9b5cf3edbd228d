//! What nodes say to each other, message by message, as bytes.

use std::net::SocketAddr;

use super::fields::{
    put_address, put_answer, put_claim, put_digests, put_range, put_ranges, put_stream, put_u64,
    take_address, take_bool, take_digests, take_list, take_range, take_ranges, take_stream,
};
use super::{Hello, MAX_LISTED, Range, Source};
use crate::claims;
use crate::record::{Hlc, KeyHash};
use crate::table::KeyRange;
use crate::wire::codec::{Malformed, Reader};
use crate::wire::header::Incarnation;

const CHALLENGE: u8 = 1;
const ANSWER: u8 = 2;
const HEARTBEAT: u8 = 3;
const STATUS: u8 = 4;
const NAK: u8 = 5;
const GONE: u8 = 6;
const ORPHAN: u8 = 7;
const PULL: u8 = 8;
const LEAVE: u8 = 9;
const DIGESTS: u8 = 11;
const HEARING: u8 = 12;
const ASK: u8 = 13;
const ABSENT: u8 = 14;
const GOSSIP: u8 = 16;
const COMMON: u8 = 20;
const CLAIM: u8 = 17;
const CLAIMED: u8 = 18;
const KEPT: u8 = 21;

/// A control message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Prove that you are alive: send the nonce back.
    Challenge {
        /// Drawn by who asks, and anew whenever it forgets a node.
        nonce: u64,
        /// Who asks.
        hello: Hello,
    },
    /// I am alive; follow my stream from here.
    Answer {
        /// The challenge's.
        nonce: u64,
        /// Who answers.
        hello: Hello,
        /// The last packet of its stream.
        high: u64,
        /// Whether it holds any records, its own or others'.
        holds: bool,
        /// Where other members are.
        members: Vec<SocketAddr>,
    },
    /// My stream has come this far.
    Heartbeat {
        /// The last packet of the sender's stream.
        high: u64,
        /// What every version so far is earlier than.
        time: Hlc,
        /// Whether the sender's portion has arrived.
        ready: bool,
        /// When it was sent, in the sender's microseconds.
        sent_micros: u64,
    },
    /// I have all of your stream between `after` and the watermark.
    Status {
        /// Whose stream.
        stream: Incarnation,
        /// The number where I began to follow the stream, while I am still
        /// fetching what was before; else 0.
        after: u64,
        /// The number up to which nothing is missing.
        watermark: u64,
        /// The highest number that has arrived.
        reached: u64,
        /// How many packets the receiver's socket holds at the most.
        credit: u32,
        /// How many packets its socket dropped since it was opened.
        overflowed: u32,
        /// The `sent_micros` of the last heartbeat, for the round trip.
        echo_micros: u64,
        /// How long the receiver kept that echo, in microseconds.
        held_micros: u32,
    },
    /// These are missing: send them again.
    Nak {
        /// Whose stream.
        stream: Incarnation,
        /// At most [`MAX_NAK_RANGES`](super::MAX_NAK_RANGES), in order.
        ranges: Vec<Range>,
    },
    /// I cannot send these packets of my stream again. Pull the current
    /// values of their keys, or all records when the log is too short.
    Gone {
        /// Which.
        range: Range,
        /// Whether the log still has all their keys.
        logged: bool,
    },
    /// A stream whose sender died: how much of it I have.
    Orphan {
        /// The dead sender.
        stream: Incarnation,
        /// Up to where I have everything, as whole frames.
        watermark: u64,
        /// What I have beyond it, as whole frames: at most
        /// [`MAX_NAK_RANGES`](super::MAX_NAK_RANGES), in order.
        beyond: Vec<Range>,
    },
    /// Send me a page of records.
    Pull {
        /// The puller's number for this page.
        page: u64,
        /// What is pulled.
        source: Source,
        /// Where the page begins: 0, or the `next` of the page before.
        cursor: u64,
        /// The parts that are missing, when some have come.
        missing: Vec<Range>,
    },
    /// The digests of what I hold, range by range.
    Digests {
        /// The range of the first.
        first: KeyRange,
        /// At most [`super::MAX_DIGESTS`], of ranges that follow one another.
        digests: Vec<u64>,
    },
    /// The digests of what I hold of the slots that both of us keep, range by
    /// range.
    Common {
        /// What tells these slots from others.
        slots: u64,
        /// The range of the first.
        first: KeyRange,
        /// At most [`super::MAX_DIGESTS`], of ranges that follow one another.
        digests: Vec<u64>,
    },
    /// What I am to keep, as long as the members are those that I know, is here.
    Kept {
        /// Names these members; 0 when it is not all here.
        view: u64,
    },
    /// How your packets come to me, and where my stream stands: what you do not
    /// hear by the group is said by unicast.
    Hearing {
        /// Whether what you send to the group comes here.
        group: bool,
        /// The last packet of the sender's stream.
        high: u64,
    },
    /// Send me the record of this key.
    Ask {
        /// The asker's number for this message.
        number: u64,
        /// Whose record.
        key: KeyHash,
        /// The parts that are missing, when some have come.
        missing: Vec<Range>,
    },
    /// I do not have the record that was asked for.
    Absent {
        /// The ask's number.
        number: u64,
        /// Whether I would have it if it were anywhere: I keep its key, and
        /// my portion has arrived.
        certain: bool,
    },
    /// I am about to accept the early data of a ticket that you issued.
    Claim {
        /// The claimant's number for this claim.
        number: u64,
        /// Who issued the ticket: another start of that node has nothing to say.
        issuer: Incarnation,
        /// The hash of the ticket's record.
        ticket: KeyHash,
    },
    /// What a claim came to.
    Claimed {
        /// The claim's.
        number: u64,
        /// The answer.
        answer: claims::Answer,
    },
    /// What I know of the members, in SWIM's words: the bytes are
    /// [`cluster`](crate::cluster)'s to read, at most [`MAX_GOSSIP_BYTES`](super::MAX_GOSSIP_BYTES).
    Gossip(Vec<u8>),
    /// I leave the farm.
    Leave,
}

impl Message {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[self.type_byte(), 0, 0]);
        self.encode_fields(out);
        let len = u16::try_from(out.len() - start - 3).expect("a message fits a packet");
        out[start + 1..start + 3].copy_from_slice(&len.to_be_bytes());
    }

    const fn type_byte(&self) -> u8 {
        match self {
            Self::Challenge { .. } => CHALLENGE,
            Self::Answer { .. } => ANSWER,
            Self::Heartbeat { .. } => HEARTBEAT,
            Self::Status { .. } => STATUS,
            Self::Nak { .. } => NAK,
            Self::Gone { .. } => GONE,
            Self::Orphan { .. } => ORPHAN,
            Self::Pull { .. } => PULL,
            Self::Digests { .. } => DIGESTS,
            Self::Common { .. } => COMMON,
            Self::Kept { .. } => KEPT,
            Self::Hearing { .. } => HEARING,
            Self::Ask { .. } => ASK,
            Self::Absent { .. } => ABSENT,
            Self::Gossip(_) => GOSSIP,
            Self::Claim { .. } => CLAIM,
            Self::Claimed { .. } => CLAIMED,
            Self::Leave => LEAVE,
        }
    }

    #[expect(clippy::too_many_lines, reason = "an arm for each message")]
    fn encode_fields(&self, out: &mut Vec<u8>) {
        match self {
            Self::Challenge { nonce, hello } => {
                put_u64(*nonce, out);
                hello.encode(out);
            }
            Self::Answer { nonce, hello, high, holds, members } => {
                put_u64(*nonce, out);
                hello.encode(out);
                put_u64(*high, out);
                out.push(u8::from(*holds));
                members.iter().take(MAX_LISTED).for_each(|member| put_address(*member, out));
            }
            Self::Heartbeat { high, time, ready, sent_micros } => {
                put_u64(*high, out);
                put_u64(time.0, out);
                out.push(u8::from(*ready));
                put_u64(*sent_micros, out);
            }
            Self::Status {
                stream,
                after,
                watermark,
                reached,
                credit,
                overflowed,
                echo_micros,
                held_micros,
            } => {
                put_stream(*stream, out);
                put_u64(*after, out);
                put_u64(*watermark, out);
                put_u64(*reached, out);
                out.extend_from_slice(&credit.to_be_bytes());
                out.extend_from_slice(&overflowed.to_be_bytes());
                put_u64(*echo_micros, out);
                out.extend_from_slice(&held_micros.to_be_bytes());
            }
            Self::Nak { stream, ranges } => {
                put_stream(*stream, out);
                put_ranges(ranges, out);
            }
            Self::Gone { range, logged } => {
                put_range(*range, out);
                out.push(u8::from(*logged));
            }
            Self::Orphan { stream, watermark, beyond } => {
                put_stream(*stream, out);
                put_u64(*watermark, out);
                put_ranges(beyond, out);
            }
            Self::Pull { page, source, cursor, missing } => {
                put_u64(*page, out);
                put_u64(*cursor, out);
                source.encode(out);
                put_ranges(missing, out);
            }
            Self::Digests { first, digests } => {
                put_digests(*first, digests, out);
            }
            Self::Common { slots, first, digests } => {
                put_u64(*slots, out);
                put_digests(*first, digests, out);
            }
            Self::Kept { view } => put_u64(*view, out),
            Self::Hearing { group, high } => {
                out.push(u8::from(*group));
                put_u64(*high, out);
            }
            Self::Ask { number, key, missing } => {
                put_u64(*number, out);
                put_u64(key.0, out);
                put_ranges(missing, out);
            }
            Self::Absent { number, certain } => {
                put_u64(*number, out);
                out.push(u8::from(*certain));
            }
            Self::Claim { number, issuer, ticket } => put_claim((*number, *issuer, *ticket), out),
            Self::Claimed { number, answer } => put_answer(*number, *answer, out),
            Self::Gossip(bytes) => out.extend_from_slice(bytes),
            Self::Leave => {}
        }
    }

    /// Reads digests, of what the node holds of everything or of what both keep.
    fn decode_digests(type_byte: u8, fields: &mut Reader<'_>) -> Result<Self, Malformed> {
        let slots = if type_byte == COMMON { Some(fields.u64("slots")?) } else { None };
        let (first, digests) = take_digests(fields)?;
        Ok(match slots {
            Some(slots) => Self::Common { slots, first, digests },
            None => Self::Digests { first, digests },
        })
    }

    pub(super) fn decode_fields(
        type_byte: u8,
        fields: &mut Reader<'_>,
    ) -> Result<Option<Self>, Malformed> {
        let message = match type_byte {
            CHALLENGE => {
                Self::Challenge { nonce: fields.u64("nonce")?, hello: Hello::decode(fields)? }
            }
            ANSWER => Self::Answer {
                nonce: fields.u64("nonce")?,
                hello: Hello::decode(fields)?,
                high: fields.sequence("high")?,
                holds: take_bool(fields)?,
                members: take_list(fields, take_address)?,
            },
            HEARTBEAT => Self::Heartbeat {
                high: fields.sequence("high")?,
                time: Hlc(fields.u64("time")?),
                ready: take_bool(fields)?,
                sent_micros: fields.u64("sent")?,
            },
            STATUS => Self::Status {
                stream: take_stream(fields)?,
                after: fields.sequence("after")?,
                watermark: fields.sequence("watermark")?,
                reached: fields.sequence("reached")?,
                credit: fields.u32("credit")?,
                overflowed: fields.u32("overflowed")?,
                echo_micros: fields.u64("echo")?,
                held_micros: fields.u32("held")?,
            },
            NAK => Self::Nak { stream: take_stream(fields)?, ranges: take_ranges(fields)? },
            GONE => Self::Gone { range: take_range(fields)?, logged: take_bool(fields)? },
            ORPHAN => Self::Orphan {
                stream: take_stream(fields)?,
                watermark: fields.sequence("watermark")?,
                beyond: take_ranges(fields)?,
            },
            PULL => Self::Pull {
                page: fields.u64("page")?,
                cursor: fields.u64("cursor")?,
                source: Source::decode(fields)?,
                missing: take_ranges(fields)?,
            },
            DIGESTS | COMMON => Self::decode_digests(type_byte, fields)?,
            KEPT => Self::Kept { view: fields.u64("view")? },
            HEARING => Self::Hearing { group: take_bool(fields)?, high: fields.sequence("high")? },
            ASK => Self::Ask {
                number: fields.u64("number")?,
                key: KeyHash(fields.u64("key hash")?),
                missing: take_ranges(fields)?,
            },
            ABSENT => Self::Absent { number: fields.u64("number")?, certain: take_bool(fields)? },
            CLAIM => Self::Claim {
                number: fields.u64("number")?,
                issuer: take_stream(fields)?,
                ticket: KeyHash(fields.u64("ticket")?),
            },
            CLAIMED => {
                let number = fields.u64("number")?;
                let answer = claims::Answer::from_code(fields.u8("answer")?);
                Self::Claimed { number, answer: answer.ok_or(Malformed::Invalid("answer"))? }
            }
            GOSSIP => Self::Gossip(fields.take(fields.rest().len(), "gossip")?.to_vec()),
            LEAVE => Self::Leave,
            _ => return Ok(None),
        };
        fields.finish("message")?;
        Ok(Some(message))
    }
}
