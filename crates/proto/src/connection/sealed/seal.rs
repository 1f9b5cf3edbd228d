//! What is to be sent: frames are written, sealed and kept until they are sent in
//! one buffer, which never grows.

use std::fmt;

use aws_lc_rs::aead::Aad;
use zeroize::Zeroizing;

use super::keys::{Keys, SECRET_BYTES};
use super::{FULL_BYTES, LENGTH_BYTES, TAG_BYTES};
use crate::connection::frame::FRAME_BYTES;
use crate::proof::Side;

/// With this much in it, it takes no more: a few of the longest frames, so that
/// one call of the system sends many short ones, and it stays in the cache of a
/// core.
const ROOM_BYTES: usize = 256 << 10;
/// All that can be in it: there was room, and one frame came, in a record of its
/// own.
const MOST_BYTES: usize = ROOM_BYTES + LENGTH_BYTES + FRAME_BYTES + TAG_BYTES;

/// One direction of a stream, where it is sent.
pub struct Sealer {
    keys: Keys,
    bytes: Zeroizing<Vec<u8>>,
    /// How much of them is sent.
    sent: usize,
    /// Where the record begins that is not sealed yet.
    filling: Option<usize>,
}

impl Sealer {
    /// That of what `from` sends. What is in `before` goes first, as it is.
    ///
    /// # Panics
    ///
    /// When that is more than there is room for.
    #[must_use]
    pub fn new(secret: &[u8; SECRET_BYTES], from: Side, before: &[u8]) -> Self {
        assert!(before.len() <= ROOM_BYTES, "a few bytes are left of a handshake");
        let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES));
        bytes.extend_from_slice(before);
        Self { keys: Keys::new(secret, from), bytes, sent: 0, filling: None }
    }

    /// Whether another frame may be pushed. It may again when more was sent.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.bytes.len() < ROOM_BYTES
    }

    /// Has `write` append one frame.
    ///
    /// # Panics
    ///
    /// When there is no room, or more is appended than a frame is long: a buffer
    /// that grew would leave what is in it behind.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        assert!(self.has_room(), "the caller asks first");
        let record = *self.filling.get_or_insert(self.bytes.len());
        if record == self.bytes.len() {
            self.bytes.extend_from_slice(&[0; LENGTH_BYTES]);
        }
        let before = self.bytes.len();
        write(&mut self.bytes);
        assert!(self.bytes.len() - before <= FRAME_BYTES, "one frame");
        if self.bytes.len() - record - LENGTH_BYTES >= FULL_BYTES {
            self.seal();
        }
    }

    /// Seals what was pushed.
    ///
    /// # Panics
    ///
    /// Never: a record is far shorter than what AES-GCM can seal.
    pub fn seal(&mut self) {
        let Some(record) = self.filling.take() else { return };
        let (length, content) = self.bytes[record..].split_at_mut(LENGTH_BYTES);
        let len = u32::try_from(content.len()).expect("a record is below 2^17 bytes long");
        length.copy_from_slice(&len.to_be_bytes());
        let (key, nonce) = self.keys.next();
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(length), content);
        let tag = tag.expect("it is not too long");
        self.bytes.extend_from_slice(tag.as_ref());
    }

    /// What is sealed and not sent.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..self.filling.unwrap_or(self.bytes.len())]
    }

    /// So many of those bytes were sent.
    ///
    /// # Panics
    ///
    /// When there were less.
    pub fn sent(&mut self, len: usize) {
        assert!(len <= self.unsent().len(), "it was there");
        self.sent += len;
        let left = self.bytes.len() - self.sent;
        if self.filling.is_none() && left <= self.sent {
            self.bytes.copy_within(self.sent.., 0);
            self.bytes.truncate(left);
            self.sent = 0;
        }
    }
}

#[cfg(test)]
impl Sealer {
    pub(super) fn keys(&mut self) -> &mut Keys {
        &mut self.keys
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

impl fmt::Debug for Sealer {
    /// How much there is; what it is may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} bytes)", self.bytes.len() - self.sent)
    }
}
