//! Sealing packets and opening them.
//!
//! Each sender's incarnation has a key for its stream and one for its control
//! packets, derived from the farm key for each epoch; the packet's sequence
//! number is the nonce. A fresh incarnation at each start and a number that is
//! never used twice, whatever key seals, are what AES-128-GCM asks for (RFC
//! 5116, section 3.1).
//!
//! An epoch is 2^32 numbers, so every packet says by its number which one it
//! is of: at its end nothing has to be agreed on. What a key seals is then at
//! most 2^38.5 blocks, which leaves whoever would tell it from noise an
//! advantage of 2^-52.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::keyring::{FarmKey, Keyring};
use crate::wire::TAG_BYTES;
use crate::wire::header::{HEADER_BYTES, Header, Incarnation, PacketType};

/// A packet that its key does not open: forged, damaged, or of another farm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the packet does not open: forged, damaged, or of another farm")]
pub struct Forged;

/// How many packets one key seals at the most, as a power of two.
const EPOCH_BITS: u32 = 32;

/// The epoch that a number is of.
const fn epoch_of(sequence: u64) -> u64 {
    sequence >> EPOCH_BITS
}

/// The key of one sender's packets of one type in one epoch.
struct PacketKey(LessSafeKey);

impl PacketKey {
    fn derive(farm: &FarmKey, sender: Incarnation, packet_type: PacketType, epoch: u64) -> Self {
        let label: &[u8] = match packet_type {
            PacketType::Data => b"segue data packets",
            PacketType::Control => b"segue control packets",
        };
        let label = [label, &sender.0.to_be_bytes(), &epoch.to_be_bytes()];
        let bytes = Zeroizing::new(farm.derive::<16>(&label));
        let key = UnboundKey::new(&AES_128_GCM, &*bytes).expect("16 bytes make an AES-128 key");
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
    farm: FarmKey,
    key: PacketKey,
    incarnation: Incarnation,
    packet_type: PacketType,
    /// The last number used.
    last: u64,
}

impl Sealer {
    /// A sealer that has sealed nothing yet. Its numbers begin after `last`,
    /// which is 0 but where a test is to reach the end of an epoch: so 0 can
    /// mean "none".
    #[must_use]
    pub fn new(
        keyring: &Keyring,
        incarnation: Incarnation,
        packet_type: PacketType,
        last: u64,
    ) -> Self {
        let farm = keyring.sealing().clone();
        let key = PacketKey::derive(&farm, incarnation, packet_type, epoch_of(last));
        Self { farm, key, incarnation, packet_type, last }
    }

    /// The last number used; 0 when there was none.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Seals with another farm key from the next packet on. The numbers go on,
    /// so that none is used twice even if a key comes back.
    pub fn rekey(&mut self, farm: &FarmKey) {
        if self.farm != *farm {
            self.farm = farm.clone();
            self.key = self.packet_key();
        }
    }

    /// Seals `packet` under the next number, which is given back: a header's
    /// room, the body, and a tag's room.
    pub fn seal(&mut self, flags: u8, packet: &mut [u8]) -> u64 {
        self.last += 1;
        if epoch_of(self.last) != epoch_of(self.last - 1) {
            self.key = self.packet_key();
        }
        let header = Header {
            packet_type: self.packet_type,
            flags,
            key_id: self.farm.id(),
            incarnation: self.incarnation,
            sequence: self.last,
        };
        self.key.seal(&header, packet);
        self.last
    }

    /// The key of the last number's epoch.
    fn packet_key(&self) -> PacketKey {
        PacketKey::derive(&self.farm, self.incarnation, self.packet_type, epoch_of(self.last))
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { farm, incarnation, packet_type, last, .. } = self;
        write!(f, "Sealer({incarnation:?} {packet_type:?}, {farm:?}, last {last})")
    }
}

/// Opens one sender's packets, whichever farm key and epoch they are of.
///
/// A key is derived when the first packet asks for it, and kept. Whoever
/// forges packets makes a node derive no more than that: a key id that is not
/// in the ring, and an epoch that is not next to the last one, have no key.
pub struct Opener {
    sender: Incarnation,
    data: Keys,
    control: Keys,
}

/// The keys of one type of a sender's packets.
struct Keys {
    /// The latest epoch of which a packet has opened.
    epoch: Option<u64>,
    /// At most those of three epochs for each farm key; of one, but for a
    /// while after a change.
    derived: Vec<Derived>,
}

struct Derived {
    key_id: u8,
    epoch: u64,
    key: PacketKey,
}

impl Opener {
    /// The opener of the packets of `sender`, of whom none has opened yet.
    #[must_use]
    pub const fn new(sender: Incarnation) -> Self {
        Self { sender, data: Keys::NONE, control: Keys::NONE }
    }

    /// Opens a packet in place and gives its body.
    ///
    /// # Errors
    ///
    /// [`Forged`] when it was not sealed with a key of `keyring` by this
    /// sender, or not as it stands.
    pub fn open<'p>(
        &mut self,
        keyring: &Keyring,
        header: &Header,
        packet: &'p mut [u8],
    ) -> Result<&'p [u8], Forged> {
        if header.incarnation != self.sender || packet.len() < HEADER_BYTES + TAG_BYTES {
            return Err(Forged);
        }
        let keys = match header.packet_type {
            PacketType::Data => &mut self.data,
            PacketType::Control => &mut self.control,
        };
        let len = packet.len() - HEADER_BYTES - TAG_BYTES;
        let body = keys.key(keyring, header).ok_or(Forged)?.open(header.sequence, packet)?;
        keys.opened(epoch_of(header.sequence));
        Ok(&body[..len])
    }

    /// Forgets what was derived from the key of that id.
    pub fn forget(&mut self, key_id: u8) {
        for keys in [&mut self.data, &mut self.control] {
            keys.derived.retain(|derived| derived.key_id != key_id);
        }
    }
}

impl Keys {
    const NONE: Self = Self { epoch: None, derived: Vec::new() };

    fn key(&mut self, keyring: &Keyring, header: &Header) -> Option<&PacketKey> {
        let (key_id, epoch) = (header.key_id, epoch_of(header.sequence));
        let known = |derived: &Derived| derived.key_id == key_id && derived.epoch == epoch;
        let at = match self.derived.iter().position(known) {
            Some(at) => at,
            None => {
                if self.epoch.is_some_and(|latest| latest.abs_diff(epoch) > 1) {
                    return None;
                }
                let farm = keyring.opening(key_id)?;
                if self.epoch.is_none() {
                    // No epoch is near yet: a forger could name any.
                    self.derived.clear();
                }
                let key = PacketKey::derive(farm, header.incarnation, header.packet_type, epoch);
                self.derived.push(Derived { key_id, epoch, key });
                self.derived.len() - 1
            }
        };
        Some(&self.derived[at].key)
    }

    /// A packet of that epoch has opened.
    fn opened(&mut self, epoch: u64) {
        if self.epoch.is_none_or(|latest| latest < epoch) {
            self.epoch = Some(epoch);
            self.derived.retain(|derived| derived.epoch.abs_diff(epoch) <= 1);
        }
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let derived = self.data.derived.len() + self.control.derived.len();
        write!(f, "Opener({:?}, {derived} keys)", self.sender)
    }
}

#[cfg(test)]
mod tests;
