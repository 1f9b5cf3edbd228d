//! What an owner tells its understudy, and what it is answered, as bytes.
//!
//! Messages go in order over a reliable stream, each behind its length in four
//! bytes. They are numbered by counting: the first of a term is 1. A stream that
//! broke is followed by another, which [`Message::Begin`] says the first number
//! of, and what the understudy has already is passed over. Decoding makes no
//! more than the input is long, and does not ask whether a message makes sense:
//! the ledger does.

use bytes::Bytes;

use super::epoch::Term;
use super::ledger::{Change, Content, MAX_CHUNK_BYTES, Marks, Produced, Received};
use super::record::{EndHeader, Header, MAX_TLS_BYTES, put_tls, take_connection, take_tls};
use super::sequence::Position;
use super::{ConnectionId, End, GroupId};
use crate::secret::secret;
use crate::wire::{Malformed, Reader};

/// The most connections that are moved at once: restoring one takes some 100
/// microseconds, so these pause for a few milliseconds.
pub const MAX_MOVED: usize = 64;
/// The longest message, without its length: the largest chunk, what TLS needs,
/// and room for the fields.
pub const MAX_MESSAGE_BYTES: usize = MAX_CHUNK_BYTES + MAX_TLS_BYTES + 1_024;
/// The length in front of a message.
pub const LENGTH_BYTES: usize = 4;

/// What an owner tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A stream begins: of this group, in this term, and with this number.
    Begin {
        /// The group.
        group: GroupId,
        /// Its term.
        term: Term,
        /// The number of the next message.
        first: u64,
    },
    /// A connection begins.
    Open(Box<Header>),
    /// A connection that has run goes on from here; its bytes in flight follow
    /// as changes, up to [`Message::Seeded`].
    Seed {
        /// What it is.
        header: Box<Header>,
        /// How far the client's end has come.
        client: Marks,
        /// How far the backend's has.
        backend: Marks,
    },
    /// All of a running connection has been told.
    Seeded(ConnectionId),
    /// A connection goes on.
    Change(ConnectionId, Change),
    /// The understudy is not to go on with a connection: it is over, or its
    /// owner goes on unprotected.
    Closed(ConnectionId),
    /// The understudy is to go on with these, at once, as another group.
    Move {
        /// The new group, of which nothing is in the farm yet.
        group: GroupId,
        /// Which; at most [`MAX_MOVED`].
        connections: Vec<ConnectionId>,
    },
}

/// What an understudy answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It has the first so many messages of that epoch.
    Held {
        /// The epoch.
        epoch: u64,
        /// How many.
        count: u64,
    },
    /// It has gone on with the connections that were moved as that group.
    Moved(GroupId),
}

impl Message {
    /// How many bytes of connections it carries.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        match self {
            Self::Change(_, Change::In(_, received)) => received.bytes.len(),
            Self::Change(_, Change::Out(_, produced)) => {
                let tls = produced.tls.as_ref().map_or(0, Bytes::len);
                match &produced.content {
                    Content::Given(bytes) => bytes.len() + tls,
                    Content::Copied => tls,
                }
            }
            Self::Open(header) | Self::Seed { header, .. } => {
                header.tls.as_ref().map_or(0, Bytes::len)
            }
            Self::Move { connections, .. } => connections.len() * size_of::<ConnectionId>(),
            Self::Begin { .. } | Self::Seeded(_) | Self::Change(..) | Self::Closed(_) => 0,
        }
    }

    /// Appends its length and itself to `out`, which is to be overwritten after
    /// use: it has what clients sent, and secrets.
    pub fn encode(&self, out: &mut Vec<u8>) {
        framed(out, |out| match self {
            Self::Begin { group, term, first } => {
                out.push(0);
                out.extend_from_slice(&group.0.to_be_bytes());
                term.encode(out);
                out.extend_from_slice(&first.to_be_bytes());
            }
            Self::Open(header) => {
                out.push(1);
                header.encode(out);
            }
            Self::Seed { header, client, backend } => {
                out.push(2);
                header.encode(out);
                for marks in [client, backend] {
                    put_position(marks.consumed, out);
                    put_position(marks.unacknowledged, out);
                }
            }
            Self::Seeded(connection) => put_named(3, *connection, out),
            Self::Closed(connection) => put_named(4, *connection, out),
            Self::Move { group, connections } => {
                out.push(5);
                out.extend_from_slice(&group.0.to_be_bytes());
                connections.iter().for_each(|id| out.extend_from_slice(&id.0.to_be_bytes()));
            }
            Self::Change(connection, change) => put_change(*connection, change, out),
        });
    }

    /// Reads a message, without its length.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let reader = &mut Reader::new(bytes);
        let message = match reader.u8("message")? {
            0 => {
                let group = take_group(reader)?;
                Self::Begin { group, term: Term::decode(reader)?, first: reader.u64("first")? }
            }
            1 => Self::Open(Header::decode(reader).map(Box::new)?),
            2 => {
                let header = Header::decode(reader).map(Box::new)?;
                Self::Seed { header, client: take_marks(reader)?, backend: take_marks(reader)? }
            }
            3 => Self::Seeded(take_connection(reader)?),
            4 => Self::Closed(take_connection(reader)?),
            5 => {
                let group = take_group(reader)?;
                let mut connections = Vec::new();
                while !reader.is_empty() {
                    if connections.len() == MAX_MOVED {
                        return Err(Malformed::Invalid("moved connections"));
                    }
                    connections.push(take_connection(reader)?);
                }
                Self::Move { group, connections }
            }
            kind => Self::Change(take_connection(reader)?, take_change(kind, reader)?),
        };
        reader.finish("message")?;
        Ok(message)
    }
}

