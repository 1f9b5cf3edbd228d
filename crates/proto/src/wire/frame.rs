//! Frames: the records, touches, rotations and notices that a data packet carries.
//!
//! ```text
//! padding   0, to the end of the packet
//! record    1 key version deadlines length(3) payload
//! tombstone 2 key version deadlines
//! touch     3 key hash(8) version's time, low(6) idle(5)      20 bytes
//! rotate    4 tombstone without its type, record without its type
//! notice    5 length(2) channel length(3) text
//!
//! key       kind(1) id length(1) id
//! version   time(8) writer(4)
//! deadlines idle(6) absolute(6)
//! ```

use super::codec::{Malformed, Reader, put_u48};
use crate::record::{
    Body, Deadlines, Hlc, Key, KeyHash, Kind, MAX_PAYLOAD_BYTES, Record, Touch, Version, Writer,
};
use crate::time::Wall;

const PADDING: u8 = 0;
const RECORD: u8 = 1;
const TOMBSTONE: u8 = 2;
const TOUCH: u8 = 3;
const ROTATE: u8 = 4;
const NOTICE: u8 = 5;

/// A touch's length.
pub const TOUCH_BYTES: usize = 20;

/// The millisecond that a touch's five bytes of idle deadline count from:
/// 2020-01-01. They reach into the year 2054.
const TOUCH_EPOCH_MILLIS: u64 = 1_577_836_800_000;
const TOUCH_IDLE_MAX: u64 = (1 << 40) - 1;
/// A touch names its version by the low 48 bits of the version's time: 32 bits
/// of milliseconds and the counter. See [`TOUCH_REACH_MILLIS`].
const TOUCH_TIME_MASK: u64 = (1 << 48) - 1;

/// One thing that a sender's stream says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A record: a value or a tombstone.
    Record(Record<'a>),
    /// An idle deadline moved on.
    Touch(Touch),
    /// One id dies and another appears, together.
    Rotate {
        /// The tombstone of the old id.
        old: Record<'a>,
        /// The record under the new id.
        new: Record<'a>,
    },
    /// Something to be heard by those who listen, and kept by nobody.
    Notice(Notice<'a>),
}

/// A text for those who listen on a channel. No record tells of it: what no
/// repair brings is not heard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Notice<'a> {
    /// The channel's name.
    pub channel: &'a [u8],
    /// What is said, [`MAX_PAYLOAD_BYTES`] at the most.
    pub text: &'a [u8],
}

impl std::fmt::Debug for Notice<'_> {
    /// Both may be secrets: only how long they are is told.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Notice({} bytes, {} bytes)", self.channel.len(), self.text.len())
    }
}

impl<'a> Frame<'a> {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Record(record) => {
                out.push(if record.body == Body::Deleted { TOMBSTONE } else { RECORD });
                encode_record(record, out);
            }
            Self::Touch(touch) => {
                out.push(TOUCH);
                out.extend_from_slice(&touch.hash.0.to_be_bytes());
                put_u48(touch.time.0 & TOUCH_TIME_MASK, out);
                let idle = touch.idle.as_millis().saturating_sub(TOUCH_EPOCH_MILLIS);
                out.extend_from_slice(&idle.min(TOUCH_IDLE_MAX).to_be_bytes()[3..]);
            }
            Self::Rotate { old, new } => {
                debug_assert!(old.body == Body::Deleted, "the old id dies");
                debug_assert!(new.body != Body::Deleted, "the new id lives");
                out.push(ROTATE);
                encode_record(old, out);
                encode_record(new, out);
            }
            Self::Notice(Notice { channel, text }) => {
                out.push(NOTICE);
                let len = u16::try_from(channel.len()).expect("a channel's name has 64 KiB");
                out.extend_from_slice(&len.to_be_bytes());
                out.extend_from_slice(channel);
                put_payload(text, out);
            }
        }
    }

    /// How many bytes [`Frame::encode`] appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Record(record) => 1 + record_len(record),
            Self::Touch(_) => TOUCH_BYTES,
            Self::Rotate { old, new } => 1 + record_len(old) + record_len(new),
            Self::Notice(Notice { channel, text }) => 1 + 2 + channel.len() + 3 + text.len(),
        }
    }

    /// Reads one frame; `None` at the end of the packet or at its padding. The
    /// time of day completes what a touch says of its version.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the bytes are not a frame.
    pub fn decode(reader: &mut Reader<'a>, received: Wall) -> Result<Option<Self>, Malformed> {
        if reader.is_empty() {
            return Ok(None);
        }
        let frame = match reader.u8("frame type")? {
            PADDING => return Ok(None),
            RECORD => Self::Record(decode_record(reader, HasPayload::Yes)?),
            TOMBSTONE => Self::Record(decode_record(reader, HasPayload::No)?),
            TOUCH => Self::Touch(decode_touch(reader, received)?),
            ROTATE => Self::Rotate {
                old: decode_record(reader, HasPayload::No)?,
                new: decode_record(reader, HasPayload::Yes)?,
            },
            NOTICE => {
                let len = u16::from_be_bytes(reader.array("channel length")?);
                let channel = reader.take(len.into(), "channel")?;
                Self::Notice(Notice { channel, text: take_payload(reader)? })
            }
            _ => return Err(Malformed::Invalid("frame type")),
        };
        Ok(Some(frame))
    }
}

/// The oldest version that a touch can name, in milliseconds: the 32 bits of
/// milliseconds on the wire reach back 49 days, less a day for clocks that
/// differ.
pub const TOUCH_REACH_MILLIS: u64 = (1 << 32) - 2 * DAY_MILLIS;
const DAY_MILLIS: u64 = 24 * 60 * 60 * 1_000;

