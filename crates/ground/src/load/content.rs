//! What goes over a connection: bytes that follow from their position, so that
//! each end knows what has to come, and where it does not.

/// An odd factor of random bits (the golden ratio's), so that neighbouring
/// words have nothing in common.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// How many bytes come from one step of the generator.
const WORD: u64 = 8;

/// One direction's bytes, from its first to any.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    seed: u64,
}

impl Content {
    pub(super) fn of(seed: u64) -> Self {
        Self { seed }
    }

    /// Writes the bytes from a position on.
    pub(super) fn fill(self, bytes: &mut [u8], from: u64) {
        let mut at = from;
        let mut rest = bytes;
        while !rest.is_empty() {
            let word = self.word(at / WORD).to_le_bytes();
            let skipped = usize::try_from(at % WORD).expect("below 8");
            let length = rest.len().min(word.len() - skipped);
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(&word[skipped..skipped + length]);
            at += length as u64;
            rest = later;
        }
    }

    /// Where bytes that should be those from a position on first differ.
    pub(super) fn differs(self, bytes: &[u8], from: u64) -> Option<u64> {
        let mut expected = vec![0; bytes.len()];
        self.fill(&mut expected, from);
        let place = bytes.iter().zip(&expected).position(|(found, expected)| found != expected);
        place.map(|place| from + place as u64)
    }

    /// SplitMix64.
    fn word(self, index: u64) -> u64 {
        let mut word = self.seed.wrapping_add(index.wrapping_add(1).wrapping_mul(FACTOR));
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_follow_from_their_position() {
        let content = Content::of(7);
        let mut whole = [0; 100];
        content.fill(&mut whole, 0);
        for (from, to) in [(0, 100), (3, 9), (8, 16), (15, 15), (17, 100)] {
            let mut part = vec![0; to - from];
            content.fill(&mut part, from as u64);
            assert_eq!(part, whole[from..to]);
            assert_eq!(content.differs(&part, from as u64), None);
        }
        whole[60] ^= 1;
        assert_eq!(content.differs(&whole[50..], 50), Some(60));
        assert_eq!(Content::of(8).differs(&whole, 0), Some(0));
    }
}
