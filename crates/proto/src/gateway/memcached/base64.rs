//! Keys that are no words, as text (RFC 4648, section 4). As in memcached,
//! what is no letter of the alphabet is passed over, and nothing is read
//! behind padding.

#[cfg(test)]
mod tests;

use super::MAX_KEY_BYTES;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Room for what the longest key decodes to: three bytes of four letters.
pub(super) const MAX_DECODED_BYTES: usize = MAX_KEY_BYTES / 4 * 3;

/// Decodes a key of at most [`MAX_KEY_BYTES`] into `out`, and gives its
/// length; nothing when it is none.
pub(super) fn decode(text: &[u8], out: &mut [u8; MAX_DECODED_BYTES]) -> Option<usize> {
    let letters = || text.iter().filter_map(|letter| value(*letter));
    let count = letters().count();
    if count == 0 || !count.is_multiple_of(4) {
        return None;
    }
    let (mut len, mut group, mut held, mut padding) = (0, 0u32, 0, 0);
    for letter in letters() {
        padding += usize::from(letter.is_none());
        group = group << 6 | u32::from(letter.unwrap_or(0));
        held += 1;
        if held == 4 {
            let [_, bytes @ ..] = group.to_be_bytes();
            out[len..len + 3].copy_from_slice(&bytes);
            len += 3;
            (group, held) = (0, 0);
            match padding {
                0 => {}
                1 | 2 => return Some(len - padding),
                _ => return None,
            }
        }
    }
    Some(len)
}

/// Appends a key as text.
pub(super) fn encode(key: &[u8], out: &mut Vec<u8>) {
    for chunk in key.chunks(3) {
        let mut bytes = [0; 4];
        bytes[1..=chunk.len()].copy_from_slice(chunk);
        let group = u32::from_be_bytes(bytes);
        for place in 0..4 {
            let letter = ALPHABET[(group >> (18 - 6 * place)) as usize & 63];
            out.push(if place > chunk.len() { b'=' } else { letter });
        }
    }
}

/// What a letter stands for: nothing when it is none, and no value when it is
/// padding.
const fn value(letter: u8) -> Option<Option<u8>> {
    match letter {
        b'A'..=b'Z' => Some(Some(letter - b'A')),
        b'a'..=b'z' => Some(Some(letter - b'a' + 26)),
        b'0'..=b'9' => Some(Some(letter - b'0' + 52)),
        b'+' => Some(Some(62)),
        b'/' => Some(Some(63)),
        b'=' => Some(None),
        _ => None,
    }
}
