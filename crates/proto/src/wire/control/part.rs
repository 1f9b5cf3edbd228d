//! Parts of pages and of records: the only messages that borrow, since they
//! carry records.

use super::fields::put_u64;
use super::{FOUND, PART};
use crate::wire::codec::{Malformed, Reader};

/// What a part needs in a packet besides its bytes.
pub const PART_OVERHEAD_BYTES: usize = 3 + 8 + 8 + 8 + 2 + 2;
const NO_NEXT: u64 = u64::MAX;

/// One part of a page, or of a record that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// The puller's number for the page.
    pub page: u64,
    /// The provider's number for it: one that it had to make anew may differ,
    /// and its parts do not fit those of the one before.
    pub edition: u64,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<u64>,
    /// Which part this is, from 0.
    pub index: u16,
    /// How many parts the page has; at least 1.
    pub count: u16,
    /// This part's share of the page's bytes, which are a run of frames.
    pub bytes: &'a [u8],
}

impl<'a> Part<'a> {
    /// Appends it to `out` as a part of a page.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_as(PART, out);
    }

    /// Appends it to `out` as a part of a record that was asked for.
    pub fn encode_found(&self, out: &mut Vec<u8>) {
        self.encode_as(FOUND, out);
    }

    fn encode_as(&self, type_byte: u8, out: &mut Vec<u8>) {
        let len = PART_OVERHEAD_BYTES - 3 + self.bytes.len();
        out.push(type_byte);
        out.extend_from_slice(&u16::try_from(len).expect("a part fits a packet").to_be_bytes());
        put_u64(self.page, out);
        put_u64(self.edition, out);
        put_u64(self.next.unwrap_or(NO_NEXT), out);
        out.extend_from_slice(&self.index.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(self.bytes);
    }

    pub(super) fn decode(fields: &mut Reader<'a>) -> Result<Self, Malformed> {
        let (page, edition) = (fields.u64("page")?, fields.u64("edition")?);
        let next = fields.u64("next")?;
        let (index, count) = (fields.u16("index")?, fields.u16("count")?);
        if index >= count {
            return Err(Malformed::Invalid("part index"));
        }
        let next = (next != NO_NEXT).then_some(next);
        Ok(Self { page, edition, next, index, count, bytes: fields.rest() })
    }
}
