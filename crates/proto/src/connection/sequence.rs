//! TCP's sequence numbers, which wrap, and positions, which do not.
//!
//! The only place that knows of 32-bit numbers: what lies further inside counts
//! bytes in 64 bits. Position 0 is that of the first byte after the SYN; a FIN
//! takes the position after the last byte.

use std::ops::{Add, Sub};

/// A place in one direction of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// The furthest that is taken: 2^62 bytes, 146 years at 1 GB/s. Sums below
    /// it do not overflow.
    pub const MAX: Self = Self(1 << 62);
}

impl Add<usize> for Position {
    type Output = Self;

    fn add(self, bytes: usize) -> Self {
        Self(self.0.saturating_add(bytes as u64))
    }
}

impl Sub for Position {
    type Output = u64;

    /// How many bytes lie between; none when `earlier` is later.
    fn sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A direction's initial sequence number, that of its SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Initial(pub u32);

impl Initial {
    /// The sequence number of a position.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
    pub const fn sequence(self, position: Position) -> u32 {
        self.0.wrapping_add(1).wrapping_add(position.0 as u32)
    }

    /// The position of a sequence number: the one nearest to `near`, as no
    /// window is as wide as half of the numbers (RFC 9293, 3.4). None when it
    /// lies before the first byte, as that of a SYN or a keep-alive may.
    #[must_use]
    pub const fn position(self, sequence: u32, near: Position) -> Option<Position> {
        let ahead = sequence.wrapping_sub(self.sequence(near)).cast_signed();
        match near.0.checked_add_signed(ahead as i64) {
            Some(position) if position <= Position::MAX.0 => Some(Position(position)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sequence_number_leads_back_to_its_position(
            initial: u32,
            near in 0..1_u64 << 40,
            ahead in -(1_i64 << 31)..1 << 31,
        ) {
            let initial = Initial(initial);
            let position = near.checked_add_signed(ahead).map(Position);
            let sequence = initial.sequence(position.unwrap_or_default());
            if let Some(position) = position {
                prop_assert_eq!(initial.position(sequence, Position(near)), Some(position));
            }
        }
    }

    #[test]
    fn what_lies_before_the_first_byte_has_no_position() {
        let initial = Initial(u32::MAX);
        assert_eq!(initial.position(0, Position(0)), Some(Position(0)));
        assert_eq!(initial.position(u32::MAX, Position(0)), None);
        assert_eq!(initial.position(5, Position(0)), Some(Position(5)));
    }
}
