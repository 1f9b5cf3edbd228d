//! Random bytes and ids as letters.
//!
//! Hexadecimal digits would do, but for one of some hundred ids that has what
//! looks like a card's number among them, which no text of the farm's may hold.

use segue::state::StateId;

/// Each half of each byte as one of the letters from a to p.
pub(crate) fn of(bytes: &[u8]) -> String {
    let letter = |half: u8| char::from(b'a' + half);
    bytes.iter().flat_map(|byte| [letter(byte >> 4), letter(byte & 15)]).collect()
}

/// The id that was written so.
pub(crate) fn id(text: &str) -> Option<StateId> {
    let value = |letter: u8| matches!(letter, b'a'..=b'p').then(|| letter - b'a');
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut id = [0; StateId::BYTES];
    if pairs.len() != id.len() {
        return None;
    }
    for (byte, &[high, low]) in id.iter_mut().zip(pairs) {
        *byte = value(high)? << 4 | value(low)?;
    }
    Some(StateId::new(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_it_was_written_and_nothing_else_does() {
        let written = StateId::new(std::array::from_fn(|at| u8::try_from(at * 8).unwrap()));
        let text = of(written.as_bytes());
        assert_eq!(id(&text), Some(written));
        for wrong in ["", &text[1..], &text[2..], &text.to_uppercase(), &format!("{text}aa")] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
    }
}
