//! What a server needs to go on with a connection, and how it is kept up.
//!
//! It has the traffic secrets, not only the keys that come from them, so that
//! keys can change after a take-over too. As bytes it is for sealed streams
//! between nodes that hold the farm key: those who made it are believed, yet
//! what cannot be is refused, and never panics.

use std::fmt;

use zeroize::Zeroizing;

use super::Epoch;
use super::event::Event;
use super::keys::{HEADER_BYTES, MAX_SECRET_BYTES, Secret, Suite, TAG_BYTES};
use super::open::{MAX_BODY_BYTES, MAX_OPEN_BYTES, split_record};
use super::state::{Mark, Phase, STATE_BYTES, State};
use crate::reader::{Reader, Truncated};

/// The layout. Another one is refused.
const FORMAT: u8 = 1;

/// The longest snapshot: format, suite, epoch, state, two secrets, and a record
/// that lacks its last byte, with its length.
pub const MAX_SNAPSHOT_BYTES: usize =
    1 + 1 + 8 + STATE_BYTES + 2 * MAX_SECRET_BYTES + 2 + MAX_PENDING_BYTES;

const MAX_PENDING_BYTES: usize = HEADER_BYTES + MAX_BODY_BYTES - 1;

/// The shortest record, one that only has a content type.
const MIN_RECORD_BYTES: usize = HEADER_BYTES + 1 + TAG_BYTES;

/// How often a key may change within one step: what fits into the bytes that
/// are opened at a time, and the unfinished record before them.
const MAX_TURNS: u64 = ((MAX_OPEN_BYTES + MAX_PENDING_BYTES) / MIN_RECORD_BYTES) as u64;

/// A connection, as an understudy has it. Its secrets are zeroized when it is
/// dropped, and never printed.
pub struct Snapshot {
    pub(super) epoch: Epoch,
    pub(super) state: State,
    pub(super) receiving: Secret,
    pub(super) sending: Secret,
    /// The client's bytes behind the last record that was opened, as far as
    /// they are known: less than a record.
    pub(super) pending: Vec<u8>,
}

/// Why bytes are no snapshot, or an event does not follow on one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Another layout.
    #[error("a snapshot of format {0}; {FORMAT} is expected")]
    Format(u8),
    /// Not what this layout allows.
    #[error("a malformed snapshot")]
    Malformed,
    /// An event is missing before this one, or it is of another connection.
    #[error("an event that does not follow on the one before")]
    Gap,
}

impl From<Truncated> for SnapshotError {
    fn from(_: Truncated) -> Self {
        Self::Malformed
    }
}

impl Snapshot {
    /// The epoch of the owner that it is of.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How far the client's records were opened.
    #[must_use]
    pub const fn received(&self) -> Mark {
        self.state.received.at
    }

    /// How far records were sealed for the client.
    #[must_use]
    pub const fn sent(&self) -> Mark {
        self.state.sent.at
    }

    /// The position in the client's stream from which on its bytes are to be
    /// given to the [`super::Records`] that this becomes.
    #[must_use]
    pub const fn resume_at(&self) -> u64 {
        self.state.received.at.stream + self.pending.len() as u64
    }

    /// Follows the owner by one step. What was sealed is told in order, and so
    /// is what was opened; the latter may be told later, when its plaintext is
    /// safe.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Gap`] when it cannot be the next step; nothing is
    /// changed then, and the owner is to be asked for a new snapshot.
    pub fn apply(&mut self, event: &Event<'_>) -> Result<(), SnapshotError> {
        let applied = match event.sealed {
            None => self.apply_opened(&event.state),
            Some(records) => self.apply_sealed(&event.state, records),
        };
        applied.ok_or(SnapshotError::Gap)
    }

    fn apply_opened(&mut self, after: &State) -> Option<()> {
        let State { received, sent } = &mut self.state;
        let Step { bytes, turns, .. } = step(received.at, after.received.at)?;
        // Nothing was sealed before this that has not been told.
        sent.at.stream.checked_sub(after.sent.at.stream)?;
        // What it asks of the other direction was done by what was sealed since,
        // if anything was.
        if sent.at == after.sent.at {
            *sent = after.sent;
        }
        *received = after.received;
        self.receiving = turn(&self.receiving, turns);
        let known = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.pending.drain(..known.min(self.pending.len()));
        if after.received.phase != Phase::Open {
            self.pending.clear();
        }
        Some(())
    }

