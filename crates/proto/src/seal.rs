//! Sealing packets and opening them.
//!
//! Each sender's incarnation has two keys, one for its stream and one for its
//! control packets, derived from the farm key; the packet's sequence number is
//! the nonce. A fresh incarnation at each start and a number that is never
//! used twice are what AES-128-GCM asks for (RFC 5116, section 3.1).

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::keyring::{FarmKey, Keyring};
use crate::wire::TAG_BYTES;
use crate::wire::header::{HEADER_BYTES, Header, Incarnation, PacketType};

/// A packet that its key does not open: forged, damaged, or of another farm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the packet does not open: forged, damaged, or of another farm")]
pub struct Forged;

/// The key of one sender's packets of one type.
struct PacketKey(LessSafeKey);

impl PacketKey {
    fn derive(farm: &FarmKey, sender: Incarnation, packet_type: PacketType) -> Self {
        let label: &[u8] = match packet_type {
            PacketType::Data => b"segue data packets",
            PacketType::Control => b"segue control packets",
        };
        let bytes = farm.derive::<16>(&[label, &sender.0.to_be_bytes()]);
        let key = UnboundKey::new(&AES_128_GCM, &bytes).expect("16 bytes make an AES-128 key");
        Self(LessSafeKey::new(key))
    }

    fn nonce(sequence: u64) -> Nonce {
        let mut bytes = [0; 12];
        bytes[4..].copy_from_slice(&sequence.to_be_bytes());
        Nonce::assume_unique_for_key(bytes)
    }

    /// Seals `packet` in place: `header`, the body that stands behind it, and
    /// room for the tag.
    fn seal(&self, header: &Header, packet: &mut [u8]) {
        let (clear, sealed) = packet.split_at_mut(HEADER_BYTES);
        clear.copy_from_slice(&header.encode());
        let (body, tag) = sealed.split_at_mut(sealed.len() - TAG_BYTES);
        let made = self
            .0
            .seal_in_place_separate_tag(Self::nonce(header.sequence), Aad::from(&*clear), body)
            .expect("a packet is far below AES-GCM's limit of 64 GiB");
        tag.copy_from_slice(made.as_ref());
    }

    fn open<'p>(&self, sequence: u64, packet: &'p mut [u8]) -> Result<&'p [u8], Forged> {
        let (clear, sealed) = packet.split_at_mut(HEADER_BYTES);
        self.0
            .open_in_place(Self::nonce(sequence), Aad::from(&*clear), sealed)
            .map(|body| &*body)
            .map_err(|_| Forged)
    }
}

/// Numbers and seals one type of a node's own packets.
pub struct Sealer {
    key: PacketKey,
    key_id: u8,
    incarnation: Incarnation,
    packet_type: PacketType,
    /// The last number used; numbers begin at 1, so that 0 can mean "none".
    last: u64,
}

impl Sealer {
    /// A sealer that has sealed nothing yet.
    #[must_use]
    pub fn new(keyring: &Keyring, incarnation: Incarnation, packet_type: PacketType) -> Self {
        let farm = keyring.sealing();
        Self {
            key: PacketKey::derive(farm, incarnation, packet_type),
            key_id: farm.id(),
            incarnation,
            packet_type,
            last: 0,
        }
    }

    /// The last number used; 0 when there was none.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Seals `packet` under the next number, which is given back: a header's
    /// room, the body, and a tag's room.
    pub fn seal(&mut self, flags: u8, packet: &mut [u8]) -> u64 {
        self.last += 1;
        let header = Header {
            packet_type: self.packet_type,
            flags,
            key_id: self.key_id,
            incarnation: self.incarnation,
            sequence: self.last,
        };
        self.key.seal(&header, packet);
        self.last
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer({:?} {:?}, last {})", self.incarnation, self.packet_type, self.last)
    }
}

/// Opens one sender's packets.
pub struct Opener {
    data: PacketKey,
    control: PacketKey,
    key_id: u8,
}

impl Opener {
    /// The opener of the packets that `sender` seals with the key of that id;
    /// `None` when the ring has no such key.
    #[must_use]
    pub fn new(keyring: &Keyring, key_id: u8, sender: Incarnation) -> Option<Self> {
        let farm = keyring.opening(key_id)?;
        Some(Self {
            data: PacketKey::derive(farm, sender, PacketType::Data),
            control: PacketKey::derive(farm, sender, PacketType::Control),
            key_id,
        })
    }

    /// Opens a packet in place and gives its body.
    ///
    /// # Errors
    ///
    /// [`Forged`] when it was not sealed by this key, or not as it stands.
    pub fn open<'p>(&self, header: &Header, packet: &'p mut [u8]) -> Result<&'p [u8], Forged> {
        if header.key_id != self.key_id || packet.len() < HEADER_BYTES + TAG_BYTES {
            return Err(Forged);
        }
        let key = match header.packet_type {
            PacketType::Data => &self.data,
            PacketType::Control => &self.control,
        };
        let len = packet.len() - HEADER_BYTES - TAG_BYTES;
        key.open(header.sequence, packet).map(|body| &body[..len])
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opener(key id {})", self.key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::FARM_KEY_BYTES;

    const SENDER: Incarnation = Incarnation(5);

    fn keyring(byte: u8) -> Keyring {
        Keyring::new(vec![FarmKey::new([byte; FARM_KEY_BYTES])]).unwrap()
    }

    fn sealed(keyring: &Keyring, packet_type: PacketType, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; HEADER_BYTES];
        packet.extend_from_slice(body);
        packet.extend_from_slice(&[0; TAG_BYTES]);
        Sealer::new(keyring, SENDER, packet_type).seal(0, &mut packet);
        packet
    }

    fn open(keyring: &Keyring, packet: &mut [u8]) -> Result<Vec<u8>, Forged> {
        let header = Header::decode(packet).unwrap();
        let opener = Opener::new(keyring, header.key_id, header.incarnation).ok_or(Forged)?;
        opener.open(&header, packet).map(<[u8]>::to_vec)
    }

    #[test]
    fn what_is_sealed_opens() {
        for packet_type in [PacketType::Data, PacketType::Control] {
            let mut packet = sealed(&keyring(1), packet_type, b"body");
            assert!(!packet.windows(4).any(|part| part == b"body"));
            assert_eq!(open(&keyring(1), &mut packet), Ok(b"body".to_vec()));
        }
    }

    #[test]
    fn every_changed_bit_is_found() {
        let packet = sealed(&keyring(1), PacketType::Data, b"body");
        for bit in 0..packet.len() * 8 {
            let mut changed = packet.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(header) = Header::decode(&changed) else { continue };
            let opener = Opener::new(&keyring(1), keyring(1).sealing().id(), header.incarnation);
            assert_eq!(opener.unwrap().open(&header, &mut changed), Err(Forged), "bit {bit}");
        }
    }

    #[test]
    fn another_farm_does_not_open_it() {
        let mut packet = sealed(&keyring(1), PacketType::Data, b"body");
        assert_eq!(open(&keyring(2), &mut packet), Err(Forged));
    }

    #[test]
    fn a_packet_without_room_for_a_tag_is_refused() {
        let packet = sealed(&keyring(1), PacketType::Data, b"");
        for len in HEADER_BYTES..packet.len() {
            assert_eq!(open(&keyring(1), &mut packet[..len].to_vec()), Err(Forged));
        }
    }
}
