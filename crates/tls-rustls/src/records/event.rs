//! What an understudy hears of each step: the whole of a connection's state
//! after it, and the records that were sealed, if any were.
//!
//! Events hold nothing secret: the understudy turns its own secrets as they
//! say. They are checked against what it has when they are applied, in
//! `snapshot`.

use super::state::{Mark, NoState, STATE_BYTES, State};
use crate::reader::Reader;

/// The layout. Another one is refused: nodes of both would have to speak the
/// older.
const FORMAT: u8 = 1;

const OPENED: u8 = 0;
const SEALED: u8 = 1;

/// A step of a connection, for its understudy: see [`super::Snapshot::apply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    pub(super) state: State,
    /// What was sealed; `None` for a step of the other direction.
    pub(super) sealed: Option<&'a [u8]>,
}

/// Why bytes are no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// Another layout.
    #[error("an event of format {0}; {FORMAT} is expected")]
    Format(u8),
    /// Not what this layout allows.
    #[error("a malformed event")]
    Malformed,
}

impl<'a> Event<'a> {
    pub(super) const fn opened(state: State) -> Self {
        Self { state, sealed: None }
    }

    pub(super) const fn sealed(state: State, records: &'a [u8]) -> Self {
        Self { state, sealed: Some(records) }
    }

    /// The records that were sealed: what goes to the client, from
    /// [`Event::sent`]'s position less their length on.
    #[must_use]
    pub fn records(&self) -> &'a [u8] {
        self.sealed.unwrap_or_default()
    }

    /// How far the client's records were opened.
    #[must_use]
    pub const fn received(&self) -> Mark {
        self.state.received.at
    }

    /// How far records were sealed for the client, these included.
    #[must_use]
    pub const fn sent(&self) -> Mark {
        self.state.sent.at
    }

    /// Writes it onto the end of `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let records = self.records();
        out.reserve(2 + STATE_BYTES + records.len());
        out.extend_from_slice(&[FORMAT, if self.sealed.is_some() { SEALED } else { OPENED }]);
        self.state.encode(out);
        out.extend_from_slice(records);
    }

    /// Reads one that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`EventError`] when they are none.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, EventError> {
        let mut reader = Reader::new(bytes);
        let malformed = |_| EventError::Malformed;
        let format = reader.u8().map_err(malformed)?;
        if format != FORMAT {
            return Err(EventError::Format(format));
        }
        let kind = reader.u8().map_err(malformed)?;
        let state = State::decode(&mut reader).map_err(|NoState| EventError::Malformed)?;
        match kind {
            OPENED if reader.is_empty() => Ok(Self::opened(state)),
            SEALED => Ok(Self::sealed(state, reader.rest())),
            _ => Err(EventError::Malformed),
        }
    }
}