/// The time with these low 48 bits that lies at most a day after `received`.
fn complete_time(low: u64, received: Wall) -> Hlc {
    let latest = Hlc::at(received).0.saturating_add(DAY_MILLIS << 16);
    let back = latest.wrapping_sub(low) & TOUCH_TIME_MASK;
    Hlc(latest.saturating_sub(back))
}

#[derive(Clone, Copy)]
enum HasPayload {
    Yes,
    No,
}

fn record_len(record: &Record<'_>) -> usize {
    let payload = match record.body {
        Body::Value(payload) => 3 + payload.len(),
        Body::Deleted => 0,
    };
    2 + record.key.id().len() + 12 + 12 + payload
}

fn encode_record(record: &Record<'_>, out: &mut Vec<u8>) {
    let id = record.key.id();
    out.push(record.key.kind() as u8);
    out.push(u8::try_from(id.len()).expect("an id has at most 64 bytes"));
    out.extend_from_slice(id);
    out.extend_from_slice(&record.version.time.0.to_be_bytes());
    out.extend_from_slice(&record.version.writer.0.to_be_bytes());
    put_u48(record.deadlines.idle.as_millis(), out);
    put_u48(record.deadlines.absolute.as_millis(), out);
    if let Body::Value(payload) = record.body {
        put_payload(payload, out);
    }
}

fn put_payload(payload: &[u8], out: &mut Vec<u8>) {
    let len = u32::try_from(payload.len()).expect("a payload has at most 1 MiB");
    out.extend_from_slice(&len.to_be_bytes()[1..]);
    out.extend_from_slice(payload);
}

fn take_payload<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let [high, middle, low] = reader.array("payload length")?;
    let len = u32::from_be_bytes([0, high, middle, low]) as usize;
    if len > MAX_PAYLOAD_BYTES {
        return Err(Malformed::Invalid("payload length"));
    }
    reader.take(len, "payload")
}

fn decode_record<'a>(
    reader: &mut Reader<'a>,
    has_payload: HasPayload,
) -> Result<Record<'a>, Malformed> {
    let kind = Kind::from_u8(reader.u8("kind")?).ok_or(Malformed::Invalid("kind"))?;
    let id_len = reader.u8("id length")?;
    let id = reader.take(id_len.into(), "id")?;
    let key = Key::new(kind, id).map_err(|_| Malformed::Invalid("id length"))?;
    let version = Version {
        time: Hlc(reader.u64("version time")?),
        writer: Writer(reader.u32("version writer")?),
    };
    let deadlines = Deadlines { idle: reader.wall("idle")?, absolute: reader.wall("absolute")? };
    let body = match has_payload {
        HasPayload::No => Body::Deleted,
        HasPayload::Yes => Body::Value(take_payload(reader)?),
    };
    Ok(Record { key, version, deadlines, body })
}

fn decode_touch(reader: &mut Reader<'_>, received: Wall) -> Result<Touch, Malformed> {
    let hash = KeyHash(reader.u64("key hash")?);
    let time = complete_time(reader.u48("version time")?, received);
    let low: [u8; 5] = reader.array("idle")?;
    let mut idle = [0; 8];
    idle[3..].copy_from_slice(&low);
    let idle = Wall::from_millis(TOUCH_EPOCH_MILLIS + u64::from_be_bytes(idle));
    Ok(Touch { hash, time, idle })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(frame: &Frame<'_>, received: Wall) -> usize {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        assert_eq!(bytes.len(), frame.encoded_len());
        let mut reader = Reader::new(&bytes);
        assert_eq!(Frame::decode(&mut reader, received), Ok(Some(*frame)));
        assert!(reader.is_empty());
        for cut in 1..bytes.len() {
            let decoded = Frame::decode(&mut Reader::new(&bytes[..cut]), received);
            assert!(matches!(decoded, Err(Malformed::Truncated(_))), "cut at {cut}: {decoded:?}");
        }
        bytes.len()
    }

    fn record(id: &[u8], body: Body<'static>) -> Record<'static> {
        Record {
            key: Key::new(Kind::Tls, id).unwrap(),
            version: Version { time: Hlc(5 << 16), writer: Writer(9) },
            deadlines: Deadlines { idle: Wall::from_millis(7), absolute: Wall::MAX },
            body,
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let value = record(&[1; 32], Body::Value(b"secret"));
        let dead = record(&[2; 64], Body::Deleted);
        check(&Frame::Record(value), Wall::default());
        check(&Frame::Record(dead), Wall::default());
        check(&Frame::Record(record(&[], Body::Value(&[]))), Wall::default());
        check(&Frame::Rotate { old: dead, new: value }, Wall::default());
        let notice = Notice { channel: b"news", text: b"it is raining" };
        check(&Frame::Notice(notice), Wall::default());
        check(&Frame::Notice(Notice { channel: &[], text: &[] }), Wall::default());
    }

    #[test]
    fn a_touch_takes_twenty_bytes_and_names_its_version() {
        let received = Wall::from_millis(TOUCH_EPOCH_MILLIS + (400 * DAY_MILLIS));
        let ages = [0, 1, DAY_MILLIS, TOUCH_REACH_MILLIS];
        for age in ages {
            let time = Hlc(Hlc::at(Wall::from_millis(received.as_millis() - age)).0 + 3);
            let idle = Wall::from_millis(received.as_millis() + 1);
            let touch = Frame::Touch(Touch { hash: KeyHash(u64::MAX), time, idle });
            assert_eq!(check(&touch, received), TOUCH_BYTES);
        }
    }

    #[test]
    fn padding_ends_a_packet() {
        let decoded = Frame::decode(&mut Reader::new(&[PADDING, 0xff]), Wall::default());
        assert_eq!(decoded, Ok(None));
    }
}
