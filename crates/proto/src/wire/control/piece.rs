//! Pieces of messages of those who agree, which may take several packets.

use super::PIECE;
use crate::wire::codec::{Malformed, Reader};

/// What a piece needs in a packet besides its bytes.
pub const PIECE_OVERHEAD_BYTES: usize = 3 + 16 + 2 + 2;

/// A piece of a message of those who agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Names the message: the same for the same bytes. 0 where it is whole.
    pub name: u128,
    /// Which piece this is, from 0.
    pub index: u16,
    /// How many there are; at least 1.
    pub count: u16,
    /// Its share of the message.
    pub bytes: &'a [u8],
}

impl<'a> Piece<'a> {
    /// Appends the piece to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let len = PIECE_OVERHEAD_BYTES - 3 + self.bytes.len();
        out.push(PIECE);
        out.extend_from_slice(&u16::try_from(len).expect("a piece fits a packet").to_be_bytes());
        out.extend_from_slice(&self.name.to_be_bytes());
        out.extend_from_slice(&self.index.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(self.bytes);
    }

    pub(super) fn decode(fields: &mut Reader<'a>) -> Result<Self, Malformed> {
        let name = u128::from_be_bytes(fields.array("message name")?);
        let (index, count) = (fields.u16("index")?, fields.u16("count")?);
        if index >= count {
            return Err(Malformed::Invalid("piece index"));
        }
        Ok(Self { name, index, count, bytes: fields.rest() })
    }
}
