//! What orders the writes of one value, or of one field of it.

use crate::record::{Hlc, Version, Writer};
use crate::wire::codec::{Malformed, Reader};

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
