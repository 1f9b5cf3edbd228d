//! The direction to the client: plaintext to records.
//!
//! A number of a key is used for one record only. So a [`Sealer`] cannot be
//! copied, counts for itself, and is gone once its connection is handed over;
//! and another one of the same connection is only made under a later epoch.

use std::fmt;

use super::failure::Alert;
use super::keys::{ALERT, APPLICATION_DATA, HANDSHAKE, Key, Secret, TAG_BYTES};
use super::open::{KEY_UPDATE, MAX_CONTENT_BYTES};
use super::state::{Phase, Sent, Update};

/// Why nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The direction to the client has ended.
    #[error("the direction to the client has ended")]
    Closed,
}

/// Seals records.
pub(super) struct Sealer {
    secret: Secret,
    key: Key,
}

impl Sealer {
    pub(super) fn new(secret: Secret) -> Self {
        Self { key: secret.key(), secret }
    }

    /// Seals all of `pieces`, as if they were one, onto the end of `out`.
    pub(super) fn seal(
        &mut self,
        state: &mut Sent,
        pieces: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        self.flush(state, out);
        if state.phase != Phase::Open {
            return Err(SealError::Closed);
        }
        let mut rest = Pieces { pieces, first_from: 0 };
        let mut left: usize = pieces.iter().map(|piece| piece.len()).sum();
        while left > 0 {
            self.turn_if_due(state, out)?;
            let len = left.min(MAX_CONTENT_BYTES);
            let number = (state.at.sequence, APPLICATION_DATA);
            self.key.seal(number, len, rest.upto(len), out);
            rest.advance(len);
            pass(state, len);
            state.at.plain += len as u64;
            left -= len;
        }
        Ok(())
    }

    /// Seals the key update and the alert that are to be sent, if any are.
    pub(super) fn flush(&mut self, state: &mut Sent, out: &mut Vec<u8>) {
        if state.phase != Phase::Open {
            (state.update, state.alert) = (None, None);
            return;
        }
        if let Some(update) = state.update.take() {
            // Who has no generation left ends instead.
            if self.turn(state, update, out).is_err() {
                state.alert.get_or_insert(Alert::CLOSE_NOTIFY);
            }
        }
        if let Some(alert) = state.alert.take() {
            let closes = alert == Alert::CLOSE_NOTIFY;
            let level = if closes { 1 } else { 2 };
            self.seal_message(state, ALERT, &[level, alert.0], out);
            state.phase = if closes { Phase::Closed } else { Phase::Failed };
        }
    }

    /// Changes the key under the last number that it may seal under. The
    /// client's key is its own business: one that only listens would else
    /// answer for ever without data, which looks like a flood.
    fn turn_if_due(&mut self, state: &mut Sent, out: &mut Vec<u8>) -> Result<(), SealError> {
        if state.at.sequence + 1 >= self.secret.suite().records_a_key() {
            return self.turn(state, Update::Own, out);
        }
        Ok(())
    }

    fn turn(
        &mut self,
        state: &mut Sent,
        update: Update,
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let mut after = state.at;
        if !after.turn() {
            return Err(SealError::Closed);
        }
        let asks = match update {
            Update::Own => 0,
            Update::Both => 1,
        };
        self.seal_message(state, HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, asks], out);
        let turned = state.at.turn();
        assert!(turned, "it was tried");
        self.secret = self.secret.next();
        self.key = self.secret.key();
        Ok(())
    }

    fn seal_message(&self, state: &mut Sent, kind: u8, message: &[u8], out: &mut Vec<u8>) {
        let content = std::iter::once(message);
        self.key.seal((state.at.sequence, kind), message.len(), content, out);
        pass(state, message.len());
    }

    pub(super) const fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

/// Past a record with this much content.
const fn pass(state: &mut Sent, content: usize) {
    state.at.pass(content + 1 + TAG_BYTES);
}

/// What is left of several pieces.
struct Pieces<'a> {
    pieces: &'a [&'a [u8]],
    /// Where the rest of the first piece begins.
    first_from: usize,
}

impl<'a> Pieces<'a> {
    /// The next `len` bytes, in as many pieces as they are in.
    fn upto(&self, len: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut from = self.first_from;
        let mut left = len;
        self.pieces.iter().map_while(move |piece| {
            let piece = &piece[from..];
            from = 0;
            let taken = &piece[..piece.len().min(left)];
            left -= taken.len();
            (!taken.is_empty() || left > 0).then_some(taken)
        })
    }

    fn advance(&mut self, mut len: usize) {
        while let Some(first) = self.pieces.first() {
            let there = first.len() - self.first_from;
            if len < there {
                self.first_from += len;
                return;
            }
            len -= there;
            (self.pieces, self.first_from) = (&self.pieces[1..], 0);
        }
    }
}
