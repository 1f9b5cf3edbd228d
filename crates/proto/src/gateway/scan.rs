//! Looking for a byte, eight at a time. It knows nothing of what bytes mean.

/// Where `needle` is first.
pub(super) fn find(bytes: &[u8], needle: u8) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW << 7;
    let pattern = LOW * u64::from(needle);
    let (words, rest) = bytes.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word) ^ pattern;
        // The lowest bit that is set is that of the first byte which is zero:
        // only above it a borrow sets others.
        let zeros = word.wrapping_sub(LOW) & !word & HIGH;
        if zeros != 0 {
            return Some(8 * place + zeros.trailing_zeros() as usize / 8);
        }
    }
    let place = rest.iter().position(|byte| *byte == needle)?;
    Some(8 * words.len() + place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_one_is_found(
            bytes in prop::collection::vec(prop_oneof![Just(0), Just(1), Just(0x80), Just(0xff), any::<u8>()], 0..40),
            needle in prop_oneof![Just(0), Just(1), Just(0x80), Just(0xff), any::<u8>()],
        ) {
            let place = bytes.iter().position(|byte| *byte == needle);
            prop_assert_eq!(find(&bytes, needle), place);
        }
    }
}
