//! The header of every packet: 28 bytes, in the clear, authenticated.
//!
//! ```text
//!  0        1        2        3        4                       20             28
//! +--------+--------+--------+--------+-----------------------+---------------+
//! |version |  type  | flags  | key id | incarnation (sender)  |   sequence    |
//! +--------+--------+--------+--------+-----------------------+---------------+
//! ```

use super::codec::{Malformed, Reader};
use crate::record::Writer;

/// The header's length.
pub const HEADER_BYTES: usize = 28;
/// The version of the packet format that is spoken here.
pub const FORMAT: u8 = 1;
/// Flag: the body is a fragment of one frame, not whole frames.
pub const FLAG_FRAGMENT: u8 = 1;
/// Flag: a write that ends in this packet waits for receivers to say that they
/// have it.
pub const FLAG_WAITED: u8 = 2;

/// The highest number that a packet can have: streams are sealed with another
/// key long before, and sums of such numbers stay far below 2^64, whatever a
/// peer claims.
pub const MAX_SEQUENCE: u64 = (1 << 48) - 1;

/// A node at one of its starts: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u128);

impl Incarnation {
    /// How this incarnation signs the versions that it writes.
    #[must_use]
    pub const fn writer(self) -> Writer {
        Writer((self.0 >> 96) as u32)
    }
}

impl std::fmt::Display for Incarnation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::fmt::Debug for Incarnation {
    /// The first half: enough to tell them apart in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", (self.0 >> 64) as u64)
    }
}

/// What a packet's sequence number counts in, and which key seals it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// Part of the sender's stream: a missing number is a gap to be repaired.
    Data = 1,
    /// Everything else: a missing number means nothing.
    Control = 2,
}

/// A packet's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the packet is.
    pub packet_type: PacketType,
    /// See [`FLAG_FRAGMENT`] and [`FLAG_WAITED`].
    pub flags: u8,
    /// The farm key that the sealing key was derived from.
    pub key_id: u8,
    /// Who sent it.
    pub incarnation: Incarnation,
    /// Its number among the sender's packets of that type.
    pub sequence: u64,
}

impl Header {
    /// The header as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&[FORMAT, self.packet_type as u8, self.flags, self.key_id]);
        bytes[4..20].copy_from_slice(&self.incarnation.0.to_be_bytes());
        bytes[20..].copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }

    /// Reads the header off the front of a packet.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the packet is too short, or of another format.
    pub fn decode(packet: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(packet);
        if reader.u8("format")? != FORMAT {
            return Err(Malformed::Invalid("format"));
        }
        let packet_type = match reader.u8("packet type")? {
            1 => PacketType::Data,
            2 => PacketType::Control,
            _ => return Err(Malformed::Invalid("packet type")),
        };
        let flags = reader.u8("flags")?;
        if flags & !(FLAG_FRAGMENT | FLAG_WAITED) != 0 {
            return Err(Malformed::Invalid("flags"));
        }
        Ok(Self {
            packet_type,
            flags,
            key_id: reader.u8("key id")?,
            incarnation: Incarnation(u128::from_be_bytes(reader.array("incarnation")?)),
            sequence: reader.sequence("sequence")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let header = Header {
            packet_type: PacketType::Control,
            flags: FLAG_FRAGMENT | FLAG_WAITED,
            key_id: 7,
            incarnation: Incarnation(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
            sequence: 1 << 40,
        };
        assert_eq!(Header::decode(&header.encode()), Ok(header));
        assert_eq!(header.incarnation.writer(), Writer(0x0102_0304));
    }

    #[test]
    fn another_format_type_or_flag_is_refused() {
        let header = Header {
            packet_type: PacketType::Data,
            flags: 0,
            key_id: 0,
            incarnation: Incarnation(1),
            sequence: 1,
        };
        let check = |at: usize, value: u8, field: &'static str| {
            let mut bytes = header.encode();
            bytes[at] = value;
            assert_eq!(Header::decode(&bytes), Err(Malformed::Invalid(field)));
        };
        check(0, 2, "format");
        check(1, 0, "packet type");
        check(2, 4, "flags");
        assert_eq!(Header::decode(&header.encode()[..27]), Err(Malformed::Truncated("sequence")));
    }
}
