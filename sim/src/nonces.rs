//! Whether a number was ever sealed twice with other content.
//!
//! A packet may be sent again and again, but only as it was sealed: AES-GCM
//! gives its key away to whoever sees one number over two contents.

use std::collections::HashMap;

use proto::wire::TAG_BYTES;
use proto::wire::header::{Header, Incarnation, PacketType};

/// What makes a nonce one of a kind: the key, whichever farm key that comes
/// from, and the number.
type Number = (Incarnation, PacketType, u64);

/// The tag of every packet that was sent, by its number.
#[derive(Debug, Default)]
pub struct Nonces(HashMap<Number, [u8; TAG_BYTES]>);

impl Nonces {
    /// Takes note of a packet. Its tag stands for all of it: two packets with
    /// one tag would be a forgery.
    ///
    /// # Errors
    ///
    /// When its number was sealed with other content, or under another key:
    /// numbers go on when the key changes.
    pub fn check(&mut self, packet: &[u8]) -> Result<(), String> {
        let header = Header::decode(packet).map_err(|error| error.to_string())?;
        let tag = packet.last_chunk().ok_or("a packet has a tag")?;
        let number = (header.incarnation, header.packet_type, header.sequence);
        match self.0.insert(number, *tag) {
            Some(before) if before != *tag => Err(format!("{number:?} was sealed twice")),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of that type and number whose tag is all `tag`.
    fn packet(packet_type: PacketType, sequence: u64, tag: u8) -> Vec<u8> {
        let incarnation = Incarnation(1);
        let header = Header { packet_type, flags: 0, key_id: tag, incarnation, sequence };
        [&header.encode()[..], &[tag; TAG_BYTES]].concat()
    }

    #[test]
    fn a_number_that_is_sealed_twice_is_found() {
        let mut nonces = Nonces::default();
        let mut check =
            |packet_type, sequence, tag| nonces.check(&packet(packet_type, sequence, tag));
        assert_eq!(check(PacketType::Data, 7, 1), Ok(()));
        assert_eq!(check(PacketType::Data, 7, 1), Ok(()), "a repair");
        assert_eq!(check(PacketType::Control, 7, 2), Ok(()));
        assert_eq!(check(PacketType::Data, 8, 2), Ok(()));
        assert!(check(PacketType::Data, 7, 2).is_err());
    }
}
