//! What has come: records are opened and read in the buffer that they were
//! received into, which never grows.

use std::fmt;
use std::ops::Range;

use aws_lc_rs::aead::Aad;
use zeroize::Zeroizing;

use super::keys::{Keys, SECRET_BYTES};
use super::{LENGTH_BYTES, MOST_BYTES, TAG_BYTES};
use crate::connection::frame::{Frame, Span};
use crate::proof::Side;
use crate::wire::Malformed;

/// How much is received at once: a few full records, so that the call of the
/// system is little beside opening them.
const READ_BYTES: usize = 128 << 10;
/// The longest record, and as much again as is received at once.
const BUFFER_BYTES: usize = LENGTH_BYTES + MOST_BYTES + TAG_BYTES + READ_BYTES;

/// Why what has come cannot be read. Nothing that comes after it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A record is not as the other end has sealed it, or not the next one.
    #[error("what has come is not what was sealed")]
    Forged,
    /// It was sealed by the other end, or could be, and is no record of frames.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// One direction of a stream, where it is received.
pub struct Opener {
    keys: Keys,
    bytes: Zeroizing<Vec<u8>>,
    /// Frames that were opened, and not taken yet.
    opened: Range<usize>,
    /// What was not opened yet. It lies behind them.
    sealed: Range<usize>,
}

impl Opener {
    /// That of what `from` sends, of which `came` is here already.
    ///
    /// # Panics
    ///
    /// When that is more than there is room for.
    #[must_use]
    pub fn new(secret: &[u8; SECRET_BYTES], from: Side, came: &[u8]) -> Self {
        let mut bytes = Zeroizing::new(vec![0; BUFFER_BYTES]);
        bytes[..came.len()].copy_from_slice(came);
        Self { keys: Keys::new(secret, from), bytes, opened: 0..0, sealed: 0..came.len() }
    }

    /// Whether nothing more can be received before frames are taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.held().len() == self.bytes.len()
    }

    /// Where what is received goes: never nothing, unless it is full.
    pub fn room(&mut self) -> &mut [u8] {
        let held = self.held();
        if held.is_empty() || self.sealed.end + READ_BYTES > self.bytes.len() {
            self.bytes.copy_within(held.clone(), 0);
            let moved = |range: &Range<usize>| range.start - held.start..range.end - held.start;
            let opened = if self.opened.is_empty() { 0..0 } else { moved(&self.opened) };
            (self.opened, self.sealed) = (opened, moved(&self.sealed));
        }
        let room = &mut self.bytes[self.sealed.end..];
        let len = room.len().min(READ_BYTES);
        &mut room[..len]
    }

    /// So many bytes have gone there.
    ///
    /// # Panics
    ///
    /// When there was no room for them.
    pub fn received(&mut self, len: usize) {
        self.sealed.end += len;
        assert!(self.sealed.end <= self.bytes.len(), "there was room");
    }

    /// Takes the next frame, if it is all there. It stays where it is until there
    /// is to be [`Opener::room`].
    ///
    /// # Errors
    ///
    /// When what has come cannot be read.
    pub fn next_frame(&mut self) -> Result<Option<Span>, Unreadable> {
        if self.opened.is_empty() && !self.open()? {
            return Ok(None);
        }
        let start = self.opened.start;
        let first = Span::first(&self.bytes[self.opened.clone()])?;
        let (span, len) = first.ok_or(Malformed::Invalid("record"))?;
        self.opened.start += len;
        Ok(Some(span.after(start)))
    }

    /// The frame that was taken last.
    #[must_use]
    pub fn frame(&self, span: Span) -> Frame<'_> {
        span.frame(&self.bytes)
    }

    /// Opens the next record, if it is all there. Says whether it was.
    fn open(&mut self) -> Result<bool, Unreadable> {
        let sealed = &mut self.bytes[self.sealed.clone()];
        let Some((length, rest)) = sealed.split_first_chunk_mut::<LENGTH_BYTES>() else {
            return Ok(false);
        };
        let len = u32::from_be_bytes(*length) as usize;
        if len == 0 || len > MOST_BYTES {
            return Err(Malformed::Invalid("length").into());
        }
        let Some(record) = rest.get_mut(..len + TAG_BYTES) else { return Ok(false) };
        let (key, nonce) = self.keys.next();
        let opened = key.open_in_place(nonce, Aad::from(&*length), record);
        opened.map_err(|_| Unreadable::Forged)?;
        let start = self.sealed.start + LENGTH_BYTES;
        self.opened = start..start + len;
        self.sealed.start = start + len + TAG_BYTES;
        Ok(true)
    }

    /// All that is still needed.
    fn held(&self) -> Range<usize> {
        let start = if self.opened.is_empty() { self.sealed.start } else { self.opened.start };
        start..self.sealed.end
    }
}

#[cfg(test)]
impl Opener {
    pub(super) fn keys(&mut self) -> &mut Keys {
        &mut self.keys
    }
}

impl fmt::Debug for Opener {
    /// How much there is; what it is may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({} bytes)", self.held().len())
    }
}
