//! Control messages: everything that is not part of a stream.
//!
//! A control packet's body is a run of messages, each with a type byte and a
//! length, so that a node can pass over a type that it does not know.
//!
//! ```text
//! message   type(1) length(2) fields
//! address   family(1: 4 or 6) octets(4 or 16) port(2)
//! range     first(8) last(8)
//! ranges    first(8), then for each: skipped(4) more(4)
//! ```

mod fields;
mod message;
mod part;
mod piece;

use std::net::SocketAddr;

pub(crate) use fields::{put_address, put_run, put_stream, take_address, take_runs, take_stream};
pub use message::Message;
pub use part::{PART_OVERHEAD_BYTES, Part};
pub use piece::{PIECE_OVERHEAD_BYTES, Piece};

use super::MAX_BODY_BYTES;
use super::codec::{Malformed, Reader};
use crate::cluster::portion::Portion;
use crate::cluster::slots::SlotRun;
use crate::keyring::PlacementCheck;
use crate::record::{Hlc, KeyHash};
use crate::table::KeyRanges;

/// The most ranges that one message names.
pub const MAX_NAK_RANGES: usize = 100;
/// The most addresses and streams that one message lists.
pub const MAX_LISTED: usize = 40;
/// The most keys that one pull names.
pub const MAX_KEYS: usize = 64;
/// The most runs of slots that one pull names: as many as 256 slots can have,
/// and with the longest list of missing parts it still fits a packet.
pub const MAX_RUNS: usize = 128;
/// The most digests that one message tells.
pub const MAX_DIGESTS: usize = 128;
/// The most bytes of gossip in one message: what a packet has room for beside
/// the message's own type and length.
pub const MAX_GOSSIP_BYTES: usize = MAX_BODY_BYTES - 3;
/// The longest node name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Sequence numbers from `first` to `last`, both among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The first.
    pub first: u64,
    /// The last, not before the first.
    pub last: u64,
}

impl Range {
    /// How many numbers there are in the range.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a pull asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Every record of the table.
    Table,
    /// The current values of the keys that these packets of the provider's
    /// own stream were about.
    Log(Range),
    /// The records that were written at this time or later, by whomever: what
    /// a dead node left with its survivors, and what has replaced it.
    Since(Hlc),
    /// The records of these keys, at most [`MAX_KEYS`].
    Keys(Vec<KeyHash>),
    /// The records of these ranges of keys.
    Ranges(KeyRanges),
    /// The records of these slots. Who does not keep some of them, or does not
    /// have all of them yet, names these and gives what it has.
    Slots {
        /// At most [`MAX_RUNS`], in order.
        runs: Vec<SlotRun>,
        /// Whether the first page is to name the positions of the streams.
        positions: bool,
    },
}

/// Who a node is and where its stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its name, for people.
    pub name: String,
    /// Where it takes unicast packets; an unspecified IP address stands for
    /// the one that its packets come from.
    pub address: SocketAddr,
    /// Whether its portion has arrived.
    pub ready: bool,
    /// What tells whether it places records as we do.
    pub placement: PlacementCheck,
    /// Which records it keeps.
    pub portion: Portion,
}

/// What stands in a control packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'a> {
    /// A message.
    Message(Message),
    /// A part of a page.
    Part(Part<'a>),
    /// A part of the record that was asked for: the page is the ask's number,
    /// and has one frame.
    Found(Part<'a>),
    /// A piece of a message of those who agree.
    Piece(Piece<'a>),
}

/// The type of a part, which no message has.
const PART: u8 = 10;
/// The type of a part of a record that was asked for.
const FOUND: u8 = 15;
/// The type of a piece.
const PIECE: u8 = 32;

impl<'a> Item<'a> {
    /// Reads the next item that is known; `None` at the end of the packet.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the bytes are not a run of messages.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Option<Self>, Malformed> {
        while !reader.is_empty() {
            let type_byte = reader.u8("message type")?;
            let len = reader.u16("message length")?;
            let mut fields = Reader::new(reader.take(len.into(), "message")?);
            let item = match type_byte {
                PART => Some(Self::Part(Part::decode(&mut fields)?)),
                PIECE => Some(Self::Piece(Piece::decode(&mut fields)?)),
                FOUND => Some(Self::Found(Part::decode(&mut fields)?)),
                _ => Message::decode_fields(type_byte, &mut fields)?.map(Self::Message),
            };
            if item.is_some() {
                return Ok(item);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
