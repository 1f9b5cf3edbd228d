//! What orders the writes of one value, or of one field of it.

use crate::record::{Hlc, Version, Writer};
use crate::wire::codec::{Malformed, Reader};

/// The bits of a [`Rank::number`].
const NUMBER: u64 = u64::MAX >> 1;

/// Where a write stands among those of its key.
///
/// A plain write has the version that its node gave it. What was agreed on is
/// ordered right behind the plain write that it was computed from, however
/// late it was published: a plain write that it did not see is later, and
/// wins. That is what makes a log-out final against a counter that was being
/// changed meanwhile, and no acknowledged write is lost to one that never
/// knew of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rank {
    /// The last plain write.
    pub written: Version,
    /// How many agreed changes followed it.
    pub agreed: u32,
}

impl Rank {
    /// The rank of a plain write.
    #[must_use]
    pub const fn plain(version: Version) -> Self {
        Self { written: version, agreed: 0 }
    }

    /// The rank of an agreed change that was computed from what has this rank.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { agreed: self.agreed.saturating_add(1), ..self }
    }

    /// The number that clients know this write by, where they want one of 63
    /// bits, other than 0: those that read it as a signed one do not fail.
    ///
    /// Every node computes the same one. Two plain writes of one node never have
    /// the same: their times differ, and each step below maps the 63 bits that a
    /// time has (for the next six thousand years) onto themselves. Of any other
    /// two writes it is as likely as that two random numbers are the same, 2^-63;
    /// and what a client compares are numbers of one key.
    #[must_use]
    pub const fn number(self) -> u64 {
        let by = (self.written.writer.0 as u64) << 32 | self.agreed as u64;
        let number = mix(mix(self.written.time.0 & NUMBER) ^ mix(by & NUMBER));
        if number == 0 { NUMBER } else { number }
    }

    pub(super) fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.written.time.0.to_be_bytes());
        out.extend_from_slice(&self.written.writer.0.to_be_bytes());
        out.extend_from_slice(&self.agreed.to_be_bytes());
    }

    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let time = Hlc(u64::from_be_bytes(reader.array("rank")?));
        let writer = Writer(reader.u32("rank")?);
        let agreed = reader.u32("rank")?;
        Ok(Self { written: Version { time, writer }, agreed })
    }
}

/// A permutation of 63 bits: each step can be undone, a shift to the right with
/// exclusive-or and a product with an odd number. The factors are those of
/// `SplitMix64`'s end (Steele, Lea and Flood, 2014).
const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9) & NUMBER;
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) & NUMBER;
    bits ^ bits >> 31
}