impl Reply {
    /// Appends its length and itself to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        framed(out, |out| match self {
            Self::Held { epoch, count } => {
                out.push(0);
                out.extend_from_slice(&epoch.to_be_bytes());
                out.extend_from_slice(&count.to_be_bytes());
            }
            Self::Moved(group) => {
                out.push(1);
                out.extend_from_slice(&group.0.to_be_bytes());
            }
        });
    }

    /// Reads a reply, without its length.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let reader = &mut Reader::new(bytes);
        let reply = match reader.u8("reply")? {
            0 => Self::Held { epoch: reader.u64("epoch")?, count: reader.u64("count")? },
            1 => Self::Moved(take_group(reader)?),
            _ => return Err(Malformed::Invalid("reply")),
        };
        reader.finish("reply")?;
        Ok(reply)
    }
}

/// How long the message is that this length stands before.
///
/// # Errors
///
/// When none is that long.
pub fn message_len(length: [u8; LENGTH_BYTES]) -> Result<usize, Malformed> {
    let len = u32::from_be_bytes(length) as usize;
    if len > MAX_MESSAGE_BYTES { Err(Malformed::Invalid("length")) } else { Ok(len) }
}

fn framed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    write(out);
    let len = out.len() - start - LENGTH_BYTES;
    let len = u32::try_from(len).expect("at most MAX_MESSAGE_BYTES");
    out[start..start + LENGTH_BYTES].copy_from_slice(&len.to_be_bytes());
}

fn put_named(kind: u8, connection: ConnectionId, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&connection.0.to_be_bytes());
}

fn put_change(connection: ConnectionId, change: &Change, out: &mut Vec<u8>) {
    match change {
        Change::Attach(header) => {
            put_named(6, connection, out);
            header.encode(out);
        }
        Change::In(end, received) => {
            put_named(7, connection, out);
            put_end(*end, out);
            put_position(received.position, out);
            out.push(u8::from(received.fin));
            out.extend_from_slice(&received.bytes);
        }
        Change::Out(end, produced) => {
            put_named(8, connection, out);
            put_end(*end, out);
            put_position(produced.position, out);
            put_position(produced.consumed, out);
            let copied = matches!(produced.content, Content::Copied);
            out.push(u8::from(produced.fin) | u8::from(copied) << 1);
            put_tls(produced.tls.as_ref(), out);
            if let Content::Given(bytes) = &produced.content {
                out.extend_from_slice(bytes);
            }
        }
        Change::Acked(end, position) => {
            put_named(9, connection, out);
            put_end(*end, out);
            put_position(*position, out);
        }
    }
}

fn take_change(kind: u8, reader: &mut Reader<'_>) -> Result<Change, Malformed> {
    Ok(match kind {
        6 => Change::Attach(EndHeader::decode(reader)?),
        7 => {
            let (end, position) = (take_end(reader)?, take_position(reader)?);
            let fin = match reader.u8("fin")? {
                flag @ 0..=1 => flag == 1,
                _ => return Err(Malformed::Invalid("fin")),
            };
            let bytes = take_rest(reader)?;
            Change::In(end, Received { position, bytes, fin })
        }
        8 => {
            let (end, position) = (take_end(reader)?, take_position(reader)?);
            let consumed = take_position(reader)?;
            let flags = reader.u8("flags")?;
            let tls = take_tls(reader)?;
            let content = match flags {
                0..=1 => Content::Given(take_rest(reader)?),
                2..=3 => Content::Copied,
                _ => return Err(Malformed::Invalid("flags")),
            };
            Change::Out(end, Produced { position, content, consumed, fin: flags & 1 != 0, tls })
        }
        9 => Change::Acked(take_end(reader)?, take_position(reader)?),
        _ => return Err(Malformed::Invalid("message")),
    })
}

fn put_end(end: End, out: &mut Vec<u8>) {
    out.push(match end {
        End::Client => 0,
        End::Backend => 1,
    });
}

fn take_end(reader: &mut Reader<'_>) -> Result<End, Malformed> {
    match reader.u8("end")? {
        0 => Ok(End::Client),
        1 => Ok(End::Backend),
        _ => Err(Malformed::Invalid("end")),
    }
}

fn put_position(position: Position, out: &mut Vec<u8>) {
    out.extend_from_slice(&position.0.to_be_bytes());
}

fn take_position(reader: &mut Reader<'_>) -> Result<Position, Malformed> {
    let position = Position(reader.u64("position")?);
    if position > Position::MAX { Err(Malformed::Invalid("position")) } else { Ok(position) }
}

fn take_marks(reader: &mut Reader<'_>) -> Result<Marks, Malformed> {
    Ok(Marks { consumed: take_position(reader)?, unacknowledged: take_position(reader)? })
}

fn take_group(reader: &mut Reader<'_>) -> Result<GroupId, Malformed> {
    Ok(GroupId(u128::from_be_bytes(reader.array("group")?)))
}

fn take_rest(reader: &mut Reader<'_>) -> Result<Bytes, Malformed> {
    let rest = reader.rest().len();
    if rest > MAX_CHUNK_BYTES {
        return Err(Malformed::Invalid("bytes"));
    }
    reader.take(rest, "bytes").map(secret)
}

#[cfg(test)]
mod tests;
