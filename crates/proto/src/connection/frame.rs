//! Frames: what a stream is cut into. Whose turn it is to say what is not known
//! here.
//!
//! ```text
//! message  length(4) message
//! pulse    0(4) clock, in ms since the Unix epoch(8)
//! ```
//!
//! A message is never empty, so that its length is never a pulse's zero.

use std::ops::Range;

use super::stream::{LENGTH_BYTES, MAX_MESSAGE_BYTES, message_len};
use crate::time::Wall;
use crate::wire::Malformed;

/// How long a frame is at most.
pub const FRAME_BYTES: usize = LENGTH_BYTES + MAX_MESSAGE_BYTES;
/// How long a pulse is.
pub const PULSE_BYTES: usize = LENGTH_BYTES + CLOCK_BYTES;
const CLOCK_BYTES: usize = 8;

/// What the other end has sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// It is there.
    Pulse {
        /// Its clock when it sent this.
        clock: Wall,
    },
    /// A message or a reply, without its length.
    Message(&'a [u8]),
}

/// Where in some bytes a frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// Nowhere: this is all of it.
    Pulse(Wall),
    /// The message, without its length.
    Message(Range<usize>),
}

impl Span {
    /// The frame that `bytes` begin with, and how long it is; `None` while it
    /// is not all there.
    ///
    /// # Errors
    ///
    /// When no frame is that long.
    pub fn first(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let len = message_len(*length)?;
        if len == 0 {
            let clock = rest.first_chunk::<CLOCK_BYTES>();
            let clock = clock.map(|clock| Wall::from_millis(u64::from_be_bytes(*clock)));
            return Ok(clock.map(|clock| (Self::Pulse(clock), PULSE_BYTES)));
        }
        let end = LENGTH_BYTES + len;
        Ok((bytes.len() >= end).then_some((Self::Message(LENGTH_BYTES..end), end)))
    }

    /// The same frame in bytes that have so many more in front.
    #[must_use]
    pub fn after(self, before: usize) -> Self {
        match self {
            Self::Pulse(clock) => Self::Pulse(clock),
            Self::Message(at) => Self::Message(before + at.start..before + at.end),
        }
    }

    /// The frame, in the bytes that it is in.
    #[must_use]
    pub fn frame(self, bytes: &[u8]) -> Frame<'_> {
        match self {
            Self::Pulse(clock) => Frame::Pulse { clock },
            Self::Message(at) => Frame::Message(&bytes[at]),
        }
    }
}

/// Appends a pulse to `out`.
pub fn put_pulse(clock: Wall, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    out.extend_from_slice(&clock.as_millis().to_be_bytes());
}

impl std::fmt::Debug for Frame<'_> {
    /// How long a message is; what it is may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pulse { clock } => write!(f, "Pulse({clock:?})"),
            Self::Message(bytes) => write!(f, "Message({} bytes)", bytes.len()),
        }
    }
}