    fn apply_sealed(&mut self, after: &State, records: &[u8]) -> Option<()> {
        let State { received, sent } = &mut self.state;
        after.received.at.stream.checked_sub(received.at.stream)?;
        let step = step(sent.at, after.sent.at)?;
        if !step.is_of(records, after.sent.at) {
            return None;
        }
        *sent = after.sent;
        self.sending = turn(&self.sending, step.turns);
        Some(())
    }

    /// Its bytes: secret, and no longer than [`MAX_SNAPSHOT_BYTES`].
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // The whole at once: growing would leave copies behind.
        let mut out = Zeroizing::new(Vec::with_capacity(MAX_SNAPSHOT_BYTES));
        out.push(FORMAT);
        out.extend_from_slice(&u16::from(self.receiving.suite().number()).to_be_bytes()[1..]);
        out.extend_from_slice(&self.epoch.0.to_be_bytes());
        self.state.encode(&mut out);
        out.extend_from_slice(self.receiving.as_bytes());
        out.extend_from_slice(self.sending.as_bytes());
        let pending = u16::try_from(self.pending.len()).expect("it is less than a record");
        out.extend_from_slice(&pending.to_be_bytes());
        out.extend_from_slice(&self.pending);
        out
    }

    /// Reads one that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] when they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut reader = Reader::new(bytes);
        let format = reader.u8()?;
        if format != FORMAT {
            return Err(SnapshotError::Format(format));
        }
        let suite = Suite::from_byte(reader.u8()?).ok_or(SnapshotError::Malformed)?;
        let epoch = Epoch(reader.u64()?);
        let state = State::decode(&mut reader).map_err(|_| SnapshotError::Malformed)?;
        let mut secret = || {
            let bytes = reader.take(suite.secret_bytes())?;
            Secret::new(suite, bytes).ok_or(SnapshotError::Malformed)
        };
        let (receiving, sending) = (secret()?, secret()?);
        let pending = reader.vector16()?;
        let fits = pending.is_empty()
            || (state.received.phase == Phase::Open && matches!(split_record(pending), Ok(None)));
        if !reader.is_empty() || !fits {
            return Err(SnapshotError::Malformed);
        }
        Ok(Self { epoch, state, receiving, sending, pending: pending.to_vec() })
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("epoch", &self.epoch)
            .field("received", &self.received())
            .field("sent", &self.sent())
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

/// What lies between two marks of one direction.
#[derive(Debug, Clone, Copy)]
struct Step {
    bytes: u64,
    turns: u32,
    /// Under one key; more than one is not told apart.
    records: Option<u64>,
}

/// `None` if the second does not come after the first.
fn step(before: Mark, after: Mark) -> Option<Step> {
    let bytes = after.stream.checked_sub(before.stream)?;
    let turns = after.generation.checked_sub(before.generation)?;
    let plain = after.plain.checked_sub(before.plain)?;
    let records = match turns {
        0 => Some(after.sequence.checked_sub(before.sequence)?),
        _ => None,
    };
    // Each turn and each number took a record, and a record more bytes than it
    // has content.
    let least = records.unwrap_or_else(|| u64::from(turns) + after.sequence);
    let short = bytes < least.checked_mul(MIN_RECORD_BYTES as u64)? || bytes < plain;
    (!short && u64::from(turns) <= MAX_TURNS).then_some(Step { bytes, turns, records })
}

impl Step {
    /// Whether these are the step's records, all of them and whole.
    fn is_of(self, records: &[u8], after: Mark) -> bool {
        let (mut rest, mut count) = (records, 0);
        while let Ok(Some((_, after))) = split_record(rest) {
            (rest, count) = (after, count + 1);
        }
        let counted = match self.records {
            Some(exactly) => count == exactly,
            None => count >= u64::from(self.turns) + after.sequence,
        };
        rest.is_empty() && records.len() as u64 == self.bytes && counted
    }
}

fn turn(secret: &Secret, turns: u32) -> Secret {
    (0..turns).fold(secret.clone(), |secret, _| secret.next())
}
