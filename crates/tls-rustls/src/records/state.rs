//! How far a connection has come: everything about it that is not secret.
//!
//! It is small and is copied whole: an understudy is told all of it after each
//! step, so that nothing which decides what comes next can be left out.

use super::failure::Alert;
use super::keys::HEADER_BYTES;
use crate::reader::{Reader, Truncated};

/// How long a state is as bytes.
pub(super) const STATE_BYTES: usize = 2 * MARK_BYTES + 9 + 5;

const MARK_BYTES: usize = 4 + 3 * 8;

/// A key update: a header of four bytes, and whether one is asked for.
pub(super) const KEY_UPDATE_BYTES: usize = 5;

/// How far one direction has come. It always is the end of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// How many key updates there were.
    pub generation: u32,
    /// The number of the next record, under this generation's key.
    pub sequence: u64,
    /// The position in the TCP stream: bytes since the connection began.
    pub stream: u64,
    /// How many bytes of plaintext passed since the records were taken over
    /// from rustls.
    pub plain: u64,
}

/// Whether a direction still carries data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// It ended as it should, with a `close_notify`.
    Closed,
    /// It ended with another alert, or with what asks for one.
    Failed,
}

/// The direction from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) at: Mark,
    pub(super) phase: Phase,
    /// The beginning of a key update whose rest is in the next record.
    pub(super) message: [u8; KEY_UPDATE_BYTES - 1],
    pub(super) message_bytes: u8,
    /// What came in a row without data between.
    pub(super) empties: u8,
    pub(super) updates: u8,
    pub(super) cancels: u8,
}

/// A key update that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Update {
    /// Ours alone.
    Own,
    /// The peer is to change its key as well.
    Both,
}

/// The direction to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) at: Mark,
    pub(super) phase: Phase,
    /// Whether the peer was asked for a key update that has not come.
    pub(super) asked: bool,
    /// What is to be sealed before any data.
    pub(super) update: Option<Update>,
    /// What is to be sealed as the last.
    pub(super) alert: Option<Alert>,
}

/// Both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) received: Received,
    pub(super) sent: Sent,
}

/// Bytes that are no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoState;

impl From<Truncated> for NoState {
    fn from(_: Truncated) -> Self {
        Self
    }
}

impl State {
    /// A connection whose handshake is done.
    pub(super) const fn new(received: Mark, sent: Mark) -> Self {
        let received = Received {
            at: received,
            phase: Phase::Open,
            message: [0; KEY_UPDATE_BYTES - 1],
            message_bytes: 0,
            empties: 0,
            updates: 0,
            cancels: 0,
        };
        let sent = Sent { at: sent, phase: Phase::Open, asked: false, update: None, alert: None };
        Self { received, sent }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { received, sent } = self;
        received.at.encode(out);
        out.push(received.phase.byte());
        out.extend_from_slice(&received.message);
        out.push(received.message_bytes);
        out.extend_from_slice(&[received.empties, received.updates, received.cancels]);
        sent.at.encode(out);
        out.push(sent.phase.byte());
        out.push(u8::from(sent.asked));
        out.push(match sent.update {
            None => 0,
            Some(Update::Own) => 1,
            Some(Update::Both) => 2,
        });
        out.extend_from_slice(&match sent.alert {
            None => [0, 0],
            Some(Alert(number)) => [1, number],
        });
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, NoState> {
        let received = Received {
            at: Mark::decode(reader)?,
            phase: Phase::from_byte(reader.u8()?)?,
            message: reader.array()?,
            message_bytes: reader.u8()?,
            empties: reader.u8()?,
            updates: reader.u8()?,
            cancels: reader.u8()?,
        };
        if usize::from(received.message_bytes) >= KEY_UPDATE_BYTES {
            return Err(NoState);
        }
        let sent = Sent {
            at: Mark::decode(reader)?,
            phase: Phase::from_byte(reader.u8()?)?,
            asked: match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(NoState),
            },
            update: match reader.u8()? {
                0 => None,
                1 => Some(Update::Own),
                2 => Some(Update::Both),
                _ => return Err(NoState),
            },
            alert: match reader.array()? {
                [0, 0] => None,
                [1, number] => Some(Alert(number)),
                _ => return Err(NoState),
            },
        };
        Ok(Self { received, sent })
    }
}

impl Mark {
    /// Past a record whose body has this length.
    pub(super) const fn pass(&mut self, body: usize) {
        self.sequence += 1;
        self.stream += (HEADER_BYTES + body) as u64;
    }

    /// To the next generation; `false` if there is none.
    #[must_use]
    pub(super) const fn turn(&mut self) -> bool {
        let Some(generation) = self.generation.checked_add(1) else { return false };
        self.generation = generation;
        self.sequence = 0;
        true
    }

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.generation.to_be_bytes());
        for number in [self.sequence, self.stream, self.plain] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, NoState> {
        let mark = Self {
            generation: u32::from_be_bytes(reader.array()?),
            sequence: reader.u64()?,
            stream: reader.u64()?,
            plain: reader.u64()?,
        };
        // A connection that reaches half of any number's range has run for
        // centuries; up to there nothing that is added to one overflows.
        let numbers = [mark.sequence, mark.stream, mark.plain];
        if numbers.into_iter().any(|number| number > u64::MAX / 2) {
            return Err(NoState);
        }
        Ok(mark)
    }
}

impl Phase {
    const fn byte(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Closed => 1,
            Self::Failed => 2,
        }
    }

    const fn from_byte(byte: u8) -> Result<Self, NoState> {
        Ok(match byte {
            0 => Self::Open,
            1 => Self::Closed,
            2 => Self::Failed,
            _ => return Err(NoState),
        })
    }
}
