//! What was opened and not yet taken: a buffer that never grows, and is
//! overwritten when it is dropped. How the bytes came is not known here.

use std::ops::Range;

use proto::wire::Malformed;
use proto::wire::control::MAX_NAME_BYTES;
use proto::wire::link::{CLAIM_BYTES, INTRODUCTION_BYTES};
use zeroize::Zeroizing;

use super::frame::{FRAME_BYTES, Frame, Span};

/// The longest frame, and as much again as the socket is read for at once.
const BYTES: usize = FRAME_BYTES + (64 << 10);
/// What is taken of an end that has proven nothing: a claim and an introduction
/// fit, twice.
const UNPROVEN_BYTES: usize = 256;
const _: () = assert!(2 * (CLAIM_BYTES + INTRODUCTION_BYTES + MAX_NAME_BYTES) <= UNPROVEN_BYTES);

/// What has come.
pub(super) struct Inbox {
    bytes: Zeroizing<Vec<u8>>,
    held: Range<usize>,
}

impl Inbox {
    /// A small one.
    pub(super) fn unproven() -> Self {
        Self { bytes: Zeroizing::new(vec![0; UNPROVEN_BYTES]), held: 0..0 }
    }

    /// Makes it large.
    pub(super) fn proven(&mut self) {
        let mut bytes = Zeroizing::new(vec![0; BYTES]);
        let held = self.held();
        bytes[..held.len()].copy_from_slice(held);
        self.held = 0..held.len();
        self.bytes = bytes;
    }

    pub(super) fn is_full(&self) -> bool {
        self.held.len() == self.bytes.len()
    }

    /// Where the next bytes go.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.held.is_empty() {
            self.held = 0..0;
        } else if self.held.end == self.bytes.len() {
            self.bytes.copy_within(self.held.clone(), 0);
            self.held = 0..self.held.len();
        }
        &mut self.bytes[self.held.end..]
    }

    /// So many bytes have gone there.
    pub(super) fn filled(&mut self, len: usize) {
        self.held.end += len;
        assert!(self.held.end <= self.bytes.len(), "there was room");
    }

    pub(super) fn held(&self) -> &[u8] {
        &self.bytes[self.held.clone()]
    }

    /// The first bytes have been used.
    pub(super) fn take(&mut self, len: usize) {
        self.held.start += len;
        assert!(self.held.start <= self.held.end, "they were there");
    }

    /// Takes the next frame, if it is all there.
    pub(super) fn next_frame(&mut self) -> Result<Option<Span>, Malformed> {
        let Some((span, len)) = Span::first(self.held())? else { return Ok(None) };
        let start = self.held.start;
        self.take(len);
        Ok(Some(match span {
            Span::Message(at) => Span::Message(start + at.start..start + at.end),
            Span::Pulse(clock) => Span::Pulse(clock),
        }))
    }

    /// What was taken last. It is there until the next bytes come.
    pub(super) fn frame(&self, span: Span) -> Frame<'_> {
        match span {
            Span::Pulse(clock) => Frame::Pulse { clock },
            Span::Message(at) => Frame::Message(&self.bytes[at]),
        }
    }
}

impl std::fmt::Debug for Inbox {
    /// How much there is; what it is may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inbox({} bytes)", self.held.len())
    }
}

#[cfg(test)]
mod tests;
